//! What the benches are fed: seeded floods of `tidegate::storm`, as batches of a source with record times of its own
//! (as Kafka's), numbered and timed by the sequencer as in the daemon.
//!
//! `alerts` are records in every format and layout, `groups` the lives of many windows, `rules` many window rules;
//! `choice` says which benches were asked for, so that nobody waits for the input of the others.

#![allow(dead_code, reason = "each bench is a crate of its own and takes a part of this")]

pub(crate) mod alerts;
pub(crate) mod choice;
pub(crate) mod groups;
pub(crate) mod live;
pub(crate) mod rules;

use std::sync::Arc;

use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::matcher::Matcher;
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::Part;
use tidegate::pipeline::exchange::{Chunk, Exchange, Placement};
use tidegate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
use tidegate::pipeline::sequencer::Sequencer;
use tidegate::pipeline::source::{Batch, RecordRef, SourceEvent, SourceIndex};
use tidegate::storm::{Flood, FloodOptions, Shape};

/// Alerts of a flood: enough that every story of a shape reaches its normal course.
pub(crate) const ALERTS: u32 = 100_000;

/// Records of a batch: what a source hands on at once.
const BATCH_RECORDS: usize = 1_000;

/// Alerts per second in the flood's own time: a hundred share a millisecond, as in a real flood.
const RATE: f64 = 100_000.0;

/// A flood in memory: one record an alert.
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Where each record ends, and its time.
    records: Vec<(usize, Timestamp)>,
}

impl Input {
    pub(crate) fn new(shape: Shape) -> Self {
        Self::later(shape, Millis(0))
    }

    /// The same flood, that much later: the same fingerprints once more.
    pub(crate) fn later(shape: Shape, by: Millis) -> Self {
        Self::sized(shape, by, ALERTS)
    }

    /// The same with that many alerts: for runs under valgrind, which are some forty times as slow.
    pub(crate) fn sized(shape: Shape, by: Millis, alerts: u32) -> Self {
        let options = FloodOptions::default();
        let start = options.start + by;
        let options = FloodOptions { shape, start, alerts, rate: RATE, received_at: false, ..options };
        let mut flood = Flood::new(options);
        let mut input = Self { bytes: Vec::new(), records: Vec::new() };
        while let Some(truth) = flood.next_into(&mut input.bytes) {
            input.records.push((input.bytes.len(), truth.at));
        }
        input
    }

    /// So many of its alerts once more, from all over it and in no order, at the time of its last.
    pub(crate) fn repeats(&self, n: u32) -> Self {
        let (mut repeats, all) = (Self { bytes: Vec::new(), records: Vec::new() }, self.records.len() as u64);
        let last = self.records.last().expect("no flood is empty").1;
        for number in 0..u64::from(n) {
            let at = (live::mixed(number) % all) as usize;
            let start = at.checked_sub(1).map_or(0, |before| self.records[before].0);
            repeats.bytes.extend_from_slice(&self.bytes[start..self.records[at].0]);
            repeats.records.push((repeats.bytes.len(), last));
        }
        repeats
    }

    /// These alerts, one a record, in the order of their times.
    pub(crate) fn of(alerts: impl IntoIterator<Item = (String, Timestamp)>) -> Self {
        let mut input = Self { bytes: Vec::new(), records: Vec::new() };
        for (alert, at) in alerts {
            input.bytes.extend_from_slice(alert.as_bytes());
            input.records.push((input.bytes.len(), at));
        }
        input
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes of each record.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.records.iter().map(|(end, _)| *end));
        starts.zip(&self.records).map(|(start, (end, _))| &self.bytes[start..*end])
    }

    pub(crate) fn batches(&self) -> Vec<Batch> {
        let records: Vec<(u64, &[u8], Timestamp)> =
            (0..).zip(self.records()).zip(&self.records).map(|((at, bytes), (_, time))| (at, bytes, *time)).collect();
        let batch = |records: &[(u64, &[u8], Timestamp)]| {
            let mut batch = Batch { partitions: vec!["alerts/0".into()], ..Batch::default() };
            for (position, bytes, time) in records {
                let at = RecordRef {
                    start: 0,
                    len: 0,
                    partition: 0,
                    position: *position,
                    next: position + 1,
                    time: *time,
                    format: Format::Native,
                };
                batch.push(bytes, at);
            }
            batch
        };
        records.chunks(BATCH_RECORDS).map(batch).collect()
    }

    /// The batches with their numbers and clock steps; the first record has the number `from`.
    pub(crate) fn chunks(&self, options: &Options, from: u64) -> Vec<Chunk> {
        let mut sequencer = Sequencer::new(options, &[], &[], from);
        let chunk = |batch: Batch| {
            let now = batch.records.last().expect("no batch is empty").time;
            let taken = sequencer.take(SourceIndex(0), SourceEvent::Records(batch), now);
            taken.expect("the source has not failed").expect("records are a chunk")
        };
        self.batches().into_iter().map(chunk).collect()
    }

    /// What the first shard gets of it, nothing folded.
    pub(crate) fn parts(&self, options: &Arc<Options>, from: u64) -> Vec<Part> {
        let mut exchange = Exchange::new(options.clone(), HashKey::FIXED, Placement::default(), false);
        self.chunks(options, from).into_iter().map(|chunk| exchange.route(chunk).parts.swap_remove(0)).collect()
    }
}

/// One source with record times, one window rule, everything as by default.
pub(crate) fn options(shards: usize) -> Arc<Options> {
    with_rules(shards, 1)
}

/// The same with so many window rules. Only the last one matches: all the others have to be looked at first.
pub(crate) fn with_rules(shards: usize, n_rules: usize) -> Arc<Options> {
    let other = |number: usize| {
        let mut rule = WindowRule::named(&format!("team-{number}"));
        let matchers = Matcher::parse_all(&format!(r#"team="nobody-{number}""#));
        rule.matchers = matchers.expect("the matcher above is well formed");
        rule
    };
    let rules: Vec<WindowRule> = (1..n_rules).map(other).chain([WindowRule::named("default")]).collect();
    Arc::new(Options {
        decoders: 1,
        shards,
        epoch: EpochOptions::default(),
        rules: rules.into(),
        sources: vec![SourceOptions::named("alerts")].into(),
        samples: 10,
        config_version: 1,
    })
}
