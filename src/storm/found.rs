//! What somebody found in a flood: the side of a comparison that is not the truth.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{IncidentEvent, IncidentId, Severity, Status};
use crate::storm::compare::group_name;

/// An incident that somebody found, as far as the truth knows about incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundIncident {
    /// The labels of its group: `cluster`, and one of `service`, `alertname`, `service|alertname`. Others are ignored.
    pub group_labels: BTreeMap<String, String>,
    /// Alerts, repeats and resolves included.
    pub alerts: u64,
    /// Distinct fingerprints.
    pub members: u64,
    /// Alerts by severity; a count of 0 is the same as none.
    pub by_severity: BTreeMap<String, u64>,
    /// Alerts by `firing` and `resolved`; a count of 0 is the same as none.
    pub by_status: BTreeMap<String, u64>,
    /// The status in its last event.
    pub status: Status,
    /// Its revisions ran from 1 without a gap.
    pub revisions_contiguous: bool,
}

impl FoundIncident {
    /// Reads a stream of incident events as a receiver must: by incident, dropping revisions that it has seen. The last
    /// event tells how the incident stands.
    #[must_use]
    pub fn from_events<'a>(events: impl IntoIterator<Item = &'a IncidentEvent>) -> Vec<Self> {
        let mut incidents: BTreeMap<IncidentId, (&IncidentEvent, bool)> = BTreeMap::new();
        for event in events {
            let (last, contiguous) = incidents.entry(event.incident_id).or_insert((event, event.revision == 1));
            if event.revision > last.revision {
                *contiguous &= event.revision == last.revision + 1;
                *last = event;
            }
        }
        incidents.into_values().map(|(event, contiguous)| Self::from_last(event, contiguous)).collect()
    }

    /// From the newest event of an incident; whether its revisions ran from 1 without a gap is for the caller to know.
    #[must_use]
    pub fn from_last(event: &IncidentEvent, revisions_contiguous: bool) -> Self {
        let severities = Severity::ALL.iter().zip(event.counts.severity);
        let statuses = ["firing", "resolved"].into_iter().zip(event.counts.status);
        Self {
            group_labels: event.group_labels.clone(),
            alerts: event.counts.alerts,
            members: event.members,
            by_severity: severities.map(|(severity, count)| (severity.name().to_owned(), count)).collect(),
            by_status: statuses.map(|(status, count)| (status.to_owned(), count)).collect(),
            status: event.status,
            revisions_contiguous,
        }
    }

    /// The name of its group: `cluster/service` or `cluster/alertname`.
    #[must_use]
    pub fn name(&self) -> String {
        group_name(&self.group_labels)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::incident::{Counts, EVENT_VERSION};
    use crate::model::{EventKind, EventReason, Fingerprint, GroupHash, Timestamp};

    fn event(incident: u128, revision: u64, alerts: u64) -> IncidentEvent {
        let mut counts = Counts::default();
        counts.add(Severity::High, Status::Firing, alerts);
        IncidentEvent {
            version: EVENT_VERSION,
            event: EventKind::Updated,
            reason: EventReason::Counted,
            incident_id: IncidentId(incident),
            revision,
            epoch: 1,
            record_time: Timestamp(0),
            committed_at: Timestamp(0),
            catching_up: false,
            status: Status::Firing,
            severity_max: Severity::High,
            rule: "default".to_owned(),
            group: GroupHash(incident),
            group_labels: BTreeMap::from([("cluster".to_owned(), format!("c{incident}"))]),
            first_seen: Timestamp(0),
            last_seen: Timestamp(0),
            window_closed: false,
            members: 1,
            members_sum: Fingerprint(0),
            firing: 1,
            counts,
            resolved_by: None,
            samples: Default::default(),
            links: Vec::new(),
        }
    }

    #[test]
    fn the_last_revision_counts_repeats_are_dropped_and_gaps_are_seen() {
        let whole = [event(1, 1, 10), event(1, 2, 20), event(1, 1, 10), event(1, 3, 30)];
        let torn = [event(2, 1, 5), event(2, 3, 7)];
        let headless = [event(3, 2, 1)];
        let found = FoundIncident::from_events(whole.iter().chain(&torn).chain(&headless));
        let seen: Vec<(u64, bool)> =
            found.iter().map(|incident| (incident.alerts, incident.revisions_contiguous)).collect();
        assert_eq!(seen, [(30, true), (7, false), (1, false)]);
        assert_eq!((found[0].by_severity["high"], found[0].by_status["firing"]), (30, 30));
    }
}
