//! What is told, and when: `wait` before the first event, `update_every` between updates, at once what cannot wait.

use crate::model::alert::Status;
use crate::model::incident::{EventKind, EventReason, IncidentEvent};
use crate::model::samples::Samples;
use crate::model::time::Timestamp;
use crate::pipeline::correlate::event_of;
use crate::pipeline::options::WindowKind;
use crate::pipeline::shard::event::{GroupEvent, GroupEventKind, GroupView, LandmarkKind, Out};
use crate::pipeline::shard::group::{EndCause, Group, Pending};
use crate::pipeline::shard::timers::TicketKind;
use crate::pipeline::shard::{Moment, Shard};

/// How much a reason says; of several changes told together the most telling one is named.
const fn weight(reason: EventReason) -> u8 {
    match reason {
        EventReason::SeverityRose => 3,
        EventReason::Grew => 2,
        EventReason::MemberResolved => 1,
        _ => 0,
    }
}

impl Shard {
    /// The incident was made: its first event is told after `wait`.
    pub(super) fn announce_later(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        let Some(group) = self.group(slot) else { return };
        let wait = self.rule_of(group).map_or_else(Default::default, |rule| rule.wait_for(group.severity_max));
        let due = moment.emission + wait;
        if wait.0 <= 0 {
            let reason = group.opening_reason;
            return self.tell(slot, GroupEventKind::Opened, reason, moment, out);
        }
        if let Some(group) = self.group_mut(slot) {
            group.pending = Pending::Opening(due);
        }
        self.file_group_ticket(slot, TicketKind::Report, due);
    }

    /// Something about the group changed.
    pub(super) fn change(&mut self, slot: u32, reason: EventReason, moment: Moment, out: &mut Out) {
        let Some(group) = self.group(slot) else { return };
        match group.pending {
            Pending::Opening(due) => {
                if reason == EventReason::SeverityRose {
                    self.hurry(slot, due, moment, out);
                }
            }
            _ if reason == EventReason::SeverityRose => self.tell(slot, GroupEventKind::Changed, reason, moment, out),
            Pending::Change(known, due) => {
                if weight(reason) > weight(known)
                    && let Some(group) = self.group_mut(slot)
                {
                    group.pending = Pending::Change(reason, due);
                }
            }
            Pending::Nothing => {
                let every = self.rule_of(group).map_or_else(Default::default, |rule| rule.update_every);
                let due = moment.emission.max(group.last_emission + every);
                if let Some(group) = self.group_mut(slot) {
                    group.pending = Pending::Change(reason, due);
                }
                self.file_group_ticket(slot, TicketKind::Report, due);
            }
        }
    }

    /// A worse alert joined before the first event: it may shorten the wait.
    fn hurry(&mut self, slot: u32, due: Timestamp, moment: Moment, out: &mut Out) {
        let Some(group) = self.group(slot) else { return };
        let wait = self.rule_of(group).map_or_else(Default::default, |rule| rule.wait_for(group.severity_max));
        let sooner = moment.emission + wait;
        if wait.0 <= 0 {
            let reason = group.opening_reason;
            self.tell(slot, GroupEventKind::Opened, reason, moment, out);
        } else if sooner < due {
            if let Some(group) = self.group_mut(slot) {
                group.pending = Pending::Opening(sooner);
            }
            self.file_group_ticket(slot, TicketKind::Report, sooner);
        }
    }

    pub(super) fn due_report(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        match self.group_mut(slot) {
            Some(group) if group.report_ticket == moment.order.due && !group.retired => {
                group.report_ticket = Timestamp::MAX
            }
            _ => return,
        }
        let Some(group) = self.group(slot) else { return };
        let (due, kind, reason) = match group.pending {
            Pending::Opening(due) => (due, GroupEventKind::Opened, group.opening_reason),
            Pending::Change(reason, due) => (due, GroupEventKind::Changed, reason),
            Pending::Nothing => return,
        };
        if due <= moment.emission {
            self.tell(slot, kind, reason, moment, out);
        } else {
            self.file_group_ticket(slot, TicketKind::Report, due);
        }
    }

    /// Files the ticket of what is still to be told, after a restore.
    pub(super) fn file_report(&mut self, slot: u32) {
        let Some(group) = self.group(slot) else { return };
        match group.pending {
            Pending::Opening(due) | Pending::Change(_, due) => self.file_group_ticket(slot, TicketKind::Report, due),
            Pending::Nothing => {}
        }
    }

    /// The incident is over. Told at once, together with its opening if that was still to come.
    pub(super) fn resolve_group(&mut self, slot: u32, reason: EventReason, moment: Moment, out: &mut Out) {
        let Some(group) = self.group(slot) else { return };
        if group.is_held() {
            return; // Held back: there is no incident yet.
        }
        if group.is_unannounced() {
            let opening = group.opening_reason;
            self.tell(slot, GroupEventKind::Opened, opening, moment, out);
        }
        let ends_with_resolve = self
            .group(slot)
            .and_then(|group| self.rule_of(group))
            .is_some_and(|rule| rule.kind == WindowKind::UntilResolved);
        if ends_with_resolve {
            self.settle_window(slot, moment.time, moment, out); // A cap that was reached before ended it.
        }
        let Some(group) = self.group_mut(slot) else { return };
        group.status = Status::Resolved;
        group.resolved_at = moment.time;
        let closes = ends_with_resolve && group.ended.is_none();
        if closes {
            group.ended = Some((moment.time, EndCause::Resolved));
            out.note(moment.time, group.incident, LandmarkKind::WindowEnded(EndCause::Resolved));
        }
        self.tally.open_windows -= u64::from(closes);
        self.tally.open_incidents -= 1;
        self.touch_group(slot);
        self.tell(slot, GroupEventKind::Resolved, reason, moment, out);
        self.file_retire(slot);
    }

    /// A resolved incident fires again.
    pub(super) fn reopen(&mut self, slot: u32, moment: Moment, out: &mut Out) {
        let Some(group) = self.group_mut(slot) else { return };
        group.status = Status::Firing;
        group.resolved_at = Timestamp::MIN;
        self.tally.open_incidents += 1;
        self.touch_group(slot);
        self.tell(slot, GroupEventKind::Reopened, EventReason::FiringAgain, moment, out);
    }

    /// Emits an event with the group as it is now.
    pub(super) fn tell(&mut self, slot: u32, kind: GroupEventKind, reason: EventReason, moment: Moment, out: &mut Out) {
        let Some(feed) = self.group(slot).map(|group| group.feed) else { return };
        let catching_up = self.clocks.is_catching_up(feed);
        let Some(group) = self.group_mut(slot) else { return };
        group.pending = Pending::Nothing;
        group.last_emission = group.last_emission.max(moment.emission); // A deadline may be due before what was told last.
        let view = view_of(group, group.samples.to_samples(), moment.time, catching_up);
        let (group_hash, incident) = (group.hash, group.incident);
        let view = Some(Box::new(view));
        out.events.push(GroupEvent { order: moment.order, kind, reason, group: group_hash, incident, view });
        self.touch_group(slot);
    }
}

fn view_of(group: &Group, samples: Samples, record_time: Timestamp, catching_up: bool) -> GroupView {
    GroupView {
        record_time,
        catching_up,
        rule: group.rule_name.clone(),
        labels: group.labels.clone(),
        status: group.status,
        severity_max: group.severity_max,
        first_seen: group.first_seen,
        last_seen: group.last_seen,
        window_closed: group.ended.is_some(),
        members: group.members,
        members_sum: group.members_sum,
        firing: group.firing,
        counts: group.counts,
        resolved_by: group.resolved_by.clone(),
        samples,
        predecessor: group.predecessor,
    }
}

/// An incident as it stands, for readers after a restore.
pub(super) fn standing_of(group: &Group) -> IncidentEvent {
    let mut event = event_of(view_of(group, group.samples.to_samples(), group.last_seen, false));
    event.incident_id = group.incident;
    event.group = group.hash;
    if group.status == Status::Resolved {
        event.event = EventKind::Resolved;
    }
    event
}
