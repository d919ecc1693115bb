//! What is looked at together is routed as if each record had come alone to an exchange that knows nothing.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::alert::Status;
use crate::model::fingerprint::{Fingerprint, HashKey};
use crate::model::time::Timestamp;
use crate::pipeline::decode::DetailReader;
use crate::pipeline::options::{EpochOptions, SourceOptions, WindowRule};
use crate::pipeline::source::Batch;

fn exchange() -> Exchange {
    let options = Options {
        decoders: 1,
        shards: 1,
        epoch: EpochOptions::default(),
        rules: vec![WindowRule::named("default")].into(),
        sources: vec![SourceOptions::named("alerts")].into(),
        samples: 1,
        config_version: 1,
    };
    Exchange::new(Arc::new(options), HashKey::FIXED, Placement::default(), false)
}

/// Index in its record, identity, group key, status, start, labels and annotations of an alert.
type RoutedAlert = (u64, u32, Fingerprint, GroupHash, Status, Timestamp, Vec<u8>, Vec<u8>);

/// What becomes of records that come in one chunk, the first with this number: alerts, rejects, unusable times.
fn route(exchange: &mut Exchange, records: &[String], first: u64) -> (Vec<RoutedAlert>, u64, u64) {
    let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
    for (position, record) in (first..).zip(records) {
        let (next, time) = (position + 1, Timestamp(1_000));
        let at = RecordRef { start: 0, len: 0, partition: 0, position, next, time, format: Format::Native };
        batch.push(record.as_bytes(), at);
    }
    let chunk = Chunk { source: Some(SourceIndex(0)), first_record: first, batch, ..Chunk::default() };
    let Routed { parts, report } = exchange.route(chunk);
    let mut details = DetailReader::default();
    let mut alerts = Vec::new();
    for arrival in &parts[0].arrivals {
        let texts = parts[0].texts(arrival, &mut details);
        let (labels, annotations) = (parts[0].labels(arrival).into_owned(), texts.annotations.to_vec());
        let (seq, status) = (arrival.seq, arrival.status);
        let (fingerprint, group, starts_at) = (arrival.fingerprint, arrival.group, arrival.starts_at);
        alerts.push((seq.record, seq.index, fingerprint, group, status, starts_at, labels, annotations));
    }
    (alerts, report.rejects.iter().sum(), report.unusable_times)
}

/// Records of every kind that the way ahead treats differently; `n` makes the labels of some of them new.
fn records(n: usize) -> Vec<String> {
    let alert = |host: &str| {
        format!(
            r#"{{"labels":{{"alertname":"A","host":"{host}"}},"annotations":{{"summary":"of {host}"}},"startsAt":"2026-01-01T00:00:0{}Z"}}"#,
            n % 10
        )
    };
    vec![
        alert("same"),
        alert(&format!("new-{n}")),
        alert(&format!("new-{n}")), // Again, while its first is not routed yet.
        format!("[{},{}]", alert("same"), alert(&format!("list-{n}"))),
        alert("same").replace("\"labels\":{", "\"labels\": { ").replace(",\"host", " ,\n \"host"),
        // The guess at the end of its labels is wrong, or what follows is no JSON.
        r#"{"labels":{"alertname":"A","host":"same","n":1},"status":"firing"}"#.to_owned(),
        r#"{"labels":{"alertname":"A","host":"same"},"status":"odd"}"#.to_owned(),
        r#"{"labels":{"alertname":"A","host":"same"}"#.to_owned(),
        r#"{"labels":{"alertname":"A","host":"same"},"startsAt":"never"}"#.to_owned(),
        r#"{"labels":{"alertname":"B\u0041","host":"same"},"status":"resolved"}"#.to_owned(),
        r#"{"status":"firing"}"#.to_owned(),
        String::new(),
    ]
}

#[test]
fn looking_ahead_changes_nothing() {
    let mut warm = exchange();
    let mut next = 0;
    for n in 0..40 {
        // Some chunks hold nothing but repeats, so that ends are guessed; some more than a stretch.
        let mut chunk = if n % 4 == 0 { records(n) } else { vec![records(0)[0].clone(); 50] };
        if n % 7 == 0 {
            chunk.extend((0..10).flat_map(|more| records(100 * n + more)));
        }
        let together = route(&mut warm, &chunk, next);
        let (mut alone, mut rejected, mut unusable) = (Vec::new(), 0, 0);
        for (number, record) in (next..).zip(&chunk) {
            let (alerts, rejects, times) = route(&mut exchange(), std::slice::from_ref(record), number);
            alone.extend(alerts);
            rejected += rejects;
            unusable += times;
        }
        assert_eq!(together, (alone, rejected, unusable), "chunk {n}");
        next += chunk.len() as u64;
    }
    assert!(warm.ahead.guesses_ends(), "the last chunks were repeats");
}
