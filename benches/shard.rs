//! Level 1 on one shard, nothing folded before it: dedup table and windows, by what the alerts ask of them.

mod input;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::{ALERTS, Input};
use tidegate::model::alert::Status;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::Millis;
use tidegate::pipeline::chunk::Part;
use tidegate::pipeline::options::Options;
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::Out;
use tidegate::storm::Shape;

/// What the shard has seen before, and what it is measured with.
struct Case {
    name: &'static str,
    before: Vec<Part>,
    parts: Vec<Part>,
}

fn apply_all(shard: &mut Shard, parts: &[Part]) -> Out {
    let mut out = Out::new(1, false);
    for part in parts {
        shard.apply(part, &mut out);
    }
    out
}

fn cases(options: &std::sync::Arc<Options>) -> [Case; 3] {
    let second = Input::later(Shape::Corpus, Millis::seconds(2));
    let resolve_flood = Input::new(Shape::ResolveFlood).parts(options, 0);
    let is_resolves = |part: &Part| part.arrivals.iter().all(|arrival| arrival.status == Status::Resolved);
    let (fires, resolves): (Vec<Part>, Vec<Part>) = resolve_flood.into_iter().partition(|part| !is_resolves(part));
    [
        Case {
            name: "repeats",
            before: Input::new(Shape::Corpus).parts(options, 0),
            parts: second.parts(options, u64::from(ALERTS)),
        },
        Case { name: "all-distinct", before: Vec::new(), parts: Input::new(Shape::AllDistinct).parts(options, 0) },
        Case { name: "resolves", before: fires, parts: resolves },
    ]
}

fn shard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard");
    group.sample_size(10);
    let options = input::options(1);
    for Case { name, before, parts } in cases(&options) {
        let elements: u64 = parts.iter().flat_map(|part| &part.arrivals).map(|arrival| u64::from(arrival.count)).sum();
        assert!(elements > 0, "{name} measures nothing");
        let ready = || {
            let mut shard = Shard::new(&options, HashKey::FIXED);
            apply_all(&mut shard, &before);
            shard.save(false); // As at the end of an epoch: what follows writes itself down anew.
            shard
        };
        group.throughput(Throughput::Elements(elements));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let run = |mut shard: Shard| {
                let out = apply_all(&mut shard, &parts);
                (shard, out) // Dropped outside the measurement.
            };
            bencher.iter_batched(ready, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, shard);
criterion_main!(benches);
