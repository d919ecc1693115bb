//! Level 1 on one shard, nothing folded before it: dedup table and windows, by what the alerts ask of them.

mod input;

use std::sync::Arc;

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

/// Alerts of a part, and parts, of the repeats of many fingerprints.
const LIVE_PART: u64 = 1_000;
const LIVE_PARTS: u64 = 200;

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

fn filled(options: &Options, before: &[Part]) -> Shard {
    let mut shard = Shard::new(options, HashKey::FIXED);
    apply_all(&mut shard, before);
    shard.save(false); // As at the end of an epoch: what follows writes itself down anew.
    shard
}

fn cases(options: &Arc<Options>) -> Vec<Case> {
    let second = Input::later(Shape::Corpus, Millis::seconds(2));
    let resolve_flood = Input::new(Shape::ResolveFlood).parts(options, 0);
    let is_resolves = |part: &Part| part.arrivals.iter().all(|arrival| arrival.status == Status::Resolved);
    let (fires, resolves): (Vec<Part>, Vec<Part>) = resolve_flood.into_iter().partition(|part| !is_resolves(part));
    let mut cases = vec![
        Case {
            name: "repeats",
            before: Input::new(Shape::Corpus).parts(options, 0),
            parts: second.parts(options, u64::from(ALERTS)),
        },
        Case { name: "resolves", before: fires, parts: resolves },
    ];
    let whole =
        |shape: Shape| Case { name: shape.name(), before: Vec::new(), parts: Input::new(shape).parts(options, 0) };
    cases.extend(Shape::ALL.into_iter().map(whole));
    cases
}

/// Repeats with few and many window rules.
fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard/rules");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(ALERTS)));
    for n_rules in [1, 100, 1_000] {
        let options = input::with_rules(1, n_rules);
        let before = Input::new(Shape::Corpus).parts(&options, 0);
        let parts = Input::later(Shape::Corpus, Millis::seconds(2)).parts(&options, u64::from(ALERTS));
        group.bench_function(BenchmarkId::from_parameter(n_rules), |bencher| {
            let run = |mut shard: Shard| (apply_all(&mut shard, &parts), shard);
            bencher.iter_batched(|| filled(&options, &before), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Repeats of any of few and many live fingerprints. Ten million are the bench `memory`'s matter.
fn live(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard/live");
    group.throughput(Throughput::Elements(LIVE_PARTS * LIVE_PART));
    let options = input::options(1);
    for n in [10_000_u64, 1_000_000] {
        let mut shard = Shard::new(&options, HashKey::FIXED);
        for from in (0..n).step_by(LIVE_PART as usize) {
            shard.apply(&input::live::part(from..from + LIVE_PART, from, true), &mut Out::new(1, false));
            shard.save(false);
        }
        let part = |at: u64| {
            let from = n + at * LIVE_PART;
            input::live::part((from..from + LIVE_PART).map(|at| input::live::mixed(at) % n), from, false)
        };
        let parts: Vec<Part> = (0..LIVE_PARTS).map(part).collect();
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| apply_all(&mut shard, &parts));
        });
    }
    group.finish();
}

fn shard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard");
    group.sample_size(10);
    let options = input::options(1);
    for Case { name, before, parts } in cases(&options) {
        let elements: u64 = parts.iter().flat_map(|part| &part.arrivals).map(|arrival| u64::from(arrival.count)).sum();
        assert!(elements > 0, "{name} measures nothing");
        let ready = || filled(&options, &before);
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

criterion_group!(benches, shard, rules, live);
criterion_main!(benches);
