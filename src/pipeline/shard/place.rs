//! The life of an alert: is it a repeat, does it join, does the group continue, does a successor open, does it resolve.
//!
//! Membership is decided by record times, never by whether a timer has fired yet.

use crate::model::alert::Status;
use crate::model::fingerprint::{MemberKey, incident_id};
use crate::model::incident::EventReason;
use crate::model::labels;
use crate::model::samples::SampleTexts;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Arrival, Part, Texts};
use crate::pipeline::decode::DetailReader;
use crate::pipeline::outcome::Outcome;
use crate::pipeline::shard::dedup::{Member, MemberState, Rest, Unsaved};
use crate::pipeline::shard::event::{LandmarkKind, Out, Reason};
use crate::pipeline::shard::group::{EndCause, Group, Pending};
use crate::pipeline::shard::repeat::Standing;
use crate::pipeline::shard::{Moment, Shard};

impl Shard {
    pub(super) fn fire(&mut self, slot: Option<u32>, part: &Part, arrival: &Arrival, out: &mut Out) {
        let standing = slot.map(|slot| (slot, self.standing(slot, arrival)));
        match standing {
            Some((slot, Standing::Repeat)) => self.repeat(slot, arrival, u64::from(arrival.count), out),
            Some((slot, Standing::Held)) => {
                let group = self.dedup.get(slot).map_or(0, |member| member.group);
                self.hold(group, Some(slot), part, arrival, out);
            }
            Some((slot, Standing::Anew)) => self.place(Some(slot), part, arrival, out),
            None if self.overflows(part, arrival) => self.overflow(arrival, out),
            None => self.place(None, part, arrival, out),
        }
    }

    /// Finds the group for an alert that starts something: a new fingerprint, a new occurrence, a return.
    fn place(&mut self, slot: Option<u32>, part: &Part, arrival: &Arrival, out: &mut Out) {
        let Some(current) = self.by_key.get(&arrival.group).copied() else {
            return self.open(slot, None, EventReason::FirstAlert, part, arrival, out);
        };
        let Some(group) = self.group(current) else { return };
        if group.is_held() {
            return self.hold(current, slot, part, arrival, out);
        }
        let at = arrival.time.max(group.last);
        out.late += u64::from(arrival.time < group.last);
        let moment = self.moment(current, arrival, at);
        self.settle_window(current, at, moment, out);
        let is_member = slot.and_then(|slot| self.dedup.get(slot)).is_some_and(|member| member.group == current);
        let Some(group) = self.group(current) else { return };
        let rule = self.rule_of(group);
        let is_full = rule.and_then(|rule| rule.max_alerts).is_some_and(|cap| group.window_members >= cap);
        let in_window = rule.is_some_and(|rule| group.takes(rule, at));
        let continues = rule.is_some_and(|rule| group.continues(rule, at));
        let joins = if in_window { is_member || !is_full } else { continues };
        if joins {
            return self.join(current, slot, part, arrival, moment, out);
        }
        if in_window {
            self.cap_window(current, at, moment, out);
        }
        let reason = match self.group(current).and_then(|group| group.ended) {
            Some((_, EndCause::Cap)) => EventReason::AfterCap,
            Some((_, EndCause::Person)) => EventReason::AfterPerson,
            _ => EventReason::AfterGap,
        };
        self.open(slot, Some(current), reason, part, &Arrival { time: at, ..*arrival }, out);
    }

    /// Ends a window that is full, even if a timer that ran ahead of this record closed it for another cause.
    fn cap_window(&mut self, slot: u32, at: Timestamp, moment: Moment, out: &mut Out) {
        self.close_window(slot, at, EndCause::Cap, moment, out);
        if let Some(group) = self.group_mut(slot) {
            group.ended = Some((at, EndCause::Cap));
            out.note(at, group.incident, LandmarkKind::WindowEnded(EndCause::Cap));
        }
        self.touch_group(slot);
    }

    /// Closes a window that has ended by the record times, whether or not its timer fired.
    pub(super) fn settle_window(&mut self, slot: u32, at: Timestamp, moment: Moment, out: &mut Out) {
        let Some(group) = self.group(slot) else { return };
        let Some(rule) = self.rule_of(group) else { return };
        let (end, cause) = group.window_end(rule);
        if group.ended.is_none() && at >= end {
            self.close_window(slot, end, cause, moment, out);
        }
    }

    /// Joins an open window, or continues a closed one.
    fn join(
        &mut self,
        group_slot: u32,
        slot: Option<u32>,
        part: &Part,
        arrival: &Arrival,
        moment: Moment,
        out: &mut Out,
    ) {
        let at = moment.time;
        let Some(group) = self.group_mut(group_slot) else { return };
        let (was_resolved, incident) = (group.status == Status::Resolved, group.incident);
        let before = slot.and_then(|slot| self.dedup.get(slot)).filter(|member| member.group == group_slot);
        let (was_member, was_firing) =
            (before.is_some(), before.is_some_and(|member| member.state == MemberState::Firing));
        self.reopen_window(group_slot, at, out);
        let (entry, rose) = self.enter(group_slot, slot, part, arrival, moment, out);
        let (outcome, why) = if was_resolved {
            self.reopen(group_slot, moment, out);
            (Outcome::Opened, Reason::Opening(EventReason::FiringAgain))
        } else {
            let reason = match (rose, was_firing) {
                (true, _) => EventReason::SeverityRose,
                (false, true) => EventReason::Counted,
                (false, false) => EventReason::Grew,
            };
            self.change(group_slot, reason, moment, out);
            match (was_firing, was_member) {
                (true, _) => (Outcome::Folded, Reason::NewOccurrence),
                (false, true) => (Outcome::Joined, Reason::FiresAgain),
                (false, false) => (Outcome::Joined, Reason::NewMember),
            }
        };
        Self::count(out, arrival, outcome, why, 1, Some(incident));
        self.file_window(group_slot);
        self.repeat_rest(entry, arrival, out);
    }

    /// A window that silence had ended goes on: by a late record from before its end, or within `reopen`.
    pub(super) fn reopen_window(&mut self, slot: u32, at: Timestamp, out: &mut Out) {
        let Some(group) = self.group_mut(slot) else { return };
        let Some((end, EndCause::Gap | EndCause::Resolved)) = group.ended else { return };
        group.ended = None;
        out.note(at, group.incident, LandmarkKind::WindowContinued);
        if at >= end {
            group.window_from = at; // A continued window starts its age anew; a late record does not.
            group.window_members = 0;
        }
        self.tally.open_windows += 1;
    }

    /// Opens a new group, or begins to hold back where the rule says so.
    fn open(
        &mut self,
        slot: Option<u32>,
        predecessor: Option<u32>,
        reason: EventReason,
        part: &Part,
        arrival: &Arrival,
        out: &mut Out,
    ) {
        let Some(rule) = self.rules.get(usize::from(arrival.rule)) else { return };
        let labels = part.labels(arrival);
        let group_labels = rule.group_labels(|name| labels::get(&labels, name));
        let group_labels = group_labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let holds = rule.open_after.count > 1;
        let mut group = Group::new(arrival.group, arrival.rule, &rule.name, group_labels, arrival.time);
        group.predecessor = predecessor.and_then(|slot| self.group(slot)).map(|before| before.incident);
        group.opening_reason = reason;
        group.feed = group.feed.with(arrival.source);
        let group_slot = self.add_group(group);
        self.changes.groups.push(group_slot);
        self.by_key.insert(arrival.group, group_slot);
        if let Some(before) = predecessor {
            self.touch_group(before); // It is no longer the current group of its key.
        }
        if holds {
            return self.hold(group_slot, slot, part, arrival, out);
        }
        let moment = self.moment(group_slot, arrival, arrival.time);
        self.make_incident(group_slot, arrival, moment);
        let (entry, _) = self.enter(group_slot, slot, part, arrival, moment, out);
        self.announce_later(group_slot, moment, out);
        let incident = self.group(group_slot).map(|group| group.incident);
        Self::count(out, arrival, Outcome::Opened, Reason::Opening(reason), 1, incident);
        self.file_window(group_slot);
        self.repeat_rest(entry, arrival, out);
    }

    /// Gives a group its incident, named by the record that opens it.
    pub(super) fn make_incident(&mut self, slot: u32, arrival: &Arrival, moment: Moment) {
        let key = self.key;
        let Some(group) = self.group_mut(slot) else { return };
        let id = incident_id(key, group.hash, arrival.origin, arrival.position, arrival.seq.index);
        group.incident = id;
        group.last_emission = moment.emission;
        group.pending = Pending::Nothing;
        self.by_incident.insert(id, slot);
        self.tally.open_windows += 1;
        self.tally.open_incidents += 1;
        self.touch_group(slot);
    }

    /// Makes the fingerprint a firing member of the group. Returns its entry and whether the worst severity rose.
    fn enter(
        &mut self,
        group_slot: u32,
        slot: Option<u32>,
        part: &Part,
        arrival: &Arrival,
        moment: Moment,
        out: &mut Out,
    ) -> (u32, bool) {
        let at = moment.time;
        let old = slot.and_then(|slot| self.dedup.get(slot).copied());
        let (entry, is_new, was_firing) = match (slot, old) {
            (Some(slot), Some(old)) if old.group == group_slot => (slot, false, old.state == MemberState::Firing),
            (Some(slot), Some(old)) => {
                self.supersede(old, moment, out);
                (slot, true, false)
            }
            _ => (self.add_entry(group_slot, part, arrival), true, false),
        };
        if let Some(member) = self.dedup.get_mut(entry) {
            if is_new {
                member.group = group_slot;
                member.count = 0;
            }
            member.state = MemberState::Firing;
            member.last = at;
            member.starts_at = arrival.starts_at;
            member.ends_at = deadline_of(arrival);
            member.severity = arrival.severity;
            member.source = arrival.source;
            member.count += 1;
        }
        if let Some(group) = self.group_mut(group_slot) {
            group.firing += u64::from(!was_firing);
            if is_new {
                group.entries += 1;
                group.count_member(arrival.fingerprint);
            }
        }
        if is_new {
            if let Some(rest) = self.dedup.rest_mut(entry) {
                rest.first = at;
            }
            self.take_sample(group_slot, part, arrival, at, out);
        }
        let rose = self.count_in(group_slot, arrival, Status::Firing, 1, at);
        self.touch_member(entry, if is_new { Unsaved::Whole } else { Unsaved::Touched });
        self.file_member(entry);
        (entry, rose)
    }

    /// Adds an entry for a fingerprint that is not in the table, without a group's counts.
    pub(super) fn add_entry(&mut self, group: u32, part: &Part, arrival: &Arrival) -> u32 {
        let labels = self.store_labels(&part.labels(arrival));
        let member = Member {
            key: MemberKey::new(arrival.fingerprint, arrival.group),
            group,
            last: arrival.time,
            starts_at: arrival.starts_at,
            ends_at: deadline_of(arrival),
            ticket: Timestamp::MAX,
            count: 0,
            source: arrival.source,
            severity: arrival.severity,
            state: MemberState::Held,
            unsaved: Unsaved::No,
        };
        let slot = self.dedup.insert(member, Rest::new(arrival.fingerprint, labels, arrival.time));
        self.touch_member(slot, Unsaved::Whole);
        slot
    }

    /// Takes a member out of its old group because its occurrence goes on in a later one.
    pub(super) fn supersede(&mut self, old: Member, moment: Moment, out: &mut Out) {
        if let Some(group) = self.group_mut(old.group) {
            let fired = old.state == MemberState::Firing;
            group.firing -= u64::from(fired);
            let over = fired && group.firing == 0 && group.status == Status::Firing;
            self.touch_group(old.group);
            if over {
                self.resolve_group(old.group, EventReason::Superseded, moment, out);
            } else if fired {
                self.change(old.group, EventReason::MemberResolved, moment, out);
            }
        }
        self.leave_entry(old.group);
    }

    /// Adds to the counts of a group; returns whether its worst severity rose.
    pub(super) fn count_in(&mut self, slot: u32, arrival: &Arrival, status: Status, n: u64, at: Timestamp) -> bool {
        let Some(group) = self.group_mut(slot) else { return false };
        group.counts.add(arrival.severity, status, n);
        // For decisions a late record counts as at the last one; what people see is when the first alert really was.
        group.first_seen = group.first_seen.min(arrival.time);
        group.last_seen = group.last_seen.max(at);
        group.feed = group.feed.with(arrival.source);
        let mut rose = false;
        if status == Status::Firing {
            group.last = group.last.max(at);
            rose = group.counts.alerts > n && arrival.severity > group.severity_max;
            group.severity_max = group.severity_max.max(arrival.severity);
        }
        self.touch_group(slot);
        rose
    }

    /// Keeps a sample of an alert that joins, while there is room for it.
    pub(super) fn take_sample(&mut self, slot: u32, part: &Part, arrival: &Arrival, at: Timestamp, out: &mut Out) {
        let (n_samples, keeps) = (self.n_samples, self.keeps_samples(arrival.severity, slot));
        let Some(group) = self.groups.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        if !keeps {
            out.samples_shed += u64::from(group.samples.len() < n_samples);
            return;
        }
        let before = group.samples.bytes();
        group.add_sample(n_samples, || sample_of(&mut self.details, part, arrival, at));
        self.tally.sample_bytes = self.tally.sample_bytes + group.samples.bytes() - before;
    }

    fn repeat_rest(&mut self, slot: u32, arrival: &Arrival, out: &mut Out) {
        if arrival.count > 1 {
            self.repeat(slot, arrival, u64::from(arrival.count - 1), out);
        }
    }

    pub(super) fn resolve(&mut self, slot: Option<u32>, arrival: &Arrival, out: &mut Out) {
        let Some((slot, member)) = slot.and_then(|slot| self.dedup.get(slot).map(|member| (slot, *member))) else {
            return Self::count(out, arrival, Outcome::Folded, Reason::NothingFires, u64::from(arrival.count), None);
        };
        let Some((incident, last)) = self.group(member.group).map(|group| (group.incident, group.last)) else { return };
        let shown =
            (member.state != MemberState::Held && member.state != MemberState::HeldResolved).then_some(incident);
        let state = match member.state {
            MemberState::Firing => MemberState::Resolved,
            MemberState::Held => MemberState::HeldResolved,
            MemberState::Resolved | MemberState::HeldResolved => {
                // A resolve of what does not fire: it has its outcome, and changes nothing.
                let n = u64::from(arrival.count);
                return Self::count(out, arrival, Outcome::Folded, Reason::NothingFires, n, shown);
            }
        };
        if let Some(member) = self.dedup.get_mut(slot) {
            member.state = state;
        }
        self.touch_member(slot, Unsaved::Touched);
        let mut rest = u64::from(arrival.count);
        if state == MemberState::Resolved {
            let moment = self.moment(member.group, arrival, arrival.time.max(last));
            self.count_in(member.group, arrival, Status::Resolved, 1, moment.time);
            Self::count(out, arrival, Outcome::Resolved, Reason::MemberResolved, 1, shown);
            rest -= 1;
            self.stop_firing(member.group, EventReason::AllResolved, moment, out);
        }
        if rest > 0 {
            Self::count(out, arrival, Outcome::Folded, Reason::NothingFires, rest, shown);
        }
    }

    /// One member of the group fires no more.
    pub(super) fn stop_firing(&mut self, slot: u32, reason: EventReason, moment: Moment, out: &mut Out) {
        let Some(group) = self.group_mut(slot) else { return };
        group.firing -= 1;
        let over = group.firing == 0 && group.status == Status::Firing;
        if reason == EventReason::Expired {
            group.expired_at = moment.time;
        }
        // Of several that end at one moment it must not matter which one is looked at last.
        let expired = reason == EventReason::NotSeen && group.expired_at == moment.time;
        let reason = if expired { EventReason::Expired } else { reason };
        self.touch_group(slot);
        if over {
            self.resolve_group(slot, reason, moment, out);
        } else {
            self.change(slot, EventReason::MemberResolved, moment, out);
        }
    }
}

/// A sample of an alert that joins.
pub(super) fn sample_of<'a>(
    details: &'a mut DetailReader,
    part: &'a Part,
    arrival: &Arrival,
    at: Timestamp,
) -> SampleTexts<'a> {
    let Texts { labels, annotations, url } = part.texts(arrival, details);
    SampleTexts {
        fingerprint: arrival.fingerprint,
        severity: arrival.severity,
        first_seen: at,
        starts_at: (arrival.starts_at != Timestamp::MIN).then_some(arrival.starts_at),
        labels,
        annotations,
        url,
    }
}

pub(super) fn deadline_of(arrival: &Arrival) -> Timestamp {
    if arrival.ends_at == Timestamp::MIN { Timestamp::MAX } else { arrival.ends_at }
}
