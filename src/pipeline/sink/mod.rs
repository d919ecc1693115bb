//! What makes an epoch durable, atomically: the only edge between the pipeline and storage.

pub mod kafka;
pub mod memory;
#[cfg(test)]
pub(crate) mod samples;
pub mod sqlite;

use std::sync::Arc;

use crate::model::alert::Format;
use crate::model::fingerprint::GroupHash;
use crate::model::incident::IncidentEvent;
use crate::model::time::Timestamp;
use crate::pipeline::decode::Reject;
use crate::pipeline::source::Position;
use crate::pipeline::state::Seam;

/// A piece of state: the same bytes in Kafka and SQLite, checked and versioned by `pipeline::state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The epoch that wrote it.
    pub epoch: u64,
    /// Number within the epoch, from 0; the last one holds the meta entry.
    pub index: u32,
    /// At most 900 kB.
    pub bytes: Vec<u8>,
}

/// An incident event ready to be written.
#[derive(Clone, Debug)]
pub struct IncidentRecord {
    /// The group: all events of a group go to one partition.
    pub group: GroupHash,
    /// The event, for whoever reads it inside this process.
    pub event: Arc<IncidentEvent>,
    /// The event as JSON.
    pub json: Vec<u8>,
}

/// Something that could not be read, kept with all that is needed to understand and requeue it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Name of the source.
    pub source: String,
    /// Name of the partition.
    pub partition: String,
    /// Position of the record.
    pub position: u64,
    /// Index of the element in the record; `None` if the whole record is meant.
    pub index: Option<u32>,
    /// What is wrong.
    pub reason: Reject,
    /// The wire format as which it was read.
    pub format: Format,
    /// Record time, or the wall clock where there is none.
    pub at: Timestamp,
    /// The original bytes; cut to 64 KiB when the record is larger than 1 MiB (`original_len` tells).
    pub bytes: Vec<u8>,
    /// Length of the original, bytes.
    pub original_len: u64,
}

/// Everything that becomes durable together, or not at all. Materialised in full before it is sent.
#[derive(Clone, Debug, Default)]
pub struct Epoch {
    /// 1, 2, 3 and so on without gaps, over restarts too.
    pub number: u64,
    /// The positions to go on from: every partition ever read, not only those of this epoch.
    pub positions: Vec<Position>,
    /// State blocks; the last holds the meta entry. Never empty.
    pub blocks: Vec<Block>,
    /// Incident events in their order.
    pub incidents: Vec<IncidentRecord>,
    /// What could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Blocks of epochs before this one are no longer needed for a restore.
    pub safe_from: u64,
    /// Wall-clock time when it was materialised.
    pub committed_at: Timestamp,
}

/// What a commit gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The epoch that is durable now.
    pub epoch: u64,
}

/// Why an epoch is not known to be durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Nothing of it was written; the same epoch may be sent again at once or after a while.
    #[error("the epoch was aborted: {0}")]
    Aborted(String),
    /// It may or may not be durable; `EpochSink::recover` must tell before anything else is sent.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(String),
    /// Another instance has taken over: this one must stop (exit code 3).
    #[error("another instance has taken over: {0}")]
    Fenced(String),
    /// Cannot be mended by trying again.
    #[error("{0}")]
    Fatal(String),
}

/// Why state could not be read back.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RestoreError(pub String);

/// How a store goes on from a state that its reader has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// All later blocks were handed on; the number of the last durable epoch.
    To(u64),
    /// The state does not fit the store, and why. What was handed on is void: the store must be read as a whole.
    Misfit(String),
}

/// Makes epochs durable. One owner, one thread; every call may block.
pub trait EpochSink: Send {
    /// Takes ownership of the store (fences others) and hands every retained block to `each`, oldest first.
    /// Returns the number of the last durable epoch, 0 if there is none.
    ///
    /// # Errors
    /// When the store cannot be reached or read, or `each` refuses a block.
    fn restore(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError>;

    /// As `restore`, for a caller that has the state up to the seam already: hands on only what the store has behind it.
    ///
    /// # Errors
    /// As for `restore`. A state that does not fit is none: see `Resumed`.
    fn restore_after(
        &mut self,
        seam: &Seam,
        each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>,
    ) -> Result<Resumed, RestoreError> {
        let _ = (seam, each);
        Ok(Resumed::Misfit("this store is always read as a whole".to_owned()))
    }

    /// Where in the store the blocks of the last durable epoch begin, for a later `restore_after`; `None` where that is
    /// not known, or stores know no places.
    fn place(&self) -> Option<u64> {
        None
    }

    /// Makes the epoch durable. Called again with the same epoch after `Aborted`.
    ///
    /// # Errors
    /// See `CommitError`: each variant says what the caller has to do.
    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError>;

    /// After `CommitError::Unknown`: settles what is open and returns the number of the last durable epoch.
    ///
    /// # Errors
    /// `Unknown` again when it could not be found out yet, `Fenced` or `Fatal` as for `commit`.
    fn recover(&mut self) -> Result<u64, CommitError>;

    /// Time-driven housekeeping (retention); called between commits, at most once a minute. Returns what was removed.
    ///
    /// # Errors
    /// As for `commit`; nothing of an epoch is at stake.
    fn tidy_up(&mut self, now: Timestamp) -> Result<Removed, CommitError>;

    /// Called on the caller's thread whenever the sink waits and tries again, so that a watchdog can be fed.
    fn on_retry(&mut self, hook: Arc<dyn Fn() + Send + Sync>);
}

/// What retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Incident events older than their retention.
    pub incident_events: u64,
    /// Dead letters beyond their retention in time or bytes.
    pub dead_letters: u64,
}
