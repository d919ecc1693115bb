//! What a repeat costs on its whole way, from text to epoch, when so many fingerprints live: far more than any cache and any
//! table of known texts can hold, and every one as likely as the other to come next.

use anyhow::{Context as _, Result};
use tidegate::model::HashKey;
use tidegate::model::alert::Format;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::sequencer::Sequencer;
use tidegate::pipeline::source::{Batch, RecordRef, SourceEvent, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;

use crate::measure::Meter;
use crate::memory::{BATCH_RECORDS, engine};

/// Members of a group.
const GROUP: u64 = 1_000;
/// Everything happens at one time, so no window ends and nothing is forgotten.
const NOW: Timestamp = Timestamp(1_767_225_600_000);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fingerprints that live
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    live: u64,
    /// Repeats that are measured
    #[arg(long, default_value_t = 1_000_000)]
    alerts: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let options = engine(1, 1, 1);
    let start = Start::new(options.clone(), Restored::default(), HashKey::FIXED)?;
    let sequencer = Sequencer::new(&options, &[], &[], start.next_record);
    let mut way =
        Way { sequencer, engine: Engine::new(start, false), gathered: 0, per_epoch: options.epoch.max_records };
    let mut next = 0;
    while next < args.live {
        let numbers = next..(next + BATCH_RECORDS as u64).min(args.live);
        way.feed(batch(numbers.clone(), next))?;
        next = numbers.end;
    }
    way.end_epoch()?;
    let repeats: Vec<u64> = (0..args.alerts).map(|at| mixed(at) % args.live).collect();
    let batches: Vec<Batch> = repeats
        .chunks(BATCH_RECORDS)
        .map(|numbers| {
            let from = next;
            next += numbers.len() as u64;
            batch(numbers.iter().copied(), from)
        })
        .collect();
    let n_bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let meter = Meter::start();
    for batch in batches {
        way.feed(batch)?;
    }
    way.end_epoch()?;
    meter.stop().print("keys", args.alerts, n_bytes as u64, serde_json::json!({ "live": args.live, "threads": 1 }))
}

/// The engine on one thread, and when its epochs end.
struct Way {
    sequencer: Sequencer,
    engine: Engine,
    gathered: u64,
    per_epoch: u64,
}

impl Way {
    fn feed(&mut self, batch: Batch) -> Result<()> {
        self.gathered += batch.records.len() as u64;
        let chunk = self.sequencer.take(SourceIndex(0), SourceEvent::Records(batch), NOW)?;
        self.engine.feed_chunk(chunk.context("records are a chunk")?);
        if self.gathered >= self.per_epoch { self.end_epoch() } else { Ok(()) }
    }

    fn end_epoch(&mut self) -> Result<()> {
        self.gathered = 0;
        drop(self.engine.end_epoch(NOW)?);
        Ok(())
    }
}

/// The records of these fingerprints; the first has the number `from`.
fn batch(numbers: impl Iterator<Item = u64>, from: u64) -> Batch {
    let mut batch = Batch { partitions: vec!["alerts/0".into()], ..Batch::default() };
    for (position, number) in (from..).zip(numbers) {
        let at = RecordRef {
            start: 0,
            len: 0,
            partition: 0,
            position,
            next: position + 1,
            time: NOW,
            format: Format::Native,
        };
        batch.push(record(number).as_bytes(), at);
    }
    batch
}

/// A number from a number, as good as random: SplitMix64 (Steele, Lea and Flood, 2014).
fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// An alert with twelve labels, of which names and values have 300 bytes.
fn record(number: u64) -> String {
    let group = number / GROUP;
    format!(
        "{{\"labels\":{{\"alertname\":\"LatencyAboveTarget{:04}\",\"cluster\":\"production-eu-west-1\",\
         \"container\":\"application\",\"instance\":\"10.{:03}.{:03}.{:03}:9090\",\"job\":\"kubernetes-pods\",\
         \"namespace\":\"team-{:04}\",\"pod\":\"service-{group:08}-{:016x}\",\"prometheus\":\"monitoring/k8s-main\",\
         \"revision\":\"4f1c2d9be07a66d1c0aa9e3f5b7d8e90\",\"service\":\"service-{group:08}\",\"severity\":\"warning\",\
         \"zone\":\"eu-west-1b\"}},\"annotations\":{{\"summary\":\"Requests of service-{group:08} take longer than they \
         should\"}},\"status\":\"firing\",\"startsAt\":\"2026-01-01T00:00:00Z\"}}",
        group % 40,
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255,
        group % 97,
        mixed(number),
    )
}
