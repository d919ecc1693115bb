//! The engine's thread: the election where there is one, the start of the pipeline from its state, orders and upkeep while
//! it runs, and the end.
//!
//! A reload exchanges the pipeline: what was taken becomes durable, the state is read back, and a pipeline with the new rules
//! goes on where the old one stopped. The sources notice nothing but a pause.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, Sender};

use crate::app::bridge::{BridgeOptions, HttpBridge};
use crate::app::daemon::{options_of, source_names};
use crate::app::doors::Doors;
use crate::app::pressure::Rules;
use crate::app::publish::{Readers, begin_with_zero, publisher, totals};
use crate::app::reload::Order;
use crate::app::sources::Sources;
use crate::app::standby::{self, Lead};
use crate::app::upkeep::Upkeep;
use crate::app::{store, suspects};
use crate::control::config::Config;
use crate::control::index::IncidentIndex;
use crate::control::status::{Phase, StatusBoard};
use crate::metrics::{Metric, Metrics};
use crate::model::fingerprint::HashKey;
use crate::model::time::{Stopwatch, SystemClock};
use crate::pipeline::decode::Limits;
use crate::pipeline::options::Options;
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::run::{Outside, RunError, Running, start};
use crate::pipeline::sequencer::Sequencer;
use crate::pipeline::sink::EpochSink;
use crate::pipeline::sink::kafka::standby::{Leader, Rank, Warm};
use crate::pipeline::snapshot::{Keeper, read_back, take_over};
use crate::pipeline::start::Start;
use crate::pipeline::tap::Tap;

/// Resolved incidents read back from the store at the start: what a person looks back on, in a fraction of a second.
const RESOLVED_SHOWN: usize = 1_000;

/// What the thread works with.
pub(super) struct Engine {
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    pub(super) readers: Readers,
    pub(super) doors: Arc<Doors>,
    pub(super) tap: Arc<Tap>,
    pub(super) valves: Arc<Valves>,
    pub(super) board: Arc<StatusBoard>,
    pub(super) upkeep: Upkeep,
    pub(super) inbox: Receiver<Order>,
}

impl Engine {
    /// Runs until it is told to stop or cannot go on. Tells once that it is there: it takes alerts, or follows the state of
    /// another; or why not.
    pub(super) fn live(mut self, told: Sender<anyhow::Result<()>>) -> Result<(), RunError> {
        let mut told = Some(told);
        let mut options = options_of(&self.config);
        let lead = match standby::wait_for_lead(&mut self, &mut options, &mut told) {
            Ok(Some(lead)) => lead,
            Ok(None) => return Ok(()),
            Err(error) => return give_up(told, error),
        };
        self.board.enter(Phase::Restoring);
        let Lead { leader, warm } = lead;
        let (running, sources) = match self.start(warm, options) {
            Ok(started) => started,
            Err(error) => return give_up(told, error),
        };
        self.board.enter(Phase::Running);
        if let Some(told) = told {
            let _ = told.send(Ok(())); // Whoever started us is gone only when all of the process is.
        }
        let result = self.run(running, sources, leader.as_ref());
        drop(leader); // Only now another may lead: what was taken is durable.
        result
    }

    fn start(&mut self, warm: Option<Warm>, options: Arc<Options>) -> anyhow::Result<(Running, Sources)> {
        let Self { config, metrics, readers, doors, tap, valves, .. } = self;
        let begun = Stopwatch::start();
        let mut sink = store::open_sink(config, metrics)?;
        let from = restore(sink.as_mut(), readers.keeper.as_ref(), warm, options)?;
        metrics.observe(Metric::RestoreDuration, &[], begun.elapsed().as_secs_f64());
        readers.index.apply(&from.seed);
        open_archive(config, &readers.index, doors)?;
        begin_with_zero(metrics, config.sources.iter().map(|source| source.name.as_str()));
        metrics.publish(|metrics| totals(metrics, &from.summary(), &source_names(config)));
        let (incidents, seconds) = (from.seed.len(), begun.elapsed().as_secs_f64());
        tracing::info!(incidents, seconds, "state restored: {incidents} incidents in {seconds:.1} s");
        let mut sources = Sources::start(config, &from.positions, metrics, valves)?;
        let refusing = Arc::default();
        if let Some((index, sender, next)) = sources.http.take() {
            let bridge =
                HttpBridge::new(sender, next, bridge_options(config), Box::new(SystemClock), Arc::clone(&refusing));
            let bridge = bridge.behind(valves.clone(), index);
            bridge.open();
            let _ = doors.bridge.set(bridge); // Set once: the daemon starts once.
        }
        let _ = doors.commands.set(store::open_commands(config)?);
        let suspicion = suspects::suspicion(&config.data_dir, fresh_key(), metrics);
        let outside = Outside {
            inputs: std::mem::take(&mut sources.inputs),
            sink,
            clock: Arc::new(SystemClock),
            watched: readers.busiest.watched(),
            on_commit: publisher(metrics.clone(), readers.clone(), source_names(config)),
            refusing,
            tap: tap.clone(),
            valves: valves.clone(),
            suspicion,
        };
        Ok((start(from, outside, None), sources))
    }

    fn run(mut self, mut running: Running, sources: Sources, leader: Option<&Leader>) -> Result<(), RunError> {
        let mut passed_over = None;
        loop {
            let ended = running.ended();
            crossbeam::select! {
                recv(self.inbox) -> order => match order {
                    Ok(Order::Exchange(options, done)) => {
                        running = exchange(running, self.readers.keeper.as_ref(), options)?;
                        let _ = done.send(()); // Whoever asked may have given up waiting.
                    }
                    Ok(Order::Stop) | Err(_) => break,
                },
                recv(ended) -> _ => break,
                default(self.upkeep.patience()) => self.upkeep.look(&running.shared()),
            }
            if let Some(leader) = leader {
                standby::tell(&self.metrics, leader.rank());
                passed_over = passed_over_by(leader);
                if passed_over.is_some() {
                    break;
                }
            }
        }
        sources.stop();
        running.stop();
        let result = running.join().map(drop);
        self.readers.keeper.iter().for_each(Keeper::seal); // What is durable by now shortens the next start.
        sources.join();
        result.and(passed_over.map_or(Ok(()), |why| Err(RunError::Fenced(why))))
    }
}

/// Why an active instance must end: the group has given the lead to another, which takes the state over.
fn passed_over_by(leader: &Leader) -> Option<String> {
    match leader.rank() {
        Rank::Follows => Some("this one was not heard of for too long, and another one leads".to_owned()),
        Rank::Leads | Rank::Unknown => leader.fault().map(|fault| format!("the membership is over: {fault}")),
    }
}

/// Says why there will be no engine: to whoever waits for it, or as the reason of the end.
fn give_up(told: Option<Sender<anyhow::Result<()>>>, error: anyhow::Error) -> Result<(), RunError> {
    match told {
        Some(told) => {
            let _ = told.send(Err(error)); // Whoever started us is gone only when all of the process is.
            Ok(())
        }
        None => Err(RunError::Store(format!("{error:#}"))),
    }
}

/// Reads the state back from the sink: what is behind the state that was followed, or with the help of a local snapshot if one
/// is kept.
fn restore(
    sink: &mut dyn EpochSink,
    keeper: Option<&Keeper>,
    warm: Option<Warm>,
    options: Arc<Options>,
) -> anyhow::Result<Start> {
    let mut copy = keeper.cloned();
    let restored = match warm {
        Some(warm) => take_over(sink, copy.as_mut(), warm),
        None => read_back(sink, copy.as_mut()),
    };
    Start::new(options, restored.context("restore state")?, fresh_key()).context("restore state")
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

/// A key of keyed hashes, of the stable ones at a first start, drawn from the operating system's randomness.
pub(super) fn fresh_key() -> HashKey {
    let mut key = [0; 16];
    // Two hashers of the standard library: each is keyed from the system's randomness.
    let draw = |salt: u64| {
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(salt);
        hasher.finish().to_le_bytes()
    };
    key.iter_mut().zip(draw(1).into_iter().chain(draw(2))).for_each(|(byte, drawn)| *byte = drawn);
    HashKey(key)
}

/// Stops the pipeline and starts another with these options from its state.
fn exchange(running: Running, keeper: Option<&Keeper>, options: Arc<Options>) -> Result<Running, RunError> {
    running.stop();
    let (sequencer, mut outside): (Sequencer, Outside) = running.join()?;
    let from = restore(outside.sink.as_mut(), keeper, None, options);
    let from = from.map_err(|error| RunError::Store(format!("{error:#}")))?;
    Ok(start(from, outside, Some(sequencer)))
}
