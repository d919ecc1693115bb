//! What goes into the exchange and what it reports: a chunk of the sequence, and everything about it that no shard needs.

use crate::model::time::Timestamp;
use crate::pipeline::chunk::Step;
use crate::pipeline::decode::Reject;
use crate::pipeline::pressure::Pressure;
use crate::pipeline::sink::DeadLetter;
use crate::pipeline::source::{Answer, Batch, PartitionName, Reply, SourceIndex};

/// Work for a decoder: a batch of one source with its place in the sequence.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Number of the chunk, without gaps.
    pub number: u64,
    /// Where the batch comes from.
    pub source: Option<SourceIndex>,
    /// Number of the batch's first record; the others follow.
    pub first_record: u64,
    /// The records.
    pub batch: Batch,
    /// Clock steps and commands, in order.
    pub steps: Vec<Step>,
    /// The wall clock when the chunk was made; record time of what has none, for dead letters.
    pub wall: Timestamp,
    /// Where sources and partitions stand after this chunk; passed on to the epoch.
    pub notes: Vec<Note>,
    /// An epoch ends with this chunk.
    pub mark: Option<Mark>,
}

/// Where a source or one of its partitions stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The clock of a source.
    Clock(SourceIndex, Timestamp),
    /// The next position and the clock of a partition.
    Position(SourceIndex, PartitionName, u64, Timestamp),
    /// What shards are told about memory.
    Pressure(Pressure),
}

/// The end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Shards start a state sweep with it.
    pub start_sweep: bool,
}

/// What the epoch must know of a chunk besides what the shards make of it.
#[derive(Debug, Default)]
pub struct ChunkReport {
    /// Number of the chunk.
    pub number: u64,
    /// Where it came from.
    pub source: Option<SourceIndex>,
    /// Number of the record after its last.
    pub next_record: u64,
    /// Records and their bytes.
    pub n_records: u64,
    /// Bytes of the records.
    pub n_bytes: u64,
    /// Alerts received, those rejected included.
    pub received: u64,
    /// Rejected by reason, in the order of `Reject::ALL`.
    pub rejects: [u64; Reject::ALL.len()],
    /// What could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Bodies that are no JSON at all, from senders that were told so: kept as samples only.
    pub unreadable: Vec<(Reject, Vec<u8>)>,
    /// Senders and what they will be told.
    pub replies: Vec<(Reply, Answer)>,
    /// Positions to go on from, and what was taken to get there.
    pub positions: Vec<Consumed>,
    /// The latest record time of the chunk, where the payload tells it.
    pub payload_clock: Timestamp,
    /// Time fields that were ignored.
    pub unusable_times: u64,
    /// Records that needed the second JSON reader.
    pub fallbacks: u64,
    /// Where sources and partitions stand.
    pub notes: Vec<Note>,
    /// An epoch ends with this chunk.
    pub mark: Option<Mark>,
}

/// What was taken from a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Which partition.
    pub partition: PartitionName,
    /// Where it goes on.
    pub next: u64,
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}
