//! The engine of a scenario: time is moved by hand, every alert has its epoch, and what is told is read as lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate::model::fingerprint::{HashKey, IncidentId};
use tidegate::model::incident::{EventKind, IncidentEvent};
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::{Seq, Step, StepKind};
use tidegate::pipeline::epoch::Summary;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;

use crate::engine::alert::{Alert, second, seconds_of};

/// Samples kept per incident in the scenarios.
pub(super) const SAMPLES: usize = 2;

/// A rule that speaks at once, so that a scenario about membership need not care about emission: no `wait`, and every
/// change is told with the next move of the clock.
pub(super) fn quick() -> WindowRule {
    WindowRule { wait: Millis::ZERO, update_every: Millis::ZERO, ..WindowRule::named("default") }
}

/// Options with this rule and one source that says its record times.
pub(super) fn options(rule: WindowRule) -> Options {
    Options {
        decoders: 1,
        shards: 2,
        epoch: EpochOptions::default(),
        rules: vec![rule].into(),
        sources: vec![SourceOptions::named("test")].into(),
        samples: SAMPLES,
        config_version: 1,
    }
}

/// An engine with its clock, and everything it said.
pub(super) struct World {
    engine: Engine,
    options: Arc<Options>,
    now: Timestamp,
    position: u64,
    /// Record number of the n-th alert sent.
    records: Vec<u64>,
    fates: BTreeMap<u64, String>,
    told: Vec<String>,
    /// Incidents in the order in which they were first named: `#1`, `#2`.
    names: Vec<IncidentId>,
    pub(super) last: BTreeMap<String, IncidentEvent>,
    blocks: Vec<Vec<u8>>,
    pub(super) summary: Summary,
    with_decisions: bool,
}

impl World {
    pub(super) fn new(rule: WindowRule) -> Self {
        Self::with(options(rule))
    }

    pub(super) fn with(options: Options) -> Self {
        let mut world = Self::unclocked(options);
        world.at(0);
        world
    }

    /// Before any clock has moved.
    pub(super) fn unclocked(options: Options) -> Self {
        let options = Arc::new(options);
        let start = Start::new(options.clone(), Restored::default(), HashKey::FIXED).unwrap();
        Self {
            engine: Engine::new(start, true),
            options,
            now: Timestamp::MIN,
            position: 0,
            records: Vec::new(),
            fates: BTreeMap::new(),
            told: Vec::new(),
            names: Vec::new(),
            last: BTreeMap::new(),
            blocks: Vec::new(),
            summary: Summary::default(),
            with_decisions: true,
        }
    }

    /// Ends this run and goes on from its state with other options.
    pub(super) fn restart(&mut self, change: impl FnOnce(&mut Options)) {
        let mut options = (*self.options).clone();
        change(&mut options);
        let mut restored = Restored::default();
        self.blocks.iter().for_each(|block| restored.take_block(block).unwrap());
        self.options = Arc::new(options);
        let start = Start::new(self.options.clone(), restored, HashKey([1; 16])).unwrap();
        self.engine = Engine::new(start, self.with_decisions);
    }

    /// Goes on as the daemon runs: repeats may be folded before the shards, and fates are counted but not named.
    pub(super) fn without_decisions(&mut self) {
        self.with_decisions = false;
        self.restart(|_| ());
    }

    /// The clock of every source is at this second now.
    pub(super) fn at(&mut self, seconds: i64) -> &mut Self {
        for source in 0..self.options.sources.len() {
            self.clock(source as u8, seconds);
        }
        self
    }

    /// The clock of one source is at this second now.
    pub(super) fn clock(&mut self, source: u8, seconds: i64) -> &mut Self {
        self.now = second(seconds);
        self.step(StepKind::Clock { source: SourceIndex(source), to: self.now })
    }

    /// The wall clock is at this second now.
    pub(super) fn wall(&mut self, seconds: i64) -> &mut Self {
        self.step(StepKind::Wall { to: second(seconds) })
    }

    /// Several steps with one number in the sequence, as the sequencer makes them of a tick or a command.
    pub(super) fn tick(&mut self, kinds: Vec<StepKind>) -> &mut Self {
        let seq = Seq { record: self.engine.next_record(), index: 0 };
        let steps = kinds.into_iter().map(|kind| Step { seq, kind }).collect();
        self.engine.feed(SourceIndex(0), Batch::default(), steps, self.now);
        self.end_epoch();
        self
    }

    pub(super) fn step(&mut self, kind: StepKind) -> &mut Self {
        self.engine.step(kind);
        self.end_epoch();
        self
    }

    /// A person resolves the incident of that name.
    pub(super) fn resolve(&mut self, name: &str, by: &str) -> &mut Self {
        let number: usize = name.strip_prefix('#').unwrap().parse().unwrap();
        let incident = self.names[number - 1];
        self.step(StepKind::Resolve { incident, by: by.to_owned() })
    }

    /// Sends one alert; its fate as `opened #1`, or `held`.
    pub(super) fn send(&mut self, alert: Alert) -> String {
        self.send_all(&[alert]);
        self.fate(self.records.len() - 1)
    }

    /// Sends alerts of one source as one batch, within one epoch.
    pub(super) fn send_all(&mut self, alerts: &[Alert]) {
        self.feed(alerts);
        self.end_epoch();
    }

    /// The same, and the clock is at this second before the epoch ends.
    pub(super) fn send_until(&mut self, alerts: &[Alert], seconds: i64) {
        self.feed(alerts);
        self.clock(0, seconds);
    }

    fn feed(&mut self, alerts: &[Alert]) {
        let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
        for alert in alerts {
            let (position, time) = (self.position, alert.time.unwrap_or(self.now));
            self.position += 1;
            let next = self.position;
            self.records.push(self.engine.next_record() + batch.records.len() as u64);
            batch.push(
                &alert.to_json(),
                RecordRef { start: 0, len: 0, partition: 0, position, next, time, format: alert.format },
            );
        }
        self.engine.feed(alerts[0].source, batch, Vec::new(), self.now);
    }

    /// What became of the n-th alert sent, from 0.
    pub(super) fn fate(&self, n: usize) -> String {
        self.fates.get(&self.records[n]).map_or("held", String::as_str).to_owned()
    }

    /// The events since the last call.
    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Fails unless exactly these events were told since the last call.
    #[track_caller]
    pub(super) fn expect(&mut self, lines: &[&str]) -> &mut Self {
        assert_eq!(self.told(), lines);
        self
    }

    /// Forgets what was told until now, where a scenario is about what comes later.
    pub(super) fn skip(&mut self) -> &mut Self {
        self.told.clear();
        self
    }

    fn end_epoch(&mut self) {
        let (epoch, attached) = self.engine.end_epoch(self.now).unwrap();
        self.blocks.extend(epoch.blocks.into_iter().map(|block| block.bytes));
        for record in &epoch.incidents {
            self.take_event(&record.event);
        }
        for decision in attached.decisions {
            let name = decision.incident.map_or_else(|| "-".to_owned(), |id| self.name_of(id));
            let fate = format!("{} {name}", decision.outcome.name());
            let before = self.fates.insert(decision.seq.record, fate);
            assert_eq!(before, None, "an alert has one outcome");
        }
        self.summary = attached.summary;
        for totals in &self.summary.totals {
            assert!(totals.counts.is_conserved(), "{totals:?}");
        }
    }

    fn name_of(&mut self, id: IncidentId) -> String {
        let at = self.names.iter().position(|known| *known == id).unwrap_or_else(|| {
            self.names.push(id);
            self.names.len() - 1
        });
        format!("#{}", at + 1)
    }

    /// Checks what holds for every event, and writes it down.
    fn take_event(&mut self, event: &IncidentEvent) {
        let name = self.name_of(event.incident_id);
        let before = self.last.get(&name);
        assert_eq!(event.revision, before.map_or(0, |event| event.revision) + 1, "revisions have no gap");
        assert_eq!(event.event == EventKind::Opened, before.is_none(), "opened is the first event");
        assert_eq!(event.counts.alerts, event.counts.severity.iter().sum::<u64>());
        assert_eq!(event.counts.alerts, event.counts.status.iter().sum::<u64>());
        assert!(event.samples.len() <= self.options.samples && event.samples.len() as u64 <= event.members);
        assert!(event.first_seen <= event.last_seen && event.firing <= event.members);
        self.told.push(format!(
            "{name} {} {} @{} members={} firing={} alerts={}",
            event.event.name(),
            serde_json::to_value(event.reason).unwrap().as_str().unwrap(),
            seconds_of(event.record_time),
            event.members,
            event.firing,
            event.counts.alerts,
        ));
        self.last.insert(name, event.clone());
    }
}
