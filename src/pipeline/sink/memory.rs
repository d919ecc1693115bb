//! Epochs in memory: for tests, benches and `replay`, with faults on demand. Nothing survives the process.
//!
//! A `MemoryStore` stands for the storage, a `MemorySink` for one instance of the daemon that writes to it. A second sink
//! on the same store fences the first as soon as it restores, as Kafka's transactions do.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::model::time::Timestamp;
use crate::pipeline::sink::{
    Block, CommitError, Committed, DeadLetter, Epoch, EpochSink, IncidentRecord, Removed, RestoreError, Resumed,
};
use crate::pipeline::source::Position;
use crate::pipeline::state::{Seam, SeamCheck};

/// The storage, shared by whoever holds a clone: sinks write, tests read and set faults.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

/// One instance's way to a `MemoryStore`.
pub struct MemorySink {
    store: MemoryStore,
    /// The owner's number, given by `restore`; 0 before it.
    owner: u64,
    hook: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    resumed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    last_epoch: u64,
    owner: u64,
    blocks: Vec<Block>,
    /// Blocks that were removed: the place of the first that is there.
    n_removed: u64,
    /// Where the blocks of the last epoch begin.
    place: Option<u64>,
    safe_from: u64,
    positions: BTreeMap<(String, String), Position>,
    incidents: Vec<IncidentRecord>,
    dead_letters: Vec<DeadLetter>,
    /// Outputs are counted but not kept: benches run for long.
    counts_only: bool,
    n_incidents: u64,
    n_dead_letters: u64,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Faults {
    aborts: u32,
    unknown: Option<bool>,
    stalled: bool,
    waiting: bool,
}

impl MemoryStore {
    /// An empty store that keeps every output.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that counts outputs instead of keeping them, so that a long run does not grow.
    #[must_use]
    pub fn counting() -> Self {
        let store = Self::default();
        store.lock().counts_only = true;
        store
    }

    /// An instance that writes here.
    #[must_use]
    pub fn sink(&self) -> MemorySink {
        MemorySink { store: self.clone(), owner: 0, hook: Arc::new(|| {}) }
    }

    /// Number of the last durable epoch, 0 if there is none.
    #[must_use]
    pub fn last_epoch(&self) -> u64 {
        self.lock().last_epoch
    }

    /// The retained state blocks, oldest first.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        self.lock().blocks.clone()
    }

    /// The committed positions, sorted by source and partition.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        self.lock().positions.values().cloned().collect()
    }

    /// Every committed incident event in its order.
    #[must_use]
    pub fn incidents(&self) -> Vec<IncidentRecord> {
        self.lock().incidents.clone()
    }

    /// The committed incident events since the last call, which no longer keeps them.
    #[must_use]
    pub fn take_incidents(&self) -> Vec<IncidentRecord> {
        std::mem::take(&mut self.lock().incidents)
    }

    /// Every committed dead letter in its order.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.lock().dead_letters.clone()
    }

    /// How many incident events and dead letters were committed, kept or not.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.n_incidents, inner.n_dead_letters)
    }

    /// The next `n` commits are aborted.
    pub fn abort_next(&self, n: u32) {
        self.lock().faults.aborts = n;
    }

    /// The next commit's outcome is reported as unknown; in truth it is durable or not, as given.
    pub fn lose_next_answer(&self, durable: bool) {
        self.lock().faults.unknown = Some(durable);
    }

    /// Takes the store away from its present owner, as another instance would.
    pub fn fence(&self) {
        self.lock().owner += 1;
    }

    /// From now on every commit waits until `resume`: for tests of back-pressure.
    pub fn stall(&self) {
        self.lock().faults.stalled = true;
    }

    /// Ends `stall`.
    pub fn resume(&self) {
        self.lock().faults.stalled = false;
        self.shared.resumed.notify_all();
    }

    /// Blocks until a commit waits in `stall`.
    pub fn wait_until_stalled(&self) {
        let inner = self.lock();
        let waiting = self.shared.resumed.wait_while(inner, |inner| !inner.faults.waiting);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A holder only moves whole values, so what a panic leaves behind is still consistent.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_unstalled(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        while inner.faults.stalled {
            inner.faults.waiting = true;
            self.shared.resumed.notify_all();
            inner = self.shared.resumed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.faults.waiting = false;
        inner
    }
}

impl Inner {
    fn check_owner(&self, owner: u64) -> Result<(), CommitError> {
        if owner == self.owner {
            Ok(())
        } else {
            Err(CommitError::Fenced("the memory store has a new owner".to_owned()))
        }
    }

    fn apply(&mut self, epoch: &Epoch) {
        self.last_epoch = epoch.number;
        self.safe_from = self.safe_from.max(epoch.safe_from);
        let safe_from = self.safe_from;
        let before = self.blocks.len();
        self.blocks.retain(|block| block.epoch >= safe_from);
        self.n_removed += (before - self.blocks.len()) as u64;
        self.place = Some(self.n_removed + self.blocks.len() as u64);
        self.blocks.extend(epoch.blocks.iter().cloned());
        for position in &epoch.positions {
            self.positions.insert((position.source.clone(), position.partition.clone()), position.clone());
        }
        self.n_incidents += epoch.incidents.len() as u64;
        self.n_dead_letters += epoch.dead_letters.len() as u64;
        if !self.counts_only {
            self.incidents.extend(epoch.incidents.iter().cloned());
            self.dead_letters.extend(epoch.dead_letters.iter().cloned());
        }
    }
}

impl EpochSink for MemorySink {
    fn restore(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError> {
        let mut inner = self.store.lock();
        inner.owner += 1;
        self.owner = inner.owner;
        inner.blocks.iter().try_for_each(|block| each(&block.bytes))?;
        Ok(inner.last_epoch)
    }

    fn restore_after(
        &mut self,
        seam: &Seam,
        each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>,
    ) -> Result<Resumed, RestoreError> {
        let mut inner = self.store.lock();
        inner.owner += 1;
        self.owner = inner.owner;
        let mut check = SeamCheck::new(seam);
        let skipped = usize::try_from(seam.place.saturating_sub(inner.n_removed)).unwrap_or(usize::MAX);
        for block in inner.blocks.iter().skip(skipped) {
            match check.take(block.epoch, block.index, &block.bytes) {
                Ok(true) => each(&block.bytes)?,
                Ok(false) => {}
                Err(why) => return Ok(Resumed::Misfit(why)),
            }
        }
        Ok(check.close().map_or_else(Resumed::Misfit, |()| Resumed::To(inner.last_epoch)))
    }

    fn place(&self) -> Option<u64> {
        self.store.lock().place
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError> {
        let mut inner = self.store.lock_unstalled();
        inner.check_owner(self.owner)?;
        if epoch.number != inner.last_epoch + 1 || epoch.blocks.is_empty() {
            let (given, expected) = (epoch.number, inner.last_epoch + 1);
            return Err(CommitError::Fatal(format!("another epoch was expected: {expected} with blocks, not {given}")));
        }
        if inner.faults.aborts > 0 {
            inner.faults.aborts -= 1;
            (self.hook)();
            return Err(CommitError::Aborted("a fault was asked for".to_owned()));
        }
        let unknown = inner.faults.unknown.take();
        if unknown != Some(false) {
            inner.apply(epoch);
        }
        match unknown {
            None => Ok(Committed { epoch: epoch.number }),
            Some(_) => Err(CommitError::Unknown("a fault was asked for".to_owned())),
        }
    }

    fn recover(&mut self) -> Result<u64, CommitError> {
        let inner = self.store.lock();
        inner.check_owner(self.owner)?;
        Ok(inner.last_epoch)
    }

    fn tidy_up(&mut self, _now: Timestamp) -> Result<Removed, CommitError> {
        self.store.lock().check_owner(self.owner)?;
        Ok(Removed::default())
    }

    fn on_retry(&mut self, hook: Arc<dyn Fn() + Send + Sync>) {
        self.hook = hook;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::sink::samples;

    fn restored(store: &MemoryStore) -> (MemorySink, u64) {
        let mut sink = store.sink();
        let last = sink.restore(&mut |_| Ok(())).unwrap();
        (sink, last)
    }

    #[test]
    fn keeps_what_is_committed_and_hands_back_the_blocks() {
        let store = MemoryStore::new();
        let (mut sink, last) = restored(&store);
        assert_eq!(last, 0);
        for number in 1..=3 {
            let epoch = Epoch { safe_from: 2, ..samples::epoch(number) };
            assert_eq!(sink.commit(&epoch), Ok(Committed { epoch: number }));
        }
        let mut blocks = Vec::new();
        let last = store.sink().restore(&mut |bytes| {
            blocks.push(bytes.to_vec());
            Ok(())
        });
        assert_eq!(last.unwrap(), 3);
        assert_eq!(blocks, [b"block 2.0".to_vec(), b"block 3.0".to_vec()]);
        assert_eq!(store.totals(), (3, 3));
        assert_eq!(store.take_incidents().len(), 3);
        assert!(store.incidents().is_empty());
        assert_eq!(store.positions().len(), 1);
        assert_eq!(store.dead_letters().len(), 3);
    }

    #[test]
    fn aborts_as_often_as_asked() {
        let store = MemoryStore::new();
        let (mut sink, _) = restored(&store);
        store.abort_next(2);
        let epoch = samples::epoch(1);
        assert!(matches!(sink.commit(&epoch), Err(CommitError::Aborted(_))));
        assert!(matches!(sink.commit(&epoch), Err(CommitError::Aborted(_))));
        assert_eq!(store.last_epoch(), 0);
        assert_eq!(sink.commit(&epoch), Ok(Committed { epoch: 1 }));
    }

    #[test]
    fn an_unknown_outcome_is_settled_by_recover() {
        for (durable, last) in [(true, 1), (false, 0)] {
            let store = MemoryStore::new();
            let (mut sink, _) = restored(&store);
            store.lose_next_answer(durable);
            assert!(matches!(sink.commit(&samples::epoch(1)), Err(CommitError::Unknown(_))));
            assert_eq!(sink.recover(), Ok(last));
            assert_eq!(sink.commit(&samples::epoch(last + 1)), Ok(Committed { epoch: last + 1 }));
        }
    }

    #[test]
    fn a_new_owner_fences_the_old_one() {
        let store = MemoryStore::new();
        let (mut old, _) = restored(&store);
        old.commit(&samples::epoch(1)).unwrap();
        let (mut new, last) = restored(&store);
        assert_eq!(last, 1);
        assert!(matches!(old.commit(&samples::epoch(2)), Err(CommitError::Fenced(_))));
        assert!(matches!(old.recover(), Err(CommitError::Fenced(_))));
        new.commit(&samples::epoch(2)).unwrap();
        store.fence();
        assert!(matches!(new.tidy_up(Timestamp(0)), Err(CommitError::Fenced(_))));
    }

    #[test]
    fn a_number_out_of_turn_is_fatal() {
        let store = MemoryStore::counting();
        let (mut sink, _) = restored(&store);
        assert!(matches!(sink.commit(&samples::epoch(2)), Err(CommitError::Fatal(_))));
        sink.commit(&samples::epoch(1)).unwrap();
        assert!(matches!(sink.commit(&samples::epoch(1)), Err(CommitError::Fatal(_))));
        assert_eq!((store.totals(), store.incidents().len()), ((1, 1), 0));
    }

    #[test]
    fn a_stalled_store_holds_the_commit_back() {
        let store = MemoryStore::new();
        let (mut sink, _) = restored(&store);
        store.stall();
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || sink.commit(&samples::epoch(1)))
            .unwrap();
        store.wait_until_stalled();
        assert_eq!(store.last_epoch(), 0);
        store.resume();
        assert_eq!(thread.join().unwrap(), Ok(Committed { epoch: 1 }));
    }
}
