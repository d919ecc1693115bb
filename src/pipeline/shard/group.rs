//! A group: one window and the incident that came of it. Pure arithmetic of windows; the control flow is in `mod.rs`.

use std::collections::{BTreeMap, VecDeque};

use crate::model::alert::{Severity, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId};
use crate::model::incident::{Counts, EventReason};
use crate::model::samples::SampleTexts;
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::chunk::Seq;
use crate::pipeline::options::{WindowKind, WindowRule};
use crate::pipeline::shard::clocks::Feed;
use crate::pipeline::shard::dedup::Unsaved;
use crate::pipeline::shard::samples::KeptSamples;
use crate::pipeline::source::SourceIndex;

/// What ended a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EndCause {
    /// Silence for `gap`.
    Gap = 0,
    /// `max_age`, `max_alerts` or the length of a fixed window.
    Cap = 1,
    /// Its incident resolved (`until_resolved`).
    Resolved = 2,
    /// A person resolved it.
    Person = 3,
    /// Its rule is gone from the configuration.
    RuleGone = 4,
}

impl EndCause {
    pub(crate) const ALL: [Self; 5] = [Self::Gap, Self::Cap, Self::Resolved, Self::Person, Self::RuleGone];
}

/// An alert that waits for its group to reach the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldAlert {
    pub(crate) seq: Seq,
    pub(crate) time: Timestamp,
    pub(crate) slot: u32,
    pub(crate) source: SourceIndex,
    pub(crate) severity: Severity,
}

/// What has to be emitted next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// The incident has not been announced; due at this emission time.
    Opening(Timestamp),
    /// Nothing.
    Nothing,
    /// Something changed; told at this emission time, as `update_every` allows.
    Change(EventReason, Timestamp),
}

/// One window and its incident.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) hash: GroupHash,
    /// Index of the rule; `None` when the rule is gone from the configuration.
    pub(crate) rule: Option<u16>,
    pub(crate) rule_name: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Zero while the group is held back.
    pub(crate) incident: IncidentId,
    pub(crate) opening_reason: EventReason,
    pub(crate) predecessor: Option<IncidentId>,
    /// Record time from which the window's age counts.
    pub(crate) window_from: Timestamp,
    /// Distinct fingerprints that joined this window.
    pub(crate) window_members: u64,
    /// Record time of the last firing alert (moved by unread time).
    pub(crate) last: Timestamp,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// When the window ended, and why.
    pub(crate) ended: Option<(Timestamp, EndCause)>,
    pub(crate) status: Status,
    pub(crate) resolved_at: Timestamp,
    pub(crate) resolved_by: Option<String>,
    pub(crate) firing: u64,
    /// When a member was forgotten last; not saved, as it matters only among deadlines of the same moment.
    pub(crate) expired_at: Timestamp,
    pub(crate) members: u64,
    pub(crate) members_sum: u128,
    pub(crate) counts: Counts,
    pub(crate) severity_max: Severity,
    pub(crate) feed: Feed,
    pub(crate) pending: Pending,
    /// Emission time of the last event.
    pub(crate) last_emission: Timestamp,
    pub(crate) samples: KeptSamples,
    /// Alerts below the threshold; empty for an open group.
    pub(crate) held: VecDeque<HeldAlert>,
    /// Entries of the dedup table that point here.
    pub(crate) entries: u64,
    /// It left the state; entries that still point here are dead.
    pub(crate) retired: bool,
    /// Due times of the valid tickets: window, report, retire, hold.
    pub(crate) window_ticket: Timestamp,
    pub(crate) report_ticket: Timestamp,
    pub(crate) retire_ticket: Timestamp,
    pub(crate) hold_ticket: Timestamp,
    /// Alerts at the time when the group was last told to whoever watches; not saved, as it only ranks.
    pub(crate) told_alerts: u64,
    pub(crate) unsaved: Unsaved,
    pub(crate) samples_unsaved: bool,
}

impl Group {
    /// A group that holds its first alert back, or is about to open with it.
    pub(crate) fn new(
        hash: GroupHash,
        rule: u16,
        rule_name: &str,
        labels: BTreeMap<String, String>,
        at: Timestamp,
    ) -> Self {
        Self {
            hash,
            rule: Some(rule),
            rule_name: rule_name.to_owned(),
            labels,
            incident: IncidentId::default(),
            opening_reason: EventReason::FirstAlert,
            predecessor: None,
            window_from: at,
            window_members: 0,
            last: at,
            first_seen: at,
            last_seen: at,
            ended: None,
            status: Status::Firing,
            resolved_at: Timestamp::MIN,
            resolved_by: None,
            firing: 0,
            expired_at: Timestamp::MIN,
            members: 0,
            members_sum: 0,
            counts: Counts::default(),
            severity_max: Severity::Unknown,
            feed: Feed::default(),
            pending: Pending::Nothing,
            last_emission: Timestamp::MIN,
            samples: KeptSamples::default(),
            held: VecDeque::new(),
            entries: 0,
            retired: false,
            window_ticket: Timestamp::MAX,
            report_ticket: Timestamp::MAX,
            retire_ticket: Timestamp::MAX,
            hold_ticket: Timestamp::MAX,
            told_alerts: 0,
            unsaved: Unsaved::Whole,
            samples_unsaved: false,
        }
    }

    /// Whether it holds alerts back and is no incident yet.
    pub(crate) fn is_held(&self) -> bool {
        self.incident == IncidentId::default()
    }

    /// Counts a fingerprint that joins for the first time.
    pub(crate) fn count_member(&mut self, fingerprint: Fingerprint) {
        self.members += 1;
        self.window_members += 1;
        self.members_sum = self.members_sum.wrapping_add(fingerprint.0);
    }

    /// Keeps a sample while there is room.
    pub(crate) fn add_sample<'a>(&mut self, n_max: usize, sample: impl FnOnce() -> SampleTexts<'a>) {
        self.samples_unsaved |= self.samples.add(n_max, sample);
    }

    /// Whether its first event is still to come.
    pub(crate) fn is_unannounced(&self) -> bool {
        matches!(self.pending, Pending::Opening(_))
    }

    /// When and by what the window ends if nothing else comes. Decided by record times alone.
    pub(crate) fn window_end(&self, rule: &WindowRule) -> (Timestamp, EndCause) {
        let age = rule.max_age.map_or(Timestamp::MAX, |age| self.window_from + age);
        let silence = match rule.kind {
            WindowKind::Session => self.last + rule.gap,
            WindowKind::Fixed | WindowKind::UntilResolved => Timestamp::MAX,
        };
        if age <= silence { (age, EndCause::Cap) } else { (silence, EndCause::Gap) }
    }

    /// Whether a firing record of this time belongs to the window, whatever timers have done meanwhile.
    pub(crate) fn takes(&self, rule: &WindowRule, at: Timestamp) -> bool {
        match self.ended {
            None => at < self.window_end(rule).0,
            // A timer of a faster clock closed it, but by its record time the alert came before the end.
            Some((end, EndCause::Gap | EndCause::Cap)) => at < end,
            Some((_, EndCause::Resolved | EndCause::Person | EndCause::RuleGone)) => false,
        }
    }

    /// Whether the incident continues with a firing record of this time instead of a successor opening.
    pub(crate) fn continues(&self, rule: &WindowRule, at: Timestamp) -> bool {
        let Some((end, EndCause::Gap | EndCause::Resolved)) = self.ended else {
            return false; // Caps are hard, and what a person closed stays closed.
        };
        let quiet_since = if self.status == Status::Resolved { end.max(self.resolved_at) } else { end };
        rule.reopen > Millis::ZERO && at < quiet_since + rule.reopen
    }

    /// When it may leave the state; MAX while it may not. `early`: whether `reopen` is not waited for.
    pub(crate) fn retires_at(&self, rule: Option<&WindowRule>, early: bool) -> Timestamp {
        let (Some((end, cause)), Status::Resolved) = (self.ended, self.status) else {
            return Timestamp::MAX;
        };
        let Some(rule) = rule else { return self.resolved_at };
        let quiet = end.max(self.resolved_at);
        match cause {
            // Repeats of what a person resolved are folded until its members are silent.
            EndCause::Person => quiet.max(self.last + rule.gap),
            EndCause::Cap | EndCause::RuleGone => quiet,
            EndCause::Gap | EndCause::Resolved if early => quiet,
            EndCause::Gap | EndCause::Resolved => quiet + rule.reopen,
        }
    }
}
