//! Snapshots on a disk in memory: what comes back, what is refused, and what a crash leaves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::ErrorKind;

use super::*;
use crate::model::time::Timestamp;
use crate::pipeline::sink::memory::MemoryStore;
use crate::pipeline::sink::{Block, Epoch, EpochSink as _};
use crate::pipeline::state::BlockWriter;
use crate::pipeline::state::entry::{Kind, MetaEntry, SamplesEntry, Wide};

/// Blocks of an epoch: `n` entries of `size` bytes, of which the keys are the epoch's, and the meta entry.
fn blocks(epoch: u64, n: u64, size: usize) -> Vec<Vec<u8>> {
    let mut writer = BlockWriter::default();
    for index in 0..n {
        let of = Wide { high: epoch, low: index + 1 };
        let json = (0..size).map(|at| (at as u64 * 31 + epoch * 7 + index) as u8).collect();
        writer.push(Kind::Samples(SamplesEntry { of, json }));
    }
    writer.push(Kind::Meta(Box::new(MetaEntry { epoch, hash_key: vec![5; 16], ..MetaEntry::default() })));
    writer.finish(epoch).into_iter().map(|block| block.bytes).collect()
}

fn durable(epoch: u64, safe_from: u64) -> Durable {
    Durable {
        epoch,
        place: Some(epoch * 10),
        safe_from,
        committed_at: Timestamp(epoch as i64),
        blocks: blocks(epoch, 3, 100),
    }
}

fn recorder(disk: &MemoryDisk) -> Recorder<MemoryDisk> {
    Recorder::new(disk.clone(), "ours")
}

/// A snapshot of epochs from 1 on, written anew.
fn written(disk: &MemoryDisk, epochs: std::ops::RangeInclusive<u64>) -> Recorder<MemoryDisk> {
    let mut recorder = recorder(disk);
    recorder.begin(*epochs.start());
    epochs.for_each(|epoch| assert!(recorder.take(durable(epoch, 1))));
    recorder.seal().unwrap();
    recorder
}

fn loaded(disk: &MemoryDisk) -> Option<u64> {
    load(disk, "ours").unwrap().map(|loaded| loaded.seam.epoch)
}

fn files(disk: &MemoryDisk) -> Vec<String> {
    disk.names().unwrap()
}

#[test]
fn what_was_taken_comes_back() {
    let disk = MemoryDisk::new();
    assert_eq!(loaded(&disk), None);
    let mut recorder = written(&disk, 1..=4);
    assert!(recorder.take(durable(5, 1)));
    assert_eq!(loaded(&disk), Some(4), "what is not sealed is not part of it");
    assert_eq!(recorder.seal().unwrap(), Some(Timestamp(5)));
    assert_eq!(recorder.seal().unwrap(), None, "nothing is new");
    let loaded = load(&disk, "ours").unwrap().unwrap();
    assert_eq!((loaded.restored.n_blocks, loaded.restored.samples.len()), (5, 15));
    assert_eq!((loaded.seam.epoch, loaded.seam.place, loaded.seam.blocks.len()), (5, 50, 1));
    assert_eq!((loaded.seam.hash_key, loaded.index.segments.len()), (vec![5; 16], 1));
    assert_eq!(
        (loaded.index.n_blocks(), loaded.index.n_bytes()),
        (5, disk.bytes("blocks-00000001").unwrap().len() as u64)
    );
}

#[test]
fn it_goes_on_after_a_start_in_a_file_of_its_own() {
    let disk = MemoryDisk::new();
    drop(written(&disk, 1..=4));
    let mut next = recorder(&disk);
    assert_eq!(next.load().unwrap().unwrap().seam.epoch, 4);
    assert!(next.take(durable(5, 1)));
    next.seal().unwrap();
    assert_eq!(loaded(&disk), Some(5));
    assert_eq!(files(&disk), ["blocks-00000001", "blocks-00000002", "index"]);
}

#[test]
fn what_a_sweep_made_needless_goes() {
    let disk = MemoryDisk::new();
    let mut recorder = written(&disk, 1..=4);
    for (epoch, safe_from) in [(5, 4), (6, 4), (7, 4)] {
        assert!(recorder.take(durable(epoch, safe_from)));
    }
    recorder.seal().unwrap();
    assert_eq!(files(&disk), ["blocks-00000001", "blocks-00000002", "index"], "epoch 4 is in the first");
    recorder.take(durable(8, 7));
    recorder.seal().unwrap();
    assert_eq!(files(&disk), ["blocks-00000002", "blocks-00000003", "index"]);
    let index = load(&disk, "ours").unwrap().unwrap().index;
    assert_eq!((index.segments[0].first, index.epoch), (5, 8));
}

#[test]
fn after_a_gap_the_old_one_stays_until_a_sweep_is_through() {
    let disk = MemoryDisk::new();
    let mut recorder = written(&disk, 1..=4);
    assert!(!recorder.take(durable(6, 1)), "epoch 5 is missing");
    assert!(recorder.take(durable(7, 1)));
    assert_eq!(recorder.seal().unwrap(), None);
    assert_eq!(loaded(&disk), Some(4));
    assert!(recorder.take(durable(8, 6)), "a sweep that began with epoch 6 is complete");
    assert_eq!(recorder.seal().unwrap(), Some(Timestamp(8)));
    assert_eq!(load(&disk, "ours").unwrap().unwrap().index.segments[0].first, 6);
    assert!(!files(&disk).contains(&"blocks-00000001".to_owned()));
}

#[test]
fn without_a_place_it_waits_for_the_next_epoch() {
    let disk = MemoryDisk::new();
    let mut recorder = written(&disk, 1..=4);
    recorder.take(Durable { place: None, ..durable(5, 1) });
    assert_eq!((recorder.seal().unwrap(), loaded(&disk)), (None, Some(4)));
    recorder.take(durable(6, 1));
    recorder.seal().unwrap();
    assert_eq!(loaded(&disk), Some(6));
}

#[test]
fn another_namespace_or_version_is_refused() {
    let disk = MemoryDisk::new();
    drop(written(&disk, 1..=2));
    let refused = load(&disk, "theirs").unwrap_err().to_string();
    assert_eq!(refused, "it is of the namespace \"ours\", and this is \"theirs\"");
    let mut bytes = disk.bytes("index").unwrap();
    bytes[4] = 0;
    disk.put("index", bytes);
    let refused = load(&disk, "ours").unwrap_err().to_string();
    assert_eq!(refused, "its index has version 0, and this program reads version 1");
    let mut next = recorder(&disk);
    assert!(next.load().is_err());
    next.begin(3);
    next.take(durable(3, 1));
    next.seal().unwrap();
    assert_eq!(loaded(&disk), Some(3), "what is refused is replaced");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let disk = MemoryDisk::new();
    drop(written(&disk, 1..=3));
    let other = MemoryDisk::new();
    drop(written(&other, 2..=4)); // As long, and every block of it is sound.
    disk.put("blocks-00000001", other.bytes("blocks-00000001").unwrap());
    assert_eq!(load(&disk, "ours").unwrap_err().to_string(), "blocks-00000001: the checksum does not match");
    let mut gone = disk.clone();
    gone.remove("blocks-00000001").unwrap();
    assert_eq!(load(&disk, "ours").unwrap_err().to_string(), "blocks-00000001: is not there");
}

/// Truncated, or one bit flipped, at every 512th byte of about 1 MiB.
#[test]
fn a_damaged_snapshot_is_never_accepted() {
    let disk = MemoryDisk::new();
    let mut recorder = recorder(&disk);
    recorder.begin(1);
    for epoch in 1..=16 {
        recorder.take(Durable { blocks: blocks(epoch, 1, 64 << 10), ..durable(epoch, if epoch > 8 { 5 } else { 1 }) });
    }
    recorder.seal().unwrap();
    assert_eq!(loaded(&disk), Some(16));
    let names = files(&disk);
    assert_eq!(names.len(), 3, "two files of blocks: {names:?}");
    let mut n_bytes = 0;
    for name in &names {
        let bytes = disk.bytes(name).unwrap();
        n_bytes += bytes.len();
        for at in (0..bytes.len()).step_by(512) {
            disk.put(name, bytes[..at].to_vec());
            assert!(load(&disk, "ours").is_err(), "{name} cut at {at}");
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at / 512 % 8);
            disk.put(name, flipped);
            assert!(load(&disk, "ours").is_err(), "{name} flipped at {at}");
        }
        disk.put(name, bytes);
    }
    assert!(n_bytes > 1_000_000, "{n_bytes}");
    assert_eq!(loaded(&disk), Some(16));
}

#[test]
fn a_disk_in_trouble_keeps_the_old_one_and_goes_on_later() {
    let kinds = [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other];
    for kind in kinds {
        let disk = MemoryDisk::new();
        let mut recorder = written(&disk, 1..=4);
        disk.fail(Some(kind));
        recorder.take(durable(5, 1));
        assert_eq!(recorder.seal().unwrap_err().kind(), kind);
        recorder.take(durable(6, 4));
        assert_eq!(recorder.seal().unwrap_err().kind(), kind);
        assert_eq!(loaded(&disk), Some(4));
        disk.fail(None);
        assert_eq!(recorder.seal().unwrap(), Some(Timestamp(6)));
        let loaded = load(&disk, "ours").unwrap().unwrap();
        assert_eq!((loaded.seam.epoch, loaded.restored.samples.len()), (6, 18), "{kind}");
    }
}

#[test]
fn a_disk_that_fills_up_in_mid_write_does_no_harm() {
    let disk = MemoryDisk::new();
    let mut recorder = written(&disk, 1..=4);
    let used: usize = files(&disk).iter().map(|name| disk.bytes(name).unwrap().len()).sum();
    recorder.take(durable(5, 1));
    for room in (0..1_000).step_by(7) {
        disk.hold_at_most(Some(used + room));
        let sealed = recorder.seal();
        let expected = if sealed.is_ok() { 5 } else { 4 };
        assert_eq!(loaded(&disk), Some(expected), "with room for {room} bytes");
        if sealed.is_ok() {
            return;
        }
    }
    panic!("an epoch of some 400 bytes and its index need 1,000");
}

/// Of two seals with a sweep, a rotation and a removal in between: a crash after any operation leaves one of the snapshots
/// that there were, never a broken one, whatever becomes of what was not synced.
#[test]
fn a_crash_between_any_two_operations_leaves_the_old_or_the_new() {
    let run = |disk: &MemoryDisk| {
        let mut recorder = recorder(disk);
        let _ = recorder.load();
        for (epoch, safe_from) in [(5, 1), (6, 3), (7, 3), (8, 7), (9, 7)] {
            recorder.take(durable(epoch, safe_from));
            let _ = recorder.seal(); // A dead process cannot tell.
        }
    };
    let begun = || {
        let disk = MemoryDisk::new();
        drop(written(&disk, 1..=4));
        disk
    };
    let whole = begun();
    let before = whole.n_operations();
    run(&whole);
    assert_eq!(loaded(&whole), Some(9));
    let n_operations = whole.n_operations() - before;
    assert!(n_operations > 30, "{n_operations}");
    for dies_after in 0..=n_operations {
        let crashes = [Crash::LosesAll, Crash::LosesNothing];
        for crash in crashes.into_iter().chain((0..20).map(|seed| Crash::Tears(dies_after * 100 + seed))) {
            let disk = begun();
            disk.die_after(dies_after);
            run(&disk);
            disk.crash(crash);
            let epoch = loaded(&disk);
            assert!(epoch >= Some(4), "{crash:?} after {dies_after}: {epoch:?}");
            // And the next process goes on from there.
            let mut next = recorder(&disk);
            let from = next.load().unwrap().unwrap().seam.epoch;
            assert!(next.take(durable(from + 1, 1)));
            next.seal().unwrap();
            assert_eq!(loaded(&disk), Some(from + 1), "{crash:?} after {dies_after}");
        }
    }
}

fn epoch(number: u64, key: u8) -> Epoch {
    let mut writer = BlockWriter::default();
    writer.push(Kind::Meta(Box::new(MetaEntry { epoch: number, hash_key: vec![key; 16], ..MetaEntry::default() })));
    Epoch { number, blocks: writer.finish(number), safe_from: 1, ..Epoch::default() }
}

/// A store with so many epochs, and a snapshot of the first of them.
fn store(n_epochs: u64, key: u8) -> MemoryStore {
    let store = MemoryStore::new();
    let mut sink = store.sink();
    sink.restore(&mut |_| Ok(())).unwrap();
    (1..=n_epochs).for_each(|number| {
        sink.commit(&epoch(number, key)).unwrap();
    });
    store
}

fn snapshot_of(store: &MemoryStore) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut recorder = recorder(&disk);
    let restored = read_back(&mut store.sink(), Some(&mut recorder)).unwrap();
    assert_eq!(restored.n_blocks, store.last_epoch());
    recorder.seal().unwrap();
    assert_eq!(loaded(&disk), Some(store.last_epoch()));
    disk
}

/// Reads back with that snapshot: blocks of the result, and the epoch with which the snapshot ends after it.
fn read_with(disk: &MemoryDisk, store: &MemoryStore) -> (u64, Option<u64>) {
    let mut recorder = recorder(disk);
    let restored = read_back(&mut store.sink(), Some(&mut recorder)).unwrap();
    assert_eq!(restored.meta.map(|meta| meta.epoch), Some(store.last_epoch()));
    recorder.seal().unwrap();
    (restored.n_blocks, loaded(disk))
}

#[test]
fn a_start_reads_the_snapshot_and_what_the_store_has_behind_it() {
    let store = store(5, 1);
    let disk = snapshot_of(&store);
    let mut sink = store.sink();
    sink.restore(&mut |_| Ok(())).unwrap();
    (6..=8).for_each(|number| {
        sink.commit(&epoch(number, 1)).unwrap();
    });
    let Loaded { seam, .. } = load(&disk, "ours").unwrap().unwrap();
    let mut n_read = 0;
    let resumed = store.sink().restore_after(&seam, &mut |_| {
        n_read += 1;
        Ok(())
    });
    assert_eq!((resumed.unwrap(), n_read), (crate::pipeline::sink::Resumed::To(8), 3));
    assert_eq!(read_with(&disk, &store), (8, Some(8)));
    disk.clear();
    assert_eq!(read_with(&disk, &store), (8, Some(8)), "deleted, it is made anew");
}

#[test]
fn a_snapshot_that_does_not_fit_the_store_is_not_used() {
    let disk = snapshot_of(&store(5, 1));
    let with_another_key = store(7, 2);
    assert_eq!(read_with(&disk, &with_another_key), (7, Some(7)));
    let disk = snapshot_of(&store(5, 1));
    let made_anew = store(3, 1);
    assert_eq!(read_with(&disk, &made_anew), (3, Some(3)), "it ends before the snapshot does");
    let trimmed = store(9, 1);
    let disk = snapshot_of(&store(5, 1));
    let mut sink = trimmed.sink();
    sink.restore(&mut |_| Ok(())).unwrap();
    sink.commit(&Epoch { safe_from: 8, ..epoch(10, 1) }).unwrap();
    assert_eq!(read_with(&disk, &trimmed), (3, Some(10)), "its end is not there any more");
}

#[test]
fn a_store_with_a_damaged_block_is_never_started_from() {
    let store = store(3, 1);
    let mut blocks: Vec<Block> = store.blocks();
    blocks[1].bytes[30] ^= 1;
    let damaged = MemoryStore::new();
    let mut sink = damaged.sink();
    sink.restore(&mut |_| Ok(())).unwrap();
    for block in blocks {
        sink.commit(&Epoch { number: block.epoch, blocks: vec![block], safe_from: 1, ..Epoch::default() }).unwrap();
    }
    let disk = MemoryDisk::new();
    let failed = read_back(&mut damaged.sink(), Some(&mut recorder(&disk))).unwrap_err().to_string();
    assert_eq!(failed, "state block: epoch 2: the checksum does not match");
    assert_eq!(loaded(&disk), None, "and nothing of it becomes a snapshot");
}
