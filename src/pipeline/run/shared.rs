//! What the threads of a run tell each other beside the channels, and what a watchdog may look at.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::time::Timestamp;
use crate::pipeline::pressure::Pressure;
use crate::pipeline::pressure::novelty::NoveltyBoard;
use crate::pipeline::shard::Tally;
use crate::pipeline::tap::Tap;

/// What the threads tell each other beside the channels, and what a watchdog may look at.
#[derive(Debug, Default)]
pub struct Shared {
    pub(super) stop: AtomicBool,
    /// Epochs ended by the sequencer, and made durable.
    pub(super) sealed: AtomicU64,
    pub(super) committed: AtomicU64,
    pub(super) wants_sweep: AtomicBool,
    pub(super) has_deadlines: AtomicBool,
    /// Group events that wait for the end of the epoch.
    pub(super) pending_events: AtomicU64,
    /// Bytes of state that wait for it, about.
    pub(super) pending_state: AtomicU64,
    /// Loops of the sequencer and of the shards together, and of the commit thread.
    pub(super) beats: Vec<AtomicU64>,
    /// Record times set back to arrival because they lay in the future.
    pub clamped: AtomicU64,
    /// Attempts at an epoch that were aborted, and whose outcome was unknown at first.
    pub aborted: AtomicU64,
    /// See `aborted`.
    pub unknown: AtomicU64,
    /// Incident events that retention removed.
    pub removed_events: AtomicU64,
    /// Dead letters that retention removed.
    pub removed_letters: AtomicU64,
    /// Chunks that wait for a decoder.
    pub queued_chunks: AtomicU64,
    /// How many may wait.
    pub chunk_capacity: usize,
    /// Clock of each source in milliseconds, by index.
    pub(super) clocks: Vec<AtomicI64>,
    /// Milliseconds the sequencer waited for a decoder to take a chunk.
    pub blocked_ms: AtomicU64,
    /// Shows samples to those who listen; it goes from pipeline to pipeline at a reload.
    pub tap: Arc<Tap>,
    /// Bytes of records between the sequencer and a durable epoch.
    pub(super) bytes_on_the_way: AtomicI64,
    /// Sizes as of the last durable epoch.
    pub(super) tally: Mutex<Tally>,
    /// What the shards shall be told about memory; nobody has looked yet while there is none.
    pub(super) pressure: Mutex<Option<Pressure>>,
    /// Grows when `pressure` changes.
    pub(super) pressed: AtomicU64,
    /// What is new of late, by source and label.
    pub novelty: Arc<NoveltyBoard>,
}

impl Shared {
    /// A number per thread that grows with every loop: sequencer, commit, then the shards. The commit thread's also grows
    /// when its sink reports a retry; while it is at an epoch, the others may have to wait for it.
    #[must_use]
    pub fn beats(&self) -> Vec<u64> {
        self.beats.iter().map(|beat| beat.load(Ordering::Relaxed)).collect()
    }

    /// The clock of each source, by index; MIN while it has none.
    #[must_use]
    pub fn clocks(&self) -> Vec<Timestamp> {
        self.clocks.iter().map(|clock| Timestamp(clock.load(Ordering::Relaxed))).collect()
    }

    /// Bytes of records between the sequencer and a durable epoch.
    #[must_use]
    pub fn bytes_on_the_way(&self) -> u64 {
        self.bytes_on_the_way.load(Ordering::Relaxed).max(0) as u64
    }

    /// Sizes as of the last durable epoch, or of the start.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_tally(&self, tally: Tally) {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = tally;
    }

    /// Says how short memory is: the sequencer tells the shards with its next chunk.
    pub fn press(&self, pressure: &Pressure) {
        let mut known = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(pressure) {
            *known = Some(pressure.clone());
            self.pressed.fetch_add(1, Ordering::Release);
        }
    }

    /// What the shards shall be told, if that has changed since `seen`.
    pub(super) fn pressure_since(&self, seen: &mut u64) -> Option<Pressure> {
        let pressed = self.pressed.load(Ordering::Acquire);
        if pressed == *seen {
            return None;
        }
        *seen = pressed;
        self.pressure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Epochs of this run that are durable.
    #[must_use]
    pub fn n_committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Whether an epoch is on its way to the sink.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        self.committed.load(Ordering::Acquire) != self.sealed.load(Ordering::Relaxed)
    }

    pub(super) fn beat(&self, thread: usize) {
        if let Some(beat) = self.beats.get(thread) {
            beat.fetch_add(1, Ordering::Relaxed);
        }
    }
}
