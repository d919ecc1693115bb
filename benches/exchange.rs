//! From the bytes of a chunk to the parts of the shards, one thread: decode, identify, fold, route.

mod input;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::choice::is_wanted;
use input::{ALERTS, Input};
use tidegate::model::fingerprint::HashKey;
use tidegate::pipeline::chunk::Part;
use tidegate::pipeline::exchange::{Chunk, Exchange, Placement, Routed};
use tidegate::storm::Shape;

const SHARDS: usize = 4;

fn route_all(exchange: &mut Exchange, chunks: Vec<Chunk>) -> Vec<Routed> {
    chunks.into_iter().map(|chunk| exchange.route(chunk)).collect()
}

fn n_alerts(parts: &[Part]) -> u32 {
    parts.iter().flat_map(|part| &part.arrivals).map(|arrival| arrival.count).sum()
}

fn exchange(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    group.sample_size(10);
    let options = input::options(SHARDS);
    for shape in Shape::ALL {
        if !is_wanted(&format!("exchange/{shape}")) {
            continue;
        }
        let input = Input::new(shape);
        let mut exchange = Exchange::new(options.clone(), HashKey::FIXED, Placement::default(), true);
        // The first pass also fills the cache of identities, as in a daemon that runs for a while.
        let routed = route_all(&mut exchange, input.chunks(&options, 0));
        assert_eq!(routed.iter().map(|routed| n_alerts(&routed.parts)).sum::<u32>(), ALERTS);
        group.throughput(Throughput::ElementsAndBytes { elements: u64::from(ALERTS), bytes: input.n_bytes() });
        group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
            let chunks = || input.chunks(&options, 0);
            bencher.iter_batched(chunks, |chunks| route_all(&mut exchange, chunks), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
