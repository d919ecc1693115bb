//! What of the durable epochs is written when: appended to a segment, synced, named by the next index, and removed once a
//! sweep has made it needless. No thread and no clock; whoever calls decides how often.
//!
//! Epochs are taken as a *chain* without gaps. A chain *is whole* if it holds all that a restore needs: from the first block
//! of the store on, or from before a sweep that is complete by now. Only then does an index name it, and until then the
//! old one stays. After trouble with a file that file is never written again: what is not synced yet goes to a new one.

use std::collections::BTreeSet;
use std::io;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::model::time::Timestamp;
use crate::pipeline::snapshot::disk::Disk;
use crate::pipeline::snapshot::index::{self, Index, Segment};
use crate::pipeline::snapshot::load::{Loaded, load, read_index};
use crate::pipeline::snapshot::read_back::LocalCopy;
use crate::pipeline::snapshot::{Refused, segment};
use crate::pipeline::state::block::read_block;
use crate::pipeline::state::entry::Kind;

/// A segment is closed when it has this many bytes: what a complete sweep makes needless goes in steps of this size.
const SEGMENT_BYTES: u64 = 64 << 20;
/// A chain of more segments than this that are not full is not gone on with at a start, so that restarts by the hundred
/// without a sweep in between do not make files by the hundred.
const SEGMENTS_MAX: u64 = 64;
/// Bytes of epochs that wait for a disk in trouble. A chain that is given up costs nothing but time at a start.
pub const PENDING_BYTES: u64 = 32 << 20;

/// A durable epoch.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// Its number.
    pub epoch: u64,
    /// Where its blocks begin in the store, if that is known.
    pub place: Option<u64>,
    /// Blocks of epochs before this one are not needed any more; 0 if that is not known.
    pub safe_from: u64,
    /// When it was committed; `MIN` if that is not known.
    pub committed_at: Timestamp,
    /// Its blocks.
    pub blocks: Vec<Vec<u8>>,
}

impl Durable {
    /// Bytes of its blocks.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.len() as u64).sum()
    }
}

/// Writes a snapshot.
#[derive(Debug)]
pub struct Recorder<D> {
    disk: D,
    namespace: String,
    chain: Chain,
    /// The segment that is written to, as far as it is appended; of it `chain.segments` has what is synced.
    open: Option<Open>,
    pending: Vec<Pending>,
    pending_bytes: u64,
    /// Numbers of the segments that the index on the disk names.
    listed: BTreeSet<u64>,
    next_number: u64,
}

/// Epochs without a gap.
#[derive(Debug, Default)]
struct Chain {
    /// Synced parts of files.
    segments: Vec<Segment>,
    /// First epoch, and the last one taken.
    span: Option<(u64, u64)>,
    is_whole: bool,
    safe_from: u64,
    /// The last epoch that was synced.
    written: Option<Written>,
    /// The last epoch that an index on the disk names.
    indexed: u64,
}

#[derive(Clone, Debug)]
struct Written {
    epoch: u64,
    place: Option<u64>,
    committed_at: Timestamp,
    hash_key: Vec<u8>,
}

struct Open {
    segment: Segment,
    hasher: Xxh3,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.segment.fmt(f)
    }
}

#[derive(Debug)]
struct Pending {
    durable: Durable,
    /// A new segment begins with it: what is before it will be needless together.
    cuts: bool,
}

impl<D: Disk> Recorder<D> {
    /// Begins without a chain: what is taken first begins one. What the disk has stays until a new index replaces it.
    #[must_use]
    pub fn new(disk: D, namespace: &str) -> Self {
        let listed: BTreeSet<u64> = match read_index(&disk) {
            Ok(index) => index.into_iter().flat_map(|index| index.segments).map(|segment| segment.number).collect(),
            Err(_) => BTreeSet::new(), // It is of no use, nor are its files.
        };
        let mut recorder = Self {
            disk,
            namespace: namespace.to_owned(),
            chain: Chain::default(),
            open: None,
            pending: Vec::new(),
            pending_bytes: 0,
            listed,
            next_number: 0,
        };
        let names = recorder.disk.names().unwrap_or_default();
        let numbers = names.iter().filter_map(|name| segment::number_of(name));
        recorder.next_number = numbers.max().map_or(1, |last| last.saturating_add(1));
        let _ = recorder.remove_leftovers(); // They are in nobody's way, and the next index tries again.
        recorder
    }

    /// Goes on with what was loaded: the next epoch taken is the one after its last.
    fn adopt(&mut self, index: &Index) {
        let n_segments = index.segments.len() as u64;
        if n_segments > SEGMENTS_MAX + index.n_bytes() / SEGMENT_BYTES {
            return self.give_up();
        }
        let first = index.segments.first().map_or(index.epoch, |segment| segment.first);
        self.restart(Some((first, index.epoch)));
        self.chain.is_whole = true;
        self.chain.indexed = index.epoch;
        self.chain.segments.clone_from(&index.segments);
        self.chain.written = Some(Written {
            epoch: index.epoch,
            place: Some(index.place),
            committed_at: Timestamp::MIN,
            hash_key: index.hash_key.clone(),
        });
    }

    /// Takes an epoch. `false`: it does not follow the one before, so a new chain begins with it.
    pub fn take(&mut self, durable: Durable) -> bool {
        let follows = self.chain.span.is_some_and(|(_, last)| last + 1 == durable.epoch);
        if !follows {
            self.restart(Some((durable.epoch, durable.epoch)));
        }
        let Some((first, last)) = &mut self.chain.span else { return false };
        *last = durable.epoch;
        let first = *first;
        let cuts = durable.safe_from > self.chain.safe_from && self.chain.safe_from > 0;
        self.chain.safe_from = self.chain.safe_from.max(durable.safe_from);
        self.chain.is_whole |= first <= durable.safe_from;
        self.pending_bytes += durable.n_bytes();
        self.pending.push(Pending { durable, cuts });
        follows
    }

    /// Gives the chain up: the next epoch begins another. The snapshot on the disk stays.
    pub fn give_up(&mut self) {
        self.restart(None);
    }

    /// Bytes that were taken and are not synced yet.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Makes what was taken part of the snapshot, as far as it can be. Returns when the last epoch in it was committed, if
    /// the snapshot is another one than before.
    ///
    /// # Errors
    /// Those of the disk. Nothing is lost by them: the same may be tried again.
    pub fn seal(&mut self) -> io::Result<Option<Timestamp>> {
        self.write_pending()?;
        let Some(written) = self.chain.written.clone().filter(|_| self.chain.is_whole) else { return Ok(None) };
        let Some(place) = written.place.filter(|_| written.epoch > self.chain.indexed) else { return Ok(None) };
        let safe_from = self.chain.safe_from;
        self.chain.segments.retain(|segment| segment.last >= safe_from);
        let index = Index {
            namespace: self.namespace.clone(),
            hash_key: written.hash_key,
            epoch: written.epoch,
            place,
            segments: self.chain.segments.clone(),
        };
        self.disk.create(index::NEW)?;
        self.disk.append(index::NEW, &index.to_bytes())?;
        self.disk.sync(index::NEW)?;
        self.disk.rename(index::NEW, index::FILE)?;
        self.disk.sync_names()?;
        self.chain.indexed = written.epoch;
        self.listed = index.segments.iter().map(|segment| segment.number).collect();
        self.remove_leftovers()?;
        Ok(Some(written.committed_at))
    }

    fn restart(&mut self, span: Option<(u64, u64)>) {
        self.chain = Chain { span, ..Chain::default() };
        self.open = None;
        self.pending.clear();
        self.pending_bytes = 0;
    }

    /// Appends and syncs what is pending. What is synced is pending no more, whatever happens to the rest.
    fn write_pending(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut n_synced = 0;
        let outcome = self.append_all(&pending, &mut n_synced);
        if outcome.is_err()
            && let Some(broken) = self.open.take()
            && self.chain.segments.iter().all(|segment| segment.number != broken.segment.number)
        {
            let _ = self.disk.remove(&segment::name(broken.segment.number)); // The next index tries again.
        }
        self.pending = pending;
        self.pending.drain(..n_synced);
        self.pending_bytes = self.pending.iter().map(|pending| pending.durable.n_bytes()).sum();
        outcome
    }

    fn append_all(&mut self, pending: &[Pending], n_synced: &mut usize) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut unsynced = None;
        for (at, Pending { durable, cuts }) in pending.iter().enumerate() {
            let is_full = self.open.as_ref().is_none_or(|open| open.segment.bytes >= SEGMENT_BYTES);
            if is_full || *cuts {
                if let Some(last) = unsynced.take() {
                    self.sync(last)?;
                    *n_synced = at;
                }
                self.open_next(durable.epoch)?;
            }
            let Some(open) = &mut self.open else { break };
            buffer.clear();
            durable.blocks.iter().for_each(|block| segment::frame(block, &mut buffer));
            self.disk.append(&segment::name(open.segment.number), &buffer)?;
            open.hasher.update(&buffer);
            open.segment.bytes += buffer.len() as u64;
            open.segment.blocks += durable.blocks.len() as u64;
            open.segment.last = durable.epoch;
            unsynced = Some(durable);
        }
        if let Some(last) = unsynced {
            self.sync(last)?;
            *n_synced = pending.len();
        }
        Ok(())
    }

    /// Makes the open segment durable, which ends with that epoch.
    fn sync(&mut self, last: &Durable) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        self.disk.sync(&segment::name(open.segment.number))?;
        open.segment.checksum = open.hasher.digest128().to_le_bytes().to_vec();
        match self.chain.segments.last_mut().filter(|known| known.number == open.segment.number) {
            Some(known) => known.clone_from(&open.segment),
            None => self.chain.segments.push(open.segment.clone()),
        }
        let known = self.chain.written.take().map(|written| written.hash_key).filter(|key| !key.is_empty());
        self.chain.written = Some(Written {
            epoch: last.epoch,
            place: last.place,
            committed_at: last.committed_at,
            hash_key: known.unwrap_or_else(|| hash_key(last)),
        });
        Ok(())
    }

    fn open_next(&mut self, first: u64) -> io::Result<()> {
        let number = self.next_number;
        self.next_number += 1;
        let mut hasher = Xxh3::new();
        hasher.update(segment::HEADER);
        let bytes = segment::HEADER.len() as u64;
        let segment = Segment { number, bytes, first, last: first, ..Segment::default() };
        self.open = Some(Open { segment, hasher });
        let name = segment::name(number);
        self.disk.create(&name)?;
        self.disk.sync_names()?; // An index must not name a file that a crash takes away.
        self.disk.append(&name, segment::HEADER)
    }

    /// Removes what is ours and neither named by the index nor part of the chain.
    fn remove_leftovers(&mut self) -> io::Result<()> {
        let ours = self.chain.segments.iter().map(|segment| segment.number);
        let mut needed: BTreeSet<u64> = ours.chain(self.open.as_ref().map(|open| open.segment.number)).collect();
        needed.extend(&self.listed);
        for name in self.disk.names()? {
            if segment::number_of(&name).is_some_and(|number| !needed.contains(&number)) {
                self.disk.remove(&name)?;
            }
        }
        Ok(())
    }
}

impl<D: Disk> LocalCopy for Recorder<D> {
    fn load(&mut self) -> Result<Option<Loaded>, Refused> {
        self.give_up();
        let loaded = load(&self.disk, &self.namespace)?;
        if let Some(loaded) = &loaded {
            self.adopt(&loaded.index);
        }
        Ok(loaded)
    }

    fn begin(&mut self, first: u64) {
        self.restart(Some((first, first.saturating_sub(1))));
        self.chain.is_whole = true;
    }

    fn take_restored(&mut self, durable: Durable) {
        self.take(durable);
    }

    fn note_refused(&mut self) {}
}

/// XXH3-128 of the state's hash key, which the meta entry in the last block of every epoch has.
fn hash_key(durable: &Durable) -> Vec<u8> {
    let mut key = Vec::new();
    let read = durable.blocks.last().map(|block| {
        read_block(block, &mut |kind| {
            if let Kind::Meta(meta) = kind {
                key = xxh3_128(&meta.hash_key).to_le_bytes().to_vec();
            }
        })
    });
    if !matches!(read, Some(Ok(_))) {
        tracing::debug!(epoch = durable.epoch, "an epoch without a meta entry");
    }
    key
}
