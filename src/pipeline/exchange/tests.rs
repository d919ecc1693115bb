//! What is looked at together is routed as if each record had come alone to an exchange that knows nothing; what cannot be read
//! is a dead letter; and of a panic the one record is known that was in hand.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::alert::Status;
use crate::model::fingerprint::{Fingerprint, HashKey};
use crate::model::time::Timestamp;
use crate::pipeline::decode::DetailReader;
use crate::pipeline::decode::tests::corpus::cases;
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

/// A chunk of these records, the first with this number and position.
fn chunk(records: &[&[u8]], first: u64) -> Chunk {
    let mut batch = Batch { partitions: vec!["topic/3".into()], ..Batch::default() };
    for (position, record) in (first..).zip(records) {
        let (next, time) = (position + 1, Timestamp(1_000));
        batch.push(record, RecordRef { start: 0, len: 0, partition: 0, position, next, time, format: Format::Native });
    }
    Chunk { source: Some(SourceIndex(0)), first_record: first, batch, ..Chunk::default() }
}

#[test]
fn what_is_refused_is_a_dead_letter_with_its_reason_and_its_bytes() {
    let (mut exchange, mut n_whole) = (exchange(), 0);
    for case in cases() {
        let report = exchange.route(chunk(&[&case.text], 7)).report;
        let (mut n_elements, mut n_bad) = (0, 0);
        let whole = Decoder::new(Limits::default()).decode(Format::Native, &case.text, |_, alert| {
            n_elements += 1;
            n_bad += usize::from(alert.is_err());
        });
        let letters = &report.dead_letters;
        match whole {
            Ok(()) => {
                assert_eq!(
                    (report.received, report.rejects.iter().sum::<u64>()),
                    (n_elements, n_bad as u64),
                    "{}",
                    case.name
                );
                assert!(letters.len() == n_bad || n_bad > 100 && letters.len() == 1, "{}", case.name);
            }
            Err(reject) => {
                n_whole += 1;
                assert_eq!((report.received, letters.len()), (1, 1), "{}", case.name);
                let letter = &letters[0];
                assert_eq!((letter.reason, letter.position, letter.index), (reject, 7, None), "{}", case.name);
                assert!(letter.bytes == case.text, "{}", case.name);
            }
        }
    }
    assert!(n_whole > 300, "{n_whole}");
}

#[cfg(debug_assertions)]
mod panics {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;
    use crate::pipeline::suspect::{Suspect, Suspicion};
    use crate::pipeline::trap::{self, Stage};

    /// What is noted of a panic that the chunk led to.
    fn panicked(exchange: &mut Exchange, mut chunk: Chunk) -> Vec<Suspect> {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let told = noted.clone();
        let nobody = Suspects::new(Vec::new(), HashKey::FIXED);
        let suspicion = Suspicion::new(nobody, Arc::new(move |suspect| told.lock().unwrap().push(suspect.clone())));
        let panic = catch_unwind(AssertUnwindSafe(|| exchange.route_chunk(&mut chunk))).unwrap_err();
        suspicion.note(exchange.in_hand(&chunk), &*panic);
        let noted = noted.lock().unwrap();
        noted.clone()
    }

    /// Wherever the record stands in a chunk of more than one stretch, and whether or not ends of labels are guessed.
    #[test]
    fn of_a_stretch_it_is_the_one_record() {
        trap::arm(Stage::Scan, "bad as it is scanned");
        trap::arm(Stage::Decode, "bad as it is decoded");
        let good = br#"{"labels":{"alertname":"Good"}}"#.as_slice();
        for text in ["bad as it is scanned", "bad as it is decoded"] {
            let bad = format!(r#"{{"labels":{{"alertname":"{text}"}}}}"#).into_bytes();
            for at in [0, 1, 63, 64, 65, 130, 199] {
                let mut records = vec![good; 200];
                records[at] = &bad;
                let mut warm = exchange();
                warm.route(chunk(&[good; 200], 0));
                for mut exchange in [exchange(), warm] {
                    let noted = panicked(&mut exchange, chunk(&records, 1_000));
                    assert_eq!(noted.len(), 1, "{text} {at}");
                    assert_eq!((noted[0].position, noted[0].partition.as_str()), (Some(1_000 + at as u64), "topic/3"));
                    let suspects = Suspects::new(noted, HashKey::FIXED);
                    let mut next = super::exchange().suspecting(Some(Arc::new(suspects)));
                    let Routed { parts, report } = next.route(chunk(&records, 1_000));
                    assert_eq!((parts[0].arrivals.len(), report.received), (199, 200));
                    let letter = &report.dead_letters[0];
                    assert_eq!((letter.reason, letter.position), (Reject::Panic, 1_000 + at as u64));
                    assert!(report.dead_letters.len() == 1 && letter.bytes == bad);
                }
            }
        }
    }
}
