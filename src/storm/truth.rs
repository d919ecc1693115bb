//! The truth about a flood: what an exact receiver must have found, counted while the flood is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Severity, Status, Timestamp};
use crate::storm::compare::{Comparison, compare, group_name};
use crate::storm::cue::Act;
use crate::storm::found::FoundIncident;
use crate::storm::shape::Shape;

/// The truth about a whole flood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The flood's shape.
    pub shape: Shape,
    /// The flood's seed.
    pub seed: u64,
    /// All alerts.
    pub alerts: u64,
    /// All distinct fingerprints.
    pub members: u64,
    /// All groups, in the order of their first alerts. Each is one incident.
    pub groups: Vec<GroupTruth>,
}

/// The truth about one group, which is one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTruth {
    /// `cluster`, and `service` or else `alertname`.
    pub labels: BTreeMap<String, String>,
    /// Alerts, repeats and resolves included.
    pub alerts: u64,
    /// Distinct fingerprints.
    pub members: u64,
    /// Alerts (repeats and resolves included) by the label `severity`; only severities that occur.
    pub by_severity: BTreeMap<String, u64>,
    /// Alerts by `firing` and `resolved`; only what occurs.
    pub by_status: BTreeMap<String, u64>,
    /// The status after the last alert: resolved if every member is.
    pub status: Status,
    /// The time of the first alert.
    pub first: Timestamp,
    /// The time of the last alert.
    pub last: Timestamp,
}

impl Truth {
    /// Holds what was found against the truth.
    #[must_use]
    pub fn compare(&self, found: &[FoundIncident]) -> Comparison {
        compare(self, found)
    }
}

impl GroupTruth {
    /// `cluster/service` or `cluster/alertname`.
    #[must_use]
    pub fn name(&self) -> String {
        group_name(&self.labels)
    }
}

/// Counts while the flood is made. One record costs a few additions.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    tallies: Vec<Tally>,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    members: u64,
    firing_members: u64,
    by_severity: [u64; Severity::ALL.len()],
    resolves: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Ledger {
    pub(crate) fn record(&mut self, group: u32, act: Act, severity: Severity, at: Timestamp) {
        let group = group as usize;
        if group >= self.tallies.len() {
            self.tallies.resize(group + 1, Tally::default());
        }
        let tally = &mut self.tallies[group];
        if tally.members == 0 {
            tally.first = at;
        }
        tally.last = at;
        tally.by_severity[severity as usize] += 1;
        match act {
            Act::Begin => {
                tally.members += 1;
                tally.firing_members += 1;
            }
            Act::Repeat => {}
            Act::Resolve => {
                tally.firing_members -= 1;
                tally.resolves += 1;
            }
        }
    }

    pub(crate) fn truth(&self, shape: Shape, seed: u64, labels: impl Fn(usize) -> BTreeMap<String, String>) -> Truth {
        let heard = self.tallies.iter().enumerate().filter(|(_, tally)| tally.members > 0);
        let mut groups: Vec<GroupTruth> = heard.map(|(group, tally)| tally.truth(labels(group))).collect();
        groups.sort_by_key(|group| group.first);
        let alerts = groups.iter().map(|group| group.alerts).sum();
        let members = groups.iter().map(|group| group.members).sum();
        Truth { shape, seed, alerts, members, groups }
    }
}

impl Tally {
    fn truth(&self, labels: BTreeMap<String, String>) -> GroupTruth {
        let alerts: u64 = self.by_severity.iter().sum();
        let severities = Severity::ALL.iter().zip(self.by_severity);
        let statuses = [("firing", alerts - self.resolves), ("resolved", self.resolves)];
        GroupTruth {
            labels,
            alerts,
            members: self.members,
            by_severity: occurring(severities.map(|(severity, count)| (severity.name(), count))),
            by_status: occurring(statuses),
            status: if self.firing_members == 0 { Status::Resolved } else { Status::Firing },
            first: self.first,
            last: self.last,
        }
    }
}

fn occurring(counts: impl IntoIterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}
