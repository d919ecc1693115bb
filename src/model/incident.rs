//! Incident events: what tidegate hands on. One JSON object each, keyed by incident id; schema in `docs/incident-event.schema.json`.

use std::collections::BTreeMap;

use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};

use crate::model::alert::{Severity, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId};
use crate::model::samples::Samples;
use crate::model::time::Timestamp;

/// The version of the event's JSON; readers refuse what they do not know.
pub const EVENT_VERSION: u32 = 1;

/// What happened to the incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// First event of an incident.
    Opened,
    /// Something changed: members, severity, counts.
    Updated,
    /// No member fires any more, or a person resolved it.
    Resolved,
    /// A resolved incident fires again.
    Reopened,
    /// The incident went into another one.
    Merged,
}

impl EventKind {
    /// Every kind, for metrics.
    pub const ALL: [Self; 5] = [Self::Opened, Self::Updated, Self::Resolved, Self::Reopened, Self::Merged];

    /// The word used in JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Merged => "merged",
        }
    }
}

/// Why an event was emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventReason {
    /// An alert of a group that had no incident.
    FirstAlert,
    /// The alert that reached `open_after`.
    Threshold,
    /// The group's earlier incident had gone silent or was over for longer than `reopen`.
    AfterGap,
    /// The group's earlier window had reached `max_age`, `max_alerts` or its fixed length.
    AfterCap,
    /// The group's earlier incident was resolved by a person.
    AfterPerson,
    /// A new fingerprint joined.
    Grew,
    /// The worst severity rose.
    SeverityRose,
    /// Only counts changed.
    Counted,
    /// The window closed; what was counted since the last event.
    WindowClosed,
    /// Some members resolved, others still fire.
    MemberResolved,
    /// Every member sent its resolve.
    AllResolved,
    /// The last firing member had not been seen for `resolve_after`, or its `endsAt` passed.
    NotSeen,
    /// The last firing member was forgotten after `forget_after`.
    Expired,
    /// The last firing member continued in a later incident.
    Superseded,
    /// A person said so.
    Person,
    /// The group fires again within `reopen` or its open window.
    FiringAgain,
    /// Memory is short: new alerts of a source are counted together.
    Overflow,
    /// Memory has run out: nothing is read.
    Overload,
    /// Memory has room again.
    Eased,
}

impl EventReason {
    /// The reason with this name in events and state.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let named: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
        Self::deserialize(named).ok()
    }

    /// The reason as people say it, to follow what happened: `resolved: every member sent its resolve`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::FirstAlert => "an alert of a group without incident",
            Self::Threshold => "enough alerts came in time",
            Self::AfterGap => "the group was silent for longer than its gap",
            Self::AfterCap => "the window before had reached its limit",
            Self::AfterPerson => "a person had resolved the one before",
            Self::Grew => "a new member joined",
            Self::SeverityRose => "the worst severity rose",
            Self::Counted => "alerts were counted",
            Self::WindowClosed => "the window closed",
            Self::MemberResolved => "some members resolved, others fire",
            Self::AllResolved => "every member sent its resolve",
            Self::NotSeen => "the last firing member was not seen any more",
            Self::Expired => "the last firing member was forgotten",
            Self::Superseded => "the last firing member went on in a later incident",
            Self::Person => "a person said so",
            Self::FiringAgain => "the group fires again",
            Self::Overflow => "memory is short, new alerts are counted together",
            Self::Overload => "memory has run out, nothing is read",
            Self::Eased => "memory has room again",
        }
    }
}

/// A bounded sample of the incident's alerts, the first ones to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The alert's identity.
    pub fingerprint: Fingerprint,
    /// Its severity.
    pub severity: Severity,
    /// Record time of its first alert in this incident.
    pub first_seen: Timestamp,
    /// When it began by the sender's word.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub starts_at: Option<Timestamp>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations, cut to the limits of the decoder.
    pub annotations: BTreeMap<String, String>,
    /// Link to where it came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generator_url: Option<String>,
}

/// How an incident is related to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// The earlier incident of the same group.
    Predecessor,
}

/// A reference to another incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// How it is related.
    pub kind: LinkKind,
    /// Which one.
    pub incident_id: IncidentId,
}

/// How many alerts went into an incident, to the unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All alerts: the sum of each of the two lists below.
    pub alerts: u64,
    /// Alerts by severity, in the order of `Severity::ALL`.
    #[serde(with = "by_severity")]
    pub severity: [u64; 6],
    /// Alerts by status: firing, resolved.
    #[serde(with = "by_status")]
    pub status: [u64; 2],
}

impl Counts {
    /// Counts `n` alerts of one kind.
    pub fn add(&mut self, severity: Severity, status: Status, n: u64) {
        self.alerts += n;
        if let Some(count) = self.severity.get_mut(severity as usize) {
            *count += n;
        }
        if let Some(count) = self.status.get_mut(status as usize) {
            *count += n;
        }
    }
}

/// One step in the life of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentEvent {
    /// Version of this object, `EVENT_VERSION`.
    pub version: u32,
    /// What happened.
    pub event: EventKind,
    /// Why.
    pub reason: EventReason,
    /// Which incident: the key of the record.
    pub incident_id: IncidentId,
    /// 1, 2, 3 and so on without gaps; a reader drops what it has seen.
    pub revision: u64,
    /// The epoch that made it durable.
    pub epoch: u64,
    /// Record time of what caused it (or the due time of the timer that did).
    pub record_time: Timestamp,
    /// Wall-clock time when the epoch was materialised.
    pub committed_at: Timestamp,
    /// Whether the sources were still behind when it happened.
    pub catching_up: bool,
    /// Where the incident stands.
    pub status: Status,
    /// The worst severity seen.
    pub severity_max: Severity,
    /// Name of the window rule.
    pub rule: String,
    /// Hash of the group key, the same for every incident of a group.
    pub group: GroupHash,
    /// The labels and values that define the group.
    pub group_labels: BTreeMap<String, String>,
    /// Record time of the first alert.
    pub first_seen: Timestamp,
    /// Record time of the last alert counted.
    pub last_seen: Timestamp,
    /// Whether the window is closed to new members.
    pub window_closed: bool,
    /// Distinct fingerprints that joined.
    pub members: u64,
    /// Sum (modulo 2^128) of those fingerprints: two incidents with equal sums have equal members.
    pub members_sum: Fingerprint,
    /// Members that fire now.
    pub firing: u64,
    /// Alerts counted.
    pub counts: Counts,
    /// Who resolved it, if a person did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved_by: Option<String>,
    /// The first members, bounded.
    pub samples: Samples,
    /// Related incidents.
    pub links: Vec<Link>,
}

/// Severity counts as an object with all six names.
mod by_severity {
    use super::{BTreeMap, Severity};
    use serde::ser::SerializeMap as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(counts: &[u64; 6], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(counts.len()))?;
        for (severity, count) in Severity::ALL.iter().zip(counts).rev() {
            map.serialize_entry(severity.name(), count)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 6], D::Error> {
        let map = BTreeMap::<String, u64>::deserialize(deserializer)?;
        Ok(Severity::ALL.map(|severity| map.get(severity.name()).copied().unwrap_or(0)))
    }
}

/// Status counts as an object with both names.
mod by_status {
    use super::BTreeMap;
    use serde::ser::SerializeMap as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(counts: &[u64; 2], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        for (name, count) in ["firing", "resolved"].iter().zip(counts) {
            map.serialize_entry(name, count)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 2], D::Error> {
        let map = BTreeMap::<String, u64>::deserialize(deserializer)?;
        Ok(["firing", "resolved"].map(|name| map.get(name).copied().unwrap_or(0)))
    }
}
