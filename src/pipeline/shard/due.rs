//! What happens when time passes: windows end, members that are not seen any more resolve or are forgotten, resolved
//! groups leave the state. Each object has at most one valid ticket per kind; who pops it looks at the real deadline.

use crate::model::alert::Status;
use crate::model::fingerprint::{GroupHash, IncidentId};
use crate::model::incident::EventReason;
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::chunk::Seq;
use crate::pipeline::options::{ResolveAfter, SourceOptions, WindowRule};
use crate::pipeline::shard::dedup::{Member, MemberState, Rest, Unsaved};
use crate::pipeline::shard::event::{GroupEvent, GroupEventKind, LandmarkKind, Order, Out};
use crate::pipeline::shard::group::{EndCause, Pending};
use crate::pipeline::shard::samples::KeptSamples;
use crate::pipeline::shard::timers::{Ticket, TicketKind};
use crate::pipeline::shard::{Moment, Shard};
use crate::pipeline::source::SourceIndex;

/// A source that repeats its firing alerts and has not for this many intervals has stopped firing them.
const MISSED_RESENDS: i64 = 3;

/// A member with a deadline far away is looked at this often, so that the tickets of members that left (16 B each) do not
/// lie about for as long as `forget_after`.
const LOOK_AGAIN: Millis = Millis::hours(1);

/// `forget_after` of members whose rule is gone from the configuration: its default.
const FORGET_ORPHANS: Millis = Millis::hours(7 * 24);

impl Shard {
    /// Fires everything that is due, in the order of the due times.
    pub(super) fn run_due(&mut self, seq: Seq, out: &mut Out) {
        while let Some((feed, due)) = self.clocks.earliest_due() {
            let Some(ticket) = self.clocks.pop(feed, due) else { return };
            if self.follows_another_clock(ticket, feed) {
                continue;
            }
            let order = Order { seq, by_alert: false, due };
            let moment = Moment { order, time: due, emission: due };
            match ticket.kind {
                TicketKind::Hold => self.due_hold(ticket.slot, moment, out),
                TicketKind::Member => self.due_member(ticket.slot, moment, out),
                TicketKind::Window => self.due_window(ticket.slot, moment, out),
                TicketKind::Report => self.due_report(ticket.slot, moment, out),
                TicketKind::Retire => self.due_retire(ticket.slot, moment, out),
            }
        }
    }

    /// A source that joined since the ticket was filed may lag: then the ticket goes on to the clock of the larger set.
    fn follows_another_clock(&mut self, ticket: Ticket, feed_at: usize) -> bool {
        let Ticket { due, kind, slot } = ticket;
        let group = match kind {
            TicketKind::Member => self.dedup.get(slot).filter(|member| member.ticket == due).map(|member| member.group),
            _ => Some(slot),
        };
        let Some(group) = group.and_then(|group| self.group(group)).filter(|group| !group.retired) else {
            return false;
        };
        let filed = match kind {
            TicketKind::Member => due,
            TicketKind::Window => group.window_ticket,
            TicketKind::Report => group.report_ticket,
            TicketKind::Retire => group.retire_ticket,
            TicketKind::Hold => group.hold_ticket,
        };
        let feed = group.feed;
        if filed != due || self.clocks.feed_at(feed_at) == feed {
            return false;
        }
        let clock = self.clocks.feed(feed);
        let timers = if kind == TicketKind::Report { &mut clock.emissions } else { &mut clock.deadlines };
        timers.file(ticket);
        true
    }

    fn due_member(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        let Some(member) = self.dedup.get_mut(slot).filter(|member| member.ticket == moment.order.due) else { return };
        member.ticket = Timestamp::MAX;
        let member = *member;
        let Some(group) = self.group(member.group).filter(|group| !group.retired) else { return };
        if member.state != MemberState::Firing {
            return;
        }
        let (resolves, leaves) = deadlines(self.rule_of(group), &self.sources, &member);
        if resolves <= moment.time {
            if let Some(member) = self.dedup.get_mut(slot) {
                member.state = MemberState::Resolved;
            }
            self.touch_member(slot, Unsaved::Touched);
            self.note_stop(slot, &member, EventReason::NotSeen, moment, out);
            self.stop_firing(member.group, EventReason::NotSeen, moment, out);
        } else if leaves <= moment.time {
            out.expired += 1;
            self.note_stop(slot, &member, EventReason::Expired, moment, out);
            self.stop_firing(member.group, EventReason::Expired, moment, out);
            self.changes.gone_members.push(member.key);
            self.drop_entry(slot);
        } else {
            self.file_member(slot);
        }
    }

    fn note_stop(&self, slot: u32, member: &Member, reason: EventReason, moment: Moment, out: &mut Out) {
        let incident = self.group(member.group).map(|group| group.incident).unwrap_or_default();
        let fingerprint = self.dedup.rest(slot).map_or_else(Default::default, Rest::fingerprint);
        out.note(moment.time, incident, LandmarkKind::MemberStopped(fingerprint, reason));
    }

    /// Makes sure that a ticket is filed for the member's next deadline.
    pub(super) fn file_member(&mut self, slot: u32) {
        let Some(member) = self.dedup.get(slot).filter(|member| member.state == MemberState::Firing) else { return };
        let Some(group) = self.group(member.group) else { return };
        let (resolves, leaves) = deadlines(self.rule_of(group), &self.sources, member);
        let feed = group.feed;
        let due = look_at(resolves.min(leaves), self.clocks.feed(feed).records);
        let Some(member) = self.dedup.get(slot) else { return };
        if due < member.ticket {
            if let Some(member) = self.dedup.get_mut(slot) {
                member.ticket = due;
            }
            self.clocks.feed(feed).deadlines.file(Ticket { due, kind: TicketKind::Member, slot });
        }
    }

    fn due_window(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        match self.group_mut(slot) {
            Some(group) if group.window_ticket == moment.order.due && !group.retired => {
                group.window_ticket = Timestamp::MAX
            }
            _ => return,
        }
        let Some(group) = self.group(slot).filter(|group| group.ended.is_none()) else { return };
        let Some(rule) = self.rule_of(group) else { return };
        let (end, cause) = group.window_end(rule);
        if end <= moment.time {
            self.close_window(slot, end, cause, moment, out);
        } else {
            self.file_window(slot);
        }
    }

    /// Makes sure that a ticket is filed for the end of the window.
    pub(super) fn file_window(&mut self, slot: u32) {
        // What is held back has no window yet.
        let Some(group) = self.group(slot).filter(|group| group.ended.is_none() && !group.is_held()) else { return };
        let Some(rule) = self.rule_of(group) else { return };
        let due = group.window_end(rule).0;
        self.file_group_ticket(slot, TicketKind::Window, due);
    }

    /// Makes sure that a ticket is filed for leaving the state, once the group is resolved and its window has ended.
    pub(super) fn file_retire(&mut self, slot: u32) {
        let Some(group) = self.group(slot) else { return };
        let due = group.retires_at(self.rule_of(group), self.evicts());
        self.file_group_ticket(slot, TicketKind::Retire, due);
    }

    fn due_retire(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        match self.group_mut(slot) {
            Some(group) if group.retire_ticket == moment.order.due && !group.retired => {
                group.retire_ticket = Timestamp::MAX
            }
            _ => return,
        }
        let Some(group) = self.group(slot) else { return };
        let rule = self.rule_of(group);
        if group.retires_at(rule, self.evicts()) <= moment.time {
            out.evicted += u64::from(group.retires_at(rule, false) > moment.time);
            self.tell_rest(slot, moment, out);
            self.retire(slot, Some(moment.order), out);
        } else {
            self.file_retire(slot);
        }
    }

    /// The group leaves the state; entries that point to it are dead and go when they are met.
    pub(super) fn retire(&mut self, slot: u32, order: Option<Order>, out: &mut Out) {
        let Some(group) = self.groups.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        self.tally.sample_bytes -= group.samples.bytes();
        group.retired = true;
        let (hash, incident, entries, predecessor) = (group.hash, group.incident, group.entries, group.predecessor);
        group.samples = KeptSamples::default();
        if self.by_key.get(&hash) == Some(&slot) {
            self.by_key.remove(&hash);
        }
        match order {
            Some(order) => {
                self.by_incident.remove(&incident);
                self.changes.gone_groups.push(incident);
                let reason = EventReason::WindowClosed;
                out.events.push(GroupEvent {
                    order,
                    kind: GroupEventKind::Retired,
                    reason,
                    group: hash,
                    incident,
                    view: None,
                });
            }
            None => {
                self.changes.gone_held.push(hash);
                self.step_back(hash, predecessor);
            }
        }
        self.dead_entries += entries;
        if entries == 0 {
            self.free_group(slot);
        }
    }

    /// What was held back in vain was no successor: the group before it is the newest of its key again.
    fn step_back(&mut self, hash: GroupHash, predecessor: Option<IncidentId>) {
        let before = predecessor.and_then(|incident| self.by_incident.get(&incident)).copied();
        if let Some(before) = before {
            self.by_key.insert(hash, before);
            self.touch_group(before);
        }
    }

    /// Files a ticket of a group unless an earlier one is filed already.
    pub(super) fn file_group_ticket(&mut self, slot: u32, kind: TicketKind, due: Timestamp) {
        let Some(group) = self.group_mut(slot) else { return };
        let feed = group.feed;
        let filed = match kind {
            TicketKind::Window => &mut group.window_ticket,
            TicketKind::Report => &mut group.report_ticket,
            TicketKind::Retire => &mut group.retire_ticket,
            TicketKind::Hold => &mut group.hold_ticket,
            TicketKind::Member => return,
        };
        if due >= *filed {
            return;
        }
        *filed = due;
        let clock = self.clocks.feed(feed);
        let timers = if kind == TicketKind::Report { &mut clock.emissions } else { &mut clock.deadlines };
        timers.file(Ticket { due, kind, slot });
    }

    /// Nobody could send to this source for a while: silence during that time is none.
    pub(super) fn move_deadlines(&mut self, source: SourceIndex, by: Millis) {
        let mut moved = vec![false; self.groups.len()];
        for (slot, flag) in moved.iter_mut().enumerate() {
            let Some(group) = self.group_mut(slot as u32).filter(|group| !group.retired && group.feed.has(source))
            else {
                continue;
            };
            group.last = group.last + by;
            *flag = true;
            self.touch_group(slot as u32);
        }
        for slot in 0..self.dedup.slots() {
            let Some(member) =
                self.dedup.get_mut(slot).filter(|member| moved.get(member.group as usize) == Some(&true))
            else {
                continue;
            };
            if member.source != source {
                continue; // It was last heard from a source that keeps what came.
            }
            member.last = member.last + by;
            if member.ends_at != Timestamp::MAX {
                member.ends_at = member.ends_at + by;
            }
            self.touch_member(slot, Unsaved::Touched);
        }
    }

    /// A person resolves an incident: the window closes, and the incident is over whatever its members do.
    pub(super) fn resolve_by_person(&mut self, seq: Seq, incident: IncidentId, by: &str, out: &mut Out) {
        let Some(slot) = self.by_incident.get(&incident).copied() else { return };
        let Some(feed) = self.group(slot).map(|group| group.feed) else { return };
        let records = self.clocks.feed(feed).records;
        let Some(at) = self.group(slot).map(|group| records.max(group.last_seen)) else { return };
        let emission = self.emission(feed, at);
        let Some(group) = self.group_mut(slot) else { return };
        let was_open = group.ended.is_none();
        let was_firing = group.status == Status::Firing;
        group.ended = Some((at, EndCause::Person));
        out.note(at, group.incident, LandmarkKind::WindowEnded(EndCause::Person));
        group.resolved_by = Some(by.to_owned());
        self.tally.open_windows -= u64::from(was_open);
        self.touch_group(slot);
        let order = Order { seq, by_alert: false, due: Timestamp::MAX }; // After the timers of the same number.
        let moment = Moment { order, time: at, emission };
        if was_firing {
            self.resolve_group(slot, EventReason::Person, moment, out);
        } else {
            self.file_retire(slot);
        }
    }

    /// What is still to be told of a group, told now.
    pub(super) fn tell_rest(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        if matches!(self.group(slot).map(|group| group.pending), Some(Pending::Change(..))) {
            self.tell(slot, GroupEventKind::Changed, EventReason::WindowClosed, moment, out);
        }
    }
}

/// When a firing member counts as resolved, and when it is forgotten.
pub(super) fn deadlines(
    rule: Option<&WindowRule>,
    sources: &[SourceOptions],
    member: &Member,
) -> (Timestamp, Timestamp) {
    let Some(rule) = rule else { return (member.ends_at, member.last + FORGET_ORPHANS) };
    let silence = match rule.resolve_after {
        ResolveAfter::Never => None,
        ResolveAfter::After(silence) => Some(silence),
        ResolveAfter::BySource => {
            let resend = sources.get(usize::from(member.source.0)).and_then(|source| source.resend_interval);
            resend.map(|interval| Millis(interval.0.saturating_mul(MISSED_RESENDS)))
        }
    };
    let by_word = if rule.resolve_after == ResolveAfter::Never { Timestamp::MAX } else { member.ends_at };
    // A sender that gives an `endsAt` has said when; without one, silence decides.
    let resolves =
        if by_word < Timestamp::MAX { by_word } else { silence.map_or(Timestamp::MAX, |by| member.last + by) };
    (resolves, rule.forget_after.map_or(Timestamp::MAX, |after| member.last + after))
}

/// When to look at a member with this deadline, given the clock of its records.
pub(super) fn look_at(deadline: Timestamp, records: Timestamp) -> Timestamp {
    if records == Timestamp::MIN { deadline } else { deadline.min(records + LOOK_AGAIN) }
}
