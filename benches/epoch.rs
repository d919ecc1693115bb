//! What it costs to make an epoch durable in the embedded store: the state blocks of few, many and very many entries.
//! Elements are entries; the memory sink beside it shows what is the disk's.
//!
//! Needs a real disk under the temporary folder: on tmpfs a sync costs nothing.

mod input;

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::choice::is_wanted;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::sink::memory::MemoryStore;
use tidegate::pipeline::sink::sqlite::{SqliteOptions, SqliteSink};
use tidegate::pipeline::sink::{Block, Epoch, EpochSink};
use tidegate::pipeline::source::Position;

/// Bytes of a state entry: a fingerprint with a dozen labels.
const ENTRY_BYTES: usize = 300;

/// Blocks hold at most this much.
const BLOCK_BYTES: usize = 900_000;

/// The epochs kept before older ones are deleted, so that the file stays as large as in a long run.
const EPOCHS_KEPT: u64 = 20;

fn epoch(number: u64, n_entries: usize) -> Epoch {
    let total = n_entries * ENTRY_BYTES;
    let mut noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = |index: usize| {
        let len = BLOCK_BYTES.min(total - index * BLOCK_BYTES);
        let bytes = (0..len).map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            (noise >> 56) as u8
        });
        Block { epoch: number, index: index as u32, bytes: bytes.collect() }
    };
    let blocks = (0..total.div_ceil(BLOCK_BYTES)).map(&mut block).collect();
    let position = |partition: u64| Position {
        source: "kafka".to_owned(),
        partition: format!("alerts/{partition}"),
        next: number * 1_000 + partition,
        clock: Timestamp(number as i64 * 100),
    };
    Epoch {
        number,
        positions: (0..12).map(position).collect(),
        blocks,
        safe_from: number.saturating_sub(EPOCHS_KEPT),
        committed_at: Timestamp(number as i64 * 100),
        ..Epoch::default()
    }
}

fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("epoch");
    group.sample_size(20);
    for n_entries in [64, 2_000, 20_000] {
        let bytes = (n_entries * ENTRY_BYTES) as u64;
        group.throughput(Throughput::ElementsAndBytes { elements: n_entries as u64, bytes });
        if is_wanted(&format!("epoch/sqlite/{n_entries}")) {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let options = SqliteOptions::new(folder.path().join("state.db"));
            let sqlite = SqliteSink::open(options).expect("the store is new");
            run(&mut group, "sqlite", n_entries, sqlite);
        }
        run(&mut group, "memory", n_entries, MemoryStore::counting().sink());
    }
    group.finish();
}

fn run(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    n_entries: usize,
    mut sink: impl EpochSink,
) {
    sink.restore(&mut |_| Ok(())).expect("the store is empty");
    let mut number = 0;
    group.bench_function(BenchmarkId::new(name, n_entries), |bencher| {
        bencher.iter_batched(
            || {
                number += 1;
                epoch(number, n_entries)
            },
            |epoch| {
                sink.commit(&epoch).expect("the disk takes it");
                black_box(epoch) // Dropped outside the measurement.
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, commits);
criterion_main!(benches);
