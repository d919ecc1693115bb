//! A panic in any thread ends the whole run, without a word in the store of what came behind it.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::time::Duration;

use crossbeam::channel::SendTimeoutError;

use super::*;
use crate::model::alert::Format;
use crate::model::fingerprint::HashKey;
use crate::model::time::Timestamp;
use crate::model::time::{Millis, Stopwatch, SystemClock};
use crate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
use crate::pipeline::sink::memory::MemoryStore;
use crate::pipeline::source::{Batch, RecordRef};
use crate::pipeline::state::Restored;
use crate::pipeline::suspect::{Suspect, Suspects};
use crate::pipeline::trap::{self, Stage};

/// Long enough for a loaded machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at whether the run is over.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Records of a batch.
const RECORDS: u64 = 100;

fn batch(number: u64, bad: Option<(u64, &str)>) -> Batch {
    let mut batch = Batch { partitions: vec!["topic/0".into()], ..Batch::default() };
    for position in number * RECORDS..(number + 1) * RECORDS {
        let name = bad.filter(|(at, _)| *at == position).map_or("Good", |(_, name)| name);
        let record = format!(r#"{{"labels":{{"alertname":"{name}","n":"{}"}}}}"#, position % 17);
        let (time, format) = (Timestamp(1_800_000_000_000), Format::Native);
        let at = RecordRef { start: 0, len: 0, partition: 0, position, next: position + 1, time, format };
        batch.push(record.as_bytes(), at);
    }
    batch
}

/// Runs 400 batches with one bad record among them; what was noted, how the run ended, and how far the store came.
fn run(bad: Option<(u64, &str)>) -> (Vec<Suspect>, Option<RunError>, u64) {
    let options = Arc::new(Options {
        decoders: 3,
        shards: 2,
        epoch: EpochOptions { max_records: 500, ..EpochOptions::default() },
        rules: vec![WindowRule { wait: Millis::ZERO, ..WindowRule::named("default") }].into(),
        sources: vec![SourceOptions::named("alerts")].into(),
        samples: 1,
        config_version: 1,
    });
    let store = MemoryStore::new();
    let mut sink = store.sink();
    sink.restore(&mut |_| Ok(())).unwrap();
    let (sender, input) = bounded(1);
    let noted = Arc::new(Mutex::new(Vec::new()));
    let told = noted.clone();
    let nobody = Suspects::new(Vec::new(), HashKey::FIXED);
    let outside = Outside {
        inputs: vec![input],
        sink: Box::new(sink),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_, _| {}),
        refusing: Arc::default(),
        tap: Arc::default(),
        watched: Arc::default(),
        valves: Arc::default(),
        suspicion: Suspicion::new(nobody, Arc::new(move |suspect| told.lock().unwrap().push(suspect.clone()))),
    };
    let running = start(Start::new(options, Restored::default(), HashKey::FIXED).unwrap(), outside, None);
    // Who reads is handed back when all are joined: until then a source that is stopped sees a full queue.
    let watch = Stopwatch::start();
    for number in 0..400 {
        let mut event = SourceEvent::Records(batch(number, bad));
        while let Err(SendTimeoutError::Timeout(back)) = sender.send_timeout(event, LOOK_EVERY)
            && !running.is_over()
        {
            event = back;
            assert!(watch.elapsed() < PATIENCE, "the run goes on without taking anything");
        }
    }
    if bad.is_none() {
        while store.positions().first().is_none_or(|position| position.next < 400 * RECORDS) {
            std::thread::yield_now();
        }
        running.stop();
    }
    let ended = running.ended();
    assert!(ended.recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected()), "every thread ends");
    let error = running.join().err();
    let next = store.positions().first().map_or(0, |position| position.next);
    (noted.lock().unwrap().clone(), error, next)
}

#[test]
fn a_panic_ends_the_run_and_accuses_one_record() {
    trap::arm(Stage::Scan, "ScanOnThreads");
    trap::arm(Stage::Decode, "DecodeOnThreads");
    trap::arm(Stage::Shard, "ShardOnThreads");
    for (name, thread) in [("ScanOnThreads", "decode"), ("DecodeOnThreads", "decode"), ("ShardOnThreads", "shard")] {
        let (noted, error, next) = run(Some((12_345, name)));
        assert_eq!(noted.len(), 1, "{name}: {noted:#?}");
        let suspect = &noted[0];
        assert_eq!((suspect.position, suspect.partition.as_str()), (Some(12_345), "topic/0"), "{name}");
        assert!(suspect.thread.starts_with(thread) && suspect.panic.contains(name), "{suspect:?}");
        assert!(matches!(&error, Some(RunError::Panicked(of)) if of.starts_with(thread)), "{name}: {error:?}");
        assert!(next <= 12_345, "{name}: {next} is durable");
    }
}

#[test]
fn a_panic_in_correlation_ends_the_run_and_accuses_nobody() {
    trap::arm(Stage::Correlate, "CorrelateOnThreads");
    let (noted, error, _) = run(Some((12_345, "CorrelateOnThreads")));
    assert_eq!(noted, []);
    assert!(matches!(&error, Some(RunError::Panicked(of)) if of == "commit"), "{error:?}");
}

#[test]
fn without_a_bad_record_everything_is_durable() {
    let (noted, error, next) = run(None);
    assert_eq!((noted.len(), error.is_none(), next), (0, true, 400 * RECORDS));
}
