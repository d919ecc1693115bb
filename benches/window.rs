//! The lives of windows on one shard: many groups of one alert each that open, close, resolve and open again. Elements are
//! windows, bytes those of the state that their changes leave behind.

mod input;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::choice::is_wanted;
use input::groups::{Groups, apply};
use tidegate::model::fingerprint::HashKey;
use tidegate::pipeline::chunk::Part;
use tidegate::pipeline::shard::Shard;

const GROUPS: u32 = 20_000;

/// What happened before, what is measured, and how many windows and incidents are open after it.
struct Case<'a> {
    name: &'static str,
    before: Vec<&'a [Part]>,
    now: &'a [Part],
    open_after: (u64, u64),
}

fn cases(groups: &Groups) -> [Case<'_>; 4] {
    let Groups { count, fire, resolve, close, again } = groups;
    let all = u64::from(*count);
    let (fire, resolve, close, again) = (fire.as_slice(), resolve.as_slice(), close.as_slice(), again.as_slice());
    [
        Case { name: "open", before: vec![], now: fire, open_after: (all, all) },
        Case { name: "resolve", before: vec![fire], now: resolve, open_after: (all, 0) },
        Case { name: "close", before: vec![fire], now: close, open_after: (0, all) },
        Case { name: "reopen", before: vec![fire, resolve, close], now: again, open_after: (all, all) },
    ]
}

fn window(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    group.sample_size(10);
    let options = input::options(1);
    let groups = Groups::new(&options, GROUPS);
    for Case { name, before, now, open_after } in cases(&groups) {
        if !is_wanted(&format!("window/{name}")) {
            continue;
        }
        let ready = || {
            let mut shard = Shard::new(&options, HashKey::FIXED);
            before.iter().for_each(|parts| drop(apply(&mut shard, parts)));
            shard.save(false); // As at the end of an epoch: what follows writes itself down anew.
            shard
        };
        let run = |mut shard: Shard| {
            let out = apply(&mut shard, now);
            (shard, out) // Dropped outside the measurement.
        };
        let (mut shard, _) = run(ready());
        let tally = shard.tally();
        assert_eq!((tally.open_windows, tally.open_incidents), open_after, "{name} does what its name says");
        let bytes = shard.save(false).entries.n_bytes();
        group.throughput(Throughput::ElementsAndBytes { elements: u64::from(GROUPS), bytes });
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_batched(ready, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, window);
criterion_main!(benches);
