//! `open_after`: alerts held back until enough of them came within the threshold's time.
//!
//! The alert that reaches the threshold opens the incident; the ones before are back-filled, not forgotten. What leaves
//! the time without that is folded as below the threshold, and belongs to no incident: its entry leaves with the last of
//! its alerts, so that no held alert ever points to an entry that is not its own.

use crate::model::alert::Status;
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId, MemberKey};
use crate::model::incident::EventReason;
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::chunk::{Arrival, Part};
use crate::pipeline::options::OpenAfter;
use crate::pipeline::outcome::Outcome;
use crate::pipeline::shard::dedup::{MemberState, Rest, Unsaved};
use crate::pipeline::shard::event::{Decision, Out, Reason};
use crate::pipeline::shard::group::{Group, HeldAlert};
use crate::pipeline::shard::timers::TicketKind;
use crate::pipeline::shard::{Moment, Shard};
use crate::pipeline::source::SourceIndex;

impl Shard {
    /// Holds an alert back, and its folded repeats one by one: each counts towards the threshold.
    pub(super) fn hold(&mut self, group_slot: u32, slot: Option<u32>, part: &Part, arrival: &Arrival, out: &mut Out) {
        let mut slot = slot;
        for n_before in 0..arrival.count {
            if self.group(group_slot).is_some_and(Group::is_held) {
                self.hold_one(group_slot, slot, part, arrival, out);
                slot = self.dedup.find(MemberKey::new(arrival.fingerprint, arrival.group));
            } else if let Some(slot) = slot {
                return self.repeat(slot, arrival, u64::from(arrival.count - n_before), out);
            }
        }
    }

    /// Holds one alert back, and opens the incident if it is the one that was missing.
    fn hold_one(&mut self, group_slot: u32, slot: Option<u32>, part: &Part, arrival: &Arrival, out: &mut Out) {
        let Some(last) = self.group(group_slot).map(|group| group.last) else { return };
        let at = arrival.time.max(last);
        out.late += u64::from(arrival.time < last);
        let moment = self.moment(group_slot, arrival, at);
        let (entry, is_first) = self.hold_entry(group_slot, slot, part, arrival, moment, out);
        self.let_go(group_slot, at, out);
        if is_first {
            self.take_sample(group_slot, part, arrival, at, out);
        }
        let Some(group) = self.group_mut(group_slot) else { return };
        group.feed = group.feed.with(arrival.source);
        group.last = at;
        let (source, severity) = (arrival.source, arrival.severity);
        group.held.push_back(HeldAlert { seq: arrival.seq, time: at, slot: entry, source, severity });
        let n_held = group.held.len();
        Self::count_held(out, source, 1);
        self.touch_group(group_slot);
        if n_held >= self.threshold(group_slot).count as usize {
            self.open_held(group_slot, arrival, moment, out);
        } else {
            self.file_hold(group_slot);
        }
    }

    /// The entry of the held alert, and whether it is its first; a member of an earlier group leaves that.
    fn hold_entry(
        &mut self,
        group_slot: u32,
        slot: Option<u32>,
        part: &Part,
        arrival: &Arrival,
        moment: Moment,
        out: &mut Out,
    ) -> (u32, bool) {
        let old = slot.and_then(|slot| self.dedup.get(slot).map(|member| (slot, *member)));
        let entry = match old {
            Some((slot, member)) if member.group == group_slot => slot,
            Some((slot, member)) => {
                self.supersede(member, moment, out);
                if let Some(member) = self.dedup.get_mut(slot) {
                    member.group = group_slot;
                    member.count = 0;
                }
                self.bind_entry(group_slot);
                slot
            }
            None => {
                self.bind_entry(group_slot);
                self.add_entry(group_slot, part, arrival)
            }
        };
        let mut is_first = false;
        if let Some(member) = self.dedup.get_mut(entry) {
            is_first = member.count == 0;
            member.count += 1;
            member.state = MemberState::Held;
            member.last = moment.time;
            member.starts_at = arrival.starts_at;
            member.severity = arrival.severity;
            member.source = arrival.source;
            member.ends_at = if arrival.ends_at == Timestamp::MIN { Timestamp::MAX } else { arrival.ends_at };
        }
        self.touch_member(entry, Unsaved::Whole);
        (entry, is_first)
    }

    fn bind_entry(&mut self, group_slot: u32) {
        if let Some(group) = self.group_mut(group_slot) {
            group.entries += 1;
        }
    }

    /// The threshold is reached: everything held becomes part of the incident that this alert opens.
    fn open_held(&mut self, group_slot: u32, arrival: &Arrival, moment: Moment, out: &mut Out) {
        self.make_incident(group_slot, arrival, moment);
        let Some(group) = self.group_mut(group_slot) else { return };
        let held = std::mem::take(&mut group.held);
        let (incident, hash) = (group.incident, group.hash);
        group.first_seen = held.front().map_or(moment.time, |first| first.time);
        group.window_from = moment.time; // The opening record is this one.
        group.samples_unsaved = true; // They are kept under the name of the incident from now on.
        if group.opening_reason == EventReason::FirstAlert {
            group.opening_reason = EventReason::Threshold;
        }
        let opening = Reason::Opening(group.opening_reason);
        self.changes.gone_held.push(hash);
        for alert in &held {
            if let Some(member) = self.dedup.get_mut(alert.slot) {
                member.count = 0; // From now on it counts what was counted in the incident.
            }
        }
        for alert in &held {
            let is_first = self.join_held(group_slot, alert);
            let stand_in = Arrival { source: alert.source, severity: alert.severity, ..*arrival };
            self.count_in(group_slot, &stand_in, Status::Firing, 1, alert.time);
            let (outcome, reason) = match (alert.seq == arrival.seq, is_first) {
                (true, _) => (Outcome::Opened, opening),
                (false, true) => (Outcome::Joined, Reason::BackFilled),
                (false, false) => (Outcome::Folded, Reason::BackFilled),
            };
            Self::count_held(out, alert.source, -1);
            self.decide_held(alert, hash, outcome, reason, Some(incident), out);
        }
        self.announce_later(group_slot, moment, out);
        self.file_window(group_slot);
    }

    /// Makes the fingerprint of a held alert a member; returns whether it is the first of its fingerprint.
    fn join_held(&mut self, group_slot: u32, alert: &HeldAlert) -> bool {
        let Some(member) = self.dedup.get_mut(alert.slot) else { return false };
        let is_first = member.count == 0;
        member.count += 1;
        if is_first {
            let is_resolved = member.state == MemberState::HeldResolved;
            member.state = if is_resolved { MemberState::Resolved } else { MemberState::Firing };
            let mut fingerprint = Fingerprint::default();
            if let Some(rest) = self.dedup.rest_mut(alert.slot) {
                rest.first = alert.time;
                fingerprint = rest.fingerprint();
            }
            if let Some(group) = self.group_mut(group_slot) {
                group.count_member(fingerprint);
                group.firing += u64::from(!is_resolved);
            }
        }
        self.touch_member(alert.slot, Unsaved::Whole);
        self.file_member(alert.slot);
        is_first
    }

    /// Folds what is too old to count towards the threshold at this time.
    pub(super) fn let_go(&mut self, group_slot: u32, at: Timestamp, out: &mut Out) {
        let within = self.threshold(group_slot).within;
        while let Some(group) = self.group_mut(group_slot) {
            let Some(alert) = group.held.pop_front_if(|oldest| oldest.time + within < at) else { return };
            let hash = group.hash;
            self.touch_group(group_slot);
            Self::count_held(out, alert.source, -1);
            self.decide_held(&alert, hash, Outcome::Folded, Reason::BelowThreshold, None, out);
            self.forget_held(group_slot, alert.slot);
        }
    }

    /// The outcome of an alert that was held back. Its entry must still be there.
    fn decide_held(
        &self,
        alert: &HeldAlert,
        group: GroupHash,
        outcome: Outcome,
        reason: Reason,
        incident: Option<IncidentId>,
        out: &mut Out,
    ) {
        let fingerprint = self.dedup.rest(alert.slot).map_or_else(Default::default, Rest::fingerprint);
        let HeldAlert { seq, source, .. } = *alert;
        Self::decide(out, Decision { seq, source, outcome, reason, alerts: 1, incident, fingerprint, group });
    }

    /// One held alert less of this entry, which leaves with its last one.
    fn forget_held(&mut self, group_slot: u32, slot: u32) {
        let Some(member) = self.dedup.get_mut(slot) else { return };
        member.count -= 1;
        if member.count > 0 {
            return;
        }
        let key = member.key;
        let fingerprint = self.dedup.rest(slot).map_or_else(Default::default, Rest::fingerprint);
        self.changes.gone_members.push(key);
        self.drop_entry(slot);
        if let Some(group) = self.groups.get_mut(group_slot as usize).and_then(Option::as_deref_mut) {
            let before = group.samples.bytes();
            group.samples_unsaved |= group.samples.remove(fingerprint);
            self.tally.sample_bytes = self.tally.sample_bytes + group.samples.bytes() - before;
        }
    }

    /// The threshold of a group. Under a rule that is gone from the configuration nothing opens any more.
    fn threshold(&self, group_slot: u32) -> OpenAfter {
        let rule = self.group(group_slot).and_then(|group| self.rule_of(group));
        rule.map_or(OpenAfter { count: u32::MAX, within: Millis::ZERO }, |rule| rule.open_after)
    }

    /// A held alert may leave now. A group that holds nothing any more leaves the state.
    pub(super) fn due_hold(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        match self.group_mut(slot) {
            Some(group) if group.hold_ticket == moment.order.due && group.is_held() => {
                group.hold_ticket = Timestamp::MAX
            }
            _ => return,
        }
        self.let_go(slot, moment.time, out);
        let Some(group) = self.group(slot) else { return };
        if group.held.is_empty() {
            self.retire(slot, None, out);
        } else {
            self.file_hold(slot);
        }
    }

    pub(super) fn file_hold(&mut self, slot: u32) {
        let within = self.threshold(slot).within;
        let Some(oldest) = self.group(slot).and_then(|group| group.held.front()) else { return };
        let due = oldest.time + within + Millis(1);
        self.file_group_ticket(slot, TicketKind::Hold, due);
    }

    fn count_held(out: &mut Out, source: SourceIndex, by: i64) {
        if let Some(counts) = out.counts.get_mut(usize::from(source.0)) {
            counts.held += by;
        }
    }
}
