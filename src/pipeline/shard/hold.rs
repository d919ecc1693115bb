//! `open_after`: alerts held back until enough of them came within the threshold's time.
//!
//! The alert that reaches the threshold opens the incident; the ones before are back-filled, not forgotten. What leaves
//! the time without that is folded as below the threshold, and belongs to no incident.

use crate::model::alert::Status;
use crate::model::incident::EventReason;
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::chunk::{Arrival, Part};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::shard::dedup::{MemberState, Unsaved};
use crate::pipeline::shard::event::{Order, Out};
use crate::pipeline::shard::group::HeldAlert;
use crate::pipeline::shard::place::sample_of;
use crate::pipeline::shard::{Moment, Shard};
use crate::pipeline::source::SourceIndex;

impl Shard {
    /// Holds one alert back, and opens the incident if it is the one that was missing.
    pub(super) fn hold(&mut self, group_slot: u32, slot: Option<u32>, part: &Part, arrival: &Arrival, out: &mut Out) {
        let Some(last) = self.group(group_slot).map(|group| group.last) else { return };
        let at = arrival.time.max(last);
        out.late += u64::from(arrival.time < last);
        let moment = self.moment(group_slot, arrival, at);
        let entry = self.hold_entry(group_slot, slot, part, arrival, moment, out);
        self.let_go(group_slot, at, out);
        let n_samples = self.n_samples;
        let Some(group) = self.group_mut(group_slot) else { return };
        group.feed = group.feed.with(arrival.source);
        group.last = at;
        let is_first = group.held.iter().all(|held| held.slot != entry);
        if is_first && group.samples.len() < n_samples {
            group.samples.push(sample_of(part, arrival, at));
            group.samples_unsaved = true;
        }
        group.held.push_back(HeldAlert {
            seq: arrival.seq,
            time: at,
            slot: entry,
            fingerprint: arrival.fingerprint,
            source: arrival.source,
            severity: arrival.severity,
        });
        let n_held = group.held.len();
        Self::count_held(out, arrival.source, 1);
        self.touch_group(group_slot);
        let needed = self.rules.get(usize::from(arrival.rule)).map_or(1, |rule| rule.open_after.count as usize);
        if n_held >= needed {
            self.open_held(group_slot, arrival, moment, out);
        } else {
            self.file_hold(group_slot);
        }
    }

    /// The entry of the held alert; a member of an earlier group leaves that.
    fn hold_entry(
        &mut self,
        group_slot: u32,
        slot: Option<u32>,
        part: &Part,
        arrival: &Arrival,
        moment: Moment,
        out: &mut Out,
    ) -> u32 {
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
        if let Some(member) = self.dedup.get_mut(entry) {
            member.state = MemberState::Held;
            member.last = moment.time;
            member.starts_at = arrival.starts_at;
            member.severity = arrival.severity;
            member.source = arrival.source;
            member.ends_at = if arrival.ends_at == Timestamp::MIN { Timestamp::MAX } else { arrival.ends_at };
        }
        self.touch_member(entry, Unsaved::Whole);
        entry
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
        let incident = group.incident;
        let first = held.front().map_or(moment.time, |first| first.time);
        group.first_seen = first;
        group.window_from = first;
        if group.opening_reason == EventReason::FirstAlert {
            group.opening_reason = EventReason::Threshold;
        }
        self.changes.gone_held.push(arrival.group);
        for alert in &held {
            let Some(member) = self.dedup.get_mut(alert.slot) else { continue };
            let is_first = member.count == 0;
            member.count += 1;
            if is_first {
                member.first = alert.time;
                member.state = match member.state {
                    MemberState::HeldResolved => MemberState::Resolved,
                    _ => MemberState::Firing,
                };
            }
            let fires = member.state == MemberState::Firing;
            let stand_in = Arrival { source: alert.source, severity: alert.severity, ..*arrival };
            if let Some(group) = self.group_mut(group_slot).filter(|_| is_first) {
                group.count_member(alert.fingerprint);
                group.firing += u64::from(fires);
            }
            self.count_in(group_slot, &stand_in, Status::Firing, 1, alert.time);
            self.touch_member(alert.slot, Unsaved::Whole);
            self.file_member(alert.slot);
            let outcome = match (alert.seq == arrival.seq, is_first) {
                (true, _) => Outcome::Opened,
                (false, true) => Outcome::Joined,
                (false, false) => Outcome::Folded,
            };
            Self::count_held(out, alert.source, -1);
            Self::count_one(out, alert.source, alert.seq, outcome, 1, Some(incident));
        }
        self.announce_later(group_slot, moment, out);
        self.file_window(group_slot);
    }

    /// Folds what is too old to count towards the threshold at this time.
    pub(super) fn let_go(&mut self, group_slot: u32, at: Timestamp, out: &mut Out) {
        let Some(within) = self.group(group_slot).map(|group| self.held_for(group.rule)) else { return };
        let Some(group) = self.group_mut(group_slot) else { return };
        let mut left = Vec::new();
        while let Some(oldest) = group.held.front().copied().filter(|oldest| oldest.time + within < at) {
            group.held.pop_front();
            left.push(oldest);
        }
        if !left.is_empty() {
            self.touch_group(group_slot);
        }
        for alert in left {
            Self::count_held(out, alert.source, -1);
            Self::count_one(out, alert.source, alert.seq, Outcome::Folded, 1, None);
        }
    }

    fn held_for(&self, rule: Option<u16>) -> Millis {
        rule.and_then(|rule| self.rules.get(usize::from(rule))).map_or(Millis::ZERO, |rule| rule.open_after.within)
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
        let Some(group) = self.group(slot) else { return };
        let within = self.held_for(group.rule);
        let Some(oldest) = group.held.front() else { return };
        let due = oldest.time + within + Millis(1);
        self.file_group_ticket(slot, crate::pipeline::shard::timers::TicketKind::Hold, due);
    }

    fn count_held(out: &mut Out, source: SourceIndex, by: i64) {
        if let Some(counts) = out.counts.get_mut(usize::from(source.0)) {
            counts.held += by;
        }
    }

    /// The order of something a step caused without any timer.
    pub(super) const fn step_order(seq: crate::pipeline::chunk::Seq) -> Order {
        Order { seq, by_alert: false, due: Timestamp::MIN }
    }
}
