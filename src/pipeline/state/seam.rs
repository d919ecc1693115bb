//! Where a state that somebody has already joins the blocks of a store: what lies there must be the very epoch with which
//! that state ends, and the next one must follow it. Otherwise the two do not belong together. No I/O.

use xxhash_rust::xxh3::xxh3_128;

use crate::pipeline::state::block::read_block;
use crate::pipeline::state::entry::Kind;

/// The end of a state that is to be continued from a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seam {
    /// Its last epoch.
    pub epoch: u64,
    /// Where in the store the blocks of that epoch begin, as `EpochSink::place` told it.
    pub place: u64,
    /// XXH3-128 of each block of that epoch.
    pub blocks: Vec<u128>,
    /// The key of the state's stable hashes.
    pub hash_key: Vec<u8>,
}

/// Compares a seam with what a store has from the seam's place on.
#[derive(Debug)]
pub struct SeamCheck {
    seam: Seam,
    /// Blocks of the seam's epoch that were met.
    n_met: usize,
    differs: bool,
    is_foreign: bool,
    has_passed: bool,
}

impl SeamCheck {
    /// Before the first block.
    #[must_use]
    pub fn new(seam: &Seam) -> Self {
        Self { seam: seam.clone(), n_met: 0, differs: false, is_foreign: false, has_passed: false }
    }

    /// Takes the next block of the store, from the seam's place on. Tells whether it is of a later epoch, and so to be
    /// handed on.
    ///
    /// # Errors
    /// Why the state does not fit the store.
    pub fn take(&mut self, epoch: u64, index: u32, bytes: &[u8]) -> Result<bool, String> {
        if self.has_passed {
            return Ok(true);
        }
        let ours = self.seam.epoch;
        if self.n_met == 0 && (epoch, index) != (ours, 0) {
            return Err(match epoch > ours {
                true => format!("it ends with epoch {ours}, but the store begins with epoch {epoch} by now"),
                false => format!("it ends with epoch {ours}, but the store has epoch {epoch} in its place"),
            });
        }
        if epoch == ours {
            self.differs |= self.seam.blocks.get(self.n_met) != Some(&xxh3_128(bytes));
            self.n_met += 1;
            self.is_foreign |= self.differs && self.has_another_key(bytes);
            return Ok(false);
        }
        self.close()?;
        if (epoch, index) != (ours + 1, 0) {
            return Err(format!("epoch {epoch} follows epoch {ours} in the store: blocks in between are missing"));
        }
        self.has_passed = true;
        Ok(true)
    }

    /// To be called when the store has nothing more.
    ///
    /// # Errors
    /// Why the state does not fit the store.
    pub fn close(&self) -> Result<(), String> {
        let epoch = self.seam.epoch;
        match () {
            () if self.has_passed => Ok(()),
            () if self.n_met == 0 => {
                Err(format!("it ends with epoch {epoch}, but the store ends before that: it was emptied or made anew"))
            }
            () if self.is_foreign => Err(format!("epoch {epoch} of the store was written with another hash key")),
            () if self.differs || self.n_met != self.seam.blocks.len() => {
                Err(format!("epoch {epoch} of the store is another one: it is of another state"))
            }
            () => Ok(()),
        }
    }

    /// Whether the block holds the meta entry of a state with another key.
    fn has_another_key(&self, bytes: &[u8]) -> bool {
        let mut other = false;
        let read = read_block(bytes, &mut |kind| {
            if let Kind::Meta(meta) = kind {
                other |= meta.hash_key != self.seam.hash_key;
            }
        });
        read.is_ok() && other
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::state::BlockWriter;
    use crate::pipeline::state::entry::MetaEntry;

    fn meta(epoch: u64, key: u8) -> Vec<u8> {
        let mut writer = BlockWriter::default();
        writer.push(Kind::Meta(Box::new(MetaEntry { epoch, hash_key: vec![key; 16], ..MetaEntry::default() })));
        writer.finish(epoch).remove(0).bytes
    }

    fn seam() -> Seam {
        let blocks = vec![xxh3_128(b"first"), xxh3_128(&meta(7, 1))];
        Seam { epoch: 7, place: 3, blocks, hash_key: vec![1; 16] }
    }

    /// What a store with these blocks gives: the epochs that are handed on, or why it does not fit.
    fn check(blocks: &[(u64, u32, &[u8])], expected: Result<&[u64], &str>) {
        let seam = seam();
        let mut check = SeamCheck::new(&seam);
        let mut handed = Vec::new();
        let taken = blocks.iter().try_for_each(|(epoch, index, bytes)| {
            if check.take(*epoch, *index, bytes)? {
                handed.push(*epoch);
            }
            Ok(())
        });
        let outcome = taken.and_then(|()| check.close()).map(|()| handed);
        assert_eq!(outcome.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn only_what_follows_the_very_same_epoch_is_handed_on() {
        let (ours, theirs, changed) = (meta(7, 1), meta(7, 2), meta(7, 1).repeat(2));
        let (first, next) = ((7, 0, &b"first"[..]), (8, 0, &b"next"[..]));
        check(&[first, (7, 1, &ours)], Ok(&[]));
        check(&[first, (7, 1, &ours), next, (8, 1, b"more"), (9, 0, b"last")], Ok(&[8, 8, 9]));
        check(&[], Err("it ends with epoch 7, but the store ends before that: it was emptied or made anew"));
        check(&[next], Err("it ends with epoch 7, but the store begins with epoch 8 by now"));
        check(&[(2, 0, b"x"), next], Err("it ends with epoch 7, but the store has epoch 2 in its place"));
        check(&[(7, 1, &ours)], Err("it ends with epoch 7, but the store has epoch 7 in its place"));
        check(&[first, (7, 1, &theirs)], Err("epoch 7 of the store was written with another hash key"));
        check(&[first, (7, 1, &changed), next], Err("epoch 7 of the store is another one: it is of another state"));
        check(&[first, next], Err("epoch 7 of the store is another one: it is of another state"));
        check(
            &[first, (7, 1, &ours), (7, 2, b"x")],
            Err("epoch 7 of the store is another one: it is of another state"),
        );
        let torn = "epoch 9 follows epoch 7 in the store: blocks in between are missing";
        check(&[first, (7, 1, &ours), (9, 0, b"x")], Err(torn));
    }
}
