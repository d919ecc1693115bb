//! Level 2: the group events of an epoch to incident events, their JSON included. Elements are group events, bytes those of
//! the JSON.

mod input;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::Input;
use input::choice::is_wanted;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::chunk::{Part, Seq, Step, StepKind};
use tidegate::pipeline::correlate::Correlator;
use tidegate::pipeline::exchange::{Exchange, Placement};
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::{GroupEvent, Out};
use tidegate::storm::Shape;

const SHARDS: usize = 4;

/// Every group event of a flood, shard by shard, to the end of the last timer.
fn group_events(shape: Shape) -> Vec<GroupEvent> {
    let options = input::options(SHARDS);
    let mut exchange = Exchange::new(options.clone(), HashKey::FIXED, Placement::default(), true);
    let mut shards: Vec<(Shard, Out)> =
        (0..SHARDS).map(|_| (Shard::new(&options, HashKey::FIXED), Out::new(1, false))).collect();
    let mut last = 0;
    for chunk in Input::new(shape).chunks(&options, 0) {
        last = chunk.first_record + chunk.batch.records.len() as u64;
        for ((shard, out), part) in shards.iter_mut().zip(&exchange.route(chunk).parts) {
            shard.apply(part, out);
        }
    }
    let run_out = Step { seq: Seq { record: last, index: 0 }, kind: StepKind::RunOut };
    let part = Part { steps: vec![run_out], ..Part::default() };
    shards.iter_mut().for_each(|(shard, out)| shard.apply(&part, out));
    shards.into_iter().flat_map(|(_, out)| out.events).collect()
}

fn correlate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("correlate");
    group.sample_size(10);
    for shape in [Shape::TicketStorm, Shape::Cascade, Shape::AllDistinct] {
        if !is_wanted(&format!("correlate/{shape}")) {
            continue;
        }
        let events = group_events(shape);
        let run = |events: Vec<GroupEvent>| Correlator::default().fold(events, 1, Timestamp(0));
        let bytes = run(events.clone()).iter().map(|record| record.json.len() as u64).sum();
        group.throughput(Throughput::ElementsAndBytes { elements: events.len() as u64, bytes });
        group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
            bencher.iter_batched(|| events.clone(), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, correlate);
criterion_main!(benches);
