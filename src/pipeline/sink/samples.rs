//! Small epochs and events for the tests of the sinks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::alert::{Format, Severity, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId};
use crate::model::incident::{Counts, EVENT_VERSION, EventKind, EventReason, IncidentEvent};
use crate::model::time::Timestamp;
use crate::pipeline::decode::Reject;
use crate::pipeline::sink::{Block, DeadLetter, Epoch, IncidentRecord};
use crate::pipeline::source::Position;

/// One block, one opened incident, one dead letter, one position; everything follows from the number.
pub(crate) fn epoch(number: u64) -> Epoch {
    Epoch {
        number,
        positions: vec![Position {
            source: "in".to_owned(),
            partition: "alerts/0".to_owned(),
            next: number * 10,
            clock: Timestamp(number as i64 * 100),
        }],
        blocks: vec![Block { epoch: number, index: 0, bytes: format!("block {number}.0").into_bytes() }],
        incidents: vec![incident(u128::from(number), 1, Status::Firing)],
        dead_letters: vec![dead_letter(number, b"{oops")],
        safe_from: 0,
        committed_at: Timestamp(number as i64 * 1_000),
    }
}

/// An incident event with that id, revision and status.
pub(crate) fn incident(id: u128, revision: u64, status: Status) -> IncidentRecord {
    let event = IncidentEvent {
        version: EVENT_VERSION,
        event: match (revision, status) {
            (1, _) => EventKind::Opened,
            (_, Status::Firing) => EventKind::Updated,
            (_, Status::Resolved) => EventKind::Resolved,
        },
        reason: EventReason::FirstAlert,
        incident_id: IncidentId(id),
        revision,
        epoch: 1,
        record_time: Timestamp(1),
        committed_at: Timestamp(2),
        catching_up: false,
        status,
        severity_max: Severity::Warning,
        rule: "default".to_owned(),
        group: GroupHash(id),
        group_labels: BTreeMap::new(),
        first_seen: Timestamp(1),
        last_seen: Timestamp(1),
        window_closed: false,
        members: 1,
        members_sum: Fingerprint(id),
        firing: 1,
        counts: Counts::default(),
        resolved_by: None,
        samples: Default::default(),
        links: Vec::new(),
    };
    let json = serde_json::to_vec(&event).expect("events are plain data");
    IncidentRecord { group: event.group, event: Arc::new(event), json }
}

/// An unreadable record at that position.
pub(crate) fn dead_letter(position: u64, bytes: &[u8]) -> DeadLetter {
    DeadLetter {
        source: "in".to_owned(),
        partition: "alerts/0".to_owned(),
        position,
        index: None,
        reason: Reject::MalformedJson,
        format: Format::Native,
        at: Timestamp(position as i64),
        bytes: bytes.to_vec(),
        original_len: bytes.len() as u64,
    }
}
