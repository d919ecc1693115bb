#![allow(clippy::unwrap_used)]
use super::*;
use crate::pipeline::snapshot::{LocalCopy as _, MemoryDisk, Recorder, load};
use crate::pipeline::state::BlockWriter;
use crate::pipeline::state::entry::{GroupEntry, Kind, MemberEntry, MetaEntry, TouchEntry, Wide};

fn wide(low: u64) -> Wide {
    Wide { high: 0, low }
}

fn member(key: u64, incident: u64) -> Kind {
    Kind::Member(MemberEntry {
        touch: TouchEntry { key: wide(key), ..TouchEntry::default() },
        incident: wide(incident),
        ..MemberEntry::default()
    })
}

fn group(incident: u64) -> Kind {
    Kind::Group(Box::new(GroupEntry { incident: wide(incident), ..GroupEntry::default() }))
}

/// The block of an epoch.
fn block(epoch: u64, safe_from: u64, entries: Vec<Kind>) -> Vec<u8> {
    let mut writer = BlockWriter::default();
    entries.into_iter().for_each(|entry| writer.push(entry));
    let meta = MetaEntry { epoch, safe_from, hash_key: vec![5; 16], ..MetaEntry::default() };
    writer.push(Kind::Meta(Box::new(meta)));
    writer.finish(epoch).remove(0).bytes
}

fn take(shadow: &mut Shadow, epoch: u64, safe_from: u64, entries: Vec<Kind>) -> Option<u64> {
    let offset = epoch as i64 * 10;
    shadow.take(offset, epoch, 0, &block(epoch, safe_from, entries)).unwrap().map(|durable| durable.epoch)
}

#[test]
fn an_epoch_counts_when_the_next_one_begins() {
    let mut shadow = Shadow::default();
    assert_eq!(take(&mut shadow, 1, 1, vec![group(1), member(7, 1)]), None);
    assert_eq!((shadow.epoch(), shadow.n_members()), (0, 0));
    assert_eq!(take(&mut shadow, 2, 1, vec![member(8, 1)]), Some(1));
    assert_eq!((shadow.epoch(), shadow.n_members()), (1, 1));
    let warm = shadow.into_warm().unwrap();
    assert_eq!((warm.seam.epoch, warm.seam.place), (1, 10));
    assert_eq!(warm.seam.blocks, [xxh3_128(&block(1, 1, vec![group(1), member(7, 1)]))]);
}

#[test]
fn without_a_whole_epoch_there_is_nothing_to_take_over_with() {
    let mut shadow = Shadow::default();
    assert_eq!(take(&mut shadow, 4, 4, vec![]), None);
    assert!(shadow.into_warm().is_none());
}

#[test]
fn what_does_not_follow_is_refused() {
    let check = |epoch: u64, index: u32, expected: &str| {
        let mut shadow = Shadow::default();
        take(&mut shadow, 5, 1, vec![]);
        take(&mut shadow, 6, 1, vec![]);
        let fault = shadow.take(0, epoch, index, &block(epoch, 1, vec![])).and_then(|_| {
            // A gap shows when the epoch behind it is whole.
            shadow.take(0, epoch + 1, 0, &block(epoch + 1, 1, vec![]))
        });
        assert_eq!(fault.unwrap_err().0, expected);
    };
    check(6, 2, "state: block 2 of epoch 6 where block 1 was due");
    check(7, 1, "state: block 1 of epoch 7 where block 0 was due");
    check(9, 0, "state: epoch 9 follows epoch 6: blocks in between are missing");
}

#[test]
fn a_snapshot_is_gone_on_with_only_where_it_fits() {
    let disk = MemoryDisk::new();
    let mut recorder = Recorder::new(disk.clone(), "ours");
    recorder.begin(1);
    for epoch in 1..=3 {
        let blocks = vec![block(epoch, 1, vec![group(1), member(epoch, 1)])];
        let durable = Durable { epoch, place: Some(epoch * 10), safe_from: 1, committed_at: Timestamp(1), blocks };
        assert!(recorder.take(durable));
    }
    recorder.seal().unwrap();
    let begin = || Shadow::of_snapshot(load(&disk, "ours").unwrap().unwrap());
    let mut shadow = begin();
    assert_eq!((shadow.begin_at(), shadow.epoch(), shadow.n_members()), (30, 3, 3));
    assert_eq!(take(&mut shadow, 3, 1, vec![group(1), member(3, 1)]), None);
    assert_eq!(take(&mut shadow, 4, 1, vec![member(4, 1)]), None);
    assert_eq!(take(&mut shadow, 5, 1, vec![]), Some(4));
    assert_eq!((shadow.epoch(), shadow.n_members()), (4, 4));

    let mut shadow = begin();
    shadow.take(30, 3, 0, &block(3, 1, vec![])).unwrap(); // Whether it differs shows at its end.
    let fault = shadow.take(40, 4, 0, &block(4, 1, vec![])).unwrap_err();
    assert_eq!(fault.0, "epoch 3 of the store is another one: it is of another state");
}

#[test]
fn what_the_active_one_forgot_is_forgotten_and_nothing_before_a_complete_sweep() {
    let mut shadow = Shadow::default();
    // From the middle of a sweep: the group of member 7 comes later, that of member 8 never.
    take(&mut shadow, 10, 3, vec![member(7, 1), member(8, 2)]);
    let complete = 10 + 2 * SETTLE_EVERY;
    for epoch in 11..complete {
        take(&mut shadow, epoch, 3, if epoch == 99 { vec![group(1)] } else { vec![] });
    }
    assert_eq!(shadow.n_members(), 2, "the sweep that would name their groups is not complete");
    take(&mut shadow, complete, 11, vec![]);
    take(&mut shadow, complete + 1, 11, vec![]);
    assert_eq!(shadow.n_members(), 1, "only that of the known group");
}

#[test]
fn bytes_are_those_that_a_start_would_read() {
    let mut shadow = Shadow::default();
    for epoch in 1..=10 {
        take(&mut shadow, epoch, if epoch < 6 { 1 } else { 5 }, vec![]);
    }
    let size = block(9, 5, vec![]).len() as u64;
    let n_bytes = shadow.into_warm().unwrap().restored.n_bytes;
    assert!(n_bytes.abs_diff(5 * size) <= 8, "epochs 5 to 9: {n_bytes}, {size} each");
}
