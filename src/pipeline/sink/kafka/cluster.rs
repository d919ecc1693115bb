//! What the sink needs of a Kafka cluster: the daemon has the client library behind it, the simulation a log of its own.
//!
//! The algorithm of the sink (who owns the state, what became of a commit, when a producer must be renewed) stands on this
//! side, so that what is simulated is what runs.

use std::sync::Arc;
use std::time::Duration;

use crate::model::time::Stopwatch;
use crate::pipeline::sink::kafka::records::{Outgoing, StateKey};

/// Fed whenever something is waited for.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// What went wrong, as what has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Abort the transaction; then the same may be sent again.
    Abort(String),
    /// The same call may be made again.
    Again(String),
    /// The producer cannot be used any more, and what became of the transaction is not known.
    Unknown(String),
    /// Abort the transaction, and do not send the same again: it will never be taken.
    Hopeless(String),
}

impl Trouble {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Abort(text) | Self::Again(text) | Self::Unknown(text) | Self::Hopeless(text) => text,
        }
    }
}

/// How far to read the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Everything that was written; waits until no open transaction hides any of it.
    Everything,
    /// What is settled now, without waiting. For a look before a take-over: there the open transaction may be our own,
    /// which only the take-over ends. While it is open nobody else has taken over, or it would have been ended by that.
    Settled,
}

/// One committed record of the state topic.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A block.
    Block(StateKey, &'a [u8]),
    /// Somebody took over.
    Owner(&'a str),
}

/// What was read of the state topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The offset from which was read: later than asked for if what was there is deleted.
    pub begin: i64,
    /// The offset up to which was read.
    pub end: i64,
}

/// Takes a record of the state topic, with its offset.
pub type EachEntry<'a> = dyn FnMut(i64, Entry<'_>) -> Result<(), String> + 'a;

/// A Kafka cluster, as its sink sees it.
pub trait Cluster: Send {
    /// What sends transactions.
    type Producer: Producer;

    /// How many partitions a topic has; 0 if it does not exist.
    ///
    /// # Errors
    /// When no broker answers in time.
    fn partitions_of(&self, topic: &str) -> Result<u32, String>;

    /// Makes a producer with the transactional id of the pipeline; it need not be connected yet.
    ///
    /// # Errors
    /// When its settings are not accepted.
    fn open_producer(&self) -> Result<Self::Producer, String>;

    /// Hands every committed record of the state topic from offset `from` on to `each`.
    ///
    /// # Errors
    /// When the cluster does not answer, a record is not one of ours, or `each` fails.
    fn read_state(&self, from: i64, bound: Bound, each: &mut EachEntry<'_>) -> Result<Stretch, String>;

    /// Deletes the state before `offset`.
    ///
    /// # Errors
    /// When the cluster refuses it or does not answer.
    fn trim_state(&self, offset: i64) -> Result<(), String>;

    /// Serves what the client library has to tell; called between commits.
    fn serve(&self);

    /// What is to be called whenever something is waited for.
    fn on_wait(&mut self, hook: Hook);
}

/// A transactional producer. One call at a time.
pub trait Producer {
    /// Whether a request timed out or a transaction failed behind our back: it may still reach the broker, later, and
    /// hit another transaction of the same producer epoch (KIP-890). A new producer has a new epoch.
    fn is_suspect(&self) -> bool;

    /// Takes the transactional id over: what was open under it is ended, and older producers are fenced.
    ///
    /// # Errors
    /// What has to be done now.
    fn init(&self, deadline: &Deadline) -> Result<(), Trouble>;

    /// Starts a transaction.
    ///
    /// # Errors
    /// What has to be done now.
    fn begin(&self, deadline: &Deadline) -> Result<(), Trouble>;

    /// Begins to add consumer offsets (topic, partition, next offset) to the transaction, with this text beside each.
    /// `finish_offsets` must follow before the end of the transaction.
    ///
    /// # Errors
    /// What has to be done now.
    fn start_offsets(&self, offsets: &[(&str, i32, u64)], metadata: &str) -> Result<(), Trouble>;

    /// Waits until the offsets were added.
    ///
    /// # Errors
    /// What has to be done now.
    fn finish_offsets(&self, deadline: &Deadline) -> Result<(), Trouble>;

    /// Hands a record over; waits while too many are on their way.
    ///
    /// # Errors
    /// What has to be done now.
    fn send(&self, record: &Outgoing<'_>, deadline: &Deadline) -> Result<(), Trouble>;

    /// Waits until every record has been confirmed.
    ///
    /// # Errors
    /// What has to be done now.
    fn flush(&self, deadline: &Deadline) -> Result<(), Trouble>;

    /// The offset of the record that was tagged with `REPORT_OFFSET`; -1 while it is not known.
    fn reported_offset(&self) -> i64;

    /// Commits the transaction.
    ///
    /// # Errors
    /// What has to be done now.
    fn commit(&self, deadline: &Deadline) -> Result<(), Trouble>;

    /// Aborts the transaction.
    ///
    /// # Errors
    /// What has to be done now.
    fn abort(&self, deadline: &Deadline) -> Result<(), Trouble>;
}

/// Makes a call again while that may help.
pub(super) fn insist(deadline: &Deadline, call: impl Fn() -> Result<(), Trouble>) -> Result<(), Trouble> {
    loop {
        match call() {
            Err(Trouble::Again(fault)) if !deadline.has_passed() => tracing::info!(fault, "trying again"),
            Err(Trouble::Again(fault)) => return Err(Trouble::Unknown(fault)),
            outcome => return outcome,
        }
    }
}

/// A time limit over several steps. Feeds the watchdog each time it is asked.
pub struct Deadline {
    watch: Stopwatch,
    limit: Duration,
    hook: Hook,
}

impl Deadline {
    pub(super) fn new(limit: Duration, hook: &Hook) -> Self {
        Self { watch: Stopwatch::start(), limit, hook: Arc::clone(hook) }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        (self.hook)();
        self.watch.elapsed() >= self.limit
    }

    /// The time it gave from its start.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}
