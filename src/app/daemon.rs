//! The daemon: starts everything in order, keeps it running, stops it in order.
//!
//! Order of the start: listener (probes are answered, alerts refused), store and state, sources, pipeline, doors open.
//! Order of the stop: doors, sources, pipeline (the last epoch is committed and its senders answered), listener.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, Sender, bounded};

use crate::app::bridge::{BridgeOptions, HttpBridge};
use crate::app::credentials::tell_expiry;
use crate::app::doors::Doors;
use crate::app::pressure::{LiveRules, PressureKeeper, Rules};
use crate::app::publish::{Readers, begin_with_zero, publisher, totals};
use crate::app::reload::{Order, Reloader};
use crate::app::sources::Sources;
use crate::app::upkeep::Upkeep;
use crate::app::{engine, snapshot, store, suspects};
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
use crate::model::time::{Clock as _, Stopwatch, SystemClock};
use crate::pipeline::decode::Limits;
use crate::pipeline::options::{Options, SourceOptions};
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::run::{Outside, RunError, Running, start};
use crate::pipeline::snapshot::Keeper;
use crate::pipeline::tap::Tap;

/// Resolved incidents kept for readers; unresolved ones are all kept.
const RESOLVED_KEPT: usize = 10_000;
/// Resolved incidents read back from the store at the start: what a person looks back on, in a fraction of a second.
const RESOLVED_SHOWN: usize = 1_000;
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
    /// Starts everything; returns when alerts are taken. Must be called inside a tokio runtime.
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
        let readers = Readers { index, busiest, feed, keeper: keeper.clone() };
        let valves = Arc::new(Valves::default());
        let (running, sources) = start_engine(&config, &metrics, readers, &doors, tap, valves.clone())?;
        let records = config.sources.iter().map(|source| source.name.clone()).collect();
        let pressure = PressureKeeper::new(metrics.clone(), rules, valves, records);
        let upkeep = Upkeep::new(metrics, board.clone(), doors.clone(), pulse, source_names(&config), pressure);
        let (alive, ended) = bounded::<()>(0);
        let thread = std::thread::Builder::new().name("engine".to_owned());
        let engine = thread.spawn(move || {
            let _alive = alive;
            run_engine(running, sources, &inbox, upkeep, keeper)
        });
        let engine = engine.context("start thread")?;
        board.enter(Phase::Running);
        Ok(Self { address, admin_address, control, reloader, orders, engine, ended, servers, doors })
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

fn source_names(config: &Config) -> Vec<String> {
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

fn start_engine(
    config: &Config,
    metrics: &Metrics,
    readers: Readers,
    doors: &Arc<Doors>,
    tap: Arc<Tap>,
    valves: Arc<Valves>,
) -> anyhow::Result<(Running, Sources)> {
    let begun = Stopwatch::start();
    let mut sink = store::open_sink(config, metrics)?;
    let from = engine::restore(sink.as_mut(), readers.keeper.as_ref(), options_of(config))?;
    metrics.observe(Metric::RestoreDuration, &[], begun.elapsed().as_secs_f64());
    readers.index.apply(&from.seed);
    open_archive(config, &readers.index, doors)?;
    begin_with_zero(metrics, config.sources.iter().map(|source| source.name.as_str()));
    metrics.publish(|metrics| totals(metrics, &from.summary(), &source_names(config)));
    let (incidents, seconds) = (from.seed.len(), begun.elapsed().as_secs_f64());
    tracing::info!(incidents, seconds, "state restored: {incidents} incidents in {seconds:.1} s");
    let mut sources = Sources::start(config, &from.positions, metrics, &valves)?;
    let refusing = Arc::default();
    if let Some((index, sender, next)) = sources.http.take() {
        let bridge =
            HttpBridge::new(sender, next, bridge_options(config), Box::new(SystemClock), Arc::clone(&refusing));
        let bridge = bridge.behind(valves.clone(), index);
        bridge.open();
        let _ = doors.bridge.set(bridge); // Set once: the daemon starts once.
    }
    let _ = doors.commands.set(store::open_commands(config)?);
    let suspicion = suspects::suspicion(&config.data_dir, engine::fresh_key(), metrics);
    let outside = Outside {
        inputs: std::mem::take(&mut sources.inputs),
        sink,
        clock: Arc::new(SystemClock),
        watched: readers.busiest.watched(),
        on_commit: publisher(metrics.clone(), readers, source_names(config)),
        refusing,
        tap,
        valves,
        suspicion,
    };
    Ok((start(from, outside, None), sources))
}

/// Bodies that are not durable yet may take an eighth of the budget, but one of the largest size must fit.
fn bridge_options(config: &Config) -> BridgeOptions {
    let usual = BridgeOptions::default();
    let share = (Rules::of(config).budget() / 8).max(Limits::BODY_BYTES as u64);
    BridgeOptions { bytes_in_flight_max: usual.bytes_in_flight_max.min(share), ..usual }
}

/// Opens the store's memory of incidents, and shows those that were resolved before this start.
fn open_archive(config: &Config, index: &IncidentIndex, doors: &Doors) -> anyhow::Result<()> {
    if let Some(archive) = store::archive(config) {
        let ends = archive.newest_ends(RESOLVED_SHOWN).context("read resolved incidents")?;
        index.apply(&ends.into_iter().map(Arc::new).collect::<Vec<_>>());
        let _ = doors.archive.set(Box::new(archive)); // The daemon starts once.
    }
    Ok(())
}

/// The engine's thread: orders, upkeep, and the end.
fn run_engine(
    mut running: Running,
    sources: Sources,
    inbox: &Receiver<Order>,
    mut upkeep: Upkeep,
    keeper: Option<Keeper>,
) -> Result<(), RunError> {
    loop {
        let ended = running.ended();
        crossbeam::select! {
            recv(inbox) -> order => match order {
                Ok(Order::Exchange(options, done)) => {
                    running = engine::exchange(running, keeper.as_ref(), options)?;
                    let _ = done.send(()); // Whoever asked may have given up waiting.
                }
                Ok(Order::Stop) | Err(_) => break,
            },
            recv(ended) -> _ => break,
            default(upkeep.patience()) => upkeep.look(&running.shared()),
        }
    }
    sources.stop();
    running.stop();
    let result = running.join().map(drop);
    keeper.iter().for_each(Keeper::seal); // What is durable by now shortens the next start.
    sources.join();
    result
}
