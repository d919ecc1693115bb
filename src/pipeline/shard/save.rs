//! State of a shard to entries and back: what changed since the last epoch, a slice of the rolling sweep, and loading.

use std::collections::VecDeque;

use crate::model::alert::{Severity, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, HashedMap, IncidentId, MemberKey};
use crate::model::incident::{Counts, EventReason};
use crate::model::labels;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::Seq;
use crate::pipeline::shard::clocks::Feed;
use crate::pipeline::shard::dedup::{Member, MemberState, Rest, Unsaved};
use crate::pipeline::shard::group::{EndCause, Group, HeldAlert, Pending};
use crate::pipeline::shard::samples::KeptSamples;
use crate::pipeline::shard::{Changes, Shard};
use crate::pipeline::source::SourceIndex;
use crate::pipeline::state::BlockWriter;
use crate::pipeline::state::encode::MemberFields;
use crate::pipeline::state::entry::{GroupEntry, HeldEntry, Kind, MemberEntry, TouchEntry};

/// Bytes of sweep that a shard adds to an epoch of few changes: a million fingerprints of 300 B are swept in about 1,200 epochs.
const SWEEP_SLICE: u64 = 256 << 10;
/// At least so many: a sweep ends although nothing changes.
const SWEEP_SLICE_MIN: u64 = 32 << 10;
/// At most so many times what changed: a small epoch, for which senders wait, is not made a large one.
const SWEEP_PER_CHANGE: u64 = 4;
/// And at least this part of what changed, so that the log does not grow by more than four times the state while a sweep runs.
const SWEEP_SHARE: u64 = 4;

/// Dead entries looked for per epoch.
const CLEAN_SLICE: u32 = 8_192;

/// Room for notes of changed members that is kept from epoch to epoch: of 50,000 records, and some more.
const NOTES_KEPT: usize = 1 << 17;

/// Where the rolling sweep stands.
#[derive(Debug, Default)]
pub(super) struct SweepCursor {
    active: bool,
    next_group: u32,
    next_member: u32,
    clean_from: u32,
}

/// A member of a restored state under the configuration now in force.
#[derive(Debug)]
pub struct Returning {
    /// Its key now.
    pub key: MemberKey,
    /// Its identity now.
    pub fingerprint: Fingerprint,
    /// What the state says of it.
    pub entry: MemberEntry,
    /// A new identity makes it one with another that was heard later: it no longer counts as firing here.
    pub is_merged: bool,
}

/// What a shard has to say at the end of an epoch, besides its output.
#[derive(Debug, Default)]
pub struct Saved {
    /// Entries that changed, and a slice of the sweep.
    pub entries: BlockWriter,
    /// Bytes of those entries that belong to the sweep.
    pub sweep_bytes: u64,
    /// The sweep has passed over everything.
    pub sweep_done: bool,
}

impl Shard {
    /// Writes down what changed since the last call and, while a sweep runs, the next slice of everything.
    pub fn save(&mut self, start_sweep: bool) -> Saved {
        let mut entries = BlockWriter::default();
        let mut changes = std::mem::take(&mut self.changes);
        let Changes { bytes, members, groups, gone_members, gone_groups, gone_held } = &mut changes;
        *bytes = 0;
        gone_members.drain(..).for_each(|gone| entries.push(Kind::MemberGone(gone.0.into())));
        gone_held.drain(..).for_each(|gone| entries.push(Kind::HeldGone(gone.0.into())));
        gone_groups.drain(..).for_each(|gone| entries.push(Kind::GroupGone(gone.0.into())));
        groups.drain(..).for_each(|slot| self.save_group(slot, false, &mut entries));
        // In the order in which they lie in memory: in the order of their first change each would be waited for.
        members.sort_unstable();
        members.drain(..).for_each(|slot| self.save_member(slot, false, &mut entries));
        members.shrink_to(NOTES_KEPT);
        self.changes = changes; // Empty, with the room it has: the next epoch changes about as much.
        if start_sweep {
            self.sweep = SweepCursor { active: true, clean_from: self.sweep.clean_from, ..SweepCursor::default() };
        }
        let before = entries.n_bytes();
        let sweep_done = self.sweep_on(&mut entries);
        self.clean();
        Saved { sweep_bytes: entries.n_bytes() - before, sweep_done, entries }
    }

    /// Adds a slice of the sweep; returns whether it has passed over everything (or none runs).
    fn sweep_on(&mut self, entries: &mut BlockWriter) -> bool {
        let n_changed = entries.n_bytes();
        let slice = (n_changed * SWEEP_PER_CHANGE).clamp(SWEEP_SLICE_MIN, SWEEP_SLICE).max(n_changed / SWEEP_SHARE);
        let limit = n_changed + slice;
        while self.sweep.active && entries.n_bytes() < limit {
            if (self.sweep.next_group as usize) < self.groups.len() {
                let slot = self.sweep.next_group;
                self.sweep.next_group += 1;
                self.save_group(slot, true, entries);
            } else if self.sweep.next_member < self.dedup.slots() {
                let slot = self.sweep.next_member;
                self.sweep.next_member += 1;
                self.save_member(slot, true, entries);
                if let Some(rest) = self.dedup.rest_mut(slot) {
                    rest.labels = self.arena.relocate(rest.labels);
                }
            } else {
                self.sweep.active = false;
            }
        }
        !self.sweep.active
    }

    /// Removes some entries whose group has left the state.
    fn clean(&mut self) {
        for _ in 0..CLEAN_SLICE.min(self.dedup.slots()) {
            if self.dead_entries == 0 {
                return;
            }
            let slot = self.sweep.clean_from % self.dedup.slots().max(1);
            self.sweep.clean_from = slot + 1;
            let group = self.dedup.get(slot).map(|member| member.group);
            if group.is_some_and(|group| self.group(group).is_none_or(|group| group.retired)) {
                self.drop_entry(slot);
            }
        }
    }

    fn source_hash(&self, source: SourceIndex) -> u64 {
        self.origins.get(usize::from(source.0)).copied().unwrap_or(0)
    }

    fn save_member(&mut self, slot: u32, whole: bool, entries: &mut BlockWriter) {
        let Some(member) = self.dedup.get_mut(slot) else { return };
        let unsaved = std::mem::replace(&mut member.unsaved, Unsaved::No);
        let member = *member;
        let Some(group) = self.group(member.group).filter(|group| !group.retired) else {
            // The state drops it with its group; but if it came there in this epoch, the state has it where it was before.
            if unsaved == Unsaved::Whole {
                entries.push(Kind::MemberGone(member.key.0.into()));
            }
            return;
        };
        let (incident, group) = (group.incident.0.into(), group.hash.0.into());
        let touch = TouchEntry {
            key: member.key.0.into(),
            last: member.last.0,
            starts_at: member.starts_at.0,
            ends_at: member.ends_at.0,
            count: member.count,
            severity: member.severity as u32,
            state: member.state as u32,
        };
        if !whole && unsaved != Unsaved::Whole {
            return entries.push_touch(&touch);
        }
        let Some(rest) = self.dedup.rest(slot) else { return };
        let mut labels = std::mem::take(&mut self.scratch);
        labels.clear();
        self.names.unpack(self.arena.get(rest.labels), &mut labels);
        entries.push_member(&MemberFields {
            fingerprint: rest.fingerprint().0.into(),
            incident,
            group,
            labels: &labels,
            first: rest.first.0,
            touch,
            source: self.source_hash(member.source),
        });
        self.scratch = labels;
    }

    fn save_group(&mut self, slot: u32, whole: bool, entries: &mut BlockWriter) {
        let Some(group) = self.group_mut(slot).filter(|group| !group.retired) else { return };
        group.unsaved = Unsaved::No;
        if std::mem::replace(&mut group.samples_unsaved, false) || whole && !group.samples.is_empty() {
            let of = if group.is_held() { group.hash.0 } else { group.incident.0 };
            entries.push_samples(of.into(), &group.samples.json());
        }
        let Some(group) = self.group(slot) else { return };
        let is_current = self.by_key.get(&group.hash) == Some(&slot);
        entries.push(Kind::Group(Box::new(self.group_entry(group, is_current))));
    }

    fn group_entry(&self, group: &Group, is_current: bool) -> GroupEntry {
        let mut encoded = Vec::new();
        labels::encode(group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())), &mut encoded);
        let sources = (0..self.sources.len().min(64)).map(|index| SourceIndex(index as u8));
        GroupEntry {
            hash: group.hash.0.into(),
            incident: group.incident.0.into(),
            rule: group.rule_name.clone(),
            labels: encoded,
            opening_reason: reason_text(group.opening_reason),
            predecessor: group.predecessor.map(|id| id.0.into()),
            is_current,
            window_from: group.window_from.0,
            window_members: group.window_members,
            last: group.last.0,
            first_seen: group.first_seen.0,
            last_seen: group.last_seen.0,
            ended_at: group.ended.map(|(at, _)| at.0),
            end_cause: group.ended.map_or(0, |(_, cause)| cause as u32),
            resolved_at: (group.status == Status::Resolved).then_some(group.resolved_at.0),
            resolved_by: group.resolved_by.clone(),
            firing: group.firing,
            members: group.members,
            members_sum: group.members_sum.into(),
            severity_counts: group.counts.severity.to_vec(),
            status_counts: group.counts.status.to_vec(),
            severity_max: group.severity_max as u32,
            feed: sources.filter(|source| group.feed.has(*source)).map(|source| self.source_hash(source)).collect(),
            report_due: match group.pending {
                Pending::Opening(due) | Pending::Change(_, due) => Some(due.0),
                Pending::Nothing => None,
            },
            change: if let Pending::Change(reason, _) = group.pending { reason_text(reason) } else { String::new() },
            last_emission: group.last_emission.0,
            held: group.held.iter().map(|held| self.held_entry(held)).collect(),
        }
    }

    fn held_entry(&self, held: &HeldAlert) -> HeldEntry {
        HeldEntry {
            key: self.dedup.get(held.slot).map_or(0, |member| member.key.0).into(),
            time: held.time.0,
            record: held.seq.record,
            index: held.seq.index,
            source: self.source_hash(held.source),
            severity: held.severity as u32,
        }
    }

    /// Takes a group and its members from a restored state. Clocks must have been set before. `false`: its samples are no
    /// list of samples.
    #[must_use]
    pub fn load(&mut self, entry: &GroupEntry, samples: Vec<u8>, members: &[&Returning]) -> bool {
        let Some(samples) = KeptSamples::from_json(samples) else { return false };
        let slot = self.load_group(entry, samples);
        for member in members {
            let old = MemberKey(member.entry.touch.key.into());
            if member.is_merged {
                self.changes.gone_members.push(old);
                if member.entry.touch.state == MemberState::Firing as u32 {
                    self.superseded.push(slot);
                }
            } else {
                let entry_slot = self.load_member(slot, member);
                if member.key != old {
                    // The old name leaves the state, the new one is written in full.
                    self.changes.gone_members.push(old);
                    self.touch_member(entry_slot, Unsaved::Whole);
                }
            }
            if !entry.held.is_empty() && member.key != old {
                self.touch_group(slot); // Its held alerts name their members by keys.
            }
        }
        self.bind_held(slot, entry, members);
        self.file_window(slot);
        self.file_retire(slot);
        self.file_hold(slot);
        self.file_report(slot);
        true
    }

    fn load_member(&mut self, group_slot: u32, member: &Returning) -> u32 {
        let Returning { key, fingerprint, entry, .. } = member;
        let touch = entry.touch;
        let labels = self.store_labels(&entry.labels);
        let member = Member {
            key: *key,
            group: group_slot,
            last: Timestamp(touch.last),
            starts_at: Timestamp(touch.starts_at),
            ends_at: Timestamp(touch.ends_at),
            ticket: Timestamp::MAX,
            count: touch.count,
            source: self.source_by_hash(entry.source),
            severity: Severity::from_number(touch.severity),
            state: match touch.state {
                0 => MemberState::Firing,
                1 => MemberState::Resolved,
                2 => MemberState::Held,
                _ => MemberState::HeldResolved,
            },
            unsaved: Unsaved::No,
        };
        let slot = self.dedup.insert(member, Rest::new(*fingerprint, labels, Timestamp(entry.first)));
        if let Some(group) = self.group_mut(group_slot) {
            group.entries += 1;
        }
        self.file_member(slot);
        slot
    }

    /// Held alerts name their members by the keys of the state; entries have new slots, and perhaps new keys.
    fn bind_held(&mut self, slot: u32, entry: &GroupEntry, members: &[&Returning]) {
        if entry.held.is_empty() {
            return;
        }
        let keys: HashedMap<MemberKey, MemberKey> =
            members.iter().map(|member| (MemberKey(member.entry.touch.key.into()), member.key)).collect();
        for member in members {
            if let Some(member) = self.dedup.find(member.key).and_then(|slot| self.dedup.get_mut(slot)) {
                member.count = 0;
            }
        }
        let mut held: VecDeque<HeldAlert> = entry.held.iter().map(|held| self.held_alert(held)).collect();
        for (alert, entry) in held.iter_mut().zip(&entry.held) {
            let found = keys.get(&MemberKey(entry.key.into())).and_then(|key| self.dedup.find(*key));
            // What became one with a member of another group stays as a number that no entry has.
            let own = found.filter(|found| self.dedup.get(*found).is_some_and(|member| member.group == slot));
            alert.slot = own.unwrap_or(u32::MAX);
            if let Some(member) = own.and_then(|own| self.dedup.get_mut(own)) {
                member.count += 1;
            }
        }
        if let Some(group) = self.group_mut(slot) {
            group.held = held;
        }
    }

    fn load_group(&mut self, entry: &GroupEntry, samples: KeptSamples) -> u32 {
        let rule = self.rules.iter().position(|rule| rule.name == entry.rule).map(|index| index as u16);
        let hash = GroupHash(entry.hash.into());
        let mut group = Group::new(hash, 0, &entry.rule, labels::to_map(&entry.labels), Timestamp(entry.first_seen));
        group.rule = rule;
        group.incident = IncidentId(entry.incident.into());
        group.opening_reason = EventReason::from_word(&entry.opening_reason).unwrap_or(EventReason::FirstAlert);
        group.predecessor = entry.predecessor.map(|id| IncidentId(id.into()));
        group.window_from = Timestamp(entry.window_from);
        group.window_members = entry.window_members;
        group.last = Timestamp(entry.last);
        group.last_seen = Timestamp(entry.last_seen);
        let cause = EndCause::ALL.get(entry.end_cause as usize).copied().unwrap_or(EndCause::Gap);
        group.ended = entry.ended_at.map(|at| (Timestamp(at), cause));
        group.status = if entry.resolved_at.is_some() { Status::Resolved } else { Status::Firing };
        group.resolved_at = entry.resolved_at.map_or(Timestamp::MIN, Timestamp);
        group.resolved_by.clone_from(&entry.resolved_by);
        group.firing = entry.firing;
        group.members = entry.members;
        group.members_sum = entry.members_sum.into();
        group.counts = counts_of(entry);
        group.severity_max = Severity::from_number(entry.severity_max);
        group.feed = entry.feed.iter().fold(Feed::default(), |feed, hash| feed.with(self.source_by_hash(*hash)));
        group.pending = match (entry.report_due, EventReason::from_word(&entry.change)) {
            (Some(due), Some(reason)) => Pending::Change(reason, Timestamp(due)),
            (Some(due), None) => Pending::Opening(Timestamp(due)),
            (None, _) => Pending::Nothing,
        };
        group.last_emission = Timestamp(entry.last_emission);
        group.samples = samples;
        group.unsaved = Unsaved::No;
        let gone = rule.is_none() && group.ended.is_none() && !group.is_held();
        if gone {
            group.ended = Some((group.last, EndCause::RuleGone));
        }
        let is_held = group.is_held();
        self.tally.sample_bytes += group.samples.bytes();
        self.tally.open_windows += u64::from(!is_held && group.ended.is_none());
        self.tally.open_incidents += u64::from(!is_held && group.status == Status::Firing);
        let incident = group.incident;
        let slot = self.add_group(group);
        if entry.is_current {
            self.by_key.insert(hash, slot);
        }
        if !is_held {
            self.by_incident.insert(incident, slot);
        }
        if gone {
            self.touch_group(slot);
        }
        slot
    }

    fn held_alert(&self, held: &HeldEntry) -> HeldAlert {
        HeldAlert {
            seq: Seq { record: held.record, index: held.index },
            time: Timestamp(held.time),
            slot: u32::MAX,
            source: self.source_by_hash(held.source),
            severity: Severity::from_number(held.severity),
        }
    }

    /// The source with this name's hash; one that is gone from the configuration counts as the first.
    fn source_by_hash(&self, hash: u64) -> SourceIndex {
        let at = self.origins.iter().position(|origin| *origin == hash);
        SourceIndex(at.unwrap_or(0) as u8)
    }
}

fn counts_of(entry: &GroupEntry) -> Counts {
    let mut counts = Counts::default();
    counts.severity.iter_mut().zip(&entry.severity_counts).for_each(|(count, saved)| *count = *saved);
    counts.status.iter_mut().zip(&entry.status_counts).for_each(|(count, saved)| *count = *saved);
    counts.alerts = counts.severity.iter().sum();
    counts
}

fn reason_text(reason: EventReason) -> String {
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
