//! An hour of backlog, read at once, gives the same incidents as the same alerts read live.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::incident::IncidentEvent;
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
use tidegate::pipeline::sequencer::Sequencer;
use tidegate::pipeline::source::{Batch, PartitionName, RecordRef, SourceEvent, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::{Flood, FloodOptions, Shape};

const START: Timestamp = Timestamp(1_700_000_000_000);
const PARTITIONS: usize = 3;
/// In a backlog no partition runs further ahead of the slowest than this (design: time).
const AHEAD: Millis = Millis::seconds(10);

struct Record {
    at: Timestamp,
    partition: usize,
    json: Vec<u8>,
}

/// An hour of a flood, two alerts a second; each group in one partition, or each alert in the next.
fn hour(shape: Shape, keyed: bool) -> Vec<Record> {
    let options = FloodOptions { shape, seed: 3, alerts: 7_200, start: START, rate: 2.0, received_at: true };
    let flood = Flood::new(options).enumerate();
    let record = |(number, alert): (usize, tidegate::storm::StormAlert)| Record {
        at: alert.at,
        partition: if keyed { home(&alert.group) } else { number % PARTITIONS },
        json: alert.json,
    };
    flood.map(record).collect()
}

/// The partition of a group, as a producer that keys by it would choose.
fn home(group: &BTreeMap<String, String>) -> usize {
    group.values().flat_map(|value| value.bytes()).fold(0, |sum, byte| sum * 31 % 1_009 + usize::from(byte))
        % PARTITIONS
}

struct World {
    engine: Engine,
    sequencer: Sequencer,
    names: Vec<PartitionName>,
    events: Vec<IncidentEvent>,
}

impl World {
    fn new(gap: Millis) -> Self {
        let mut rule = WindowRule::named("default");
        rule.gap = gap;
        let options = Arc::new(Options {
            decoders: 1,
            shards: 2,
            epoch: EpochOptions::default(),
            rules: vec![rule].into(),
            sources: vec![SourceOptions::named("kafka")].into(),
            samples: 3,
            config_version: 1,
        });
        let start = Start::new(options.clone(), Restored::default(), HashKey::FIXED).unwrap();
        let sequencer = Sequencer::new(&options, &[], &[], 0);
        let names = (0..PARTITIONS).map(|n| PartitionName::from(format!("alerts/{n}"))).collect();
        let mut world = Self { engine: Engine::new(start, false), sequencer, names, events: Vec::new() };
        world.say(SourceEvent::Assigned(world.names.clone()), START);
        world
    }

    fn say(&mut self, event: SourceEvent, now: Timestamp) {
        if let Some(chunk) = self.sequencer.take(SourceIndex(0), event, now).unwrap() {
            self.engine.feed_chunk(chunk);
        }
    }

    fn read(&mut self, records: &[&Record], now: Timestamp) {
        let mut batch = Batch { partitions: self.names.clone(), ..Batch::default() };
        for record in records {
            let position = record.at.0 as u64;
            let at = RecordRef {
                start: 0,
                len: 0,
                partition: record.partition as u16,
                position,
                next: position + 1,
                time: record.at,
                format: Format::Native,
            };
            batch.push(&record.json, at);
        }
        self.say(SourceEvent::Records(batch), now);
    }

    fn idle(&mut self, now: Timestamp) {
        for name in self.names.clone() {
            self.say(SourceEvent::Idle(name), now);
        }
        let chunk = self.sequencer.tick(now);
        self.engine.feed_chunk(chunk);
    }

    fn end_epoch(&mut self, now: Timestamp) {
        let (epoch, _) = self.engine.end_epoch(now).unwrap();
        self.events.extend(epoch.incidents.iter().map(|record| IncidentEvent::clone(&record.event)));
    }

    /// Two more hours in which nothing comes; then what every incident came to.
    fn outcome(mut self, mut now: Timestamp) -> BTreeSet<String> {
        for _ in 0..720 {
            now = now + Millis::seconds(10);
            self.idle(now);
            self.end_epoch(now);
        }
        let mut last: BTreeMap<String, &IncidentEvent> = BTreeMap::new();
        for event in &self.events {
            let before = last.insert(event.incident_id.to_string(), event);
            assert_eq!(event.revision, before.map_or(0, |before| before.revision) + 1);
        }
        let text = |event: &&IncidentEvent| {
            let IncidentEvent { group_labels, first_seen, last_seen, members, members_sum, counts, status, .. } = event;
            format!("{group_labels:?} {first_seen} {last_seen} {members} {members_sum} {counts:?} {status:?}")
        };
        last.values().map(text).collect()
    }
}

fn read_live(records: &[Record], gap: Millis) -> BTreeSet<String> {
    let mut world = World::new(gap);
    let mut now = START;
    for record in records {
        while now + Millis::seconds(1) < record.at {
            now = now + Millis::seconds(1);
            world.idle(now);
        }
        now = now.max(record.at);
        world.read(&[record], now);
        world.idle(now);
        if record.at.0 % 10_000 == 0 {
            world.end_epoch(now);
        }
    }
    world.outcome(now)
}

fn read_backlog(records: &[Record], gap: Millis) -> BTreeSet<String> {
    let mut world = World::new(gap);
    let now = START + Millis::hours(1);
    let mut left: Vec<std::collections::VecDeque<&Record>> = (0..PARTITIONS)
        .map(|partition| records.iter().filter(|record| record.partition == partition).collect())
        .collect();
    let mut turn = 0;
    while left.iter().any(|partition| !partition.is_empty()) {
        turn += 1;
        let slowest = left.iter().filter_map(|partition| partition.front()).map(|record| record.at).min().unwrap();
        // A partition is read in large strides, as a fetch brings them, up to the alignment.
        let partition = &mut left[turn % PARTITIONS];
        let n = partition.iter().take_while(|record| record.at <= slowest + AHEAD).take(500).count();
        let stride: Vec<&Record> = partition.drain(..n).collect();
        if !stride.is_empty() {
            world.read(&stride, now);
        }
        if turn % 50 == 0 {
            world.end_epoch(now);
        }
    }
    world.idle(now);
    world.outcome(now)
}

#[test]
fn equals_live_when_groups_keep_their_partition() {
    for shape in [Shape::TicketStorm, Shape::Cascade, Shape::ResolveFlood, Shape::AllDistinct] {
        // A gap that many groups reach, so that there are sessions, successors and reopenings.
        for gap in [Millis::seconds(20), Millis::minutes(5)] {
            let records = hour(shape, true);
            let (live, backlog) = (read_live(&records, gap), read_backlog(&records, gap));
            let differences: Vec<&String> = live.symmetric_difference(&backlog).take(6).collect();
            assert!(differences.is_empty(), "{shape} with gap {gap:?}: {differences:#?}");
            assert!(!live.is_empty());
        }
    }
}

#[test]
fn equals_live_when_groups_are_spread_over_partitions() {
    for shape in [Shape::TicketStorm, Shape::Cascade] {
        let records = hour(shape, false);
        let gap = Millis::minutes(5);
        let (live, backlog) = (read_live(&records, gap), read_backlog(&records, gap));
        let differences: Vec<&String> = live.symmetric_difference(&backlog).take(6).collect();
        assert!(differences.is_empty(), "{shape}: {differences:#?}");
    }
}
