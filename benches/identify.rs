//! From labels to fingerprint, rule and group key, one thread: texts that are known, and texts never seen before, with one
//! window rule and with many. Bytes are those of the labels.

mod input;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use input::Input;
use input::choice::is_wanted;
use input::rules::ruled;
use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::labels;
use tidegate::pipeline::decode::{Decoder, Limits};
use tidegate::pipeline::identify::Identifier;
use tidegate::pipeline::source::SourceIndex;
use tidegate::storm::Shape;

/// The labels of every alert of a flood, encoded as the exchange does it.
fn label_sets(shape: Shape) -> Vec<Vec<u8>> {
    let input = Input::new(shape);
    let mut decoder = Decoder::new(Limits::default());
    let mut sets = Vec::new();
    for record in input.records() {
        let decoded = decoder.decode(Format::Native, record, |_, alert| {
            let mut set = Vec::new();
            labels::encode(alert.expect("every alert of a flood is valid").labels.iter().copied(), &mut set);
            sets.push(set);
        });
        decoded.expect("every record of a flood is valid");
    }
    sets
}

fn identify_all(identifier: &mut Identifier, sets: &[Vec<u8>]) {
    for set in sets {
        black_box(identifier.identify(SourceIndex(0), set));
    }
}

fn identify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("identify");
    group.sample_size(20);
    for (name, shape, is_known, n_rules) in [
        ("known/corpus", Shape::Corpus, true, 1),
        ("known/ticket-storm", Shape::TicketStorm, true, 1),
        ("known/ticket-storm", Shape::TicketStorm, true, 1_000),
        ("new/all-distinct", Shape::AllDistinct, false, 1),
        ("new/all-distinct", Shape::AllDistinct, false, 100),
        ("new/all-distinct", Shape::AllDistinct, false, 1_000),
    ] {
        let id = format!("{name}/rules-{n_rules}");
        if !is_wanted(&format!("identify/{id}")) {
            continue;
        }
        let options = ruled(1, n_rules);
        let fresh = || Identifier::new(&options, HashKey::FIXED);
        let sets = label_sets(shape);
        let bytes = sets.iter().map(|set| set.len() as u64).sum();
        group.throughput(Throughput::ElementsAndBytes { elements: sets.len() as u64, bytes });
        if is_known {
            let mut identifier = fresh();
            identify_all(&mut identifier, &sets);
            group.bench_function(&id, |bencher| bencher.iter(|| identify_all(&mut identifier, &sets)));
        } else {
            group.bench_function(&id, |bencher| {
                let run = |mut identifier: Identifier| {
                    identify_all(&mut identifier, &sets);
                    identifier
                };
                bencher.iter_batched(fresh, run, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, identify);
criterion_main!(benches);
