//! Incidents for the tests of this room.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::incident::{Counts, EVENT_VERSION, Sample};
use crate::model::{EventKind, EventReason, Fingerprint, GroupHash, IncidentEvent, IncidentId};
use crate::model::{Severity, Status, Timestamp};

/// Incident `id` of service `s<id>`: first seen in second `id`, this revision's record time `revision` ms later.
pub(crate) fn event(id: u32, revision: u64, status: Status) -> Arc<IncidentEvent> {
    let service = BTreeMap::from([("service".to_owned(), format!("s{id}"))]);
    let first_seen = Timestamp(i64::from(id) * 1_000);
    let record_time = Timestamp(first_seen.0 + i64::try_from(revision).unwrap_or(0));
    Arc::new(IncidentEvent {
        version: EVENT_VERSION,
        event: if status == Status::Firing { EventKind::Opened } else { EventKind::Resolved },
        reason: if status == Status::Firing { EventReason::FirstAlert } else { EventReason::AllResolved },
        incident_id: IncidentId(u128::from(id)),
        revision,
        epoch: 1,
        record_time,
        committed_at: record_time,
        catching_up: false,
        status,
        severity_max: Severity::Warning,
        rule: "default".to_owned(),
        group: GroupHash(u128::from(id)),
        group_labels: service.clone(),
        first_seen,
        last_seen: record_time,
        window_closed: false,
        members: 1,
        members_sum: Fingerprint(7),
        firing: u64::from(status == Status::Firing),
        counts: Counts::default(),
        resolved_by: None,
        samples: vec![Sample {
            fingerprint: Fingerprint(7),
            severity: Severity::Warning,
            first_seen,
            starts_at: None,
            labels: service,
            annotations: BTreeMap::from([("summary".to_owned(), "it <b>burns</b>".to_owned())]),
            generator_url: None,
        }],
        links: Vec::new(),
    })
}
