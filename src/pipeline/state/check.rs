//! Whether the content of a state can be: its blocks are as they were written, but not by this program, or by one with a fault.
//!
//! A start on such a state would count below zero, or go on with incidents that never end or are told of twice. So it is refused,
//! and the entry named. A start asks for each group as it loads it, `tidegate state verify` for all of them.

use crate::model::alert::Severity;
use crate::model::fingerprint::{Fingerprint, GroupHash, HashedMap, IncidentId, MemberKey};
use crate::model::incident::EventReason;
use crate::model::labels;
use crate::model::samples::measure::measure;
use crate::model::time::Timestamp;
use crate::pipeline::outcome::Outcome;
use crate::pipeline::pressure::Level;
use crate::pipeline::pressure::sketch::Sketch;
use crate::pipeline::state::Restored;
use crate::pipeline::state::entry::{GroupEntry, MemberEntry, MetaEntry, OwnEntry, TotalsEntry};

/// No number of alerts, epochs or records is as large: a billion a second make this in 36 years. Sums of a few stay far from the
/// end of 64 bits.
const COUNT_MAX: u64 = 1 << 60;
/// No time is further from 1970, ms: a hundred thousand years. Senders give years -9999 to 9999; durations come on top.
const TIME_MAX: u64 = 3_155_695_200_000_000;
/// Causes of the end of a window: `shard::EndCause` has numbers 0 to 4.
const END_CAUSES: u32 = 5;
/// States of a member: see `TouchEntry::state`.
const FIRING: u32 = 0;
const HELD: u32 = 2;
const STATES: u32 = 4;

/// Everything, for whoever wants to know all that is wrong.
pub fn all(state: &Restored, fault: &mut dyn FnMut(String)) {
    let mut told = |result: Result<(), String>| result.unwrap_or_else(&mut *fault);
    told(whole(state));
    let mut members: HashedMap<IncidentId, Vec<&MemberEntry>> = HashedMap::default();
    for member in state.members.values() {
        let id = owner(member.incident.into(), member.group.into());
        let is_there = state.groups.contains_key(&id) || state.held.contains_key(&GroupHash(id.0));
        if is_there {
            members.entry(id).or_default().push(member);
        } else {
            told(lost(state, member));
        }
    }
    for entry in state.groups.values().chain(state.held.values()) {
        let id = owner(entry.incident.into(), entry.hash.into());
        told(group(entry, members.get(&id).into_iter().flatten().copied(), state.revisions.get(&id).copied()));
        if state.samples.get(&id).is_some_and(|samples| measure(samples).is_none()) {
            told(Err(format!("{}: its samples cannot be read", name_of(entry))));
        }
    }
}

/// What concerns everything: epochs, totals, revisions, the incidents of tidegate itself, and which group is the newest of its key.
///
/// # Errors
/// What cannot be.
pub fn whole(state: &Restored) -> Result<(), String> {
    let Some(meta) = &state.meta else {
        return ensure(state.n_blocks == 0, || "no block has a meta entry".to_owned());
    };
    meta_entry(meta)?;
    if let Some((first, last)) = state.epochs {
        ensure(last == meta.epoch, || format!("epoch {last} does not end with its own meta entry"))?;
        let needed = meta.safe_from.max(1);
        let why = || format!("blocks from epoch {needed} on are needed, and the first there is, is of epoch {first}");
        ensure(first <= needed, why)?;
    }
    for (incident, revision) in &state.revisions {
        ensure((1..=COUNT_MAX).contains(revision), || format!("incident {incident}: its revision is {revision}"))?;
    }
    for own in state.own.values() {
        own_entry(own, &state.revisions)
            .map_err(|what| format!("incident of tidegate about {:?}: {what}", own.source))?;
    }
    let mut current: HashedMap<GroupHash, ()> = HashedMap::default();
    for entry in state.groups.values().chain(state.held.values()).filter(|entry| entry.is_current) {
        let hash = GroupHash(entry.hash.into());
        let is_only = current.insert(hash, ()).is_none();
        ensure(is_only, || format!("{}: another group of the key {hash} is the newest, too", name_of(entry)))?;
    }
    Ok(())
}

/// A member whose group the state does not have: it left with it, and then the state says so.
///
/// # Errors
/// If it does not.
pub fn lost(state: &Restored, member: &MemberEntry) -> Result<(), String> {
    let id = owner(member.incident.into(), member.group.into());
    let fingerprint = Fingerprint(member.fingerprint.into());
    ensure(state.gone.contains_key(&id), || format!("fingerprint {fingerprint}: its group {id} is not in the state"))
}

/// A group with its members; `revision` of its incident's last event, if it has one. Samples are not looked at.
///
/// # Errors
/// What cannot be.
pub fn group<'a>(
    entry: &GroupEntry,
    members: impl Iterator<Item = &'a MemberEntry> + Clone,
    revision: Option<u64>,
) -> Result<(), String> {
    let of_members = || members.clone().try_for_each(|one| member(one, u128::from(entry.incident) == 0));
    let judged = group_entry(entry).and_then(|()| of_members());
    let judged = judged.and_then(|()| match u128::from(entry.incident) {
        0 => held_group(entry, members.clone()),
        _ => incident_group(entry, members.clone(), revision),
    });
    judged.map_err(|what| format!("{}: {what}", name_of(entry)))
}

fn group_entry(entry: &GroupEntry) -> Result<(), String> {
    ensure(labels::is_whole(&entry.labels), || "its labels cannot be read".to_owned())?;
    reason(&entry.opening_reason)?;
    ensure(entry.change.is_empty() || entry.report_due.is_some(), || "a change is never told".to_owned())?;
    if !entry.change.is_empty() {
        reason(&entry.change)?;
    }
    severity(entry.severity_max)?;
    ensure(entry.end_cause < END_CAUSES, || format!("there is no cause {} of an end", entry.end_cause))?;
    ensure(!entry.feed.is_empty(), || "no source has fed it".to_owned())?;
    let GroupEntry { window_from, last, first_seen, last_seen, .. } = *entry;
    let optional = [entry.ended_at, entry.resolved_at, entry.report_due];
    times([window_from, last, first_seen, last_seen].into_iter().chain(optional.into_iter().flatten()))?;
    times((entry.last_emission != Timestamp::MIN.0).then_some(entry.last_emission))?;
    let numbers = [entry.window_members, entry.members, entry.firing];
    counts(numbers.into_iter().chain(entry.severity_counts.iter().chain(&entry.status_counts).copied()))?;
    let (severities, statuses) = (&entry.severity_counts, &entry.status_counts);
    ensure(severities.len() == Severity::ALL.len() && statuses.len() == 2, || "its counts are incomplete".to_owned())?;
    let (by_severity, by_status) = (severities.iter().sum::<u64>(), statuses.iter().sum::<u64>());
    ensure(by_severity == by_status, || format!("{by_severity} alerts by severity are {by_status} by status"))
}

fn incident_group<'a>(
    entry: &GroupEntry,
    members: impl Iterator<Item = &'a MemberEntry> + Clone,
    revision: Option<u64>,
) -> Result<(), String> {
    let (n_members, n_firing) = members.fold((0, 0), |(n_members, n_firing), member| {
        (n_members + 1_u64, n_firing + u64::from(member.touch.state == FIRING))
    });
    let GroupEntry { members, firing, .. } = *entry;
    ensure(firing == n_firing, || format!("{firing} members fire, and {n_firing} of its fingerprints do"))?;
    ensure(members >= n_members, || format!("{members} joined, and it has {n_members} fingerprints"))?;
    let is_over = entry.resolved_at.is_some();
    ensure(is_over || firing > 0, || "nothing fires, and it is not resolved".to_owned())?;
    ensure(entry.held.is_empty(), || "it is an incident and holds alerts back".to_owned())?;
    let is_announced = entry.report_due.is_none() || !entry.change.is_empty();
    match revision {
        None => ensure(!is_announced, || "it was told of, and its revision is missing".to_owned()),
        Some(revision) => ensure(is_announced, || format!("it was not told of, and has revision {revision}")),
    }
}

fn held_group<'a>(entry: &GroupEntry, members: impl Iterator<Item = &'a MemberEntry> + Clone) -> Result<(), String> {
    ensure(!entry.held.is_empty(), || "it is no incident and holds nothing back".to_owned())?;
    let is_over = entry.ended_at.is_some() || entry.resolved_at.is_some();
    ensure(entry.members == 0 && entry.firing == 0 && !is_over, || "it is no incident and has members".to_owned())?;
    let mut held: HashedMap<MemberKey, bool> =
        members.clone().map(|member| (MemberKey(member.touch.key.into()), false)).collect();
    for alert in &entry.held {
        severity(alert.severity)?;
        times([alert.time])?;
        counts([alert.record])?;
        let key = MemberKey(alert.key.into());
        // Zero: under a changed identity its fingerprint became one with that of another group.
        match held.get_mut(&key) {
            Some(is_held) => *is_held = true,
            None => ensure(key.0 == 0, || "an alert is held back of a fingerprint that it has not".to_owned())?,
        }
    }
    let mut idle = members.filter(|member| held.get(&MemberKey(member.touch.key.into())) == Some(&false));
    let idle = idle.next().map(|member| Fingerprint(member.fingerprint.into()));
    idle.map_or(Ok(()), |fingerprint| Err(format!("no alert of fingerprint {fingerprint} is held back")))
}

fn member(member: &MemberEntry, is_held: bool) -> Result<(), String> {
    let touch = &member.touch;
    let judge = || {
        ensure(labels::is_whole(&member.labels), || "its labels cannot be read".to_owned())?;
        severity(touch.severity)?;
        ensure(touch.state < STATES, || format!("there is no state {}", touch.state))?;
        ensure((touch.state >= HELD) == is_held, || format!("state {} is none of such a group", touch.state))?;
        counts([touch.count])?;
        let given = |time: i64, not_given: Timestamp| (time != not_given.0).then_some(time);
        let optional = [given(touch.starts_at, Timestamp::MIN), given(touch.ends_at, Timestamp::MAX)];
        times([member.first, touch.last].into_iter().chain(optional.into_iter().flatten()))
    };
    judge().map_err(|what| format!("fingerprint {}: {what}", Fingerprint(member.fingerprint.into())))
}

fn meta_entry(meta: &MetaEntry) -> Result<(), String> {
    ensure(meta.hash_key.len() == 16, || "the hash key has not 16 bytes".to_owned())?;
    counts([meta.epoch, meta.next_record, meta.safe_from].into_iter().chain(meta.counters.iter().map(|one| one.value)))
        .map_err(|what| format!("meta entry of epoch {}: {what}", meta.epoch))?;
    let known = (meta.pressure_level as usize) < Level::ALL.len();
    ensure(known, || format!("there is no level {} of memory", meta.pressure_level))?;
    times((meta.wall != Timestamp::MIN.0).then_some(meta.wall)).map_err(|what| format!("wall clock: {what}"))?;
    for place in &meta.positions {
        let clock = times((place.clock != Timestamp::MIN.0).then_some(place.clock));
        let next = counts([place.next]);
        clock.and(next).map_err(|what| format!("position of {:?}, {:?}: {what}", place.source, place.partition))?;
    }
    meta.totals.iter().try_for_each(totals)
}

/// The conservation law.
fn totals(entry: &TotalsEntry) -> Result<(), String> {
    let TotalsEntry { source, received, outcomes, held, rejects } = entry;
    let about = |what: String| format!("source {source:?}: {what}");
    ensure(outcomes.len() <= Outcome::ALL.len(), || about("an outcome that is not known".to_owned()))?;
    counts(outcomes.iter().chain(rejects).chain([received]).copied()).map_err(about)?;
    let accounted: i128 = outcomes.iter().map(|count| i128::from(*count)).sum::<i128>() + i128::from(*held);
    let what =
        || format!("source {source:?} received {received} alerts, and its outcomes and held ones are not as many");
    ensure(accounted == i128::from(*received), what)
}

fn own_entry(entry: &OwnEntry, revisions: &HashedMap<IncidentId, u64>) -> Result<(), String> {
    counts(entry.severity_counts.iter().copied())?;
    ensure(entry.severity_counts.len() <= Severity::ALL.len(), || "its counts are incomplete".to_owned())?;
    times([entry.first_seen, entry.last_seen, entry.told_at])?;
    ensure(Sketch::is_one(&entry.distinct), || "its count of fingerprints cannot be read".to_owned())?;
    let is_told = revisions.contains_key(&IncidentId(entry.incident.into()));
    ensure(is_told, || "its revision is missing".to_owned())
}

fn owner(incident: u128, hash: u128) -> IncidentId {
    IncidentId(if incident == 0 { hash } else { incident })
}

/// A group as faults name it.
#[must_use]
pub fn name_of(entry: &GroupEntry) -> String {
    match u128::from(entry.incident) {
        0 => format!("group {}, which holds alerts back", GroupHash(entry.hash.into())),
        incident => format!("incident {}", IncidentId(incident)),
    }
}

fn reason(text: &str) -> Result<(), String> {
    ensure(EventReason::from_word(text).is_some(), || format!("there is no reason {text:?}"))
}

fn severity(number: u32) -> Result<(), String> {
    ensure((number as usize) < Severity::ALL.len(), || format!("there is no severity {number}"))
}

fn counts(numbers: impl IntoIterator<Item = u64>) -> Result<(), String> {
    let absurd = numbers.into_iter().find(|number| *number > COUNT_MAX);
    absurd.map_or(Ok(()), |number| Err(format!("nothing was counted {number} times")))
}

fn times(times: impl IntoIterator<Item = i64>) -> Result<(), String> {
    let absurd = times.into_iter().find(|time| time.unsigned_abs() > TIME_MAX);
    absurd.map_or(Ok(()), |time| Err(format!("{time} is no time")))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
