//! Memory to memory: from the bytes of the records to epochs that only have to be written, all rooms on one thread.

mod input;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::{ALERTS, Input};
use tidegate::model::fingerprint::HashKey;
use tidegate::pipeline::exchange::Chunk;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::sink::Epoch;
use tidegate::pipeline::source::SourceIndex;
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::Shape;

/// Chunks of an epoch: with 1,000 records each, what 100 ms hold at a rate of 100,000 alerts per second.
const EPOCH_CHUNKS: usize = 10;

fn run(mut engine: Engine, chunks: Vec<Chunk>) -> (Engine, Vec<Epoch>) {
    let mut epochs = Vec::new();
    let mut wall = Default::default();
    for (at, chunk) in (1..).zip(chunks) {
        wall = chunk.wall;
        engine.feed(SourceIndex(0), chunk.batch, chunk.steps, wall);
        if at % EPOCH_CHUNKS == 0 {
            epochs.push(engine.end_epoch(wall).expect("every alert is accounted for").0);
        }
    }
    epochs.push(engine.end_epoch(wall).expect("every alert is accounted for").0);
    (engine, epochs)
}

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(10);
    let options = input::options(1);
    let engine = || {
        let start = Start::new(options.clone(), Restored::default(), HashKey::FIXED).expect("an empty state is whole");
        Engine::new(start, false)
    };
    for shape in Shape::ALL {
        let input = Input::new(shape);
        group.throughput(Throughput::ElementsAndBytes { elements: u64::from(ALERTS), bytes: input.n_bytes() });
        group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
            let ready = || (engine(), input.chunks(&options, 0));
            bencher.iter_batched(ready, |(engine, chunks)| run(engine, chunks), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
