//! Downtime is not silence: while nobody could send, no window ends and no alert counts as over. In virtual time, with
//! the sequencer, the engine and the state blocks of the daemon, against a Prometheus that repeats what fires.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::incident::{EventKind, EventReason, IncidentEvent};
use tidegate::model::time::Timestamp;
use tidegate::pipeline::exchange::Chunk;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
use tidegate::pipeline::sequencer::Sequencer;
use tidegate::pipeline::sink::EpochSink as _;
use tidegate::pipeline::sink::memory::{MemorySink, MemoryStore};
use tidegate::pipeline::source::{Batch, PartitionName, RecordRef, SourceEvent, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;

const SECOND: i64 = 1;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// Prometheus repeats a firing alert after this time, and says that it lasts for four times as long.
const RESEND: i64 = MINUTE;
const ENDS_AFTER: i64 = 4 * RESEND;
/// A clock that moved is committed this often.
const CLOCK_INTERVAL: i64 = 10 * SECOND;
const HTTP: SourceIndex = SourceIndex(0);

/// The moment this many seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp((1_800_000_000 + seconds) * 1_000)
}

fn options() -> Arc<Options> {
    Arc::new(Options {
        decoders: 1,
        shards: 2,
        epoch: EpochOptions::default(),
        rules: vec![WindowRule::named("default")].into(),
        sources: vec![SourceOptions { lossy_when_unread: true, ..SourceOptions::named("http") }].into(),
        samples: 10,
        config_version: 1,
    })
}

/// What runs between a start and a stop.
struct Daemon {
    sequencer: Sequencer,
    engine: Engine,
    sink: MemorySink,
}

/// A machine with its store and its wall clock; the daemon on it runs or does not. A Prometheus elsewhere fires.
struct World {
    store: MemoryStore,
    daemon: Option<Daemon>,
    /// Seconds since the beginning.
    now: i64,
    position: u64,
    fires: bool,
}

impl World {
    /// A daemon that runs, and two incidents of three alerts that fire for ten minutes.
    fn with_two_incidents() -> Self {
        let mut world = Self { store: MemoryStore::new(), daemon: None, now: 0, position: 0, fires: true };
        world.start();
        world.run_for(10 * MINUTE);
        assert_eq!(world.lives(), ["DiskFull: opened", "checkout: opened"]);
        world
    }

    /// As `app::engine` does it: restore, then tell the engine how long nobody could send.
    fn start(&mut self) {
        let mut restored = Restored::default();
        let mut sink = self.store.sink();
        sink.restore(&mut |block| restored.take_block(block)).unwrap();
        let start = Start::new(options(), restored, HashKey::FIXED).unwrap();
        let sequencer = Sequencer::new(&start.options, &start.positions, &start.clocks, start.next_record);
        let mut daemon = Daemon { sequencer, engine: Engine::new(start, false), sink };
        let chunk = daemon.sequencer.begin(at(self.now));
        daemon.take(chunk);
        self.daemon = Some(daemon);
    }

    /// The process is gone at once; what was not committed is lost.
    fn kill(&mut self) {
        self.daemon = None;
    }

    /// Time passes, second by second.
    fn run_for(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += 1;
            let sends = self.fires && self.now % RESEND == 0;
            let Some(daemon) = &mut self.daemon else { continue };
            let now = at(self.now);
            if sends {
                self.position += 1;
                daemon.post(&alerts(self.now), self.position, now);
                daemon.end_epoch(now);
            } else {
                let chunk = daemon.sequencer.tick(now);
                daemon.take(chunk);
            }
            if self.now % CLOCK_INTERVAL == 0 {
                daemon.end_epoch(now);
            }
        }
    }

    /// Every incident there ever was with what happened to it, updates left out; revisions are looked at on the way.
    fn lives(&self) -> Vec<String> {
        let mut lives: Vec<(IncidentEvent, String)> = Vec::new();
        for record in self.store.incidents() {
            let event = IncidentEvent::clone(&record.event);
            let step = match event.event {
                EventKind::Updated => String::new(),
                kind => format!(" {}", kind.name()),
            };
            match lives.iter_mut().find(|(known, _)| known.incident_id == event.incident_id) {
                Some((known, steps)) => {
                    assert_eq!(event.revision, known.revision + 1, "{event:?}");
                    steps.push_str(&step);
                    *known = event;
                }
                None => {
                    assert_eq!(event.revision, 1, "{event:?}");
                    lives.push((event, step));
                }
            }
        }
        let name =
            |event: &IncidentEvent| event.group_labels.iter().find(|(name, _)| *name != "cluster").unwrap().1.clone();
        let mut told: Vec<String> = lives.iter().map(|(event, steps)| format!("{}:{steps}", name(event))).collect();
        told.sort_unstable();
        told
    }

    /// The last event of that kind, and the second of its record time.
    fn last(&self, kind: EventKind) -> (EventReason, i64) {
        let incidents = self.store.incidents();
        let event = &incidents.iter().rev().find(|record| record.event.event == kind).unwrap().event;
        (event.reason, (event.record_time - at(0)).0 / 1_000)
    }
}

impl Daemon {
    fn post(&mut self, alerts: &Value, position: u64, now: Timestamp) {
        let mut batch = Batch { partitions: vec![PartitionName::from("")], ..Batch::default() };
        let (next, format) = (position + 1, Format::AlertmanagerV2);
        let record = RecordRef { start: 0, len: 0, partition: 0, position, next, time: Timestamp::MIN, format };
        batch.push(&serde_json::to_vec(alerts).unwrap(), record);
        let chunk = self.sequencer.take(HTTP, SourceEvent::Records(batch), now).unwrap().unwrap();
        self.take(chunk);
    }

    /// Every chunk here has at most one record, so that its steps come before all of it.
    fn take(&mut self, chunk: Chunk) {
        chunk.steps.into_iter().for_each(|step| self.engine.step(step.kind));
        if let Some(source) = chunk.source {
            self.engine.feed(source, chunk.batch, Vec::new(), chunk.wall);
        }
    }

    fn end_epoch(&mut self, now: Timestamp) {
        let (epoch, _) = self.engine.end_epoch(now).unwrap();
        self.sink.commit(&epoch).unwrap();
    }
}

/// What Prometheus posts: two alerts of one service, one that goes by its name.
fn alerts(now: i64) -> Value {
    let labels = [
        json!({"alertname": "CheckoutLatency", "service": "checkout", "severity": "warning"}),
        json!({"alertname": "CheckoutErrors", "service": "checkout", "severity": "critical"}),
        json!({"alertname": "DiskFull", "instance": "db-1", "severity": "warning"}),
    ];
    let (starts, ends) = (at(RESEND).to_string(), at(now + ENDS_AFTER).to_string());
    let alert = |labels| json!({"labels": labels, "annotations": {}, "startsAt": starts, "endsAt": ends});
    labels.map(alert).into_iter().collect()
}

#[test]
fn a_time_without_a_daemon_resolves_and_reopens_nothing() {
    // As long as a deploy, as a repair of the machine, as a night.
    for downtime in [RESEND / 2, 5 * MINUTE, 20 * MINUTE, 8 * HOUR] {
        // The stop may come at any moment between two repeats and between two commits of the clock.
        for lived in [0, 7, 30, 59] {
            let mut world = World::with_two_incidents();
            world.run_for(lived);
            world.kill();
            world.run_for(downtime);
            world.start();
            world.run_for(30 * MINUTE);
            assert_eq!(world.lives(), ["DiskFull: opened", "checkout: opened"], "{downtime} s down after {lived} s");
            world.fires = false;
            world.run_for(ENDS_AFTER);
            assert_eq!(world.lives(), ["DiskFull: opened resolved", "checkout: opened resolved"]);
            assert_eq!(world.last(EventKind::Resolved).0, EventReason::NotSeen);
        }
    }
}

#[test]
fn the_same_silence_with_a_daemon_resolves() {
    let mut world = World::with_two_incidents();
    world.fires = false;
    world.run_for(20 * MINUTE);
    assert_eq!(world.lives(), ["DiskFull: opened resolved", "checkout: opened resolved"]);
    assert_eq!(world.last(EventKind::Resolved), (EventReason::NotSeen, 10 * MINUTE + ENDS_AFTER));
}

#[test]
fn a_daemon_that_keeps_falling_down_takes_only_its_own_time_for_silence() {
    let mut world = World::with_two_incidents();
    world.fires = false;
    for _ in 0..11 {
        world.kill();
        world.run_for(5 * MINUTE);
        world.start();
        world.run_for(2 * CLOCK_INTERVAL);
    }
    assert_eq!(world.lives(), ["DiskFull: opened", "checkout: opened"]);
    // 220 of the 240 seconds of `endsAt` are over.
    world.run_for(2 * CLOCK_INTERVAL);
    assert_eq!(world.lives(), ["DiskFull: opened resolved", "checkout: opened resolved"]);
}

#[test]
fn what_ended_meanwhile_resolves_after_the_time_it_had_left() {
    let mut world = World::with_two_incidents();
    world.run_for(MINUTE / 2);
    world.kill();
    world.fires = false;
    world.run_for(20 * MINUTE);
    world.start();
    let left = ENDS_AFTER - MINUTE / 2;
    world.run_for(left - 1);
    assert_eq!(world.lives(), ["DiskFull: opened", "checkout: opened"]);
    world.run_for(1);
    assert_eq!(world.lives(), ["DiskFull: opened resolved", "checkout: opened resolved"]);
}

#[test]
fn a_time_of_refusing_resolves_and_reopens_nothing() {
    let mut world = World::with_two_incidents();
    world.fires = false;
    let from = at(world.now);
    world.daemon.as_ref().unwrap().sequencer.refusing.store(true, Ordering::Release);
    world.run_for(20 * MINUTE);
    let (now, daemon) = (at(world.now), world.daemon.as_mut().unwrap());
    let unread = SourceEvent::Unread { from, to: now };
    let chunk = daemon.sequencer.take(HTTP, unread, now).unwrap().unwrap();
    daemon.take(chunk);
    world.fires = true;
    world.run_for(30 * MINUTE);
    assert_eq!(world.lives(), ["DiskFull: opened", "checkout: opened"]);
}

#[test]
fn what_still_fires_after_a_silence_with_a_daemon_is_shown_again() {
    // The way between Prometheus and the daemon was cut: nobody can tell this from the end of the alerts at first.
    let mut world = World::with_two_incidents();
    world.fires = false;
    world.run_for(5 * MINUTE);
    world.fires = true;
    world.run_for(2 * MINUTE);
    let firing = |record: &tidegate::pipeline::sink::IncidentRecord| record.event.firing;
    let incidents = world.store.incidents();
    assert_eq!(incidents.iter().rev().take(2).map(firing).sum::<u64>(), 3, "{:?}", world.lives());
}
