//! The copy of another instance's state, epoch by epoch as the state topic shows them. No I/O.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_128;

use crate::model::time::Timestamp;
use crate::pipeline::sink::RestoreError;
use crate::pipeline::snapshot::{Durable, Loaded};
use crate::pipeline::state::{Restored, Seam, SeamCheck};

/// Epochs between two looks for fingerprints whose group is gone. Each look goes over all of them.
const SETTLE_EVERY: u64 = 1_024;

/// A state that is kept in memory, and where it joins the topic.
#[derive(Debug)]
pub struct Warm {
    /// The state at the end of an epoch.
    pub restored: Restored,
    /// That epoch.
    pub seam: Seam,
}

/// Follows a state topic.
#[derive(Debug, Default)]
pub struct Shadow {
    restored: Restored,
    /// The last whole epoch of `restored`.
    seam: Option<Seam>,
    /// What must be met first: the end of the snapshot that it began with.
    check: Option<SeamCheck>,
    /// The newest epoch. Whether all of its blocks are there shows when the next one begins.
    open: Option<Open>,
    /// The first epoch that was read.
    first: Option<u64>,
    /// Bytes of the epochs that the topic still needs, oldest first.
    sizes: VecDeque<(u64, u64)>,
    settled: u64,
}

#[derive(Debug)]
struct Open {
    epoch: u64,
    place: Option<u64>,
    blocks: Vec<Vec<u8>>,
}

impl Shadow {
    /// Begins with a snapshot; the topic must be read from `begin_at` on.
    #[must_use]
    pub fn of_snapshot(loaded: Loaded) -> Self {
        let Loaded { restored, seam, index } = loaded;
        Self {
            sizes: VecDeque::from([(seam.epoch, restored.n_bytes)]),
            first: index.segments.first().map(|segment| segment.first),
            check: Some(SeamCheck::new(&seam)),
            settled: seam.epoch,
            seam: Some(seam),
            restored,
            open: None,
        }
    }

    /// The offset from which the topic must be read; 0 means from its beginning.
    #[must_use]
    pub fn begin_at(&self) -> u64 {
        self.seam.as_ref().map_or(0, |seam| seam.place)
    }

    /// The last whole epoch, 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.seam.as_ref().map_or(0, |seam| seam.epoch)
    }

    /// Live fingerprints in the copy.
    #[must_use]
    pub fn n_members(&self) -> usize {
        self.restored.members.len()
    }

    /// Takes the next block of the topic. Returns the epoch before it, if that is whole now.
    ///
    /// # Errors
    /// When the block does not follow, is damaged, or a snapshot does not fit the topic: the copy is of no use then.
    pub fn take(&mut self, offset: i64, epoch: u64, index: u32, bytes: &[u8]) -> Result<Option<Durable>, RestoreError> {
        if let Some(check) = &mut self.check {
            if !check.take(epoch, index, bytes).map_err(RestoreError)? {
                return Ok(None);
            }
            self.check = None;
        }
        let n_open = self.open.as_ref().filter(|open| open.epoch == epoch).map_or(0, |open| open.blocks.len());
        if n_open != index as usize {
            return Err(RestoreError(format!("state: block {index} of epoch {epoch} where block {n_open} was due")));
        }
        let mut whole = None;
        if index == 0 {
            whole = self.close()?;
            self.first.get_or_insert(epoch);
            self.open = Some(Open { epoch, place: u64::try_from(offset).ok(), blocks: Vec::new() });
        }
        if let Some(open) = &mut self.open {
            open.blocks.push(bytes.to_vec());
        }
        Ok(whole)
    }

    /// The state as of the last whole epoch; `None` if there is none yet.
    #[must_use]
    pub fn into_warm(self) -> Option<Warm> {
        Some(Warm { restored: self.restored, seam: self.seam? })
    }

    fn close(&mut self) -> Result<Option<Durable>, RestoreError> {
        let Some(Open { epoch, place, blocks }) = self.open.take() else { return Ok(None) };
        for block in &blocks {
            self.restored.take_block(block)?;
        }
        let meta = self.restored.meta.as_ref().filter(|meta| meta.epoch == epoch);
        let meta = meta.ok_or_else(|| RestoreError(format!("state: epoch {epoch} has no meta entry")))?;
        let (safe_from, hash_key) = (meta.safe_from, meta.hash_key.clone());
        let durable = Durable { epoch, place, safe_from, committed_at: Timestamp::MIN, blocks };
        let hashes = durable.blocks.iter().map(|block| xxh3_128(block)).collect();
        self.seam = Some(Seam { epoch, place: place.unwrap_or(0), blocks: hashes, hash_key });
        self.forget(epoch, durable.n_bytes(), safe_from);
        Ok(Some(durable))
    }

    /// A copy that follows for months must not keep what the active instance forgot long ago.
    fn forget(&mut self, epoch: u64, n_bytes: u64, safe_from: u64) {
        self.sizes.push_back((epoch, n_bytes));
        while self.sizes.front().is_some_and(|(old, _)| *old < safe_from) {
            self.sizes.pop_front();
        }
        // As a start would count them: what the topic has of use.
        self.restored.n_bytes = self.sizes.iter().map(|(_, bytes)| bytes).sum();
        // Only after a complete sweep every group is known, and who has none is gone.
        let is_complete = self.first.is_some_and(|first| first <= safe_from.max(1));
        if is_complete && epoch >= self.settled + SETTLE_EVERY {
            self.settled = epoch;
            self.restored.settle();
        }
    }
}

#[cfg(test)]
mod tests;
