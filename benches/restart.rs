//! How long a start takes with many live fingerprints and a local snapshot: reading it back, and making shards of it. One
//! line of JSON for each number of fingerprints.
//!
//! Arguments: the numbers, by default 1,000,000. Labels are 12 pairs whose names and values have 300 bytes. The snapshot lies
//! in the folder for temporary files; what was just written is in the system's cache, as after a restart of the program.

mod input;

use std::io::Write as _;

use input::live::part;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::{Stopwatch, Timestamp};
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::Out;
use tidegate::pipeline::sink::memory::MemoryStore;
use tidegate::pipeline::sink::{Epoch, EpochSink as _};
use tidegate::pipeline::snapshot::{Durable, Folder, LocalCopy as _, Recorder, read_back};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::BlockWriter;
use tidegate::pipeline::state::entry::{Kind, MetaEntry};

/// Alerts of a part.
const PART: u64 = 1_000;
/// Parts of an epoch.
const EPOCH_PARTS: u64 = 50;

/// Fills a snapshot with as many fingerprints, and a store with the last epoch of them. Returns the bytes of the blocks.
fn fill(n: u64, recorder: &mut Recorder<Folder>, store: &MemoryStore) -> u64 {
    let options = input::options(1);
    let mut shard = Shard::new(&options, HashKey::FIXED);
    let mut sink = store.sink();
    sink.restore(&mut |_| Ok(())).expect("a store in memory has no faults");
    recorder.begin(1);
    let (mut next, mut number, mut n_bytes) = (0, 0, 0);
    while next < n {
        let mut out = Out::new(1, false);
        shard.apply(&part(next..(next + PART).min(n), next, true), &mut out);
        next += PART;
        if !(next / PART).is_multiple_of(EPOCH_PARTS) && next < n {
            continue;
        }
        number += 1;
        let mut entries = BlockWriter::default();
        entries.append(shard.save(false).entries);
        entries.push(Kind::Meta(Box::new(MetaEntry {
            epoch: number,
            hash_key: HashKey::FIXED.0.to_vec(),
            config_version: options.config_version,
            safe_from: 1,
            ..MetaEntry::default()
        })));
        let blocks = entries.finish(number);
        n_bytes += blocks.iter().map(|block| block.bytes.len() as u64).sum::<u64>();
        let bytes = blocks.iter().map(|block| block.bytes.clone()).collect();
        // The store keeps the last epoch only: what a start compares with the snapshot.
        let epoch = Epoch { number, blocks, safe_from: number, ..Epoch::default() };
        sink.commit(&epoch).expect("a store in memory has no faults");
        let committed_at = Timestamp(0);
        recorder.take(Durable { epoch: number, place: sink.place(), safe_from: 1, committed_at, blocks: bytes });
        recorder.seal().expect("the folder can be written");
    }
    n_bytes
}

fn measure(n: u64) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let store = MemoryStore::new();
    let open = || Recorder::new(Folder::open(folder.path()).expect("the folder can be written"), "bench");
    let bytes = fill(n, &mut open(), &store);
    let watch = Stopwatch::start();
    let mut recorder = open();
    let restored = read_back(&mut store.sink(), Some(&mut recorder)).expect("the snapshot is whole");
    let read = watch.elapsed();
    let fingerprints = restored.members.len();
    let shards = input::options(2);
    let start = Start::new(shards, restored, HashKey::FIXED).expect("the state is whole");
    let whole = watch.elapsed();
    let live: u64 = start.shards.iter().map(|shard| shard.tally().fingerprints).sum();
    assert_eq!((fingerprints as u64, live), (n, n), "every fingerprint is back");
    serde_json::json!({
        "fingerprints": n,
        "bytes": bytes,
        "read_seconds": read.as_secs_f64(),
        "start_seconds": (whole - read).as_secs_f64(),
        "seconds": whole.as_secs_f64(),
    })
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![1_000_000] } else { numbers };
    for n in numbers {
        let _ = writeln!(std::io::stdout(), "{}", measure(n)); // Whoever closed it has seen enough.
    }
}
