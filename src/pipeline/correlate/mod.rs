//! Level 2: group events to incidents, in one deterministic order, at the end of an epoch on one thread.
//!
//! Its one rule so far: a group is an incident. What it owns is the order of events and their revisions. It is a fold
//! over the sequence, so epoch borders do not show in its result. `own` has the incidents of tidegate itself.

pub mod own;

use std::sync::Arc;

use crate::model::fingerprint::{Fingerprint, HashedMap, IncidentId};
use crate::model::incident::{EVENT_VERSION, EventKind, IncidentEvent, Link, LinkKind};
use crate::model::time::Timestamp;
use crate::pipeline::correlate::own::OwnIncidents;
use crate::pipeline::shard::event::{GroupEvent, GroupEventKind, GroupView, OwnEvent};
use crate::pipeline::shard::overload::Share;
use crate::pipeline::sink::IncidentRecord;
use crate::pipeline::source::SourceIndex;
use crate::pipeline::state::BlockWriter;
use crate::pipeline::state::entry::{IncidentEntry, Kind};
use crate::pipeline::trap;

/// Bytes of an event without its samples, with room for long names.
const ROOM_WITHOUT_SAMPLES: usize = 1 << 10;

/// The incidents that may still change.
#[derive(Debug, Default)]
pub struct Correlator {
    revisions: HashedMap<IncidentId, u64>,
    changed: Vec<IncidentId>,
    gone: Vec<IncidentId>,
    own: OwnIncidents,
}

impl Correlator {
    /// A correlator that knows these incidents and the revisions of their last events.
    #[must_use]
    pub fn new(revisions: HashedMap<IncidentId, u64>) -> Self {
        Self { revisions, changed: Vec::new(), gone: Vec::new(), own: OwnIncidents::default() }
    }

    /// The same, with the incidents of tidegate itself.
    #[must_use]
    pub fn with_own(self, own: OwnIncidents) -> Self {
        Self { own, ..self }
    }

    /// Folds what the shards say about incidents of tidegate itself. They are told after those of the groups.
    pub fn fold_own(
        &mut self,
        said: Vec<OwnEvent>,
        shares: Vec<(SourceIndex, Share)>,
        epoch: u64,
        committed_at: Timestamp,
    ) -> Vec<IncidentRecord> {
        if said.is_empty() && shares.is_empty() {
            return Vec::new();
        }
        let events = self.own.take(said, shares);
        events.into_iter().map(|event| self.finish(event, epoch, committed_at)).collect()
    }

    fn finish(&mut self, event: IncidentEvent, epoch: u64, committed_at: Timestamp) -> IncidentRecord {
        let (id, group) = (event.incident_id, event.group);
        let revision = self.revision(id) + 1;
        if event.event == EventKind::Resolved {
            self.revisions.remove(&id); // It never comes back: the next one is another.
            self.gone.push(id);
        } else {
            self.revisions.insert(id, revision);
            self.changed.push(id);
        }
        let (event, json) = render(IncidentEvent { revision, epoch, committed_at, ..event });
        IncidentRecord { group, event: Arc::new(event), json }
    }

    /// Folds the group events of all shards of one epoch into incident events.
    pub fn fold(&mut self, mut events: Vec<GroupEvent>, epoch: u64, committed_at: Timestamp) -> Vec<IncidentRecord> {
        // What one alert did to a group is in order already, and the sort is stable. Timers of one moment are in no order
        // among the incidents of a group: there the incident decides.
        let by_timer = |event: &GroupEvent| (!event.order.by_alert).then_some(event.incident);
        events.sort_by_key(|event| (event.order, event.group, by_timer(event)));
        events.into_iter().filter_map(|event| self.take(event, epoch, committed_at)).collect()
    }

    fn take(&mut self, event: GroupEvent, epoch: u64, committed_at: Timestamp) -> Option<IncidentRecord> {
        let Some(view) = event.view else {
            self.revisions.remove(&event.incident);
            self.gone.push(event.incident);
            return None;
        };
        trap::step(trap::Stage::Correlate, || format!("{:?}", view.labels).into_bytes());
        let kind = match event.kind {
            GroupEventKind::Opened => EventKind::Opened,
            GroupEventKind::Changed => EventKind::Updated,
            GroupEventKind::Resolved => EventKind::Resolved,
            GroupEventKind::Reopened => EventKind::Reopened,
            GroupEventKind::Retired => return None,
        };
        let revision = self.revisions.entry(event.incident).or_insert(0);
        *revision += 1;
        let revision = *revision;
        self.changed.push(event.incident);
        let group = event.group;
        let event = IncidentEvent {
            event: kind,
            reason: event.reason,
            incident_id: event.incident,
            revision,
            epoch,
            committed_at,
            group,
            ..event_of(*view)
        };
        let (event, json) = render(event);
        Some(IncidentRecord { group, event: Arc::new(event), json })
    }

    /// Writes down what changed since the last call; everything if a sweep starts.
    pub fn save(&mut self, start_sweep: bool, entries: &mut BlockWriter) {
        let changed = std::mem::take(&mut self.changed);
        let all = if start_sweep { self.revisions.keys().copied().collect() } else { Vec::new() };
        for incident in changed.into_iter().chain(all) {
            if let Some(revision) = self.revisions.get(&incident) {
                entries.push(Kind::Incident(IncidentEntry { incident: incident.0.into(), revision: *revision }));
            }
        }
        for incident in self.gone.drain(..) {
            entries.push(Kind::IncidentGone(incident.0.into()));
        }
        self.own.save(start_sweep, entries);
    }

    /// The open incidents of tidegate itself, as they stand.
    pub fn own(&self) -> impl Iterator<Item = IncidentEvent> + '_ {
        self.own.standing()
    }

    /// The revision of an incident's last event, 0 if it is not known.
    #[must_use]
    pub fn revision(&self, incident: IncidentId) -> u64 {
        self.revisions.get(&incident).copied().unwrap_or(0)
    }
}

/// The JSON of an event. Its samples are JSON already: they are put in their place instead of being written anew.
fn render(mut event: IncidentEvent) -> (IncidentEvent, Vec<u8>) {
    const NO_SAMPLES: &[u8] = b"\"samples\":[]";
    let samples = std::mem::take(&mut event.samples);
    let n_bytes = samples.json().map_or(0, <[u8]>::len);
    let mut json = Vec::with_capacity(ROOM_WITHOUT_SAMPLES + n_bytes);
    let put = |value: &IncidentEvent, json: &mut Vec<u8>| {
        serde_json::to_writer(json, value).expect("an event is texts, numbers and maps with text keys");
    };
    put(&event, &mut json);
    event.samples = samples;
    // In a string the quotes would be escaped, and after the samples no other field of that name comes.
    let place = json.windows(NO_SAMPLES.len()).rposition(|window| window == NO_SAMPLES);
    if let (Some(place), Some(samples)) = (place, event.samples.json()) {
        let after = json.split_off(place + NO_SAMPLES.len());
        json.truncate(json.len() - 2);
        json.extend_from_slice(samples);
        json.extend_from_slice(&after);
    } else {
        json.clear();
        put(&event, &mut json);
    }
    (event, json)
}

/// An event with what the group says; who calls fills in what only level 2 knows.
#[must_use]
pub fn event_of(view: GroupView) -> IncidentEvent {
    let link = |incident_id| Link { kind: LinkKind::Predecessor, incident_id };
    IncidentEvent {
        version: EVENT_VERSION,
        event: EventKind::Updated,
        reason: crate::model::incident::EventReason::Counted,
        incident_id: IncidentId::default(),
        revision: 0,
        epoch: 0,
        record_time: view.record_time,
        committed_at: Timestamp::MIN,
        catching_up: view.catching_up,
        status: view.status,
        severity_max: view.severity_max,
        rule: view.rule,
        group: Default::default(),
        group_labels: view.labels,
        first_seen: view.first_seen,
        last_seen: view.last_seen,
        window_closed: view.window_closed,
        members: view.members,
        members_sum: Fingerprint(view.members_sum),
        firing: view.firing,
        counts: view.counts,
        resolved_by: view.resolved_by,
        samples: view.samples,
        links: view.predecessor.map(link).into_iter().collect(),
    }
}
