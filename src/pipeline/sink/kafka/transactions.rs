//! One transactional producer, and calls on it that end in time whatever the client library does.
//!
//! The library's transaction calls block, and some of them without limit (librdkafka 5456: sending offsets while the
//! group coordinator is down ignores its time-out). So they run on a thread of their own; when the deadline passes, the
//! producer is left behind with its thread, and whoever takes its place fences it at the broker.
//!
//! What the library reports is served by a second thread while a transaction is open. Waiting for it here would mean to
//! ask again and again: the wrapper's `poll` never returns before its time, and spins through the last millisecond of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};

use crate::pipeline::crash::{self, Place};
use crate::pipeline::sink::kafka::cluster::{Deadline, Producer, Trouble};
use crate::pipeline::sink::kafka::records::Outgoing;
use crate::pipeline::sink::kafka::reports::{Reports, not_sent};
use crate::pipeline::source::kafka::health::Health;

/// How long one turn of waiting is at most; each feeds the watchdog. What is waited for ends it at once.
const TURN: Duration = Duration::from_millis(50);
/// How long to wait before a record is offered again to a full buffer.
const FULL: Duration = Duration::from_millis(1);
/// How long one turn of the thread is that serves reports: at the end of each it spins for up to a millisecond.
const SERVE: Duration = Duration::from_millis(250);
/// A call of `init` after this long is repeated, with the watchdog fed in between.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the call is named in errors.
const ADD_OFFSETS: &str = "add offsets to the transaction";

/// The blocking calls.
enum Call {
    Init,
    Begin,
    Offsets(TopicPartitionList, ConsumerGroupMetadata),
    Commit,
    Abort,
}

/// A call that was made and not answered yet.
struct Pending {
    what: &'static str,
    /// Whether it ends the transaction.
    ends: bool,
}

/// One transactional producer of the client library.
pub struct Transactions {
    /// Lends its group to the transactions.
    lookout: Arc<BaseConsumer<Health>>,
    producer: Arc<BaseProducer<Reports>>,
    calls: Sender<Call>,
    answers: Receiver<KafkaResult<()>>,
    /// Whether reports are to be served, and the way to wake whoever serves them.
    open: Arc<AtomicBool>,
    wake: Sender<()>,
    /// Rings when nothing is on its way any more.
    bell: Receiver<()>,
}

impl Transactions {
    /// Makes a producer; does not connect yet.
    pub(super) fn open(config: &ClientConfig, lookout: Arc<BaseConsumer<Health>>) -> Result<Self, String> {
        let (ring, bell) = bounded(1);
        let producer: BaseProducer<Reports> =
            config.create_with_context(Reports::new(ring)).map_err(|error| error.to_string())?;
        let producer = Arc::new(producer);
        let (calls, orders) = bounded::<Call>(1);
        let (reply, answers) = bounded(1);
        let worker = Arc::clone(&producer);
        std::thread::Builder::new()
            .name("kafka-commit".to_owned())
            .spawn(move || {
                for call in orders {
                    if reply.send(perform(&worker, call)).is_err() {
                        break; // Left behind: the deadline had passed.
                    }
                }
            })
            .map_err(|error| format!("start a thread: {error}"))?;
        let open = Arc::new(AtomicBool::new(false));
        let (wake, woken) = bounded::<()>(1);
        let (served, is_open) = (Arc::clone(&producer), Arc::clone(&open));
        std::thread::Builder::new()
            .name("kafka-reports".to_owned())
            .spawn(move || {
                for () in woken {
                    while is_open.load(Ordering::Acquire) {
                        served.poll(SERVE);
                    }
                }
            })
            .map_err(|error| format!("start a thread: {error}"))?;
        Ok(Self { lookout, producer, calls, answers, open, wake, bell })
    }

    /// Makes a call and waits for its answer, at most until the deadline.
    fn call(&self, call: Call, deadline: &Deadline) -> Result<(), Trouble> {
        let pending = self.start(call)?;
        self.finish(&pending, deadline)
    }

    /// Makes a call, to be finished before any other.
    fn start(&self, call: Call) -> Result<Pending, Trouble> {
        let pending = Pending { what: call.name(), ends: matches!(call, Call::Commit | Call::Abort) };
        match self.calls.send(call) {
            Ok(()) => Ok(pending),
            Err(_) => Err(Trouble::Unknown(format!("{}: the thread of the producer is gone", pending.what))),
        }
    }

    /// Waits for the answer to a call, at most until the deadline.
    fn finish(&self, pending: &Pending, deadline: &Deadline) -> Result<(), Trouble> {
        let what = pending.what;
        loop {
            match self.answers.recv_timeout(TURN) {
                Ok(Ok(())) => {
                    if pending.ends {
                        self.open.store(false, Ordering::Release);
                    }
                    return Ok(());
                }
                Ok(Err(error)) => return Err(classify(what, &error)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Trouble::Unknown(format!("{what}: the thread of the producer is gone")));
                }
                // Before and between transactions nobody else serves what the library logs.
                Err(RecvTimeoutError::Timeout) => self.producer.poll(Duration::ZERO),
            }
            if deadline.has_passed() {
                return Err(Trouble::Unknown(format!("{what}: no answer within {:?}", deadline.limit())));
            }
        }
    }

    fn reports(&self) -> &Reports {
        use rdkafka::producer::Producer as _;
        self.producer.client().context()
    }
}

impl Producer for Transactions {
    fn init(&self, deadline: &Deadline) -> Result<(), Trouble> {
        self.call(Call::Init, deadline)
    }

    /// Starts a transaction. What was reported of the one before is forgotten.
    fn begin(&self, deadline: &Deadline) -> Result<(), Trouble> {
        self.producer.poll(Duration::ZERO);
        self.reports().forget();
        self.call(Call::Begin, deadline)?;
        self.open.store(true, Ordering::Release);
        let _ = self.wake.try_send(()); // Full means that it is awake.
        Ok(())
    }

    /// Puts a record into the library's buffer; waits while it is full.
    fn send(&self, record: &Outgoing<'_>, deadline: &Deadline) -> Result<(), Trouble> {
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(record.topic, record.tag)
            .payload(record.value)
            .timestamp(record.time.0.max(0));
        message.partition = record.partition;
        message.key = Some(record.key.as_bytes()).filter(|key| !key.is_empty());
        message.headers = record.headers.clone();
        loop {
            self.reports().on_their_way.fetch_add(1, Ordering::Relaxed); // Before it is: the report may be faster than we.
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), unsent)) => message = unsent,
                Err((error, _)) => {
                    self.reports().arrived();
                    return Err(not_sent(record.topic, &error));
                }
            }
            self.reports().arrived();
            std::thread::sleep(FULL);
            self.reports().check()?;
            if deadline.has_passed() {
                return Err(Trouble::Abort("the buffer of the Kafka client stays full".to_owned()));
            }
        }
    }

    /// Waits until every record has been confirmed.
    fn flush(&self, deadline: &Deadline) -> Result<(), Trouble> {
        let late = || Trouble::Abort(format!("records not confirmed within {:?}", deadline.limit()));
        while self.reports().on_their_way.load(Ordering::Acquire) > 0 {
            let _ = self.bell.recv_timeout(TURN); // It may have rung before: then the count tells.
            self.reports().check()?;
            if deadline.has_passed() {
                return Err(late());
            }
        }
        // The library puts a report away only after it was served. Until then it would let the commit wait for 100 ms.
        while self.producer.in_flight_count() > 0 {
            std::thread::yield_now();
            if deadline.has_passed() {
                return Err(late());
            }
        }
        self.reports().check()
    }

    /// The offset of the record that was tagged with `REPORT_OFFSET`.
    fn reported_offset(&self) -> i64 {
        self.reports().offset.load(Ordering::Relaxed)
    }

    /// Whether a request timed out or a transaction failed behind our back: it may still reach the broker, later, and
    /// hit another transaction of the same producer epoch (KIP-890). A new producer has a new epoch.
    fn is_suspect(&self) -> bool {
        self.producer.poll(Duration::ZERO);
        self.reports().suspect.load(Ordering::Relaxed)
    }

    fn start_offsets(&self, at: &[(&str, i32, u64)], metadata: &str) -> Result<(), Trouble> {
        let list =
            offsets(at.iter().copied(), metadata).map_err(|error| Trouble::Abort(format!("list offsets: {error}")))?;
        // Never kept: a group's metadata is that of the moment.
        let group = self.lookout.group_metadata();
        let group = group.ok_or_else(|| Trouble::Abort("the consumer has no group".to_owned()))?;
        self.start(Call::Offsets(list, group)).map(drop)
    }

    fn finish_offsets(&self, deadline: &Deadline) -> Result<(), Trouble> {
        self.finish(&Pending { what: ADD_OFFSETS, ends: false }, deadline)
    }

    fn commit(&self, deadline: &Deadline) -> Result<(), Trouble> {
        let pending = self.start(Call::Commit)?;
        crash::at(Place::CommitAsked);
        self.finish(&pending, deadline)
    }

    fn abort(&self, deadline: &Deadline) -> Result<(), Trouble> {
        self.call(Call::Abort, deadline)
    }
}

impl Drop for Transactions {
    /// Lets the thread that serves reports go; it has a turn to end.
    fn drop(&mut self) {
        self.open.store(false, Ordering::Release);
    }
}

/// One call, on the thread that may block.
fn perform(producer: &BaseProducer<Reports>, call: Call) -> KafkaResult<()> {
    match call {
        Call::Init => producer.init_transactions(INIT_TIMEOUT),
        Call::Begin => producer.begin_transaction(),
        Call::Offsets(offsets, group) => producer.send_offsets_to_transaction(&offsets, &group, Timeout::Never),
        Call::Commit => producer.commit_transaction(Timeout::Never),
        Call::Abort => producer.abort_transaction(Timeout::Never),
    }
}

impl Call {
    const fn name(&self) -> &'static str {
        match self {
            Self::Init => "take over the transactional id",
            Self::Begin => "begin the transaction",
            Self::Offsets(..) => ADD_OFFSETS,
            Self::Commit => "commit the transaction",
            Self::Abort => "abort the transaction",
        }
    }
}

/// An error with none of the library's three marks must be treated as fatal.
fn classify(what: &str, error: &KafkaError) -> Trouble {
    let text = format!("{what}: {error}");
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Trouble::Unknown(text),
        KafkaError::Transaction(error) if error.txn_requires_abort() => Trouble::Abort(text),
        KafkaError::Transaction(error) if error.is_retriable() => Trouble::Again(text),
        _ => Trouble::Unknown(text),
    }
}

/// A list of offsets to commit.
pub(super) fn offsets<'a>(
    at: impl Iterator<Item = (&'a str, i32, u64)>,
    metadata: &str,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, next) in at {
        let mut element = list.add_partition(topic, partition);
        element.set_offset(Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX)))?;
        element.set_metadata(metadata);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_without_a_mark_are_fatal() {
        let error = KafkaError::Flush(Code::OperationTimedOut);
        assert!(matches!(classify("commit", &error), Trouble::Unknown(_)));
    }
}
