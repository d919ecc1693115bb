//! Tests of the file source: step by step, without a thread where possible.
#![allow(clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::*;

fn write(path: &Path, text: &[u8]) {
    std::fs::write(path, text).unwrap();
}

fn append(path: &Path, text: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text).unwrap();
}

fn tail(path: &Path, from: u64, follow: bool) -> Tail {
    Tail::new(FileOptions { batch_records: 2, follow, ..FileOptions::new(path) }, from)
}

/// A batch as (text, position, next) of its records.
type Records = Vec<(String, u64, u64)>;

/// Steps until there is nothing more now: the batches, and whether it has ended.
fn steps(tail: &mut Tail) -> (Vec<Records>, bool) {
    let mut batches = Vec::new();
    loop {
        match tail.step().unwrap() {
            Step::Records(batch) => {
                let text = |at| String::from_utf8_lossy(batch.record_bytes(at)).into_owned();
                batches.push(batch.records.iter().map(|at| (text(at), at.position, at.next)).collect());
            }
            Step::Working => {}
            Step::Idle => return (batches, false),
            Step::Ended => return (batches, true),
        }
    }
}

fn record(text: &str, position: u64) -> (String, u64, u64) {
    (text.to_owned(), position, position + text.len() as u64 + 1)
}

#[test]
fn reads_to_the_end_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    write(&path, b"a\n\nbb\nccc\n \nlast");
    let last = ("last".to_owned(), 12, 16);
    let expected = vec![vec![record("a", 0), record("bb", 3)], vec![record("ccc", 6)], vec![last]];
    assert_eq!(steps(&mut tail(&path, 0, false)), (expected, true));
}

#[test]
fn goes_on_from_a_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    write(&path, b"a\nbb\n");
    assert_eq!(steps(&mut tail(&path, 2, false)), (vec![vec![record("bb", 2)]], true));
    assert_eq!(steps(&mut tail(&path, 5, false)), (vec![], true));
}

#[test]
fn a_large_file_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    let text: String = (0..100_000).map(|n| format!("record {n}\n")).collect();
    write(&path, text.as_bytes());
    let mut tail = Tail::new(FileOptions::new(&path), 0);
    let (batches, has_ended) = steps(&mut tail);
    assert!(has_ended && batches.iter().all(|batch| batch.len() <= 1_000));
    let lines: String = batches.iter().flatten().map(|(text, _, _)| format!("{text}\n")).collect();
    assert!(lines == text);
    assert_eq!(batches.last().unwrap().last().unwrap().2, text.len() as u64);
}

#[test]
fn a_batch_ends_after_a_mebibyte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    let line = "x".repeat(300_000);
    write(&path, format!("{line}\n").repeat(9).as_bytes());
    let (batches, _) = steps(&mut Tail::new(FileOptions::new(&path), 0));
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 1]);
}

#[test]
fn follows_and_leaves_the_unfinished_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    let mut tail = tail(&path, 0, true);
    assert_eq!(steps(&mut tail), (vec![], false), "not there yet");
    write(&path, b"a\nunfini");
    assert_eq!(steps(&mut tail), (vec![vec![record("a", 0)]], false));
    assert_eq!(steps(&mut tail), (vec![], false));
    append(&path, b"shed\n");
    assert_eq!(steps(&mut tail), (vec![vec![record("unfinished", 2)]], false));
}

#[test]
fn a_shorter_file_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    write(&path, b"aaaa\nbbbb\n");
    let mut running = tail(&path, 0, true);
    assert_eq!(steps(&mut running).0.len(), 1);
    write(&path, b"c\n");
    assert_eq!(steps(&mut running), (vec![vec![record("c", 0)]], false));
    assert_eq!(steps(&mut tail(&path, 10, false)), (vec![vec![record("c", 0)]], true), "at start, too");
}

#[test]
fn a_replaced_file_is_read_to_its_end_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    let old = folder.path().join("in.jsonl.1");
    write(&path, b"a\n");
    let mut tail = tail(&path, 0, true);
    assert_eq!(steps(&mut tail).0, vec![vec![record("a", 0)]]);
    std::fs::rename(&path, &old).unwrap();
    append(&old, b"b\n");
    assert_eq!(steps(&mut tail), (vec![vec![record("b", 2)]], false), "the name is gone, the file is not");
    write(&path, b"c\n");
    assert_eq!(steps(&mut tail), (vec![], false), "one poll for late writers");
    append(&old, b"d");
    let late = ("d".to_owned(), 4, 5);
    assert_eq!(steps(&mut tail), (vec![], false), "the late line starts another poll");
    assert_eq!(steps(&mut tail), (vec![vec![late], vec![record("c", 0)]], false));
}

#[test]
fn too_long_a_line_is_handed_on_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    let long = (1 << 20) + 500_000;
    write(&path, format!("{}\nb\n", "x".repeat(long)).as_bytes());
    let (batches, _) = steps(&mut tail(&path, 0, false));
    let records: Vec<_> = batches.iter().flatten().map(|(text, at, next)| (text.len(), *at, *next)).collect();
    let next = long as u64 + 1;
    assert_eq!(records, [((1 << 20) + 1, 0, next), (1, next, next + 2)]);
}

#[test]
fn a_missing_file_or_a_folder_fails_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (path, what) in [(folder.path().join("nowhere"), "No such file"), (folder.path().to_owned(), "is a folder")] {
        let (events, received) = crossbeam::channel::bounded(10);
        spawn("in", FileOptions::new(&path), 0, events).unwrap().join().unwrap();
        let seen: Vec<_> = received.into_iter().collect();
        let Some(SourceEvent::Failed(message)) = seen.last() else { panic!("{seen:?}") };
        assert!(message.starts_with(&path.display().to_string()) && message.contains(what), "{message}");
    }
}

#[test]
fn the_thread_says_assigned_records_idle_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    write(&path, b"a\nb\n");
    let (events, received) = crossbeam::channel::bounded(1);
    let thread = spawn("in", FileOptions { follow: true, ..FileOptions::new(&path) }, 0, events).unwrap();
    assert!(matches!(received.recv().unwrap(), SourceEvent::Assigned(partitions) if partitions.len() == 1));
    assert!(matches!(received.recv().unwrap(), SourceEvent::Records(batch) if batch.records.len() == 2));
    assert!(matches!(received.recv().unwrap(), SourceEvent::SilentUntil(partition, _) if partition.is_empty()));
    append(&path, b"c\nd");
    let told = || received.iter().find(|event| !matches!(event, SourceEvent::SilentUntil(..)));
    assert!(matches!(told(), Some(SourceEvent::Records(batch)) if batch.records.len() == 1));
    // A line that is being written holds the clock.
    append(&path, b"\n");
    assert!(matches!(received.recv().unwrap(), SourceEvent::Records(batch) if batch.records.len() == 1));
    thread.stop();
    thread.join().unwrap();
}

#[test]
fn back_pressure_stops_the_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    write(&path, "x\n".repeat(10_000).as_bytes());
    let (events, received) = crossbeam::channel::bounded(2);
    let thread = spawn("in", FileOptions { batch_records: 10, ..FileOptions::new(&path) }, 0, events).unwrap();
    // Nobody takes more than the announcement: two batches wait in the channel, and that is all.
    assert!(matches!(received.recv().unwrap(), SourceEvent::Assigned(_)));
    while !received.is_full() {
        std::thread::yield_now();
    }
    thread.stop();
    thread.join().unwrap();
    assert_eq!(received.into_iter().count(), 2);
}
