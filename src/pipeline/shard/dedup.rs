//! The dedup table: one entry per live fingerprint, found in two steps (index, entry), grown without a doubling peak.
//!
//! The index is split into segments that grow one by one, the entries lie in pages that never move; so growth copies at
//! most one segment. A slot number is stable for as long as the entry lives. What a repeat reads and writes of an entry is
//! one cache line; what it never touches (`Rest`) lies in pages of its own. Cost per entry: 64 B and 32 B in the pages, 6 to
//! 11 B in the index, below the 160 B of the design.

use hashbrown::HashTable;

use crate::model::alert::Severity;
use crate::model::fingerprint::{Fingerprint, MemberKey};
use crate::model::time::Timestamp;
use crate::pipeline::shard::arena::ArenaRef;
use crate::pipeline::source::SourceIndex;

const SEGMENTS: usize = 256;
const PAGE: usize = 1024;

/// What a member does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It fires.
    Firing,
    /// It no longer fires; kept as long as its group, which may continue.
    Resolved,
    /// Held back below the threshold of its group.
    Held,
    /// Held back, and resolved meanwhile.
    HeldResolved,
}

/// A live fingerprint: the cache line that every alert of it touches.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Member {
    pub(crate) key: MemberKey,
    /// Slot of its group.
    pub(crate) group: u32,
    /// Record time of its last firing alert (moved by unread time).
    pub(crate) last: Timestamp,
    /// `startsAt` of its last firing alert; MIN if not given.
    pub(crate) starts_at: Timestamp,
    /// When it counts as resolved by the sender's word; MAX if the sender gave none.
    pub(crate) ends_at: Timestamp,
    /// Due time of its valid ticket; MAX if none is filed.
    pub(crate) ticket: Timestamp,
    /// Alerts of this fingerprint in this group; while held back, those of them that are.
    pub(crate) count: u64,
    pub(crate) source: SourceIndex,
    pub(crate) severity: Severity,
    pub(crate) state: MemberState,
    /// How much of it the next epoch has to write.
    pub(crate) unsaved: Unsaved,
}

/// What repeats leave alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    /// High and low half of the fingerprint: a `u128` would want 16 B of alignment.
    halves: [u64; 2],
    pub(crate) labels: ArenaRef,
    /// Record time of its first alert in this group.
    pub(crate) first: Timestamp,
}

impl Rest {
    pub(crate) fn new(fingerprint: Fingerprint, labels: ArenaRef, first: Timestamp) -> Self {
        Self { halves: [(fingerprint.0 >> 64) as u64, fingerprint.0 as u64], labels, first }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let [high, low] = self.halves;
        Fingerprint(u128::from(high) << 64 | u128::from(low))
    }
}

/// How much of an entry changed since the last epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsaved {
    /// Nothing.
    No,
    /// Times and counts.
    Touched,
    /// Everything: it is new, or changed its group.
    Whole,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Dedup {
    index: Vec<HashTable<u32>>,
    pages: Vec<Box<[Option<Member>]>>,
    rests: Vec<Box<[Rest]>>,
    free: Vec<u32>,
    len: usize,
}

impl Dedup {
    pub(crate) fn new() -> Self {
        let index = (0..SEGMENTS).map(|_| HashTable::new()).collect();
        Self { index, pages: Vec::new(), rests: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of slots ever used: the sweep walks over them.
    pub(crate) fn slots(&self) -> u32 {
        (self.pages.len() * PAGE) as u32
    }

    /// Bytes held: pages, index, free slots.
    pub(crate) fn bytes(&self) -> usize {
        let index: usize = self.index.iter().map(HashTable::allocation_size).sum();
        let slot = size_of::<Option<Member>>() + size_of::<Rest>();
        self.pages.len() * PAGE * slot + index + self.free.capacity() * size_of::<u32>()
    }

    pub(crate) fn find(&self, key: MemberKey) -> Option<u32> {
        let segment = self.index.get(segment_of(key))?;
        segment.find(hash_of(key), |slot| self.get(*slot).is_some_and(|member| member.key == key)).copied()
    }

    /// A slot that may hold the key, found in the index alone: right but for one time in a hundred, when it is of another.
    pub(crate) fn guess(&self, key: MemberKey) -> Option<u32> {
        self.index.get(segment_of(key))?.iter_hash(hash_of(key)).next().copied()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Member> {
        self.pages.get(slot as usize / PAGE)?.get(slot as usize % PAGE)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Member> {
        self.pages.get_mut(slot as usize / PAGE)?.get_mut(slot as usize % PAGE)?.as_mut()
    }

    /// The other part of a live entry.
    pub(crate) fn rest(&self, slot: u32) -> Option<&Rest> {
        self.get(slot)?;
        self.rests.get(slot as usize / PAGE)?.get(slot as usize % PAGE)
    }

    /// See `rest`.
    pub(crate) fn rest_mut(&mut self, slot: u32) -> Option<&mut Rest> {
        self.get(slot)?;
        self.rests.get_mut(slot as usize / PAGE)?.get_mut(slot as usize % PAGE)
    }

    /// Adds a member whose key is not in the table.
    pub(crate) fn insert(&mut self, member: Member, rest: Rest) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            let first = self.slots();
            self.pages.push(vec![None; PAGE].into_boxed_slice());
            self.rests.push(vec![Rest::default(); PAGE].into_boxed_slice());
            self.free.extend((first + 1..first + PAGE as u32).rev());
            first
        });
        let (page, place) = (slot as usize / PAGE, slot as usize % PAGE);
        if let Some(entry) = self.pages.get_mut(page).and_then(|page| page.get_mut(place)) {
            *entry = Some(member);
            self.len += 1;
        }
        if let Some(entry) = self.rests.get_mut(page).and_then(|page| page.get_mut(place)) {
            *entry = rest;
        }
        let Self { index, pages, .. } = self;
        if let Some(segment) = index.get_mut(segment_of(member.key)) {
            let rehash = |slot: &u32| {
                let entry = pages.get(*slot as usize / PAGE).and_then(|page| page.get(*slot as usize % PAGE));
                entry.and_then(Option::as_ref).map_or(0, |member| hash_of(member.key))
            };
            segment.insert_unique(hash_of(member.key), slot, rehash);
        }
        slot
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<(Member, Rest)> {
        let (member, rest) = (*self.get(slot)?, *self.rest(slot)?);
        let segment = self.index.get_mut(segment_of(member.key))?;
        if let Ok(found) = segment.find_entry(hash_of(member.key), |candidate| *candidate == slot) {
            found.remove();
        }
        *self.pages.get_mut(slot as usize / PAGE)?.get_mut(slot as usize % PAGE)? = None;
        self.free.push(slot);
        self.len -= 1;
        Some((member, rest))
    }
}

// The key is a keyed hash already: its bits are as good as any hasher's.
fn hash_of(key: MemberKey) -> u64 {
    key.0 as u64
}

fn segment_of(key: MemberKey) -> usize {
    (key.0 >> 120) as usize % SEGMENTS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rest(fingerprint: u128) -> Rest {
        Rest::new(Fingerprint(fingerprint), ArenaRef::default(), Timestamp(0))
    }

    pub(crate) fn member(fingerprint: u128) -> Member {
        Member {
            key: MemberKey(fingerprint),
            group: 0,
            last: Timestamp(0),
            starts_at: Timestamp::MIN,
            ends_at: Timestamp::MAX,
            ticket: Timestamp::MAX,
            count: 1,
            source: SourceIndex(0),
            severity: Severity::Unknown,
            state: MemberState::Firing,
            unsaved: Unsaved::No,
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(operations in prop::collection::vec((any::<bool>(), 0_u128..60), 1..400)) {
            let mut table = Dedup::new();
            let mut model: BTreeMap<u128, u32> = BTreeMap::new();
            for (insert, n) in operations {
                let fingerprint = n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                if insert {
                    model.entry(fingerprint).or_insert_with(|| table.insert(member(fingerprint), rest(fingerprint)));
                } else if let Some(slot) = model.remove(&fingerprint) {
                    prop_assert_eq!(table.remove(slot).unwrap().1.fingerprint(), Fingerprint(fingerprint));
                }
                prop_assert_eq!(table.find(MemberKey(fingerprint)), model.get(&fingerprint).copied());
                prop_assert_eq!(table.len(), model.len());
            }
        }
    }

    #[test]
    fn an_entry_stays_below_the_budget_of_the_design() {
        let index_bytes = 11; // 4 B slot and 1 B control byte at the lowest load of a growing table.
        assert_eq!((size_of::<Option<Member>>(), align_of::<Member>()), (64, 64), "one cache line");
        let entry = size_of::<Option<Member>>() + size_of::<Rest>();
        assert!(entry + index_bytes <= 160, "{entry}");
    }
}
