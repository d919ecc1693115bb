//! What happens in the demo: the daemon comes up, the flood goes in, the incidents come to rest and are asked for, the
//! daemon stops. What it all came to is [`Seen`].

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::Url;
use tokio::runtime::Runtime;

use crate::app::daemon::Daemon;
use crate::cli::demo::history::History;
use crate::cli::demo::live::{Live, Look};
use crate::cli::storm::{
    Connections, Delivery, Fates, Gate, HttpOptions, LIVE_FLOOD_RATE, Openings, Pacer, Quantiles, Score, send,
};
use crate::control::config::{Config, Overrides, Surroundings};
use crate::model::IncidentEvent;
use crate::model::time::{Clock as _, Stopwatch, SystemClock};
use crate::storm::{Flood, FloodOptions, FoundIncident, Shape, Truth};

/// Any free port of this machine, short waits because nobody wants to wait in a demo. The session rules are the
/// defaults: the storm's truth holds for them, and no window ends within the minute that a demo takes.
const CONFIG: &str = "
listen: 127.0.0.1:0
windows:
  - name: demo
    group_by: [cluster, service|alertname]
    wait: 1s
    update_every: 1s
    resolve_after: never
engine: {samples: 3}
";
/// Threads for HTTP and timers; the pipeline has its own.
const ASYNC_THREADS: usize = 2;
/// As a busy fleet sends: some senders, none of them with very large requests.
const CONNECTIONS: u32 = 4;
const BATCH: u32 = 100;
/// Batches fill at once where nothing is paced.
const LINGER: Duration = Duration::ZERO;
/// A daemon in the same process that does not answer for this long will not.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the display moves, and how often the daemon is asked for its numbers.
const FRAME: Duration = Duration::from_millis(100);
const ASK_EVERY: Duration = Duration::from_millis(300);
/// The last counts are told `update_every` after the flood; ten times that means that they never come.
const REST_MAX: Duration = Duration::from_secs(10);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What flood to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) alerts: u32,
    pub(super) seed: u64,
}

/// What was sent, and what was found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) truth: Truth,
    pub(super) found: Vec<FoundIncident>,
    pub(super) fates: Fates,
    pub(super) score: Score,
    pub(super) latency: Quantiles,
    /// How long it took to send the flood and have all of it durable.
    pub(super) sending: Duration,
}

/// A running demo.
pub(super) struct Scene {
    gate: Gate,
    /// The door for alerts.
    intake: Url,
    delivery: Delivery,
    interrupted: Arc<AtomicBool>,
}

impl Scene {
    /// Plays it all, with the store in `folder`.
    pub(super) fn play(plan: &Plan, folder: &Path) -> Result<Seen> {
        let overrides = Overrides { data_dir: Some(folder.to_path_buf()), ..Overrides::default() };
        let around = Surroundings::of_process(folder.to_path_buf());
        let loaded =
            Config::from_bytes(CONFIG.as_bytes(), None, &overrides, &around).context("read the demo's rules")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(ASYNC_THREADS)
            .thread_name("http")
            .enable_all()
            .build()
            .context("start runtime")?;
        let daemon = {
            let _inside = runtime.enter();
            Daemon::start(loaded.config, overrides)?
        };
        let at = Url::parse(&format!("http://{}", daemon.address())).context("make the daemon's URL")?;
        let intake = at.join("/api/v1/alerts").context("make the URL of its door")?;
        let scene = Self {
            intake,
            gate: Gate::at(at, None, None)?,
            delivery: Delivery::default(),
            interrupted: Arc::new(AtomicBool::new(false)),
        };
        scene.heed_interrupt(&runtime);
        let played = scene.run(plan);
        let stopped = runtime.block_on(async { tokio::time::timeout(STOP_GRACE, daemon.stop()).await });
        runtime.shutdown_background(); // Blocking calls of a stopped daemon are not waited for.
        let (incidents, mut seen) = played?;
        stopped.context("stop the daemon")?.context("run the daemon")?;
        let history = History::read(&folder.join("state.db"))?;
        let found = incidents.iter().map(|event| FoundIncident::from_last(event, history.leads_to(event)));
        seen.found = found.collect();
        Ok(seen)
    }

    /// Control-C ends the demo in order, so that its folder goes away.
    fn heed_interrupt(&self, runtime: &Runtime) {
        let (interrupted, delivery) = (self.interrupted.clone(), self.delivery.clone());
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupted.store(true, Ordering::Relaxed);
                delivery.give_up();
            }
        });
    }

    /// Everything but the look into the log, which comes when the daemon has stopped.
    fn run(&self, plan: &Plan) -> Result<(Vec<IncidentEvent>, Seen)> {
        let mut flood = Flood::new(FloodOptions {
            shape: plan.shape,
            seed: plan.seed,
            alerts: plan.alerts,
            start: SystemClock.now(),
            rate: LIVE_FLOOD_RATE,
            received_at: false,
        });
        let mut live = Live::open(plan, self.intake.as_str())?;
        let sending = self.send_and_show(&mut flood, &mut live)?;
        let score = self.delivery.score();
        let truth = flood.truth();
        live.say(&format!("{} incidents: waiting for their last counts", truth.groups.len()));
        let incidents = self.at_rest(score.sent)?;
        drop(live);
        let (fates, latency) = (self.gate.reading()?.fates, self.delivery.answers());
        Ok((incidents, Seen { truth, found: Vec::new(), fates, score, latency, sending }))
    }

    /// Sends on a thread of its own, and shows meanwhile how far it is.
    fn send_and_show(&self, flood: &mut Flood, live: &mut Live) -> Result<Duration> {
        let url = self.intake.clone();
        let options = HttpOptions {
            url,
            batch: BATCH,
            connections: CONNECTIONS,
            patience: PATIENCE,
            linger: LINGER,
            is_paced: false,
            token: None,
        };
        let outlet = Connections::open(options, &self.delivery)?;
        let (mut pacer, openings) = (Pacer::new(0.0, self.delivery.clock()), Openings::default());
        let watch = Stopwatch::start();
        std::thread::scope(|scope| {
            let sender = std::thread::Builder::new().name("storm".to_owned()).spawn_scoped(scope, || {
                let sent = send(flood, Box::new(outlet), &mut pacer, &self.delivery, &openings);
                sent.map(|()| watch.elapsed())
            });
            let sender = sender.context("start a thread")?;
            let mut fates = Fates::default();
            let mut asked = Stopwatch::start();
            while !sender.is_finished() {
                std::thread::sleep(FRAME);
                if asked.elapsed() >= ASK_EVERY {
                    // A scrape that fails shows itself by a display that stands still; the last one must succeed.
                    fates = self.gate.reading().map_or(fates, |reading| reading.fates);
                    asked = Stopwatch::start();
                }
                let sent = self.delivery.score().sent;
                live.show(&Look { at: watch.elapsed(), sent, fates, latency: self.delivery.answers() });
            }
            sender.join().unwrap_or_else(|_| bail!("the sending thread has failed"))
        })
    }

    /// The incidents once all that was sent is counted in their newest events, or as they are when it takes too long.
    fn at_rest(&self, sent: u64) -> Result<Vec<IncidentEvent>> {
        let watch = Stopwatch::start();
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            let incidents = self.gate.incidents(None)?;
            let told: u64 = incidents.iter().map(|event| event.counts.alerts).sum();
            if told >= sent || watch.elapsed() >= REST_MAX {
                return Ok(incidents);
            }
            std::thread::sleep(ASK_EVERY);
        }
    }
}
