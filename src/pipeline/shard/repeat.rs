//! Repeats of a firing member: the way nearly every alert of a flood goes. Nothing here allocates, but for a ticket now and
//! then, and nothing is looked up twice.
//!
//! The entries of a run of alerts are looked up together before the first of them is taken, so that the waits for memory
//! overlap: with millions of live fingerprints each is a miss in every cache.

use crate::model::alert::Status;
use crate::model::fingerprint::MemberKey;
use crate::model::incident::EventReason;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::Arrival;
use crate::pipeline::options::{WindowKind, WindowRule};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::shard::dedup::{Member, MemberState, Unsaved};
use crate::pipeline::shard::due::{deadlines, look_at};
use crate::pipeline::shard::event::{Out, Reason};
use crate::pipeline::shard::group::{EndCause, Group, Pending};
use crate::pipeline::shard::place::deadline_of;
use crate::pipeline::shard::{Shard, TOUCH_BYTES};

/// Alerts looked up together: more than a core can wait for at once, few enough for the first-level cache.
pub(super) const RUN: usize = 32;

/// How a firing alert of a known fingerprint stands to its group.
pub(super) enum Standing {
    /// The same occurrence goes on.
    Repeat,
    /// Its group holds it back.
    Held,
    /// A new occurrence, or a member that had resolved: the group key decides where it goes.
    Anew,
}

impl Shard {
    /// Where the entries of a run of alerts are, if they are in the table; a guess until its key is compared.
    pub(super) fn look_ahead(&self, run: &[Arrival]) -> [Option<u32>; RUN] {
        let mut slots = [None; RUN];
        // Three loops, each without a wait on its own results: index, then entry, then group.
        for (slot, arrival) in slots.iter_mut().zip(run) {
            *slot = self.dedup.guess(MemberKey::new(arrival.fingerprint, arrival.group));
        }
        let mut groups = [None; RUN];
        for (group, slot) in groups.iter_mut().zip(&slots) {
            *group = slot.and_then(|slot| self.dedup.get(slot)).map(|member| member.group);
        }
        for (slot, group) in slots.iter_mut().zip(&groups) {
            if group.and_then(|group| self.group(group)).is_none_or(|group| group.retired) {
                *slot = None;
            }
        }
        slots
    }

    /// Counts the repeats of a member that fires in an open window, if that is all that happens. Otherwise returns false
    /// and has changed nothing: then `fire` decides, and for a plain repeat it would do the same.
    pub(super) fn repeat_plainly(&mut self, slot: u32, arrival: &Arrival, out: &mut Out) -> bool {
        let Self { dedup, groups, rules, sources, clocks, changes, .. } = self;
        let Some(member) = dedup.get_mut(slot) else { return false };
        let group_slot = member.group;
        let Some(group) = groups.get_mut(group_slot as usize).and_then(Option::as_deref_mut) else { return false };
        let Some(rule) = group.rule.and_then(|rule| rules.get(usize::from(rule))) else { return false };
        let at = arrival.time.max(group.last);
        let is_plain = member.key == MemberKey::new(arrival.fingerprint, arrival.group)
            && member.state == MemberState::Firing
            && !group.retired
            && !group.is_held()
            && group.resolved_by.is_none()
            && group.ended.is_none()
            && at < group.window_end(rule).0
            && goes_on(rule, group, member, arrival)
            && arrival.severity <= group.severity_max
            && group.pending != Pending::Nothing
            && group.feed.has(arrival.source);
        if !is_plain {
            return false;
        }
        let n = u64::from(arrival.count);
        out.late += if arrival.time < group.last { n } else { 0 };
        take_repeat(member, arrival, n, at);
        group.counts.add(arrival.severity, Status::Firing, n);
        group.first_seen = group.first_seen.min(arrival.time);
        group.last_seen = group.last_seen.max(at);
        group.last = at;
        if group.unsaved == Unsaved::No {
            group.unsaved = Unsaved::Whole;
            changes.groups.push(group_slot);
        }
        if member.unsaved == Unsaved::No {
            member.unsaved = Unsaved::Touched;
            changes.members.push(slot);
            changes.bytes += TOUCH_BYTES;
        }
        let (resolves, leaves) = deadlines(Some(rule), sources, member);
        let is_sooner = look_at(resolves.min(leaves), clocks.feed(group.feed).records) < member.ticket;
        let incident = group.incident;
        if is_sooner {
            self.file_member(slot);
        }
        Self::count(out, arrival, Outcome::Folded, Reason::Repeat, n, Some(incident));
        true
    }

    pub(super) fn standing(&self, slot: u32, arrival: &Arrival) -> Standing {
        let Some(member) = self.dedup.get(slot) else { return Standing::Anew };
        let Some(group) = self.group(member.group) else { return Standing::Anew };
        if group.is_held() {
            return Standing::Held;
        }
        if member.state != MemberState::Firing {
            return Standing::Anew;
        }
        let Some(rule) = self.rule_of(group) else { return Standing::Repeat };
        if goes_on(rule, group, member, arrival) { Standing::Repeat } else { Standing::Anew }
    }

    /// Counts `n` repeats of a firing member.
    pub(super) fn repeat(&mut self, slot: u32, arrival: &Arrival, n: u64, out: &mut Out) {
        let Some(group_slot) = self.dedup.get(slot).map(|member| member.group) else { return };
        let Some(group) = self.group(group_slot) else { return };
        let at = arrival.time.max(group.last);
        let incident = group.incident;
        let reason = if group.resolved_by.is_some() { Reason::ResolvedByPerson } else { Reason::Repeat };
        let is_late = arrival.time < group.last;
        out.late += if is_late { n } else { 0 };
        let moment = self.moment(group_slot, arrival, at);
        self.settle_window(group_slot, at, moment, out);
        let came_before_its_end = matches!(self.group(group_slot), Some(group)
            if matches!(group.ended, Some((end, EndCause::Gap)) if at < end));
        if came_before_its_end {
            self.reopen_window(group_slot, at, out);
        }
        if let Some(member) = self.dedup.get_mut(slot) {
            take_repeat(member, arrival, n, at);
        }
        let rose = self.count_in(group_slot, arrival, Status::Firing, n, at);
        self.touch_member(slot, Unsaved::Touched);
        self.file_member(slot);
        if came_before_its_end {
            self.file_window(group_slot);
        }
        Self::count(out, arrival, Outcome::Folded, reason, n, Some(incident));
        self.change(group_slot, if rose { EventReason::SeverityRose } else { EventReason::Counted }, moment, out);
    }
}

/// Whether a firing alert of a firing member belongs to the occurrence that goes on.
fn goes_on(rule: &WindowRule, group: &Group, member: &Member, arrival: &Arrival) -> bool {
    let at = arrival.time.max(group.last);
    if group.resolved_by.is_some() {
        return at < member.last + rule.gap; // What a person resolved is judged by its own silence, and by nothing else.
    }
    // The same `startsAt` is the same occurrence, however long nobody spoke of it.
    let same_start = arrival.starts_at != Timestamp::MIN && arrival.starts_at == member.starts_at;
    same_start || rule.kind == WindowKind::UntilResolved || at < group.last + rule.gap
}

fn take_repeat(member: &mut Member, arrival: &Arrival, n: u64, at: Timestamp) {
    member.last = at;
    member.source = arrival.source;
    member.starts_at = arrival.starts_at;
    member.ends_at = deadline_of(arrival);
    member.count += n;
    member.severity = arrival.severity;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alert::Severity;
    use crate::model::fingerprint::{Fingerprint, GroupHash, HashKey};
    use crate::model::labels;
    use crate::model::time::Millis;
    use crate::pipeline::chunk::{Part, Seq, Step, StepKind};
    use crate::pipeline::options::{EpochOptions, OpenAfter, Options, SourceOptions};
    use crate::pipeline::source::SourceIndex;
    use proptest::prelude::*;

    impl Shard {
        /// `apply` without looking ahead, so that no alert takes the short way.
        fn apply_step_by_step(&mut self, part: &Part, out: &mut Out) {
            let mut steps = part.steps.as_slice();
            for arrival in &part.arrivals {
                let (before, after) = steps.split_at(steps.partition_point(|step| step.seq <= arrival.seq));
                self.take_steps(before, out);
                steps = after;
                self.arrive(part, arrival, None, out);
            }
            self.take_steps(steps, out);
        }
    }

    /// Which fingerprint, after how many seconds, what it says, how often.
    type Alert = (u8, i64, u8, bool, u32);

    fn part(alerts: &[Alert], clock: &mut i64) -> Part {
        let mut part = Part::default();
        for (at, (number, pause, variant, resolves, count)) in (0..).zip(alerts) {
            *clock += *pause * 1_000;
            let seq = Seq { record: *clock as u64 * 100 + at, index: 0 };
            if variant % 3 > 0 {
                part.steps.push(Step { seq, kind: StepKind::Clock { source: SourceIndex(0), to: Timestamp(*clock) } });
            }
            let mut encoded = Vec::new();
            labels::encode([("n", number.to_string().as_str())], &mut encoded);
            let labels = part.store(&encoded);
            let late = Millis(if variant.is_multiple_of(7) { -90_000 } else { 0 });
            part.arrivals.push(Arrival {
                seq,
                time: Timestamp(*clock) + late,
                source: SourceIndex(variant % 5 / 4),
                status: if *resolves { Status::Resolved } else { Status::Firing },
                severity: [Severity::Info, Severity::Warning, Severity::Critical][usize::from(variant % 3)],
                rule: u16::from(number % 2),
                fingerprint: Fingerprint(u128::from(*number) << 64 | 77),
                group: GroupHash(u128::from(number % 4) << 32),
                starts_at: if variant.is_multiple_of(2) { Timestamp(5) } else { Timestamp::MIN },
                ends_at: if variant.is_multiple_of(11) { Timestamp(*clock + 50_000) } else { Timestamp::MIN },
                count: *count,
                origin: 1,
                position: at,
                labels,
                rest: Default::default(),
                is_raw: false,
            });
        }
        part
    }

    fn options(kind: WindowKind, threshold: u32, cap: Option<u64>) -> Options {
        let mut rule = WindowRule::named("tried");
        rule.kind = kind;
        rule.max_age = Some(Millis::minutes(20));
        rule.max_alerts = cap;
        rule.forget_after = Some(Millis::minutes(30));
        rule.open_after = OpenAfter { count: threshold, within: Millis::minutes(2) };
        Options {
            decoders: 1,
            shards: 1,
            epoch: EpochOptions::default(),
            rules: vec![rule, WindowRule::named("default")].into(),
            sources: vec![SourceOptions::named("one"), SourceOptions::named("other")].into(),
            samples: 2,
            config_version: 1,
        }
    }

    proptest! {
        #[test]
        fn the_short_way_comes_to_the_same(
            parts in prop::collection::vec(
                prop::collection::vec((0_u8..9, 0_i64..130, any::<u8>(), prop::bool::weighted(0.15), 1_u32..4), 1..80),
                1..6,
            ),
            kind in prop_oneof![
                Just(WindowKind::Session), Just(WindowKind::Fixed), Just(WindowKind::UntilResolved)
            ],
            threshold in prop_oneof![Just(1_u32), Just(4)],
            cap in prop_oneof![Just(None), Just(Some(3_u64))],
        ) {
            let options = options(kind, threshold, cap);
            let mut shards = [Shard::new(&options, HashKey::FIXED), Shard::new(&options, HashKey::FIXED)];
            let mut clock = 1_000_000;
            for alerts in &parts {
                let part = part(alerts, &mut clock);
                let told = [0, 1].map(|which| {
                    let mut out = Out::new(2, true);
                    if which == 0 {
                        shards[0].apply(&part, &mut out);
                    } else {
                        shards[1].apply_step_by_step(&part, &mut out);
                    }
                    out
                });
                prop_assert_eq!(format!("{:?}", told[0]), format!("{:?}", told[1]));
                let saved = [0, 1].map(|which| shards[which].save(false).entries.finish(1));
                prop_assert_eq!(&saved[0], &saved[1]);
                prop_assert_eq!(shards[0].tally(), shards[1].tally());
            }
        }
    }
}
