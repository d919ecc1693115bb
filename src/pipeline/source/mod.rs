//! Where records come from, and what a source says: records, assignment, idleness, being unread.
//!
//! Each source runs on its own thread (or behind the bridge, for HTTP) and sends `SourceEvent`s through a bounded
//! channel of its own to the sequencer; a full channel is how back-pressure reaches it.

pub mod buffer;
pub mod commands;
pub mod file;
pub mod kafka;
pub mod lines;
pub mod stdin;
pub mod thread;

use std::fmt;
use std::sync::Arc;

use crate::model::alert::Format;
use crate::model::time::Timestamp;
use crate::pipeline::command::Command;
use crate::pipeline::decode::Reject;
use crate::pipeline::source::buffer::Buffer;

/// Index of a source in `Options::sources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(pub u8);

/// How far a partition of a source has been read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Name of the source.
    pub source: String,
    /// Name of the partition, `topic/3` for Kafka; empty where there is only one.
    pub partition: String,
    /// The next one to read: offset, byte offset or sequence number.
    pub next: u64,
    /// The partition's clock: the last record time read from it.
    pub clock: Timestamp,
}

/// A partition of a source, as named in positions.
pub type PartitionName = Arc<str>;

/// One record inside a batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef {
    /// Where its bytes start in `Batch::bytes`.
    pub start: usize,
    /// How many bytes it has.
    pub len: usize,
    /// Index into `Batch::partitions`.
    pub partition: u16,
    /// Its own position: offset, byte offset or sequence number.
    pub position: u64,
    /// The position to go on from after it.
    pub next: u64,
    /// Record time; `Timestamp::MIN` if it is in the payload (`RecordTime::Payload`).
    pub time: Timestamp,
    /// Its wire format.
    pub format: Format,
}

/// Records of one source, in the order in which they are to be taken. A chunk of work: never split.
#[derive(Debug, Default)]
pub struct Batch {
    /// The bytes of all records, back to back.
    pub bytes: Buffer,
    /// The records.
    pub records: Vec<RecordRef>,
    /// The partitions the records refer to.
    pub partitions: Vec<PartitionName>,
    /// Senders that wait for an answer: index of the record and how to answer.
    pub replies: Vec<(usize, Reply)>,
}

impl Batch {
    /// The bytes of a record of this batch.
    #[must_use]
    pub fn record_bytes(&self, record: &RecordRef) -> &[u8] {
        self.bytes.get(record.start..record.start + record.len).unwrap_or_default()
    }

    /// Appends a record; `partition` is an index into `partitions`.
    pub fn push(&mut self, bytes: &[u8], at: RecordRef) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.records.push(RecordRef { start, len: bytes.len(), ..at });
    }
}

/// What a sender is told once the epoch that holds its records is durable, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Durable. The rejected elements by their index in the record (0 for a record that is one alert).
    Durable {
        /// Alerts taken.
        accepted: u32,
        /// Alerts not taken, and why.
        rejected: Vec<(u32, Reject)>,
    },
    /// The body as a whole could not be read; nothing was taken.
    Unreadable(Reject),
    /// The daemon stops or failed before the epoch was durable: the sender must send again.
    NotTaken,
}

/// The way back to a sender. Called once, from a pipeline thread: it must not block.
pub struct Reply(Option<Box<dyn FnOnce(Answer) + Send>>);

impl Reply {
    /// Wraps the way back.
    #[must_use]
    pub fn new(answer: impl FnOnce(Answer) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// Answers.
    pub fn send(mut self, answer: Answer) {
        if let Some(reply) = self.0.take() {
            reply(answer);
        }
    }
}

impl Drop for Reply {
    /// A reply that is dropped unanswered means that the records were not taken.
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply(Answer::NotTaken);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// What a source tells the sequencer.
#[derive(Debug)]
pub enum SourceEvent {
    /// Records to take.
    Records(Batch),
    /// These partitions are read from now on. Until each has sent a record or `Idle`, the source's clock waits for it.
    Assigned(Vec<PartitionName>),
    /// These partitions are no longer read.
    Revoked(Vec<PartitionName>),
    /// Nothing is left to read in this partition now: its clock is the wall clock until the next record.
    Idle(PartitionName),
    /// At this time nothing was left to read in this partition: its clock is there. What came since is not known.
    SilentUntil(PartitionName, Timestamp),
    /// It is not known any more whether something is left in this partition (its broker is slow or gone): its clock stands
    /// at its last record until the next record or `Idle`.
    Unsure(PartitionName),
    /// Nobody could send for this time (the daemon was down, or refused): deadlines of a lossy source move by it.
    Unread {
        /// Start of the time.
        from: Timestamp,
        /// End of the time.
        to: Timestamp,
    },
    /// A command, with its position in the command log.
    Command {
        /// What is to be done.
        command: Command,
        /// The position to go on from after it.
        next: u64,
    },
    /// The source has ended (end of standard input, of a file that is not followed).
    Ended,
    /// The source cannot go on; the daemon stops with this message.
    Failed(String),
}
