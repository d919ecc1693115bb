//! A record on its way through the whole engine, beside ordinary ones: it harms nobody, every alert has one fate, the state that it
//! leaves is read back, and looking ahead or not makes no difference.

use std::sync::Arc;

use tidegate::model::HashKey;
use tidegate::model::alert::Format;
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, OpenAfter, Options, RecordTime, SourceOptions, WindowRule};
use tidegate::pipeline::sink::Epoch;
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;

use crate::targets::records;

/// Those of the records.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    records::seeds()
}

/// An engine with two sources (times from outside, times from the payload) and rules of several kinds.
pub(crate) fn options() -> Arc<Options> {
    let held = WindowRule {
        open_after: OpenAfter { count: 3, within: Millis::minutes(1) },
        group_by: vec![vec!["host".to_owned(), "a".to_owned()]],
        ..WindowRule::named("held")
    };
    let payload = SourceOptions { time: RecordTime::Payload, ..SourceOptions::named("payload") };
    Arc::new(Options {
        decoders: 1,
        shards: 2,
        epoch: EpochOptions::default(),
        rules: vec![
            WindowRule { matchers: tidegate::model::Matcher::parse_all("a=\"1\"").unwrap(), ..held },
            WindowRule { max_alerts: Some(3), ..WindowRule::named("default") },
        ]
        .into(),
        sources: vec![SourceOptions::named("records"), payload].into(),
        samples: 2,
        config_version: 1,
    })
}

pub(crate) fn batch(records: &[(Format, &[u8])], first: u64) -> Batch {
    let mut batch = Batch { partitions: vec!["p".into()], ..Batch::default() };
    for (position, (format, bytes)) in (first..).zip(records) {
        let (time, format) = (Timestamp(1_800_000_000_000 + position as i64), *format);
        batch.push(bytes, RecordRef { start: 0, len: 0, partition: 0, position, next: position + 1, time, format });
    }
    batch
}

/// Feeds the chunks and ends everything that is open.
fn run(chunks: &[Vec<(Format, &[u8])>]) -> Vec<Epoch> {
    let start = Start::new(options(), Restored::default(), HashKey::FIXED).unwrap();
    let mut engine = Engine::new(start, false);
    let mut epochs = Vec::new();
    for source in [0, 1].map(SourceIndex) {
        let mut position = 0;
        for chunk in chunks {
            engine.feed(source, batch(chunk, position), Vec::new(), Timestamp(1_800_000_000_000));
            position += chunk.len() as u64;
        }
        epochs.push(engine.end_epoch(Timestamp(1)).expect("every alert has one fate").0);
    }
    engine.step(StepKind::RunOut);
    epochs.push(engine.end_epoch(Timestamp(2)).expect("every alert has one fate").0);
    epochs
}

pub(crate) fn check(input: &[u8]) {
    let Some((format, record)) = records::record_of(input) else { return };
    let ordinary: &[u8] = br#"{"labels":{"alertname":"Ordinary","a":"1"}}"#;
    let records = [(Format::Native, ordinary), (format, record), (Format::Native, ordinary), (format, record)];
    let together = run(&[records.to_vec()]);
    let alone = run(&records.map(|record| vec![record]));
    let mut restored = Restored::default();
    for (one, other) in together.iter().zip(&alone) {
        let events = |epoch: &Epoch| epoch.incidents.iter().map(|event| event.json.clone()).collect::<Vec<_>>();
        assert_eq!(one.dead_letters, other.dead_letters, "together and alone");
        assert_eq!(events(one), events(other), "together and alone");
        one.blocks.iter().for_each(|block| restored.take_block(&block.bytes).expect("what was written is read"));
    }
    let next = Start::new(options(), restored, HashKey([1; 16])).expect("and started from");
    assert_eq!(next.key, HashKey::FIXED, "the key of fingerprints is that of the state");
}
