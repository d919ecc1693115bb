//! What the tap shows of each stage. Owned and bounded: a sample outlives the chunk it was taken from.
//!
//! Texts are as they came: whoever shows them on a terminal or a page has to make them safe. `docs/tap.md` explains the
//! fields.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::alert::{AlertView, Format, Severity, Status};
use crate::model::fingerprint::{Fingerprint, IncidentId};
use crate::model::incident::{EventKind, EventReason};
use crate::model::time::Timestamp;
use crate::pipeline::decode::Reject;
use crate::pipeline::shard::event::Reason;
use crate::pipeline::sink::IncidentRecord;

/// Bytes of a record that are shown.
const EXCERPT_BYTES: usize = 2 << 10;
/// Bytes of one label's value that are shown.
const VALUE_BYTES: usize = 1 << 10;
/// Bytes of all labels of an alert that are shown.
const LABEL_BYTES: usize = 6 << 10;

/// What was taken after a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
pub enum Sample {
    /// A record as it came.
    Record(RecordSample),
    /// An alert, or why there is none.
    Decode(DecodeSample),
    /// What became of an alert.
    Shard(ShardSample),
    /// An incident event.
    Incident(IncidentSample),
}

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Name of the source.
    pub source: String,
    /// Name of the partition; empty where there is only one.
    pub partition: String,
    /// Position of the record in it.
    pub position: u64,
}

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordSample {
    /// Wall clock.
    pub at: Timestamp,
    /// Where it came from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Its wire format.
    pub format: Format,
    /// Its time; absent where the payload tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_time: Option<Timestamp>,
    /// Its length.
    pub bytes: usize,
    /// Its beginning, at most 2 KiB; what is no UTF-8 is replaced.
    pub text: String,
}

/// What decoding made of a record or of one of its elements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecodeSample {
    /// Wall clock.
    pub at: Timestamp,
    /// `alert` or `reject`.
    pub decision: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Where the record came from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Index of the alert in the record; absent if the whole record was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// What the alert says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// How bad, from its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Its `startsAt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// Its labels, bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The beginning of what was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What became of an alert, or of a run of equal ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardSample {
    /// Wall clock.
    pub at: Timestamp,
    /// Its outcome, or `held`.
    pub decision: &'static str,
    /// Why; absent for what is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// How many alerts this stands for: equal ones of one moment are folded before they come to a shard.
    pub alerts: u64,
    /// Name of the source.
    pub source: String,
    /// Position of the record; absent if the alert came earlier and was held back until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Index of the alert in the record.
    pub index: u32,
    /// Record time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_time: Option<Timestamp>,
    /// What the alert says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// How bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Name of the window rule.
    pub rule: String,
    /// The labels that define its group.
    pub group_labels: BTreeMap<String, String>,
    /// The incident it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its labels, bounded; absent if they have left the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// An incident event that has become durable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IncidentSample {
    /// Wall clock of its epoch.
    pub at: Timestamp,
    /// What happened.
    pub decision: EventKind,
    /// Why.
    pub reason: EventReason,
    /// Which incident.
    pub incident_id: IncidentId,
    /// Number of the event in its incident.
    pub revision: u64,
    /// The epoch that made it durable.
    pub epoch: u64,
    /// Record time of what caused it.
    pub record_time: Timestamp,
    /// Where the incident stands.
    pub status: Status,
    /// The worst severity seen.
    pub severity: Severity,
    /// Name of the window rule.
    pub rule: String,
    /// The labels that define its group.
    pub group_labels: BTreeMap<String, String>,
    /// Distinct fingerprints that joined.
    pub members: u64,
    /// Members that fire.
    pub firing: u64,
    /// Alerts counted.
    pub alerts: u64,
}

impl DecodeSample {
    /// An alert.
    #[must_use]
    pub fn alert(at: Timestamp, origin: Origin, index: u32, alert: &AlertView<'_>) -> Self {
        let severity = alert.labels.iter().find(|(name, _)| *name == "severity");
        Self {
            at,
            decision: "alert",
            reason: None,
            origin,
            index: Some(index),
            status: Some(alert.status),
            severity: Some(severity.map_or(Severity::Unknown, |(_, value)| Severity::from_label(value))),
            starts_at: alert.starts_at,
            labels: Some(bounded(alert.labels.iter().copied())),
            text: None,
        }
    }

    /// Something that could not be read.
    #[must_use]
    pub fn reject(at: Timestamp, origin: Origin, index: Option<u32>, reject: Reject, bytes: &[u8]) -> Self {
        Self {
            at,
            decision: "reject",
            reason: Some(reject.name()),
            origin,
            index,
            status: None,
            severity: None,
            starts_at: None,
            labels: None,
            text: Some(excerpt(bytes)),
        }
    }
}

impl IncidentSample {
    /// An event of an epoch that is durable.
    #[must_use]
    pub fn of(record: &IncidentRecord) -> Self {
        let event = &record.event;
        Self {
            at: event.committed_at,
            decision: event.event,
            reason: event.reason,
            incident_id: event.incident_id,
            revision: event.revision,
            epoch: event.epoch,
            record_time: event.record_time,
            status: event.status,
            severity: event.severity_max,
            rule: event.rule.clone(),
            group_labels: bounded(event.group_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            members: event.members,
            firing: event.firing,
            alerts: event.counts.alerts,
        }
    }
}

/// The beginning of a record.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    match bytes.get(..EXCERPT_BYTES) {
        None => String::from_utf8_lossy(bytes).into_owned(),
        Some(head) => format!("{}…", String::from_utf8_lossy(head)),
    }
}

/// Labels as a map, within the bounds: values are cut, marked with `…`, and what does not fit any more is left out.
pub(crate) fn bounded<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let mut room = LABEL_BYTES;
    let mut labels = BTreeMap::new();
    for (name, value) in pairs {
        let cut = value.get(..value.floor_char_boundary(VALUE_BYTES)).unwrap_or(value);
        let shown = if cut.len() < value.len() { format!("{cut}…") } else { cut.to_owned() };
        let Some(left) = room.checked_sub(name.len() + shown.len()) else { break };
        room = left;
        labels.insert(name.to_owned(), shown);
    }
    labels
}
