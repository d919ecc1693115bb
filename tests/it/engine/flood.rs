//! Whole floods through the engine: any number of shards, batches and epochs, with restarts in between.

use std::sync::Arc;

use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::incident::{Counts, IncidentEvent};
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::{Seq, Step, StepKind};
use tidegate::pipeline::epoch::counter;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, Options, RecordTime, SourceOptions, WindowRule};
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::{Flood, FloodOptions, Shape};

/// The flood's records, one alert each, in the form of the native format.
pub(super) fn records(shape: Shape, seed: u64, alerts: u32, rate: f64) -> Vec<Vec<u8>> {
    let mut flood = Flood::new(FloodOptions { shape, seed, alerts, rate, ..FloodOptions::default() });
    let mut records = Vec::new();
    loop {
        let mut record = Vec::new();
        if flood.next_into(&mut record).is_none() {
            return records;
        }
        records.push(record);
    }
}

/// A rule whose timers fire all through a flood of ten alerts a second.
pub(super) fn lively() -> WindowRule {
    WindowRule {
        gap: Millis::seconds(20),
        wait: Millis::seconds(3),
        update_every: Millis::seconds(5),
        reopen: Millis::seconds(30),
        max_age: Some(Millis::seconds(120)),
        max_alerts: Some(40),
        resolve_after: tidegate::pipeline::options::ResolveAfter::After(Millis::seconds(45)),
        forget_after: Some(Millis::minutes(10)),
        ..WindowRule::named("default")
    }
}

pub(super) fn options(rules: Vec<WindowRule>, shards: usize) -> Options {
    let source = SourceOptions { time: RecordTime::Payload, ..SourceOptions::named("file") };
    Options {
        decoders: 1,
        shards,
        epoch: EpochOptions::default(),
        rules: rules.into(),
        sources: vec![source].into(),
        samples: 3,
        config_version: 1,
    }
}

/// How a flood is cut up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) shards: usize,
    /// Records in a batch.
    pub(super) batch: usize,
    /// Batches in an epoch.
    pub(super) epoch: usize,
}

/// A run over a flood that can stop and go on from its state.
pub(super) struct Run {
    options: Options,
    engine: Engine,
    /// The blocks with their epochs.
    pub(super) blocks: Vec<(u64, Vec<u8>)>,
    pub(super) safe_from: u64,
    pub(super) events: Vec<IncidentEvent>,
    position: u64,
    pub(super) outcomes: [u64; 6],
    pub(super) fingerprints: u64,
    /// Alerts folded into overflow incidents.
    pub(super) overflowed: u64,
    /// What happens before the record at a position.
    pub(super) steps: Vec<(u64, StepKind)>,
}

impl Run {
    pub(super) fn new(options: Options) -> Self {
        let engine = engine(&options, Restored::default());
        let (blocks, events) = (Vec::new(), Vec::new());
        let (position, outcomes, fingerprints, overflowed) = (0, [0; 6], 0, 0);
        let steps = Vec::new();
        Self { options, engine, blocks, safe_from: 1, events, position, outcomes, fingerprints, overflowed, steps }
    }

    /// Ends the process and goes on from the blocks of this epoch and later.
    pub(super) fn restart(&mut self, shards: usize, from_epoch: u64) {
        let mut restored = Restored::default();
        let blocks = self.blocks.iter().filter(|(epoch, _)| *epoch >= from_epoch);
        blocks.for_each(|(_, block)| restored.take_block(block).unwrap());
        self.options.shards = shards;
        self.engine = engine(&self.options, restored);
    }

    pub(super) fn feed(&mut self, records: &[Vec<u8>]) {
        let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
        let (first, number) = (self.position, self.engine.next_record());
        for record in records {
            let position = self.position;
            self.position += 1;
            let (next, time, format) = (self.position, Timestamp::MIN, Format::Native);
            batch.push(record, RecordRef { start: 0, len: 0, partition: 0, position, next, time, format });
        }
        let here = self.steps.iter().filter(|(at, _)| (first..self.position).contains(at));
        let seq = |at: u64| Seq { record: number + (at - first), index: 0 };
        let steps = here.map(|(at, kind)| Step { seq: seq(*at), kind: kind.clone() }).collect();
        self.engine.feed(SourceIndex(0), batch, steps, Timestamp(0));
    }

    /// The next state entries begin a sweep over everything.
    pub(super) fn sweep(&mut self) {
        self.engine.sweep_soon();
    }

    pub(super) fn end_epoch(&mut self) {
        let (epoch, attached) = self.engine.end_epoch(Timestamp(0)).unwrap();
        self.safe_from = epoch.safe_from;
        self.blocks.extend(epoch.blocks.into_iter().map(|block| (block.epoch, block.bytes)));
        self.events.extend(epoch.incidents.iter().map(|record| (*record.event).clone()));
        let totals = attached.summary.totals[0].counts;
        assert!(totals.is_conserved());
        self.outcomes = totals.outcomes;
        self.fingerprints = attached.summary.tally.fingerprints;
        self.overflowed = attached.summary.counters.get(counter::OVERFLOWED).copied().unwrap_or(0);
    }

    pub(super) fn last_epoch(&self) -> u64 {
        self.blocks.last().map_or(0, |(epoch, _)| *epoch)
    }

    pub(super) fn finish(&mut self) {
        self.engine.step(StepKind::RunOut);
        self.end_epoch();
    }

    /// Feeds everything in this cut, with an end of the run.
    pub(super) fn whole(options: Options, records: &[Vec<u8>], cut: Cut) -> Self {
        Self::with_steps(options, records, &[], cut)
    }

    /// The same, with steps before the records at these positions.
    pub(super) fn with_steps(options: Options, records: &[Vec<u8>], steps: &[(u64, StepKind)], cut: Cut) -> Self {
        let mut run = Self::new(Options { shards: cut.shards, ..options });
        run.steps = steps.to_vec();
        for (n, batch) in records.chunks(cut.batch).enumerate() {
            run.feed(batch);
            if (n + 1) % cut.epoch == 0 {
                run.end_epoch();
            }
        }
        run.finish();
        run
    }
}

fn engine(options: &Options, restored: Restored) -> Engine {
    Engine::new(Start::new(Arc::new(options.clone()), restored, HashKey::FIXED).unwrap(), false)
}

/// The events as bytes, without what an epoch is free in.
pub(super) fn without_epochs(events: &[IncidentEvent]) -> Vec<String> {
    let plain = |event: &IncidentEvent| IncidentEvent { epoch: 0, committed_at: Timestamp(0), ..event.clone() };
    events.iter().map(|event| serde_json::to_string(&plain(event)).unwrap()).collect()
}

/// The same, and without the counts of what is not the last revision of its incident.
pub(super) fn without_passing_counts(events: &[IncidentEvent]) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut plain: Vec<IncidentEvent> = events.to_vec();
    for event in plain.iter_mut().rev() {
        event.catching_up = false;
        if !seen.insert(event.incident_id) {
            event.counts = Counts::default();
        }
    }
    without_epochs(&plain)
}

/// Fails with the first difference instead of two screens full.
#[track_caller]
pub(super) fn assert_same(found: &[String], expected: &[String], what: &str) {
    if let Some((at, (found, expected))) = found.iter().zip(expected).enumerate().find(|(_, (a, b))| a != b) {
        panic!("{what}: event {at}\n found    {found}\n expected {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{what}: number of events");
}
