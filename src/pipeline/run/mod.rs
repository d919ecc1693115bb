//! The engine on threads: one sequencer, M decoders, N shards, one that commits. Bounded channels between them; pressure
//! travels upstream by blocking, a stop by hang-up.
//!
//! ```text
//! inputs ─► sequencer ─► decoder × M ─► shard × N ─► commit ─► sink
//!               ▲            └───────── reports ──────▲ │
//!               └──────────── wake, sink is free ───────┘
//! ```
//! No deadlock: a shard always takes what is sent to it and puts it in order itself; a decoder reports a chunk only after
//! every shard has its part, so that whoever has all reports up to a mark can wait for the shards.

mod commit;
pub mod durable;
mod sequence;
mod shared;
mod turns;
mod work;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::model::time::Clock;
use crate::pipeline::epoch::{Attached, Broken};
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::sequencer::{Sequencer, SourceFailed};
use crate::pipeline::sink::{CommitError, Epoch, EpochSink};
use crate::pipeline::source::SourceEvent;
use crate::pipeline::start::Start;
use crate::pipeline::suspect::Suspicion;
use crate::pipeline::tap::Tap;

pub use shared::Shared;

/// Chunks that may wait for a decoder, per decoder.
const CHUNKS_PER_DECODER: usize = 4;
/// Parts that may wait for a shard: enough that decoders need not wait for one that fires timers. The bytes of their chunks wait
/// with them, 256 KiB each from Kafka.
const PARTS_PER_SHARD: usize = 16;
/// Reports that may wait for the commit of the epoch before: chunks of single-record requests are many.
const REPORTS: usize = 4_096;

/// Why a run ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another instance has taken over: exit code 3, no restart.
    #[error("another instance has taken over: {0}")]
    Fenced(String),
    /// The store cannot go on.
    #[error("store: {0}")]
    Store(String),
    /// A source cannot go on.
    #[error(transparent)]
    Source(#[from] SourceFailed),
    /// A fault of this program: what was received is not what is accounted for.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A thread panicked; the last durable epoch is the truth.
    #[error("thread {0:?} panicked")]
    Panicked(String),
}

impl From<CommitError> for RunError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fenced(reason) => Self::Fenced(reason),
            other => Self::Store(other.to_string()),
        }
    }
}

/// Called on the commit thread once an epoch is durable, before senders are answered. Must not block for long.
pub type OnCommit = Box<dyn FnMut(&Epoch, &Attached) + Send>;

/// What the sequencer's thread gives back: itself, and what it read from.
type Sequenced = (Sequencer, Vec<Receiver<SourceEvent>>);
/// What the commit thread gives back.
type Committing = (Box<dyn EpochSink>, OnCommit);

/// What a run needs from outside.
pub struct Outside {
    /// What each source says, in the order of `Options::sources`.
    pub inputs: Vec<Receiver<SourceEvent>>,
    /// Makes epochs durable.
    pub sink: Box<dyn EpochSink>,
    /// Tells the wall clock.
    pub clock: Arc<dyn Clock>,
    /// Hears of every durable epoch.
    pub on_commit: OnCommit,
    /// Set by the HTTP source while it refuses its senders.
    pub refusing: Arc<AtomicBool>,
    /// Shows samples to those who listen.
    pub tap: Arc<Tap>,
    /// Set while somebody watches the busiest groups: then each epoch brings them along.
    pub watched: Arc<AtomicBool>,
    /// Which sources are held back, and whether batches shall be small.
    pub valves: Arc<Valves>,
    /// Records that made the program panic before, and who is told of another.
    pub suspicion: Suspicion,
}

/// A running engine.
pub struct Running {
    shared: Arc<Shared>,
    sequencer: JoinHandle<Result<Sequenced, SourceFailed>>,
    workers: Vec<JoinHandle<()>>,
    commit: JoinHandle<Result<Committing, RunError>>,
    clock: Arc<dyn Clock>,
    watched: Arc<AtomicBool>,
    suspicion: Suspicion,
    ended: Receiver<()>,
}

/// Starts all threads. `sequencer`: the one of the run before, after a reload; else `None`.
#[must_use]
pub fn start(start: Start, outside: Outside, sequencer: Option<Sequencer>) -> Running {
    let options = start.options.clone();
    let n_decoders = options.decoders.max(1);
    let Outside { inputs, mut sink, clock, on_commit, refusing, tap, watched, valves, suspicion } = outside;
    let shared = Arc::new(shared_of(&start, n_decoders, &tap));
    let beating = shared.clone();
    sink.on_retry(Arc::new(move || beating.beat(COMMIT_BEAT)));
    let (to_decoders, chunks) = bounded(shared.chunk_capacity);
    let (to_commit, reports) = bounded(REPORTS);
    let (wake, woken) = bounded(1);
    let (running, ended) = bounded::<()>(0);
    let ending = || Ending { shared: shared.clone(), _running: running.clone() };
    let mut workers = Vec::new();
    let mut to_shards = Vec::new();
    let mut outputs = Vec::new();
    for (index, shard) in start.shards.into_iter().enumerate() {
        let (to_shard, parts) = bounded(PARTS_PER_SHARD);
        let (to_output, output) = bounded(1);
        to_shards.push(to_shard);
        outputs.push(output);
        let ending = ending();
        let (options, shared, watched) = (options.clone(), shared.clone(), watched.clone());
        let suspicion = suspicion.clone();
        let worker = work::ShardWorker { index, options, shard, parts, output: to_output, shared, watched, suspicion };
        workers.push(spawn(format!("shard-{index}"), ending, move || worker.run()));
    }
    for index in 0..n_decoders {
        let exchange =
            crate::pipeline::exchange::Exchange::new(options.clone(), start.key, start.placement.clone(), true);
        let worker = work::DecodeWorker {
            exchange: exchange.tapped(tap.clone()).telling(shared.novelty.clone()).suspecting(suspicion.known()),
            chunks: chunks.clone(),
            to_shards: to_shards.clone(),
            reports: to_commit.clone(),
            suspicion: suspicion.clone(),
        };
        workers.push(spawn(format!("decode-{index}"), ending(), move || worker.run()));
    }
    drop((chunks, to_shards, to_commit));
    let committer = commit::Committer {
        builder: start.builder,
        sink,
        on_commit,
        reports,
        outputs,
        shared: shared.clone(),
        clock: clock.clone(),
        wake,
        bytes: 0,
    };
    let commit = spawn("commit".to_owned(), ending(), move || committer.run());
    let fresh = || Sequencer::new(&options, &start.positions, &start.clocks, start.next_record).under(start.pressure);
    let mut sequencer = sequencer.unwrap_or_else(fresh);
    sequencer.restart(&options, refusing, valves.clone());
    let runner = sequence::SequenceRunner {
        sequencer,
        inputs,
        chunks: to_decoders,
        woken,
        shared: shared.clone(),
        clock: clock.clone(),
        options: options.epoch.clone(),
        valves,
    };
    let sequencer = spawn("sequencer".to_owned(), ending(), move || runner.run());
    Running { shared, sequencer, workers, commit, clock, watched, suspicion, ended }
}

/// What the threads of a run will tell each other, as it stands before the first has started.
fn shared_of(start: &Start, n_decoders: usize, tap: &Arc<Tap>) -> Shared {
    Shared {
        wants_sweep: AtomicBool::new(start.builder.wants_sweep()),
        has_deadlines: AtomicBool::new(start.shards.iter().any(|shard| shard.tally().has_deadlines)),
        clocks: start.clocks.iter().map(|clock| AtomicI64::new(clock.0)).collect(),
        beats: (0..2 + start.shards.len()).map(|_| AtomicU64::new(0)).collect(),
        chunk_capacity: n_decoders * CHUNKS_PER_DECODER,
        tap: tap.clone(),
        tally: Mutex::new(start.summary().tally),
        ..Shared::default()
    }
}

const SEQUENCER_BEAT: usize = 0;
/// Which of `Shared::beats` is the commit thread's.
pub const COMMIT_BEAT: usize = 1;
const FIRST_SHARD_BEAT: usize = 2;

/// What a thread leaves behind, however it ends: a panic stops the run, and when all have ended `Running::ended` closes.
struct Ending {
    shared: Arc<Shared>,
    _running: Sender<()>,
}

impl Drop for Ending {
    /// One decoder of several that is gone would not hang up on anybody: the others would go on behind the chunk that is
    /// missing, which is never committed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// A named thread; `ending` is dropped when it ends.
fn spawn<T: Send + 'static>(name: String, ending: Ending, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _ending = ending;
        body()
    });
    thread.expect("the process may start threads: it is only starting")
}

impl Running {
    /// What threads tell.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Hangs up the sources: what was taken becomes durable, then every thread ends.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Whether any thread has ended, which ends them all.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sequencer.is_finished() || self.commit.is_finished() || self.workers.iter().any(JoinHandle::is_finished)
    }

    /// A channel that closes when all threads have ended; nothing is ever sent.
    #[must_use]
    pub fn ended(&self) -> Receiver<()> {
        self.ended.clone()
    }

    /// Waits for all threads, in the order of the flow.
    ///
    /// # Errors
    /// Why the run ended, if not by `stop` or the end of all sources.
    pub fn join(self) -> Result<(Sequencer, Outside), RunError> {
        let sequenced = self.sequencer.join();
        let mut panicked = sequenced.is_err().then(|| "sequencer".to_owned());
        for worker in self.workers {
            let name = worker.thread().name().unwrap_or_default().to_owned();
            if worker.join().is_err() {
                panicked.get_or_insert(name);
            }
        }
        let committed = self.commit.join();
        if committed.is_err() {
            panicked.get_or_insert("commit".to_owned());
        }
        if let Some(name) = panicked {
            return Err(RunError::Panicked(name));
        }
        let panicked = || RunError::Panicked("commit".to_owned());
        let (sink, on_commit) = committed.map_err(|_| panicked())??;
        let (sequencer, inputs) = sequenced.map_err(|_| panicked())??;
        let (refusing, valves) = (sequencer.refusing.clone(), sequencer.valves.clone());
        let (tap, watched, suspicion) = (self.shared.tap.clone(), self.watched, self.suspicion);
        Ok((
            sequencer,
            Outside { inputs, sink, clock: self.clock, on_commit, refusing, tap, watched, valves, suspicion },
        ))
    }
}

#[cfg(all(test, debug_assertions))]
mod tests;
