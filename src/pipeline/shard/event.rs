//! What a shard hands on: group events for level 2, counts for the conservation law, decisions where they are asked for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::alert::{Severity, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId};
use crate::model::incident::{Counts, EventReason};
use crate::model::samples::Samples;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::Seq;
use crate::pipeline::outcome::{Outcome, SourceCounts};
use crate::pipeline::pressure::Pressure;
use crate::pipeline::shard::EndCause;
use crate::pipeline::shard::busiest::BusyGroup;
use crate::pipeline::shard::overload::Share;
use crate::pipeline::source::SourceIndex;

/// Where a group event stands in the one order of everything: timers of a step fire before the alert with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// Number of the record that caused it or moved the clock past the timer.
    pub seq: Seq,
    /// False for what a step caused, true for what the alert itself caused.
    pub by_alert: bool,
    /// Due time of the timer; MIN where none is involved.
    pub due: Timestamp,
}

/// What happened to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEventKind {
    /// It opened; first event of its incident.
    Opened,
    /// It grew, changed or was counted; the reason tells.
    Changed,
    /// No member fires any more, or a person resolved it.
    Resolved,
    /// It fires again.
    Reopened,
    /// It left the state; no event of this incident follows.
    Retired,
}

/// A group event with the group as it is at that moment.
#[derive(Clone, Debug)]
pub struct GroupEvent {
    /// Its place.
    pub order: Order,
    /// What happened.
    pub kind: GroupEventKind,
    /// Why.
    pub reason: EventReason,
    /// The group key.
    pub group: GroupHash,
    /// The incident that the group opened.
    pub incident: IncidentId,
    /// The group's state; absent for `Retired`.
    pub view: Option<Box<GroupView>>,
}

/// A group as seen from outside.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Record time of what happened.
    pub record_time: Timestamp,
    /// Whether its sources lie behind.
    pub catching_up: bool,
    /// Name of the window rule.
    pub rule: String,
    /// Labels that define the group.
    pub labels: BTreeMap<String, String>,
    /// Whether any member fires.
    pub status: Status,
    /// Worst severity so far.
    pub severity_max: Severity,
    /// Record time of the first alert.
    pub first_seen: Timestamp,
    /// Record time of the last alert counted.
    pub last_seen: Timestamp,
    /// Whether the window has ended.
    pub window_closed: bool,
    /// Distinct fingerprints that joined.
    pub members: u64,
    /// Their sum modulo 2^128.
    pub members_sum: u128,
    /// Members that fire.
    pub firing: u64,
    /// Alerts counted.
    pub counts: Counts,
    /// Who resolved it.
    pub resolved_by: Option<String>,
    /// First members.
    pub samples: Samples,
    /// The earlier incident of the group key.
    pub predecessor: Option<IncidentId>,
}

/// Why an alert met its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It joined: a fingerprint that its group did not hold.
    NewMember,
    /// It joined: a member that had resolved.
    FiresAgain,
    /// It was held back, and the threshold was reached after it.
    BackFilled,
    /// It is folded: a repeat of a member that fires.
    Repeat,
    /// It is folded: a firing member begins anew after a pause, which changes nothing in its incident.
    NewOccurrence,
    /// It is folded: a repeat of a member whose incident a person resolved.
    ResolvedByPerson,
    /// It is folded: a resolve of something that does not fire.
    NothingFires,
    /// It is folded: held back, and the threshold was not reached in time.
    BelowThreshold,
    /// It is folded: a new alert while memory is short, counted in the overflow incident of its source.
    Overflow,
    /// It resolved a member that fired.
    MemberResolved,
    /// It opened an incident, or reopened one.
    #[serde(untagged)]
    Opening(EventReason),
}

/// What became of one alert, or of a run of equal ones, for `replay --assignments`, the tap and `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which alert; the first of the run.
    pub seq: Seq,
    /// Where it came from.
    pub source: SourceIndex,
    /// Its outcome.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// How many alerts it is about.
    pub alerts: u64,
    /// The incident it went to.
    pub incident: Option<IncidentId>,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its group key.
    pub group: GroupHash,
}

/// A turn in the life of an incident that neither its alerts nor its events tell; noted where decisions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// Record time.
    pub at: Timestamp,
    /// Whose.
    pub incident: IncidentId,
    /// What happened.
    pub kind: LandmarkKind,
}

/// Kinds of landmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandmarkKind {
    /// Its window ended; of two in a row the second is right.
    WindowEnded(EndCause),
    /// Its window goes on.
    WindowContinued,
    /// Time ended the firing of a member: it was not seen any more, or it expired.
    MemberStopped(Fingerprint, EventReason),
}

/// Something that concerns the incidents of tidegate itself, which no group owns.
#[derive(Clone, Debug)]
pub struct OwnEvent {
    /// Its place; what every shard says has the same in each.
    pub order: Order,
    /// What it is.
    pub what: Own,
}

/// See `OwnEvent`. In the order in which those of one place are taken.
#[derive(Clone, Debug)]
pub enum Own {
    /// The first alert of this source that the shard folds away.
    First {
        /// Which source.
        source: SourceIndex,
        /// That alert.
        share: Box<Share>,
        /// Where its record came from, as incident ids name it.
        origin: u64,
        /// Position of its record.
        position: u64,
    },
    /// What the shard has folded away since it said so last.
    Folded {
        /// Which source.
        source: SourceIndex,
        /// How much.
        share: Box<Share>,
    },
    /// The wall clock moved.
    Tick {
        /// To there.
        at: Timestamp,
    },
    /// Memory got shorter, or longer.
    Pressure {
        /// What holds from here on.
        pressure: Pressure,
        /// The wall clock.
        at: Timestamp,
    },
}

impl Own {
    /// Whether it only adds to what is told later.
    #[must_use]
    pub const fn adds(&self) -> bool {
        matches!(self, Self::First { .. } | Self::Folded { .. })
    }
}

/// What a shard gathers between two epochs.
#[derive(Debug, Default)]
pub struct Out {
    /// Group events, in the order of each group.
    pub events: Vec<GroupEvent>,
    /// Outcomes by source index, and the change of `held`. Received and rejected are counted by the decoders.
    pub counts: Vec<SourceCounts>,
    /// Decisions, if they are asked for.
    pub decisions: Option<Vec<Decision>>,
    /// Landmarks, where decisions are asked for.
    pub landmarks: Vec<Landmark>,
    /// Records older than the last of their group, counted as at that last.
    pub late: u64,
    /// Members that left because nobody saw or resolved them for `forget_after`.
    pub expired: u64,
    /// The groups that took most, if somebody watches.
    pub busiest: Vec<BusyGroup>,
    /// What concerns the incidents of tidegate itself.
    pub own: Vec<OwnEvent>,
    /// What was folded away and is not in `own` yet, by source index.
    pub shares: Vec<Option<Box<Share>>>,
    /// Alerts folded away.
    pub overflowed: u64,
    /// Samples not kept because memory is short.
    pub samples_shed: u64,
    /// Resolved groups that left before `reopen` ended.
    pub evicted: u64,
}

impl Out {
    /// An empty gathering for that many sources.
    #[must_use]
    pub fn new(n_sources: usize, with_decisions: bool) -> Self {
        Self {
            counts: vec![SourceCounts::default(); n_sources],
            decisions: with_decisions.then(Vec::new),
            shares: vec![None; n_sources],
            ..Self::default()
        }
    }

    /// Notes a landmark where decisions are asked for.
    pub(crate) fn note(&mut self, at: Timestamp, incident: IncidentId, kind: LandmarkKind) {
        if self.decisions.is_some() {
            self.landmarks.push(Landmark { at, incident, kind });
        }
    }
}
