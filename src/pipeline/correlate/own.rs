//! The incidents of tidegate itself: the overflow of a source while memory is short, and that nothing is read any more.
//!
//! No group owns them, because their alerts come from all shards. A fold over the one sequence, too: an overflow opens with the
//! first alert that is folded away, is told of once a minute with its counts, and is resolved when alerts of its source have
//! entries again. Alerts that still fire then come again by themselves, with full detail. No person can resolve it.

use std::collections::BTreeMap;

use crate::model::alert::{Severity, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, HashKey, IncidentId, group_hash, incident_id};
use crate::model::incident::{Counts, EVENT_VERSION, EventKind, EventReason, IncidentEvent};
use crate::model::samples::Samples;
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::pressure::sketch::Sketch;
use crate::pipeline::pressure::{Level, Pressure};
use crate::pipeline::shard::event::{Own, OwnEvent};
use crate::pipeline::shard::overload::Share;
use crate::pipeline::source::SourceIndex;
use crate::pipeline::state::BlockWriter;
use crate::pipeline::state::entry::{Kind, OwnEntry};

/// Between two updates of one overflow: the default of `update_every`.
const UPDATE_EVERY: Millis = Millis::minutes(1);

/// What stands where a window rule's name stands.
const RULE: &str = "tidegate";

/// One incident.
#[derive(Clone, Debug)]
struct OwnIncident {
    id: IncidentId,
    label: Option<String>,
    share: Share,
    told_at: Timestamp,
    untold: bool,
}

/// All of them, open ones only, by the source they are about; the empty name: nothing is read.
#[derive(Debug)]
pub struct OwnIncidents {
    key: HashKey,
    sources: Vec<String>,
    pressure: Pressure,
    open: BTreeMap<String, OwnIncident>,
    changed: bool,
    gone: Vec<String>,
}

impl Default for OwnIncidents {
    fn default() -> Self {
        Self::new(HashKey::FIXED, Vec::new(), Pressure::default(), BTreeMap::new())
    }
}

impl OwnIncidents {
    /// Those of a restored state, under the pressure that held there.
    #[must_use]
    pub fn new(
        key: HashKey,
        sources: Vec<String>,
        pressure: Pressure,
        restored: BTreeMap<String, Box<OwnEntry>>,
    ) -> Self {
        let open = restored.into_iter().map(|(source, entry)| (source, OwnIncident::from_entry(&entry))).collect();
        Self { key, sources, pressure, open, changed: false, gone: Vec::new() }
    }

    /// Takes what the shards said within an epoch, and what they have counted since; answers with the events, without what only
    /// the epoch knows.
    pub(super) fn take(&mut self, mut said: Vec<OwnEvent>, shares: Vec<(SourceIndex, Share)>) -> Vec<IncidentEvent> {
        said.sort_by_key(|event| (event.order, !event.what.adds()));
        let mut events = Vec::new();
        for event in said {
            match event.what {
                Own::First { source, share, origin, position } => {
                    let name = self.name_of(source);
                    if self.open.contains_key(&name) {
                        self.add(&name, &share);
                    } else {
                        let id = incident_id(self.key, self.group_of(&name), origin, position, event.order.seq.index);
                        let at = share.first_seen;
                        let label = self.pressure.culprit(source).map(|label| label.to_string());
                        self.begin(&name, OwnIncident { id, label, share: *share, told_at: at, untold: false });
                        events.extend(self.tell(&name, EventKind::Opened, EventReason::Overflow, at));
                    }
                }
                Own::Folded { source, share } => self.add(&self.name_of(source), &share),
                Own::Tick { at } => {
                    let due = |incident: &OwnIncident| incident.untold && at - incident.told_at >= UPDATE_EVERY;
                    let due: Vec<String> =
                        self.open.iter().filter(|(_, own)| due(own)).map(|(name, _)| name.clone()).collect();
                    for name in due {
                        events.extend(self.tell(&name, EventKind::Updated, EventReason::Counted, at));
                    }
                }
                Own::Pressure { pressure, at } => self.press(pressure, event.order.seq.record, at, &mut events),
            }
        }
        for (source, share) in shares {
            self.add(&self.name_of(source), &share);
        }
        events
    }

    /// Every shard says the same; the first to say it is enough.
    fn press(&mut self, pressure: Pressure, record: u64, at: Timestamp, events: &mut Vec<IncidentEvent>) {
        if pressure == self.pressure {
            return;
        }
        let goes_on = |name: &String| match self.sources.iter().position(|source| source == name) {
            Some(source) => pressure.folds(SourceIndex(source as u8)),
            // Else a source that is gone from the configuration: it folds nothing any more.
            None => name.is_empty() && pressure.level == Level::PauseAll,
        };
        let over: Vec<String> = self.open.keys().filter(|name| !goes_on(name)).cloned().collect();
        for name in over {
            events.extend(self.tell(&name, EventKind::Resolved, EventReason::Eased, at));
            self.open.remove(&name);
            self.gone.push(name);
        }
        for (source, name) in (0_u8..).map(SourceIndex).zip(&self.sources) {
            let label = pressure.culprit(source).map(|label| label.to_string());
            if let Some(incident) =
                self.open.get_mut(name).filter(|incident| label.is_some() && incident.label != label)
            {
                incident.label = label;
                incident.untold = true; // Told with the next update.
                self.changed = true;
            }
        }
        self.pressure = pressure;
        if self.pressure.level == Level::PauseAll && !self.open.contains_key("") {
            let id = incident_id(self.key, self.group_of(""), 0, record, 0);
            let share = Share { first_seen: at, last_seen: at, ..Share::default() };
            self.begin("", OwnIncident { id, label: None, share, told_at: at, untold: false });
            events.extend(self.tell("", EventKind::Opened, EventReason::Overload, at));
        }
    }

    fn name_of(&self, source: SourceIndex) -> String {
        self.sources.get(usize::from(source.0)).cloned().unwrap_or_default()
    }

    fn group_of(&self, source: &str) -> GroupHash {
        group_hash(self.key, RULE, [("overflow", source)])
    }

    fn begin(&mut self, name: &str, incident: OwnIncident) {
        self.open.insert(name.to_owned(), incident);
        self.changed = true;
    }

    fn add(&mut self, name: &str, share: &Share) {
        if let Some(incident) = self.open.get_mut(name) {
            incident.share.merge(share);
            incident.untold = true;
            self.changed = true;
        }
    }

    fn tell(&mut self, name: &str, kind: EventKind, reason: EventReason, at: Timestamp) -> Option<IncidentEvent> {
        let group = self.group_of(name);
        let incident = self.open.get_mut(name)?;
        incident.told_at = at;
        incident.untold = false;
        self.changed = true;
        Some(incident.event(name, group, kind, reason, at))
    }

    /// The open ones as they stand, for readers after a restore.
    pub fn standing(&self) -> impl Iterator<Item = IncidentEvent> + '_ {
        self.open.iter().map(|(name, own)| {
            own.event(name, self.group_of(name), EventKind::Updated, EventReason::Counted, own.told_at)
        })
    }

    /// Writes down what changed since the last call; everything if a sweep starts.
    pub(super) fn save(&mut self, start_sweep: bool, entries: &mut BlockWriter) {
        self.gone.drain(..).for_each(|source| entries.push(Kind::OwnGone(source)));
        if std::mem::take(&mut self.changed) || start_sweep {
            self.open.iter().for_each(|(name, incident)| entries.push(Kind::Own(Box::new(incident.to_entry(name)))));
        }
    }
}

impl OwnIncident {
    fn event(
        &self,
        name: &str,
        group: GroupHash,
        kind: EventKind,
        reason: EventReason,
        at: Timestamp,
    ) -> IncidentEvent {
        let is_over = kind == EventKind::Resolved;
        let members = self.share.distinct.estimate().min(self.share.counts.alerts);
        let worst = Severity::ALL
            .into_iter()
            .rfind(|severity| self.share.counts.severity.get(*severity as usize).is_some_and(|count| *count > 0));
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        if name.is_empty() {
            labels.insert("alertname".to_owned(), "TidegateOverloaded".to_owned());
        } else {
            labels.insert("alertname".to_owned(), "TidegateOverflow".to_owned());
            labels.insert("source".to_owned(), name.to_owned());
        }
        if let Some(label) = &self.label {
            labels.insert("label".to_owned(), label.clone());
        }
        IncidentEvent {
            version: EVENT_VERSION,
            event: kind,
            reason,
            incident_id: self.id,
            revision: 0,
            epoch: 0,
            record_time: at,
            committed_at: Timestamp::MIN,
            catching_up: false,
            status: if is_over { Status::Resolved } else { Status::Firing },
            severity_max: if name.is_empty() { Severity::Critical } else { worst.unwrap_or(Severity::Unknown) },
            rule: RULE.to_owned(),
            group,
            group_labels: labels,
            first_seen: self.share.first_seen,
            last_seen: self.share.last_seen,
            window_closed: is_over,
            members,
            members_sum: Fingerprint::default(),
            firing: if is_over { 0 } else { members },
            counts: self.share.counts,
            resolved_by: None,
            samples: Samples::default(),
            links: Vec::new(),
        }
    }

    fn to_entry(&self, source: &str) -> OwnEntry {
        OwnEntry {
            incident: self.id.0.into(),
            source: source.to_owned(),
            label: self.label.clone(),
            severity_counts: self.share.counts.severity.to_vec(),
            first_seen: self.share.first_seen.0,
            last_seen: self.share.last_seen.0,
            distinct: self.share.distinct.to_bytes(),
            told_at: self.told_at.0,
            untold: self.untold,
        }
    }

    fn from_entry(entry: &OwnEntry) -> Self {
        let mut counts = Counts::default();
        for (severity, n) in Severity::ALL.into_iter().zip(&entry.severity_counts) {
            counts.add(severity, Status::Firing, *n);
        }
        let share = Share {
            counts,
            first_seen: Timestamp(entry.first_seen),
            last_seen: Timestamp(entry.last_seen),
            distinct: Sketch::from_bytes(&entry.distinct),
        };
        Self {
            id: IncidentId(entry.incident.into()),
            label: entry.label.clone(),
            share,
            told_at: Timestamp(entry.told_at),
            untold: entry.untold,
        }
    }
}
