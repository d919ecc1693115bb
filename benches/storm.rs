//! How fast floods are made, in alerts and bytes per second.

mod input;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::choice::is_wanted;
use tidegate::storm::{Flood, FloodOptions, Shape};

/// Enough that every script reaches its normal course and its end.
const ALERTS: u32 = 100_000;

fn generate(shape: Shape) -> usize {
    let mut flood = Flood::new(FloodOptions { shape, alerts: ALERTS, ..FloodOptions::default() });
    let mut line = Vec::with_capacity(1_024);
    let mut bytes = 0;
    while flood.next_into(&mut line).is_some() {
        bytes += black_box(&line).len();
        line.clear();
    }
    bytes
}

fn floods(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("storm");
    group.sample_size(10);
    for shape in Shape::ALL {
        if !is_wanted(&format!("storm/{shape}")) {
            continue;
        }
        group.throughput(Throughput::ElementsAndBytes { elements: u64::from(ALERTS), bytes: generate(shape) as u64 });
        group.bench_with_input(BenchmarkId::from_parameter(shape), &shape, |bencher, shape| {
            bencher.iter(|| generate(*shape));
        });
    }
    group.finish();
}

criterion_group!(benches, floods);
criterion_main!(benches);
