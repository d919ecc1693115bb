//! The daemon: starts everything in order, keeps it running, stops it in order.
//!
//! Order of the start: listener (probes are answered, alerts refused), then on the engine's thread: the election where there is
//! one, store and state, sources, pipeline, doors open.
//! Order of the stop: doors, sources, pipeline (the last epoch is committed and its senders answered), listener.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, Sender, bounded};

use crate::app::credentials::tell_expiry;
use crate::app::doors::Doors;
use crate::app::engine::Engine;
use crate::app::pressure::{LiveRules, PressureKeeper, Rules};
use crate::app::publish::Readers;
use crate::app::reload::{Order, Reloader};
use crate::app::upkeep::Upkeep;
use crate::app::{snapshot, store};
use crate::control::busiest::Busiest;
use crate::control::config::reload::Live;
use crate::control::config::{Config, Overrides};
use crate::control::feed::Feed;
use crate::control::index::IncidentIndex;
use crate::control::intake::{Admission, IntakeOptions};
use crate::control::pulse::Pulse;
use crate::control::routes::{Control, Part, router};
use crate::control::server::{Server, ServerOptions, TlsFiles, serve};
use crate::control::status::{Phase, StatusBoard};
use crate::metrics::{Metric, Metrics, config_hash_value};
use crate::model::time::{Clock as _, SystemClock};
use crate::pipeline::options::{Options, SourceOptions};
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::run::RunError;
use crate::pipeline::tap::Tap;

/// Resolved incidents kept for readers; unresolved ones are all kept.
const RESOLVED_KEPT: usize = 10_000;
/// How long requests in hand may take at a stop.
const HTTP_GRACE: Duration = Duration::from_secs(5);
/// Orders to the engine that may wait.
const ORDERS: usize = 4;

/// A running daemon.
pub struct Daemon {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    control: Arc<Control>,
    reloader: Arc<Reloader>,
    orders: Sender<Order>,
    engine: JoinHandle<Result<(), RunError>>,
    ended: Receiver<()>,
    servers: Arc<Mutex<Vec<Server>>>,
    doors: Arc<Doors>,
}

impl Daemon {
    /// Starts everything; returns when alerts are taken, or another instance takes them and this one follows its state.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the listener, the store, the state or a source does not come up; nothing keeps running then.
    pub fn start(config: Config, overrides: Overrides) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        let board = Arc::new(StatusBoard::new(SystemClock.now()));
        let index = Arc::new(IncidentIndex::new(RESOLVED_KEPT));
        let busiest = Arc::new(Busiest::default());
        let pulse = Arc::new(Pulse::default());
        let feed = Arc::new(Feed::default());
        let doors = Arc::new(Doors::default());
        let tap = Arc::new(Tap::default());
        let servers = Arc::new(Mutex::new(Vec::new()));
        let (orders, inbox) = bounded(ORDERS);
        let live = Live::new(config.clone(), overrides);
        let rules = LiveRules::new(arc_swap::ArcSwap::from_pointee(Rules::of(&config)));
        let reloader =
            Reloader::new(live, orders.clone(), servers.clone(), metrics.clone(), board.clone(), rules.clone());
        let reloader = Arc::new(reloader);
        let control = Arc::new(Control {
            metrics: metrics.clone(),
            index: index.clone(),
            archive: doors.clone(),
            busiest: busiest.clone(),
            feed: feed.clone(),
            pulse: pulse.clone(),
            board: board.clone(),
            samples: Default::default(),
            admission: Admission::new(IntakeOptions::default()),
            intake: doors.clone(),
            commands: doors.clone(),
            reload: reloader.clone(),
            clock: Box::new(SystemClock),
            tap: tap.clone(),
        });
        let (address, admin_address) = listen(&config, &control, &servers)?;
        tell_expiry(&config, &metrics);
        tell_configuration(&config, &metrics, &board);
        board.enter(Phase::Restoring);
        let keeper = snapshot::open(&config, &metrics);
        let readers = Readers { index, busiest, feed, keeper };
        let valves = Arc::new(Valves::default());
        let records = config.sources.iter().map(|source| source.name.clone()).collect();
        let pressure = PressureKeeper::new(metrics.clone(), rules, valves.clone(), records);
        let upkeep = Upkeep::new(metrics.clone(), board.clone(), doors.clone(), pulse, source_names(&config), pressure);
        let engine = Engine { config, metrics, readers, doors: doors.clone(), tap, valves, board, upkeep, inbox };
        let (alive, ended) = bounded::<()>(0);
        let (told, hear) = bounded(1);
        let thread = std::thread::Builder::new().name("engine".to_owned());
        let engine = thread.spawn(move || {
            let _alive = alive;
            engine.live(told)
        });
        let engine = engine.context("start thread")?;
        match hear.recv() {
            Ok(Ok(())) => Ok(Self { address, admin_address, control, reloader, orders, engine, ended, servers, doors }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow::anyhow!("the engine ended before it was there")), // It has panicked, and said so.
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin paths are, if they have a listener of their own.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// What HTTP handlers work with: index, metrics, status.
    #[must_use]
    pub fn control(&self) -> Arc<Control> {
        self.control.clone()
    }

    /// Reads the configuration again.
    #[must_use]
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// A channel that closes when the engine has ended, for whatever reason.
    #[must_use]
    pub fn ended(&self) -> Receiver<()> {
        self.ended.clone()
    }

    /// Stops in order; what was answered with success is durable.
    ///
    /// # Errors
    /// Why the engine ended, if it had not been told to.
    pub async fn stop(self) -> Result<(), RunError> {
        self.control.board.enter(Phase::Draining);
        if let Some(bridge) = self.doors.bridge.get() {
            bridge.close();
        }
        let _ = self.orders.send(Order::Stop); // An engine that is gone has ended already.
        let engine = self.engine;
        let ended = tokio::task::spawn_blocking(move || engine.join()).await;
        self.control.metrics.set(Metric::Ready, &[], 0.0); // Nobody looks any more who could say so.
        self.control.feed.close(); // Streams would last for the whole grace.
        let servers = std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        for server in servers {
            server.shut_down(HTTP_GRACE).await;
        }
        self.control.board.enter(Phase::Stopped);
        match ended {
            Ok(Ok(result)) => result,
            _ => Err(RunError::Panicked("engine".to_owned())),
        }
    }
}

pub(super) fn source_names(config: &Config) -> Vec<String> {
    let names = config.sources.iter().map(|source| source.name.clone());
    names.chain([store::COMMANDS.to_owned()]).collect()
}

/// The options of the pipeline: those of the configuration, and the command log as one more source.
pub(super) fn options_of(config: &Config) -> Arc<Options> {
    let commands = SourceOptions::named(store::COMMANDS);
    let sources = config.pipeline.sources.iter().cloned().chain([commands]).collect();
    Arc::new(Options { sources, ..config.pipeline.clone() })
}

fn listen(
    config: &Config,
    control: &Arc<Control>,
    servers: &Mutex<Vec<Server>>,
) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
    let part = if config.http.admin_listen.is_some() { Part::Public } else { Part::Everything };
    let (options, alerts) = (server_options(config, config.http.listen), Some(control.clone()));
    let server = serve(&options, router(control.clone(), part), alerts, &control.metrics)?;
    let address = server.address();
    let mut running = vec![server];
    let mut admin_address = None;
    if let Some(admin) = config.http.admin_listen {
        let options = server_options(config, admin);
        let server = serve(&options, router(control.clone(), Part::Admin), None, &control.metrics)?;
        admin_address = Some(server.address());
        running.push(server);
    }
    *servers.lock().unwrap_or_else(PoisonError::into_inner) = running;
    Ok((address, admin_address))
}

/// The rules of a listener.
pub(super) fn server_options(config: &Config, listen: SocketAddr) -> ServerOptions {
    let tls = config.http.tls.as_ref();
    let tls = tls.map(|tls| TlsFiles { certificate: tls.certificate.clone(), key: tls.key.clone() });
    let host = config.http.external_url.as_deref().and_then(|url| url.split("//").nth(1)).map(|rest| {
        let end = rest.find('/').unwrap_or(rest.len());
        rest.get(..end).unwrap_or(rest).to_owned()
    });
    ServerOptions {
        token: config.http.token.clone(),
        insecure_listen: config.http.insecure_listen,
        allowed_hosts: host.into_iter().collect(),
        tls,
        ..ServerOptions::on(listen)
    }
}

/// Shows which configuration is in force.
pub(super) fn tell_configuration(config: &Config, metrics: &Metrics, board: &StatusBoard) {
    let now = SystemClock.now();
    metrics.set(Metric::ConfigLastReloadSuccessful, &[], 1.0);
    metrics.set(Metric::ConfigLastReloadSuccessTimestamp, &[], now.0 as f64 / 1_000.0);
    metrics.set(Metric::ConfigHash, &[], config_hash_value(config.hash));
    board.update(|status| {
        status.config_hash = format!("{:016x}", config.hash);
        status.config_since = now;
        status.last_reload_fault = None;
    });
}
