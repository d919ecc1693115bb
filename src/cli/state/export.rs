//! The state as JSON, one entry a line: `docs/state.md` has the fields. In an order that is the same for the same state.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::cli::output::json_line;
use crate::model::alert::Severity;
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId, origin};
use crate::model::labels::Pairs;
use crate::model::time::Timestamp;
use crate::pipeline::decode::Reject;
use crate::pipeline::epoch::SOURCE_CLOCK;
use crate::pipeline::outcome::Outcome;
use crate::pipeline::state::Restored;
use crate::pipeline::state::entry::{GroupEntry, MemberEntry, MetaEntry, PositionEntry, TotalsEntry, Wide};

/// Names of sources by the hash under which members and groups have them.
type Sources = BTreeMap<u64, String>;

/// Writes all of it. A state that is none yet has no line.
pub(super) fn write(mut restored: Restored, out: &mut dyn Write) -> io::Result<()> {
    restored.settle();
    let Some(meta) = restored.meta.take() else { return Ok(()) };
    json_line(&of_meta(&meta), out)?;
    meta.positions.iter().try_for_each(|position| json_line(&of_position(position), out))?;
    meta.totals.iter().try_for_each(|totals| json_line(&of_totals(totals), out))?;
    let names = meta.totals.iter().map(|totals| totals.source.clone());
    let sources: Sources = names.map(|name| (origin(&name, ""), name)).collect();
    let mut groups: Vec<_> = restored.groups.into_values().chain(restored.held.into_values()).collect();
    groups.sort_unstable_by_key(|group| (u128::from(group.incident), u128::from(group.hash)));
    groups.iter().try_for_each(|group| json_line(&of_group(group, &sources), out))?;
    let mut members: Vec<_> = restored.members.into_iter().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    members.iter().try_for_each(|(_, member)| json_line(&of_member(member, &sources), out))?;
    let mut samples: Vec<_> = restored.samples.into_iter().collect();
    samples.sort_unstable_by_key(|(of, _)| *of);
    for (of, json) in samples {
        let samples: Value = serde_json::from_slice(&json).unwrap_or_default();
        json_line(&json!({ "entry": "samples", "of": of.to_string(), "samples": samples }), out)?;
    }
    let mut revisions: Vec<_> = restored.revisions.into_iter().collect();
    revisions.sort_unstable();
    revisions.into_iter().try_for_each(|(incident, revision)| {
        json_line(&json!({ "entry": "incident", "incident": incident.to_string(), "revision": revision }), out)
    })
}

fn of_meta(meta: &MetaEntry) -> Value {
    let counters: BTreeMap<&str, u64> =
        meta.counters.iter().map(|counter| (counter.name.as_str(), counter.value)).collect();
    json!({
        "entry": "meta",
        "epoch": meta.epoch,
        "safe_from": meta.safe_from,
        "committed_at": time(meta.wall),
        "config_version": format!("{:016x}", meta.config_version),
        "next_record": meta.next_record,
        "counters": counters,
    })
}

fn of_position(position: &PositionEntry) -> Value {
    let is_source = position.partition == SOURCE_CLOCK;
    json!({
        "entry": if is_source { "clock" } else { "position" },
        "source": position.source,
        "partition": (!is_source).then_some(&position.partition),
        "next": (!is_source).then_some(position.next),
        "clock": time(position.clock),
    })
}

fn of_totals(totals: &TotalsEntry) -> Value {
    let outcomes: BTreeMap<&str, u64> =
        Outcome::ALL.iter().map(|outcome| outcome.name()).zip(totals.outcomes.iter().copied()).collect();
    let rejects = Reject::ALL.iter().map(|reason| reason.name()).zip(totals.rejects.iter().copied());
    let rejects: BTreeMap<&str, u64> = rejects.filter(|(_, count)| *count > 0).collect();
    json!({
        "entry": "totals",
        "source": totals.source,
        "received": totals.received,
        "outcomes": outcomes,
        "held": totals.held,
        "rejected": rejects,
    })
}

fn of_group(group: &GroupEntry, sources: &Sources) -> Value {
    let feed: Vec<Value> = group.feed.iter().map(|source| source_name(*source, sources)).collect();
    json!({
        "entry": "group",
        "group": GroupHash(group.hash.into()).to_string(),
        "incident": incident(group.incident),
        "predecessor": group.predecessor.and_then(incident),
        "rule": group.rule,
        "labels": labels(&group.labels),
        "sources": feed,
        "is_current": group.is_current,
        "window_from": time(group.window_from),
        "window_members": group.window_members,
        "ended_at": group.ended_at.and_then(time),
        "first_seen": time(group.first_seen),
        "last_seen": time(group.last_seen),
        "last": time(group.last),
        "resolved_at": group.resolved_at.and_then(time),
        "resolved_by": group.resolved_by,
        "members": group.members,
        "firing": group.firing,
        "severity_max": Severity::from_number(group.severity_max).name(),
        "alerts_by_severity": by_severity(&group.severity_counts),
        "report_due": group.report_due.and_then(time),
        "held": group.held.len(),
    })
}

fn of_member(member: &MemberEntry, sources: &Sources) -> Value {
    let touch = &member.touch;
    let state = ["firing", "resolved", "held", "held_resolved"].get(touch.state as usize);
    json!({
        "entry": "member",
        "fingerprint": Fingerprint(member.fingerprint.into()).to_string(),
        "group": GroupHash(member.group.into()).to_string(),
        "incident": incident(member.incident),
        "labels": labels(&member.labels),
        "source": source_name(member.source, sources),
        "state": state,
        "severity": Severity::from_number(touch.severity).name(),
        "first": time(member.first),
        "last": time(touch.last),
        "starts_at": time(touch.starts_at),
        "ends_at": time(touch.ends_at),
        "count": touch.count,
    })
}

/// `null` for those that stand for "not given".
fn time(millis: i64) -> Option<String> {
    (millis != i64::MIN && millis != i64::MAX).then(|| Timestamp(millis).to_string())
}

fn incident(id: Wide) -> Option<String> {
    (u128::from(id) != 0).then(|| IncidentId(id.into()).to_string())
}

fn labels(encoded: &[u8]) -> BTreeMap<&str, &str> {
    Pairs(encoded).collect()
}

/// The hash where the name is not known any more.
fn source_name(hash: u64, sources: &Sources) -> Value {
    sources.get(&hash).map_or_else(|| json!(format!("{hash:016x}")), |name| json!(name))
}

fn by_severity(counts: &[u64]) -> BTreeMap<&'static str, u64> {
    let named = Severity::ALL.iter().map(|severity| severity.name()).zip(counts.iter().copied());
    named.filter(|(_, count)| *count > 0).collect()
}
