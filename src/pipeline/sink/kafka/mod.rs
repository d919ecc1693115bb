//! Epochs in Kafka: one transaction each, with state, incident events, dead letters and consumer offsets.
//!
//! The transactional id is the fence: taking it over ends what an older instance had open, and shuts that instance out.
//! After each take-over an owner record is written to the state topic. By it an instance that finds itself shut out can
//! tell whether another has taken over (it must stop) or the broker had only timed its transaction out (it may go on).

mod brokers;
pub mod cluster;
mod look;
mod read_back;
pub mod records;
mod reports;
pub mod standby;
mod state_log;
#[cfg(test)]
mod tests;
mod transactions;
pub(crate) mod trim;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::{Metric, Metrics};
use crate::model::time::Timestamp;
use crate::pipeline::crash::{self, Place};
use crate::pipeline::sink::kafka::brokers::Brokers;
use crate::pipeline::sink::kafka::cluster::{Bound, Cluster, Deadline, Entry, Hook, Producer as _, Trouble, insist};
use crate::pipeline::sink::kafka::records::{OWNER_KEY, Outgoing, StateKey, of_epoch};
use crate::pipeline::sink::{CommitError, Committed, Epoch, EpochSink, Removed, RestoreError, Resumed};
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::state::Seam;

pub use look::read_state;

/// Epochs between two remembered offsets of the state topic: trimming need not be exact, memory must be bounded.
const MARK_EVERY: u64 = 16;

/// How long the offsets of an epoch may take at first. Milliseconds are usual. But a broker that goes away vanishes from the
/// metadata, and where the library takes it for the group's coordinator still, it waits for it without limit (librdkafka
/// 5511, 5456); then nothing helps but another producer. As long as a request may take, so that none is taken for lost that
/// the library could still bring through.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(10);

/// What a Kafka sink is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to reach the cluster.
    pub connection: Connection,
    /// The fence: one for each pipeline, the same over restarts.
    pub transactional_id: String,
    /// Where things go.
    pub topics: Topics,
    /// The consumer group whose offsets are committed along, for people and their tools.
    pub group: String,
    /// The sources whose positions those are: Kafka sources of this cluster, by name, with their topics.
    pub offsets_of: BTreeMap<String, Vec<String>>,
    /// How long a commit may take in all before its outcome counts as unknown.
    pub commit_timeout: Duration,
    /// How long a start waits for brokers before it fails.
    pub start_timeout: Duration,
}

/// The topics of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Incident events, keyed by incident id.
    pub incidents: String,
    /// State blocks, one partition.
    pub state: String,
    /// What could not be read.
    pub dead_letters: String,
}

impl Options {
    /// A sink with every default.
    #[must_use]
    pub fn new(connection: Connection, transactional_id: &str, topics: Topics, group: &str) -> Self {
        Self {
            connection,
            transactional_id: transactional_id.to_owned(),
            topics,
            group: group.to_owned(),
            offsets_of: BTreeMap::new(),
            // Longer than the time-out of the transaction: by then the broker has ended it one way or the other.
            commit_timeout: Duration::from_secs(45),
            start_timeout: Duration::from_secs(180),
        }
    }
}

/// Makes epochs durable in Kafka.
pub type KafkaSink = TransactionalSink<Brokers>;

/// Makes epochs durable in the transactions of a cluster.
pub struct TransactionalSink<C: Cluster> {
    options: Options,
    /// Who we are in owner records: unique for each start.
    instance: String,
    cluster: C,
    /// `None` before the first take-over and after trouble.
    producer: Option<C::Producer>,
    n_incident_partitions: u32,
    /// Who shut us out: then nothing but a new start, with the state read anew, may go on.
    shut_out_by: Option<String>,
    /// The last epoch known to be durable.
    last: u64,
    /// Everything of the state topic before this offset has been looked at.
    seen_to: i64,
    /// The newest epoch whose first offset is known, and that offset.
    place: Option<(u64, i64)>,
    /// First offsets of some epochs, oldest first.
    marks: VecDeque<(u64, i64)>,
    /// Blocks before this epoch are not needed.
    safe_from: u64,
    /// The state topic was trimmed up to here.
    trimmed_to: i64,
    /// Offsets committed to the group.
    committed: BTreeMap<(String, i32), u64>,
    /// How long the offsets of an epoch may take. Twice as long after each outcome that is not known, at most as long as
    /// the commit: each costs a producer, which stays with its thread for as long as the library waits.
    offsets_timeout: Duration,
    metrics: Metrics,
    hook: Hook,
}

impl KafkaSink {
    /// Makes the clients; does not wait for a connection.
    ///
    /// # Errors
    /// When the settings are not accepted.
    pub fn new(options: Options, metrics: Metrics) -> Result<Self, String> {
        let cluster = Brokers::new(&options, "sink")?;
        let instance = format!("{:016x}", std::hash::RandomState::new().build_hasher().finish());
        Ok(Self::on(cluster, options, instance, metrics))
    }
}

impl<C: Cluster> TransactionalSink<C> {
    /// A sink on a cluster. `instance` must be another for each start.
    #[must_use]
    pub fn on(cluster: C, options: Options, instance: String, metrics: Metrics) -> Self {
        metrics.add(Metric::ProducerRecreated, &["trouble"], 0); // What first shows with 1 is no increase to Prometheus.
        Self {
            options,
            instance,
            cluster,
            producer: None,
            shut_out_by: None,
            n_incident_partitions: 1,
            last: 0,
            seen_to: 0,
            place: None,
            marks: VecDeque::new(),
            safe_from: 0,
            trimmed_to: 0,
            committed: BTreeMap::new(),
            offsets_timeout: OFFSETS_TIMEOUT,
            metrics,
            hook: Arc::new(|| {}),
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::new(self.options.commit_timeout, &self.hook)
    }

    fn is_suspect(&self) -> bool {
        self.producer.as_ref().is_some_and(C::Producer::is_suspect)
    }

    /// Checks that the topics are there; waits for as long as no broker answers.
    fn find_topics(&mut self) -> Result<(), RestoreError> {
        let deadline = Deadline::new(self.options.start_timeout, &self.hook);
        let topics = self.options.topics.clone();
        let count = |topic: &str| loop {
            match self.cluster.partitions_of(topic) {
                Ok(0) => {
                    return Err(RestoreError(format!(
                        "topic {topic:?} does not exist; `tidegate topics create` creates what is missing"
                    )));
                }
                Ok(partitions) => return Ok(partitions),
                Err(fault) if deadline.has_passed() => return Err(RestoreError(fault)),
                Err(fault) => tracing::warn!("waiting for the Kafka cluster: {fault}"),
            }
        };
        let n_state = count(&topics.state)?;
        if n_state != 1 {
            return Err(RestoreError(format!(
                "topic {:?} has {n_state} partitions: state needs a topic with exactly one",
                topics.state
            )));
        }
        count(&topics.dead_letters)?;
        self.n_incident_partitions = count(&topics.incidents)?;
        Ok(())
    }

    /// Takes the transactional id over and writes it down. Whoever had it before is shut out from here on.
    fn take_over(&mut self) -> Result<(), Trouble> {
        self.producer = None; // Before the new one, so that the old one's connections close meanwhile.
        let producer = self.cluster.open_producer().map_err(Trouble::Unknown)?;
        let deadline = self.deadline();
        crash::at(Place::TakeOver);
        insist(&deadline, || producer.init(&deadline))?;
        crash::at(Place::Fenced);
        producer.begin(&deadline)?;
        let record = Outgoing {
            topic: &self.options.topics.state,
            partition: Some(0),
            key: OWNER_KEY.to_owned(),
            value: self.instance.as_bytes(),
            headers: None,
            time: Timestamp(0),
            tag: 0,
        };
        producer.send(&record, &deadline)?;
        producer.flush(&deadline)?;
        crash::at(Place::OwnerSent);
        insist(&deadline, || producer.commit(&deadline))?;
        self.producer = Some(producer);
        Ok(())
    }

    /// Reads what was added to the state topic: the last epoch in it, and whether another took over.
    fn catch_up(&mut self, bound: Bound) -> Result<(), CommitError> {
        let (mut last, mut foreign) = (self.last, None);
        let instance = self.instance.as_str();
        let read = self.cluster.read_state(self.seen_to, bound, &mut |_, entry| {
            match entry {
                Entry::Block(key, _) => last = last.max(key.epoch),
                Entry::Owner(owner) if owner != instance => foreign = Some(owner.to_owned()),
                Entry::Owner(_) => {}
            }
            Ok(())
        });
        let read = read.map_err(CommitError::Unknown)?;
        if read.begin > self.seen_to {
            // We delete only what we have seen. So another did, and its record of having taken over may be gone with it.
            foreign.get_or_insert_with(|| "that has deleted state since".to_owned());
        }
        self.seen_to = read.end;
        self.last = last;
        if foreign.is_some() {
            self.shut_out_by = foreign;
        }
        Ok(())
    }

    /// Sends an epoch in one transaction. Returns the offset of its first block.
    ///
    /// The offsets are added while the records are under way: they go to other parts of the broker, and either alone
    /// takes some round trips.
    fn transact(&self, producer: &C::Producer, epoch: &Epoch) -> Result<i64, Trouble> {
        let deadline = self.deadline();
        producer.begin(&deadline)?;
        crash::at(Place::Begun);
        let offsets_deadline = Deadline::new(self.offsets_timeout.min(self.options.commit_timeout), &self.hook);
        let has_offsets = self.start_offsets(producer, epoch)?;
        crash::at(Place::OffsetsAsked);
        let sent = self.send(producer, epoch, &deadline);
        // Waited for in any case: until it is back, the producer's thread can do nothing else, not even abort.
        let added = if has_offsets { producer.finish_offsets(&offsets_deadline) } else { Ok(()) };
        match (sent, added) {
            (Err(trouble), Ok(()) | Err(Trouble::Abort(_) | Trouble::Again(_))) => return Err(trouble),
            (_, added) => added?,
        }
        crash::at(Place::OffsetsAdded);
        insist(&deadline, || producer.commit(&deadline))?;
        crash::at(Place::CommitAnswered);
        Ok(producer.reported_offset())
    }

    /// Sends all records of an epoch, and waits until each was confirmed.
    fn send(&self, producer: &C::Producer, epoch: &Epoch, deadline: &Deadline) -> Result<(), Trouble> {
        for record in of_epoch(epoch, &self.options.topics, self.n_incident_partitions) {
            producer.send(&record, deadline)?;
            crash::at(Place::FirstRecord);
        }
        crash::at(Place::RecordsSent);
        producer.flush(deadline)?;
        crash::at(Place::Flushed);
        Ok(())
    }

    /// Begins to add the offsets of an epoch to the transaction; false if nothing has moved.
    fn start_offsets(&self, producer: &C::Producer, epoch: &Epoch) -> Result<bool, Trouble> {
        let moved: Vec<(&str, i32, u64)> = self.moved(epoch).collect();
        if moved.is_empty() {
            return Ok(false);
        }
        let metadata = format!("tidegate epoch={} at={}", epoch.number, epoch.committed_at);
        producer.start_offsets(&moved, &metadata)?;
        Ok(true)
    }

    /// The positions that belong to this cluster and were not committed yet. Those of topics that are no longer read
    /// stay out: a topic that was deleted would hold the transaction up.
    fn moved<'a>(&'a self, epoch: &'a Epoch) -> impl Iterator<Item = (&'a str, i32, u64)> {
        epoch.positions.iter().filter_map(|position| {
            let topics = self.options.offsets_of.get(&position.source)?;
            let (topic, partition) = position.partition.rsplit_once('/')?;
            let partition = partition.parse().ok()?;
            let topic = topics.iter().find(|known| *known == topic)?;
            let known = self.committed.get(&(topic.clone(), partition));
            (known != Some(&position.next)).then_some((topic.as_str(), partition, position.next))
        })
    }

    fn note_commit(&mut self, epoch: &Epoch, offset: i64) {
        self.last = epoch.number;
        self.offsets_timeout = OFFSETS_TIMEOUT;
        self.safe_from = epoch.safe_from;
        self.note_offset(epoch.number, offset);
        let moved: Vec<((String, i32), u64)> =
            self.moved(epoch).map(|(topic, partition, next)| ((topic.to_owned(), partition), next)).collect();
        self.committed.extend(moved);
    }

    fn note_offset(&mut self, epoch: u64, offset: i64) {
        if offset < 0 {
            return;
        }
        self.seen_to = self.seen_to.max(offset);
        self.place = Some((epoch, offset));
        if self.marks.back().is_none_or(|(marked, _)| *marked + MARK_EVERY <= epoch) {
            self.marks.push_back((epoch, offset));
        }
    }

    /// An abort before any record reached the broker is refused by brokers that never heard of the transaction; then
    /// the outcome counts as unknown, which costs a new producer and nothing else.
    fn abort(&mut self, fault: String) -> CommitError {
        let deadline = self.deadline();
        let outcome = self.producer.as_ref().map(|producer| insist(&deadline, || producer.abort(&deadline)));
        match outcome {
            Some(Ok(())) => CommitError::Aborted(fault),
            Some(Err(trouble)) => {
                self.producer = None;
                CommitError::Unknown(format!("{fault}; {}", trouble.into_text()))
            }
            None => CommitError::Unknown(fault),
        }
    }
}

impl<C: Cluster> EpochSink for TransactionalSink<C>
where
    C::Producer: Send,
{
    fn restore(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError> {
        match self.read_back(None, each)? {
            Resumed::To(last) => Ok(last),
            Resumed::Misfit(why) => Err(RestoreError(why)),
        }
    }

    fn restore_after(
        &mut self,
        seam: &Seam,
        each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>,
    ) -> Result<Resumed, RestoreError> {
        self.read_back(Some(seam), each)
    }

    fn place(&self) -> Option<u64> {
        self.place.filter(|(epoch, _)| *epoch == self.last).and_then(|(_, offset)| u64::try_from(offset).ok())
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError> {
        self.cluster.serve();
        if self.is_suspect() {
            tracing::info!("a request timed out: taking a new producer before the next transaction");
            let last = self.recover()?;
            // The transaction of the take-over is one, too: what timed out in it would hit the next.
            if last + 1 != epoch.number || self.is_suspect() {
                return Err(CommitError::Unknown("the producer was renewed".to_owned()));
            }
        }
        let Some(producer) = &self.producer else {
            return Err(CommitError::Unknown("there is no producer".to_owned()));
        };
        match self.transact(producer, epoch) {
            Ok(offset) => {
                self.note_commit(epoch, offset);
                Ok(Committed { epoch: epoch.number })
            }
            Err(Trouble::Abort(fault) | Trouble::Again(fault)) => Err(self.abort(fault)),
            Err(Trouble::Hopeless(fault)) => {
                self.abort(fault.clone());
                Err(CommitError::Fatal(fault))
            }
            Err(Trouble::Unknown(fault)) => {
                self.producer = None;
                self.offsets_timeout = (self.offsets_timeout * 2).min(self.options.commit_timeout);
                Err(CommitError::Unknown(fault))
            }
        }
    }

    fn recover(&mut self) -> Result<u64, CommitError> {
        self.producer = None;
        if self.shut_out_by.is_none() {
            self.catch_up(Bound::Settled)?;
        }
        if let Some(owner) = &self.shut_out_by {
            self.metrics.counter(Metric::Transactions, &["fenced"]).increment(1);
            return Err(CommitError::Fenced(format!("instance {owner} owns the state now")));
        }
        self.take_over().map_err(|trouble| CommitError::Unknown(trouble.into_text()))?;
        self.metrics.counter(Metric::ProducerRecreated, &["trouble"]).increment(1);
        // Between the look and the take-over another may have come and gone: then our state is not the last.
        self.catch_up(Bound::Everything)?;
        if let Some(owner) = &self.shut_out_by {
            self.producer = None;
            return Err(CommitError::Fatal(format!("instance {owner} had taken over: the state must be read anew")));
        }
        Ok(self.last)
    }

    fn tidy_up(&mut self, _now: Timestamp) -> Result<Removed, CommitError> {
        while self.marks.get(1).is_some_and(|(epoch, _)| *epoch <= self.safe_from) {
            self.marks.pop_front();
        }
        let Some((_, offset)) = self.marks.front().copied().filter(|(epoch, _)| *epoch <= self.safe_from) else {
            return Ok(Removed::default());
        };
        if offset > self.trimmed_to {
            self.cluster.trim_state(offset).map_err(CommitError::Aborted)?;
            self.trimmed_to = offset;
        }
        Ok(Removed::default()) // Events and dead letters are removed by the retention of their topics.
    }

    fn on_retry(&mut self, hook: Hook) {
        self.cluster.on_wait(Arc::clone(&hook));
        self.hook = hook;
    }
}

/// Epochs follow each other without a gap, blocks within an epoch too: anything else is a torn transaction.
fn check_order(last: Option<StateKey>, key: StateKey) -> Result<(), String> {
    let fits = match last {
        None => key.index == 0,
        Some(last) if key.epoch == last.epoch => key.index == last.index + 1,
        Some(last) => key.epoch == last.epoch + 1 && key.index == 0,
    };
    let before = last.map_or_else(|| "the beginning".to_owned(), |last| last.to_string());
    if fits { Ok(()) } else { Err(format!("the state is torn: block {key} follows {before}")) }
}
