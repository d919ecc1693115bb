//! The bookkeeping of the rolling sweep: when one is due, when it is through, and how much a restore would have to read.
//!
//! Each epoch writes what changed. A sweep writes everything else once more, a slice with each epoch; once it is through,
//! blocks from before its start are not needed. The shards make the slices, this file only counts them.

use crate::model::time::Timestamp;

/// A sweep starts when the deltas since the last exceed this many times the state.
const AFTER_TIMES_STATE: u64 = 2;
/// A state smaller than this is not worth a sweep more often than this many bytes of deltas.
const AFTER_BYTES_MIN: u64 = 8 << 20;

/// Where sweeping stands.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// The epoch in which the running sweep started.
    started: Option<u64>,
    /// Bytes that the running sweep has written.
    bytes: u64,
    /// Bytes of the state by the last complete sweep.
    state_bytes: u64,
    /// Bytes of everything else since the last sweep started.
    deltas: u64,
    /// Bytes of blocks since the last complete sweep started.
    log_bytes: u64,
    /// Bytes of blocks since the running one started.
    log_bytes_since_start: u64,
    ended_at: Option<Timestamp>,
}

/// What an epoch adds to a sweep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice {
    /// Number of the epoch.
    pub epoch: u64,
    /// A sweep starts with it.
    pub starts: bool,
    /// Every shard has passed over everything, or none sweeps.
    pub done: bool,
    /// Bytes of the slice.
    pub sweep_bytes: u64,
    /// Bytes of what changed.
    pub delta_bytes: u64,
}

impl Sweep {
    /// After a restore that read so many bytes; how much of them is needed is not known before the next sweep.
    #[must_use]
    pub fn after_restore(n_bytes: u64) -> Self {
        Self { deltas: n_bytes, log_bytes: n_bytes, ..Self::default() }
    }

    /// Whether one should start with the next epoch.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.started.is_none() && self.deltas > (AFTER_TIMES_STATE * self.state_bytes).max(AFTER_BYTES_MIN)
    }

    /// Makes one due, however little has changed; one that runs goes on instead.
    pub fn ask(&mut self) {
        self.deltas = u64::MAX / 2;
    }

    /// Takes the slice of an epoch. When it completes a sweep: the epoch before which no block is needed any more.
    pub fn advance(&mut self, slice: Slice) -> Option<u64> {
        if slice.starts {
            self.started = Some(slice.epoch);
            self.bytes = 0;
            self.deltas = 0;
            self.log_bytes_since_start = 0;
        }
        self.deltas = self.deltas.saturating_add(slice.delta_bytes);
        self.bytes += slice.sweep_bytes;
        let started = self.started.take_if(|_| slice.done)?;
        self.state_bytes = self.bytes;
        Some(started)
    }

    /// Counts the blocks of an epoch, `n_bytes` in all; `ended`: when it completed a sweep, if it did.
    ///
    /// What is neither slice nor change (the meta entry, headers) counts as a change too: of a quiet daemon with a deadline
    /// open it is nearly all there is, and a restore has to read it.
    pub fn note_blocks(&mut self, n_bytes: u64, slice: Slice, ended: Option<Timestamp>) {
        self.deltas = self.deltas.saturating_add(n_bytes.saturating_sub(slice.sweep_bytes + slice.delta_bytes));
        self.log_bytes += n_bytes;
        self.log_bytes_since_start += n_bytes;
        if ended.is_some() {
            self.log_bytes = self.log_bytes_since_start;
            self.ended_at = ended;
        }
    }

    /// Bytes of the state by the last complete sweep; 0 before the first.
    #[must_use]
    pub fn state_bytes(&self) -> u64 {
        self.state_bytes
    }

    /// Bytes of the blocks that a restore would read.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// When the last one was through; `None` before the first.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.ended_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// One epoch of blocks with 100 bytes that are neither slice nor change.
    fn epoch(sweep: &mut Sweep, slice: Slice) -> Option<u64> {
        let safe_from = sweep.advance(slice);
        let ended = safe_from.map(|_| Timestamp(slice.epoch as i64));
        sweep.note_blocks(slice.sweep_bytes + slice.delta_bytes + 100, slice, ended);
        safe_from
    }

    #[test]
    fn a_complete_sweep_makes_what_was_before_it_needless() {
        let mut sweep = Sweep::after_restore(5 * MIB);
        assert!(!sweep.is_due());
        let changes = Slice { delta_bytes: 4 * MIB, done: true, ..Slice::default() };
        assert_eq!(epoch(&mut sweep, Slice { epoch: 7, ..changes }), None);
        assert!(sweep.is_due());
        assert_eq!((sweep.log_bytes(), sweep.state_bytes(), sweep.ended_at()), (9 * MIB + 100, 0, None));
        let first = Slice { epoch: 8, starts: true, done: false, sweep_bytes: 3 * MIB, delta_bytes: MIB };
        assert_eq!(epoch(&mut sweep, first), None);
        assert_eq!(sweep.log_bytes(), 13 * MIB + 200, "all of it is needed until the sweep is through");
        let last = Slice { epoch: 9, starts: false, done: true, ..first };
        assert_eq!(epoch(&mut sweep, last), Some(8));
        assert_eq!((sweep.log_bytes(), sweep.state_bytes()), (8 * MIB + 200, 6 * MIB));
        assert_eq!(sweep.ended_at(), Some(Timestamp(9)));
        assert!(!sweep.is_due(), "2 MiB of changes since its start");
        assert_eq!(epoch(&mut sweep, Slice { epoch: 10, done: true, ..Slice::default() }), None, "none runs");
    }

    #[test]
    fn epochs_that_change_nothing_add_up_too() {
        let mut sweep = Sweep::default();
        let n_epochs = AFTER_BYTES_MIN / 100;
        for number in 1..=n_epochs {
            assert!(!sweep.is_due(), "after {number} epochs");
            epoch(&mut sweep, Slice { epoch: number, done: true, ..Slice::default() });
        }
        epoch(&mut sweep, Slice { epoch: n_epochs + 1, done: true, ..Slice::default() });
        assert!(sweep.is_due());
    }
}
