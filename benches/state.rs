//! State to blocks at the end of an epoch, and blocks back to a running state. Elements are fingerprints,
//! bytes those of the blocks.

mod input;

use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::choice::is_wanted;
use input::{ALERTS, Input};
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::Part;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::Options;
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::Out;
use tidegate::pipeline::sink::Block;
use tidegate::pipeline::source::SourceIndex;
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::Shape;

/// Blocks of everything that changed in the shard since the last call.
fn encode(shard: &mut Shard) -> Vec<Block> {
    shard.save(false).entries.finish(1)
}

fn loaded(options: &Options, parts: &[Part]) -> Shard {
    let mut shard = Shard::new(options, HashKey::FIXED);
    let mut out = Out::new(1, false);
    parts.iter().for_each(|part| shard.apply(part, &mut out));
    shard
}

fn start(options: &Arc<Options>, blocks: &[Block]) -> Start {
    let mut restored = Restored::default();
    for block in blocks {
        restored.take_block(&block.bytes).expect("the blocks are those of one epoch");
    }
    Start::new(options.clone(), restored, HashKey::FIXED).expect("the state is whole")
}

/// The state after a flood, as one epoch.
fn blocks(options: &Arc<Options>, input: &Input) -> Vec<Block> {
    let mut engine = Engine::new(start(options, &[]), false);
    for chunk in input.chunks(options, 0) {
        engine.feed(SourceIndex(0), chunk.batch, chunk.steps, chunk.wall);
    }
    engine.end_epoch(Timestamp(0)).expect("every alert is accounted for").0.blocks
}

fn n_bytes(blocks: &[Block]) -> u64 {
    blocks.iter().map(|block| block.bytes.len() as u64).sum()
}

/// A shard whose every fingerprint was written down and then seen again.
fn touched(options: &Options, parts: &[Part], again: &[Part]) -> Shard {
    let mut shard = loaded(options, parts);
    encode(&mut shard);
    let mut out = Out::new(1, false);
    again.iter().for_each(|part| shard.apply(part, &mut out));
    shard
}

fn state(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state");
    group.sample_size(10);
    let options = input::options(1);
    for shape in [Shape::Corpus, Shape::AllDistinct] {
        let [is_new, is_repeats, is_restore] =
            ["encode-new", "encode-repeats", "restore"].map(|name| is_wanted(&format!("state/{name}/{shape}")));
        if !(is_new || is_repeats || is_restore) {
            continue;
        }
        let input = Input::new(shape);
        let parts = input.parts(&options, 0);
        let fingerprints = loaded(&options, &parts).tally().fingerprints;
        let mut encoding = |name: &str, ready: &dyn Fn() -> Shard| {
            let bytes = n_bytes(&encode(&mut ready()));
            group.throughput(Throughput::ElementsAndBytes { elements: fingerprints, bytes });
            group.bench_function(BenchmarkId::new(name, shape), |bencher| {
                let run = |mut shard: Shard| (encode(&mut shard), shard);
                bencher.iter_batched(ready, run, BatchSize::PerIteration);
            });
        };
        if is_new {
            encoding("encode-new", &|| loaded(&options, &parts));
        }
        if is_repeats {
            let again = Input::later(shape, Millis::seconds(2)).parts(&options, u64::from(ALERTS));
            encoding("encode-repeats", &|| touched(&options, &parts, &again));
        }
        if is_restore {
            let blocks = blocks(&options, &input);
            group.throughput(Throughput::ElementsAndBytes { elements: fingerprints, bytes: n_bytes(&blocks) });
            group.bench_function(BenchmarkId::new("restore", shape), |bencher| {
                bencher.iter_with_large_drop(|| start(&options, &blocks));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, state);
criterion_main!(benches);
