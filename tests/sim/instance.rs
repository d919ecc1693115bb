//! A life of the daemon: the product's restore, sequencer, engine, epochs and commits, in the order of its start, with reading
//! and resting in between as the scheduler wants.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidegate::metrics::Metrics;
use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::exchange::Mark;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::Options;
use tidegate::pipeline::run::RunError;
use tidegate::pipeline::run::durable::{Surroundings, make_durable};
use tidegate::pipeline::sequencer::Sequencer;
use tidegate::pipeline::sink::kafka::standby::Warm;
use tidegate::pipeline::sink::kafka::{Options as SinkOptions, Topics, TransactionalSink};
use tidegate::pipeline::sink::{CommitError, Committed, Epoch, EpochSink, Removed, RestoreError};
use tidegate::pipeline::snapshot::{MemoryDisk, Recorder, read_back, take_over};
use tidegate::pipeline::source::kafka::connection::Connection;
use tidegate::pipeline::source::{Batch, PartitionName, RecordRef, SourceEvent, SourceIndex};
use tidegate::pipeline::start::Start;

use crate::bug::Bug;
use crate::client::{DEAD_LETTERS, INCIDENTS, STATE, SimCluster};
use crate::line::{Dead, Ending, Line};
use crate::standby::follow;
use crate::workload::{ALERTS, SOURCE};

/// Epochs that may wait for their commit, as in the daemon: one commits, one is being gathered.
const EPOCHS_WAITING: usize = 2;
/// Records that a batch may have.
const BATCH: usize = 12;
const ALERT_SOURCE: SourceIndex = SourceIndex(0);

/// Lives until it is killed, fenced, or at fault.
pub(crate) fn live(
    line: &Arc<Line>,
    name: String,
    options: Arc<Options>,
    partitions: usize,
    metrics: Metrics,
) -> Ending {
    let ending = match line.wait() {
        Ok(()) => Instance::start(line, name, options, partitions, metrics).and_then(Instance::run),
        Err(Dead) => Ok(()),
    };
    match ending {
        _ if line.is_dead() => Ending::Killed,
        Ok(()) => Ending::Restart("stopped".to_owned()),
        Err(ending) => ending,
    }
}

struct Instance<'a> {
    line: &'a Arc<Line>,
    sink: Box<dyn EpochSink>,
    engine: Engine,
    sequencer: Sequencer,
    names: Vec<PartitionName>,
    next: BTreeMap<PartitionName, u64>,
    waiting: VecDeque<Epoch>,
}

impl<'a> Instance<'a> {
    fn start(
        line: &'a Arc<Line>,
        name: String,
        options: Arc<Options>,
        partitions: usize,
        metrics: Metrics,
    ) -> Result<Self, Ending> {
        let warm = follow(line, &name).map_err(|error| Ending::of_start(&error))?;
        let topics =
            Topics { incidents: INCIDENTS.to_owned(), state: STATE.to_owned(), dead_letters: DEAD_LETTERS.to_owned() };
        let mut sink_options = SinkOptions::new(Connection::default(), "tidegate", topics, "tidegate");
        sink_options.offsets_of = BTreeMap::from([(SOURCE.to_owned(), vec![ALERTS.to_owned()])]);
        sink_options.start_timeout = Duration::ZERO; // It is real time, which does not pass here.
        let sink = TransactionalSink::on(SimCluster::new(Arc::clone(line), name.clone()), sink_options, name, metrics);
        let mut sink: Box<dyn EpochSink> = match line.bug {
            Some(bug @ (Bug::UnknownIsDurable | Bug::UnknownIsAborted | Bug::AbortedIsSkipped)) => {
                Box::new(Careless { inner: Box::new(sink), bug, sent: 0 })
            }
            _ => Box::new(sink),
        };
        let mut restored = match warm {
            Some(Warm { restored, .. }) if line.bug == Some(Bug::TrustsItsCopy) => {
                sink.restore(&mut |_| Ok(())).map(|_| restored)
            }
            Some(warm) => take_over(sink.as_mut(), None::<&mut Recorder<MemoryDisk>>, warm),
            None => read_back(sink.as_mut(), None::<&mut Recorder<MemoryDisk>>),
        }
        .map_err(|error| Ending::of_start(&error))?;
        if line.bug == Some(Bug::ForgetsRevisions) {
            restored.revisions.clear();
        }
        if line.bug == Some(Bug::ForgetsMember)
            && let Some(key) = restored.members.keys().min().copied()
        {
            restored.members.remove(&key);
        }
        let start = Start::new(options, restored, HashKey::FIXED).map_err(|error| Ending::of_start(&error))?;
        let sequencer = Sequencer::new(&start.options, &start.positions, &start.clocks, start.next_record);
        let names: Vec<PartitionName> = (0..partitions).map(|n| format!("{ALERTS}/{n}").into()).collect();
        let known = |name: &PartitionName| {
            let next = start.positions.iter().find(|position| *position.partition == **name).map_or(0, |at| at.next);
            match line.bug {
                Some(Bug::OffsetWithoutPlusOne) => next.saturating_sub(1),
                Some(Bug::OffsetTooFar) => next + u64::from(next > 0),
                _ => next,
            }
        };
        let next = names.iter().map(|name| (name.clone(), known(name))).collect();
        let engine = Engine::new(start, false);
        Ok(Self { line, sink, engine, sequencer, names, next, waiting: VecDeque::new() })
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.line.broker().now)
    }

    fn run(mut self) -> Result<(), Ending> {
        let chunk = self.sequencer.begin(self.now());
        self.engine.feed_chunk(chunk);
        self.take(SourceEvent::Assigned(self.names.clone()));
        while self.line.pass().is_ok() {
            self.note_silence();
            match self.line.chance(|chance| chance.below(10)) {
                0..=4 => self.read(),
                5 => {
                    let chunk = self.sequencer.tick(self.now());
                    self.engine.feed_chunk(chunk);
                }
                6..=7 if self.waiting.len() < EPOCHS_WAITING => self.end_epoch()?,
                _ => self.commit()?,
            }
        }
        Ok(())
    }

    fn take(&mut self, event: SourceEvent) {
        let now = self.now();
        let chunk = self.sequencer.take(ALERT_SOURCE, event, now).expect("no such source event is an error");
        chunk.into_iter().for_each(|chunk| self.engine.feed_chunk(chunk));
    }

    /// As the reader does: a partition is silent only when all of it has been read.
    fn note_silence(&mut self) {
        for (n, name) in self.names.clone().into_iter().enumerate() {
            let end = self.line.broker().partition(ALERTS, n as i32).records.len() as u64;
            let silent = self.next.get(&name).is_none_or(|next| *next >= end);
            self.take(if silent { SourceEvent::Idle(name) } else { SourceEvent::Unsure(name) });
        }
    }

    fn read(&mut self) {
        let n = self.line.chance(|chance| chance.below(self.names.len() as u64)) as usize;
        let name = self.names[n].clone();
        let from = self.next[&name];
        let mut batch = Batch { partitions: vec![name.clone()], ..Batch::default() };
        {
            let broker = self.line.broker();
            let records = broker.partition(ALERTS, n as i32).records.iter().enumerate();
            for (offset, record) in records.skip(from as usize).take(BATCH) {
                let position = offset as u64;
                let at = RecordRef {
                    start: 0,
                    len: 0,
                    partition: 0,
                    position,
                    next: position + 1,
                    time: Timestamp(record.time),
                    format: Format::Native,
                };
                batch.push(&record.value, at);
            }
        }
        if let Some(last) = batch.records.last() {
            if !self.line.shows(Bug::TakesBatchTwice, 20) {
                self.next.insert(name, last.next);
            }
            self.take(SourceEvent::Records(batch));
        }
    }

    fn end_epoch(&mut self) -> Result<(), Ending> {
        if self.line.chance(|chance| chance.one_in(15)) {
            self.engine.sweep_soon();
        }
        let chunk = self.sequencer.mark(Mark { start_sweep: false }, self.now());
        self.engine.feed_chunk(chunk);
        let ended = self.engine.end_epoch(self.now());
        let (epoch, _) = ended.map_err(|broken| Ending::Fault(format!("I1: {broken}")))?;
        self.waiting.push_back(epoch);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Ending> {
        let Some(epoch) = self.waiting.pop_front() else { return Ok(()) };
        self.line.tell(|| format!("sends epoch {}", epoch.number));
        let outcome = make_durable(self.sink.as_mut(), &epoch, &**self.line);
        self.line.tell(|| format!("epoch {}: {outcome:?}", epoch.number));
        outcome.map_err(Ending::of_run)?;
        if self.line.chance(|chance| chance.one_in(5)) {
            let _ = self.sink.tidy_up(self.now()); // Tried again later, as in the daemon.
        }
        Ok(())
    }
}

impl Ending {
    fn of_start(error: &RestoreError) -> Self {
        // A start that fails on its way is tried again, as systemd does; what cannot be read stays so.
        let passes = ["take over", "another instance took over", "killed", "no broker"];
        if passes.iter().any(|text| error.0.contains(text)) {
            Self::Restart(error.0.clone())
        } else {
            Self::Fault(format!("start: {error}"))
        }
    }

    fn of_run(error: RunError) -> Self {
        match error {
            RunError::Fenced(_) => Self::Fenced,
            // It knows that its state is not the last, and must read it anew.
            RunError::Store(reason) if reason.contains("must be read anew") => Self::Restart(reason),
            error => Self::Fault(error.to_string()),
        }
    }
}

impl Surroundings for Line {
    fn was_aborted(&self) {}

    fn was_unknown(&self) {}

    fn pause(&self, _: Duration) {
        let _ = self.pass(); // The dead do not wait.
    }

    fn is_stopping(&self) -> bool {
        self.is_dead()
    }
}

/// A bug: a sink that does not listen to what became of a commit.
struct Careless {
    inner: Box<dyn EpochSink>,
    bug: Bug,
    /// Number of the last epoch that was sent.
    sent: u64,
}

impl EpochSink for Careless {
    fn restore(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError> {
        self.inner.restore(each)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError> {
        self.sent = epoch.number;
        let committed = Ok(Committed { epoch: epoch.number });
        match (self.inner.commit(epoch), self.bug) {
            (Err(CommitError::Unknown(_)), Bug::UnknownIsDurable) => self.inner.recover().and(committed),
            (Err(CommitError::Aborted(_)), Bug::AbortedIsSkipped) => committed,
            (outcome, _) => outcome,
        }
    }

    fn recover(&mut self) -> Result<u64, CommitError> {
        let last = self.inner.recover()?;
        // Whatever the store says, the epoch counts as not written.
        Ok(if self.bug == Bug::UnknownIsAborted { self.sent.saturating_sub(1) } else { last })
    }

    fn tidy_up(&mut self, now: Timestamp) -> Result<Removed, CommitError> {
        self.inner.tidy_up(now)
    }

    fn on_retry(&mut self, hook: Arc<dyn Fn() + Send + Sync>) {
        self.inner.on_retry(hook);
    }
}
