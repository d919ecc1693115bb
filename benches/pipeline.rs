//! Memory to memory: from the bytes of the records to epochs that only have to be written, all rooms on one thread.

mod input;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::{ALERTS, Input};
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::{Millis, Stopwatch};
use tidegate::pipeline::exchange::Chunk;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::Options;
use tidegate::pipeline::sink::Epoch;
use tidegate::pipeline::source::SourceIndex;
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::Shape;

/// Chunks of an epoch: with 1,000 records each, what 100 ms hold at a rate of 100,000 alerts per second.
const EPOCH_CHUNKS: usize = 10;

fn run(mut engine: Engine, chunks: Vec<Chunk>) -> (Engine, Vec<Epoch>) {
    let epochs = feed(&mut engine, chunks);
    (engine, epochs)
}

fn feed(engine: &mut Engine, chunks: Vec<Chunk>) -> Vec<Epoch> {
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
    epochs
}

fn engine(options: &Arc<Options>) -> Engine {
    let start = Start::new(options.clone(), Restored::default(), HashKey::FIXED).expect("an empty state is whole");
    Engine::new(start, false)
}

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(10);
    let options = input::options(1);
    for shape in Shape::ALL {
        let input = Input::new(shape);
        group.throughput(Throughput::ElementsAndBytes { elements: u64::from(ALERTS), bytes: input.n_bytes() });
        group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
            let ready = || (engine(&options), input.chunks(&options, 0));
            bencher.iter_batched(ready, |(engine, chunks)| run(engine, chunks), BatchSize::PerIteration);
        });
    }
    for n_rules in [100, 1_000] {
        let options = input::with_rules(1, n_rules);
        for shape in [Shape::TicketStorm, Shape::AllDistinct] {
            let input = Input::new(shape);
            group.throughput(Throughput::ElementsAndBytes { elements: u64::from(ALERTS), bytes: input.n_bytes() });
            group.bench_function(BenchmarkId::new(format!("{n_rules}-rules"), shape), |bencher| {
                let ready = || (engine(&options), input.chunks(&options, 0));
                bencher.iter_batched(ready, |(engine, chunks)| run(engine, chunks), BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

/// Repeats of any of few and many live fingerprints.
fn live(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline/live");
    group.sample_size(10);
    let options = input::options(1);
    for n in [10_000, 1_000_000] {
        let all = Input::sized(Shape::AllDistinct, Millis(0), n);
        let (mut engine, _) = run(engine(&options), all.chunks(&options, 0));
        // As many of them as a flood has, from all over the table.
        let some = all.repeats(ALERTS);
        drop(all);
        group.throughput(Throughput::ElementsAndBytes { elements: u64::from(ALERTS), bytes: some.n_bytes() });
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let chunks = some.chunks(&options, 0);
                    let watch = Stopwatch::start();
                    feed(&mut engine, chunks);
                    spent += watch.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline, live);
criterion_main!(benches);
