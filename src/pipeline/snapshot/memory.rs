//! A disk in memory for tests and simulation: it can lose and tear what was not synced, be full, and fail on demand.
//!
//! Clones share it, as processes share a disk: one writes, another looks or breaks something. Not for production.

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pipeline::snapshot::disk::Disk;

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Files by number; a name is only a way to one.
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// The names after each change that was not synced, oldest first.
    name_changes: Vec<BTreeMap<String, usize>>,
    /// Operations that may change something, so far.
    n_operations: u64,
    /// After so many of them the process is dead: each fails, and changes nothing.
    dies_after: Option<u64>,
    failure: Option<ErrorKind>,
    capacity: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// So many of them are durable.
    synced: usize,
}

/// What becomes of unsynced writes in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// None is there.
    LosesAll,
    /// All are there, as after `kill -9` of the process alone.
    LosesNothing,
    /// Some: of each file a part, of which the end may be garbage; of the changes of names the first few. By a seed.
    Tears(u64),
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every operation that changes something fails with this from now on; `None` ends it.
    pub fn fail(&self, with: Option<ErrorKind>) {
        self.lock().failure = with;
    }

    /// The disk holds so many bytes and no more; `None`: any number.
    pub fn hold_at_most(&self, bytes: Option<usize>) {
        self.lock().capacity = bytes;
    }

    /// After so many more operations that change something every further one fails and changes nothing: the process is
    /// dead.
    pub fn die_after(&self, operations: u64) {
        let mut inner = self.lock();
        inner.dies_after = Some(inner.n_operations + operations);
    }

    /// Operations that change something, so far.
    #[must_use]
    pub fn n_operations(&self) -> u64 {
        self.lock().n_operations
    }

    /// The machine crashes and starts again: only what is durable is sure to be there. Faults end.
    pub fn crash(&self, how: Crash) {
        let mut inner = self.lock();
        let mut seed = if let Crash::Tears(seed) = how { seed } else { 0 };
        let mut draw = |bound: usize| {
            // SplitMix64 (Steele, Lea, Flood 2014).
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut value = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((value ^ value >> 31) % (bound as u64 + 1)).unwrap_or(0)
        };
        for file in &mut inner.files {
            let unsynced = file.bytes.len() - file.synced;
            let kept = match how {
                Crash::LosesAll => 0,
                Crash::LosesNothing => unsynced,
                Crash::Tears(_) => draw(unsynced),
            };
            file.bytes.truncate(file.synced + kept);
            if matches!(how, Crash::Tears(_)) {
                let garbage = draw(kept);
                file.bytes.iter_mut().rev().take(garbage).for_each(|byte| *byte = 0);
            }
            file.synced = file.bytes.len();
        }
        let n_changes = match how {
            Crash::LosesAll => 0,
            Crash::LosesNothing => inner.name_changes.len(),
            Crash::Tears(_) => draw(inner.name_changes.len()),
        };
        if let Some(names) = n_changes.checked_sub(1).and_then(|last| inner.name_changes.get(last).cloned()) {
            inner.durable_names = names;
        }
        inner.names = inner.durable_names.clone();
        inner.name_changes.clear();
        (inner.dies_after, inner.failure, inner.capacity) = (None, None, None);
    }

    /// Bytes of a file.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.lock();
        inner.names.get(name).and_then(|file| inner.files.get(*file)).map(|file| file.bytes.clone())
    }

    /// Puts a file there, durable: damage, or what somebody else wrote.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut inner = self.lock();
        let number = inner.files.len();
        inner.files.push(Content { synced: bytes.len(), bytes });
        inner.names.insert(name.to_owned(), number);
        inner.durable_names.insert(name.to_owned(), number);
    }

    /// Removes every file.
    pub fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A holder only moves whole values, so what a panic leaves behind is still consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Counts an operation that may change something; fails if it must.
    fn begin(&mut self) -> io::Result<()> {
        self.n_operations += 1;
        if self.dies_after.is_some_and(|last| self.n_operations > last) {
            return Err(io::Error::other("the process is dead"));
        }
        match self.failure {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut Content> {
        let number = self.names.get(name).copied();
        number.and_then(|number| self.files.get_mut(number)).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn n_bytes(&self) -> usize {
        self.names.values().filter_map(|file| self.files.get(*file)).map(|file| file.bytes.len()).sum()
    }

    fn note_names(&mut self) {
        let names = self.names.clone();
        self.name_changes.push(names);
    }
}

impl Disk for MemoryDisk {
    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin()?;
        let number = inner.files.len();
        inner.files.push(Content::default());
        inner.names.insert(name.to_owned(), number);
        inner.note_names();
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin()?;
        let room = inner.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(inner.n_bytes()));
        let fits = bytes.get(..room).unwrap_or(bytes);
        inner.file(name)?.bytes.extend_from_slice(fits);
        if fits.len() < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin()?;
        let file = inner.file(name)?;
        file.synced = file.bytes.len();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin()?;
        let file = inner.names.remove(from).ok_or(ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), file);
        inner.note_names();
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin()?;
        inner.durable_names = inner.names.clone();
        inner.name_changes.clear();
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin()?;
        inner.names.remove(name).ok_or(ErrorKind::NotFound)?;
        inner.note_names();
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.lock().file(name)?.bytes.clone();
        Ok(Box::new(Cursor::new(bytes)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_was_synced_survives_a_crash() {
        let mut disk = MemoryDisk::new();
        disk.create("a").unwrap();
        disk.append("a", b"safe").unwrap();
        disk.sync("a").unwrap();
        disk.sync_names().unwrap();
        disk.append("a", b" and not").unwrap();
        disk.create("b").unwrap();
        disk.rename("a", "c").unwrap();
        disk.crash(Crash::LosesAll);
        assert_eq!((disk.bytes("a"), disk.names().unwrap()), (Some(b"safe".to_vec()), vec!["a".to_owned()]));
    }

    #[test]
    fn a_torn_write_keeps_what_was_synced() {
        for seed in 0..200 {
            let mut disk = MemoryDisk::new();
            disk.create("a").unwrap();
            disk.append("a", b"safe").unwrap();
            disk.sync("a").unwrap();
            disk.sync_names().unwrap();
            disk.append("a", &[7; 50]).unwrap();
            disk.crash(Crash::Tears(seed));
            let bytes = disk.bytes("a").unwrap();
            assert!(bytes.starts_with(b"safe") && bytes.len() <= 54, "seed {seed}: {bytes:?}");
        }
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let mut disk = MemoryDisk::new();
        disk.hold_at_most(Some(5));
        disk.create("a").unwrap();
        assert_eq!(disk.append("a", b"1234567").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(disk.bytes("a").unwrap(), b"12345");
        disk.fail(Some(ErrorKind::ReadOnlyFilesystem));
        assert_eq!(disk.create("b").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
        disk.fail(None);
        disk.die_after(1);
        disk.create("b").unwrap();
        assert!(disk.create("c").is_err() && disk.remove("b").is_err());
        disk.crash(Crash::LosesNothing);
        assert_eq!(disk.names().unwrap(), ["a", "b"]);
    }
}
