//! Epochs in Kafka: one transaction each, with state, incident events, dead letters and consumer offsets.
//!
//! The transactional id is the fence: taking it over ends what an older instance had open, and shuts that instance out.
//! After each take-over an owner record is written to the state topic. By it an instance that finds itself shut out can
//! tell whether another has taken over (it must stop) or the broker had only timed its transaction out (it may go on).

mod look;
mod records;
mod reports;
mod state_log;
mod transactions;
pub(crate) mod trim;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::metrics::{Metric, Metrics};
use crate::model::time::Timestamp;
use crate::pipeline::sink::kafka::records::{OWNER_KEY, Outgoing, StateKey, of_epoch};
use crate::pipeline::sink::kafka::state_log::{Bound, Entry, StateLog};
use crate::pipeline::sink::kafka::transactions::{Call, Deadline, Hook, Transactions, Trouble};
use crate::pipeline::sink::{CommitError, Committed, Epoch, EpochSink, Removed, RestoreError};
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::health::Health;
use crate::pipeline::source::kafka::partitions::close;

pub use look::read_state;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Epochs between two remembered offsets of the state topic: trimming need not be exact, memory must be bounded.
const MARK_EVERY: u64 = 16;

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
pub struct KafkaSink {
    options: Options,
    /// Who we are in owner records: unique for each start.
    instance: String,
    /// Asks for metadata and high watermarks, and lends its group to the transactions.
    lookout: Arc<BaseConsumer<Health>>,
    log: StateLog,
    /// `None` before the first take-over and after trouble.
    producer: Option<Transactions>,
    n_incident_partitions: u32,
    /// Who shut us out: then nothing but a new start, with the state read anew, may go on.
    shut_out_by: Option<String>,
    /// The last epoch known to be durable.
    last: u64,
    /// Everything of the state topic before this offset has been looked at.
    seen_to: i64,
    /// First offsets of some epochs, oldest first.
    marks: VecDeque<(u64, i64)>,
    /// Blocks before this epoch are not needed.
    safe_from: u64,
    /// The state topic was trimmed up to here.
    trimmed_to: i64,
    /// Offsets committed to the group.
    committed: BTreeMap<(String, i32), u64>,
    metrics: Metrics,
    hook: Hook,
}

impl KafkaSink {
    /// Makes the clients; does not wait for a connection.
    ///
    /// # Errors
    /// When the settings are not accepted.
    pub fn new(options: Options, metrics: Metrics) -> Result<Self, String> {
        let mut config = options.connection.consumer("sink", &options.group);
        config.set("isolation.level", "read_uncommitted").set("statistics.interval.ms", "0");
        let lookout: BaseConsumer<Health> =
            config.create_with_context(Health::default()).map_err(|error| error.to_string())?;
        metrics.add(Metric::ProducerRecreated, &["trouble"], 0); // What first shows with 1 is no increase to Prometheus.
        let hook: Hook = Arc::new(|| {});
        let log = StateLog {
            connection: options.connection.clone(),
            topic: options.topics.state.clone(),
            group: options.group.clone(),
            hook: Arc::clone(&hook),
        };
        Ok(Self {
            options,
            instance: format!("{:016x}", std::hash::RandomState::new().build_hasher().finish()),
            lookout: Arc::new(lookout),
            log,
            producer: None,
            shut_out_by: None,
            n_incident_partitions: 1,
            last: 0,
            seen_to: 0,
            marks: VecDeque::new(),
            safe_from: 0,
            trimmed_to: 0,
            committed: BTreeMap::new(),
            metrics,
            hook,
        })
    }

    fn deadline(&self) -> Deadline {
        Deadline::new(self.options.commit_timeout, &self.hook)
    }

    /// Checks that the topics are there; waits for as long as no broker answers.
    fn find_topics(&mut self) -> Result<(), RestoreError> {
        let deadline = Deadline::new(self.options.start_timeout, &self.hook);
        let topics = self.options.topics.clone();
        let count = |topic: &str| loop {
            match partitions_of(&self.lookout, topic) {
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
        let config = self.options.connection.producer("sink", &self.options.transactional_id);
        let producer = Transactions::open(&config).map_err(Trouble::Unknown)?;
        let deadline = self.deadline();
        producer.insist(|| Call::Init, &deadline)?;
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
        producer.insist(|| Call::Commit, &deadline)?;
        self.producer = Some(producer);
        Ok(())
    }

    /// Reads what was added to the state topic: the last epoch in it, and whether another took over.
    fn catch_up(&mut self, bound: Bound) -> Result<(), CommitError> {
        let (mut last, mut foreign) = (self.last, None);
        let instance = self.instance.as_str();
        let read = self.log.read(&self.lookout, self.seen_to, bound, &mut |_, entry| {
            match entry {
                Entry::Block(key, _) => last = last.max(key.epoch),
                Entry::Owner(owner) if owner != instance => foreign = Some(owner.to_owned()),
                Entry::Owner(_) => {}
            }
            Ok(())
        });
        self.seen_to = read.map_err(CommitError::Unknown)?;
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
    fn transact(&self, producer: &Transactions, epoch: &Epoch) -> Result<i64, Trouble> {
        let deadline = self.deadline();
        producer.begin(&deadline)?;
        let offsets = self.offsets(epoch)?.map(|call| producer.start(call)).transpose()?;
        let sent = self.send(producer, epoch, &deadline);
        // Waited for in any case: until it is back, the producer's thread can do nothing else, not even abort.
        let added = offsets.map_or(Ok(()), |pending| producer.finish(&pending, &deadline));
        match (sent, added) {
            (Err(trouble), Ok(()) | Err(Trouble::Abort(_) | Trouble::Again(_))) => return Err(trouble),
            (_, added) => added?,
        }
        producer.insist(|| Call::Commit, &deadline)?;
        Ok(producer.reported_offset())
    }

    /// Sends all records of an epoch, and waits until each was confirmed.
    fn send(&self, producer: &Transactions, epoch: &Epoch, deadline: &Deadline) -> Result<(), Trouble> {
        for record in of_epoch(epoch, &self.options.topics, self.n_incident_partitions) {
            producer.send(&record, deadline)?;
        }
        producer.flush(deadline)
    }

    /// The call that adds the offsets of an epoch to the transaction; `None` if nothing has moved.
    fn offsets(&self, epoch: &Epoch) -> Result<Option<Call>, Trouble> {
        let moved: Vec<(&str, i32, u64)> = self.moved(epoch).collect();
        if moved.is_empty() {
            return Ok(None);
        }
        let metadata = format!("tidegate epoch={} at={}", epoch.number, epoch.committed_at);
        let list = transactions::offsets(moved.into_iter(), &metadata)
            .map_err(|error| Trouble::Abort(format!("list offsets: {error}")))?;
        // Never kept: a group's metadata is that of the moment.
        let group = self.lookout.group_metadata();
        let group = group.ok_or_else(|| Trouble::Abort("the consumer has no group".to_owned()))?;
        Ok(Some(Call::Offsets(list, group)))
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
        if self.marks.back().is_none_or(|(marked, _)| *marked + MARK_EVERY <= epoch) {
            self.marks.push_back((epoch, offset));
        }
    }

    /// An abort before any record reached the broker is refused by brokers that never heard of the transaction; then
    /// the outcome counts as unknown, which costs a new producer and nothing else.
    fn abort(&mut self, fault: String) -> CommitError {
        let deadline = self.deadline();
        let outcome = self.producer.as_ref().map(|producer| producer.insist(|| Call::Abort, &deadline));
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

impl EpochSink for KafkaSink {
    fn restore(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError> {
        self.find_topics()?;
        // The order is fixed: first the fence, then the bound, then reading. Nobody can write behind it.
        let id = self.options.transactional_id.clone();
        self.take_over().map_err(|trouble| RestoreError(format!("take over {id:?}: {}", trouble.into_text())))?;
        let mut last: Option<StateKey> = None;
        let mut owner = None;
        let mut firsts = Vec::new();
        self.seen_to = self
            .log
            .read(&self.lookout, 0, Bound::Everything, &mut |offset, entry| {
                match entry {
                    Entry::Owner(name) => owner = Some(name.to_owned()),
                    Entry::Block(key, bytes) => {
                        check_order(last, key)?;
                        if key.index == 0 {
                            firsts.push((key.epoch, offset));
                        }
                        last = Some(key);
                        each(bytes).map_err(|error| error.0)?;
                    }
                }
                Ok(())
            })
            .map_err(RestoreError)?;
        if owner.is_some_and(|owner| owner != self.instance) {
            return Err(RestoreError("another instance took over while the state was read".to_owned()));
        }
        self.marks.clear();
        firsts.into_iter().for_each(|(epoch, offset)| self.note_offset(epoch, offset));
        self.last = last.map_or(0, |key| key.epoch);
        Ok(self.last)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError> {
        // Serves what the library logs; this consumer reads nothing.
        let _ = self.lookout.poll(Duration::ZERO);
        if self.producer.as_ref().is_some_and(Transactions::is_suspect) {
            tracing::info!("a request timed out: taking a new producer before the next transaction");
            if self.recover()? + 1 != epoch.number {
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
            trim::trim(&self.options.connection, &self.options.topics.state, offset).map_err(CommitError::Aborted)?;
            self.trimmed_to = offset;
        }
        Ok(Removed::default()) // Events and dead letters are removed by the retention of their topics.
    }

    fn on_retry(&mut self, hook: Hook) {
        self.log.hook = Arc::clone(&hook);
        self.hook = hook;
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        self.producer = None;
        close(Arc::clone(&self.lookout));
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

/// How many partitions a topic has; 0 if it does not exist.
fn partitions_of(consumer: &BaseConsumer<Health>, topic: &str) -> Result<u32, String> {
    let metadata =
        consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(|error| format!("topic {topic:?}: {error}"))?;
    let described = metadata.topics().iter().find(|described| described.name() == topic);
    let described = described.ok_or_else(|| format!("topic {topic:?}: the broker says nothing of it"))?;
    match described.error().map(Code::from) {
        None => Ok(u32::try_from(described.partitions().len()).unwrap_or(u32::MAX)),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(0),
        Some(error) => Err(format!("topic {topic:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(last: Option<(u64, u32)>, key: (u64, u32), fits: bool) {
        let key_of = |(epoch, index)| StateKey { epoch, index };
        assert_eq!(check_order(last.map(key_of), key_of(key)).is_ok(), fits, "{last:?} {key:?}");
    }

    #[test]
    fn a_gap_in_the_state_is_a_torn_transaction() {
        check(None, (7, 0), true);
        check(None, (7, 1), false);
        check(Some((7, 0)), (7, 1), true);
        check(Some((7, 1)), (8, 0), true);
        check(Some((7, 1)), (9, 0), false);
        check(Some((7, 1)), (8, 1), false);
        check(Some((7, 1)), (7, 1), false);
    }
}
