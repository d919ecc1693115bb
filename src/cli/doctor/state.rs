//! The saved state against the configuration: what the next start will do to what lives. Read only, and pure but for
//! the reading.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::app::store::COMMANDS;
use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, size, time};
use crate::control::config::fault::counted;
use crate::control::config::{Config, SourceKind};
use crate::model::fingerprint::{MemberKey, origin};
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::identify::Identifier;
use crate::pipeline::source::SourceIndex;
use crate::pipeline::state::Restored;
use crate::pipeline::state::entry::MetaEntry;

/// A larger state is not taken apart: that takes several times as much memory, beside a daemon that has its own.
pub(super) const STATE_MAX: u64 = 1 << 30;
/// Clocks of two machines that are kept by NTP differ by less.
const CLOCK_SLACK: Millis = Millis::seconds(5);
/// With a deadline open an epoch is committed at least every 10 s: younger means that somebody works.
const ACTIVE_WITHIN: Millis = Millis::seconds(15);

/// A state as it was read.
#[derive(Debug)]
pub(super) enum Read {
    /// In full.
    Whole(Box<Restored>),
    /// Only its size: it is larger than what is taken apart.
    TooLarge(u64),
    /// Not at all, and why.
    Failed(String),
}

impl Read {
    /// How many bytes of blocks a restart reads.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Whole(restored) => Some(restored.n_bytes),
            Self::TooLarge(bytes) => Some(*bytes),
            Self::Failed(_) => None,
        }
    }
}

/// Reads the state of the embedded store, all of it as of one moment.
pub(super) fn of_sqlite(connection: &Connection) -> Read {
    read_sqlite(connection).unwrap_or_else(|error| Read::Failed(error.to_string()))
}

fn read_sqlite(connection: &Connection) -> anyhow::Result<Read> {
    let snapshot = connection.unchecked_transaction()?;
    let safe_from: i64 = snapshot.query_row("SELECT value FROM meta WHERE key = 'safe_from'", [], |row| row.get(0))?;
    let bytes: i64 = snapshot.query_row(
        "SELECT coalesce(sum(length(bytes)), 0) FROM blocks WHERE epoch >= ?1",
        [safe_from],
        |row| row.get(0),
    )?;
    let bytes = u64::try_from(bytes).unwrap_or(0);
    if bytes > STATE_MAX {
        return Ok(Read::TooLarge(bytes));
    }
    let mut restored = Box::<Restored>::default();
    let mut select = snapshot.prepare("SELECT bytes FROM blocks WHERE epoch >= ?1 ORDER BY epoch, idx")?;
    let mut rows = select.query([safe_from])?;
    while let Some(row) = rows.next()? {
        restored.take_block(row.get_ref(0)?.as_blob()?)?;
    }
    restored.settle();
    Ok(Read::Whole(restored))
}

/// Everything that is to be said of a state. `is_local`: the daemon on this machine works on it.
pub(super) fn judge(read: &Read, config: &Config, now: Timestamp, is_local: bool) -> Vec<Finding> {
    let restored = match read {
        Read::Whole(restored) => restored,
        Read::TooLarge(bytes) => {
            return vec![Finding::note(
                Check::State,
                format!(
                    "{} of blocks, which is more than the {} that are taken apart here",
                    size(*bytes),
                    size(STATE_MAX)
                ),
                "rules, sources and keys of the state were not compared with the configuration",
                "",
            )];
        }
        Read::Failed(fault) => {
            return vec![Finding::problem(
                Check::State,
                fault,
                "the next start cannot go on from the last epoch, and ends",
                "keep a copy, restore a backup; or move the state away to start empty",
            )];
        }
    };
    let Some(meta) = &restored.meta else {
        let what = "there is none yet";
        return vec![Finding::note(
            Check::State,
            what,
            "the next start is a first start: every source from its beginning",
            "",
        )];
    };
    let mut findings = vec![told(restored, meta)];
    findings.extend(clock(meta, now));
    findings.extend(activity(meta, now, is_local));
    findings.extend(rules(restored, config));
    findings.extend(sources(meta, config));
    findings.extend(keys(restored, meta, config));
    findings
}

fn told(restored: &Restored, meta: &MetaEntry) -> Finding {
    let open = restored.groups.values().filter(|group| group.resolved_at.is_none()).count();
    Finding::ok(
        Check::State,
        format!(
            "epoch {}, {open} unresolved of {}, {}, {} in {}",
            meta.epoch,
            counted(restored.groups.len(), "incident"),
            counted(restored.members.len(), "fingerprint"),
            size(restored.n_bytes),
            counted(restored.n_blocks as usize, "block")
        ),
    )
}

fn clock(meta: &MetaEntry, now: Timestamp) -> Option<Finding> {
    let saved = Timestamp(meta.wall);
    (saved > now + CLOCK_SLACK).then(|| {
        Finding::problem(
            Check::StateClock,
            format!(
                "the last epoch is of {saved}, {} after the clock of this machine",
                time((saved - now).to_duration())
            ),
            "timers stand still until the clock has caught up: nothing is reported, no window closes",
            "set the clock: timedatectl set-ntp true",
        )
    })
}

fn activity(meta: &MetaEntry, now: Timestamp, is_local: bool) -> Option<Finding> {
    let age = now - Timestamp(meta.wall);
    let ago = time(age.to_duration());
    if is_local {
        return Some(Finding::ok(
            Check::StateActivity,
            format!("the daemon of this machine works on it, last {ago} ago"),
        ));
    }
    (age <= ACTIVE_WITHIN).then(|| {
        Finding::note(
            Check::StateActivity,
            format!("an epoch was committed {ago} ago, and no daemon of this configuration answers here"),
            "it was stopped just now, or another instance works on this state: a start here takes over and ends it (Kafka), or is refused",
            "find the other instance, if there is one, before you start one here",
        )
    })
}

/// Rules of open windows that the configuration does not have.
fn rules(restored: &Restored, config: &Config) -> Vec<Finding> {
    let is_known = |name: &str| config.pipeline.rules.iter().any(|rule| rule.name == name);
    let mut gone: BTreeMap<&str, usize> = BTreeMap::new();
    let groups = restored.groups.values().chain(restored.held.values());
    for group in groups.filter(|group| group.ended_at.is_none() && !is_known(&group.rule)) {
        *gone.entry(group.rule.as_str()).or_default() += 1;
    }
    if gone.is_empty() {
        return vec![Finding::ok(Check::WindowRules, "every open window has its rule in the configuration")];
    }
    let vanished = |(rule, windows): (&str, usize)| {
        Finding::warning(
            Check::WindowRules,
            format!(
                "rule {rule:?} has {} in the state, and is not in the configuration",
                counted(windows, "open window")
            ),
            "they close at the next start or reload: their incidents go on, but what comes anew opens another incident",
            format!("if the rule was renamed, keep its old name: windows: [{{name: {rule}, ..}}]"),
        )
    };
    gone.into_iter().map(vanished).collect()
}

/// Sources by name: positions belong to names.
fn sources(meta: &MetaEntry, config: &Config) -> Vec<Finding> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for position in &meta.positions {
        *known.entry(position.source.as_str()).or_default() += usize::from(position.next > 0);
    }
    let is_there = |name: &str| name == COMMANDS || config.sources.iter().any(|source| source.name == name);
    let gone =
        known.iter().filter(|(name, partitions)| **partitions > 0 && !is_there(name)).map(|(name, partitions)| {
            Finding::warning(
                Check::Sources,
                format!(
                    "source {name:?} has positions of {} in the state, and is not in the configuration",
                    counted(*partitions, "partition")
                ),
                "it is not read on; its firing alerts stay as they are until they resolve by time or by a person",
                "if it was renamed, keep its old name: positions belong to the name",
            )
        });
    let mut findings: Vec<Finding> = gone.collect();
    for source in &config.sources {
        let is_new = known.get(source.name.as_str()).is_none_or(|partitions| *partitions == 0);
        if is_new && matches!(source.kind, SourceKind::Kafka(_) | SourceKind::File(_)) {
            findings.push(Finding::note(
                Check::Sources,
                format!("source {:?} has no position in the state", source.name),
                "it is read from its beginning: everything that its topics or its file still hold",
                "nothing, if it is new and its backlog is wanted",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Sources, "the state knows the same sources as the configuration"));
    }
    findings
}

/// What a changed `identity`, `match` or `group_by` does to what lives; the same arithmetic as at a start.
fn keys(restored: &Restored, meta: &MetaEntry, config: &Config) -> Vec<Finding> {
    if meta.config_version == config.pipeline.config_version {
        let what = "the state was written with the same windows and identities";
        return vec![Finding::ok(Check::Keys, what)];
    }
    let Ok(Some(key)) = restored.hash_key() else { return Vec::new() };
    let options = &config.pipeline;
    let mut identifier = Identifier::new(options, key);
    let moved = restored.members.iter().filter(|(old, entry)| {
        let source = options.sources.iter().position(|source| origin(&source.name, "") == entry.source);
        let new = identifier.identify(SourceIndex(source.unwrap_or(0) as u8), &entry.labels);
        MemberKey::new(new.fingerprint, new.group) != **old
    });
    let (moved, all) = (moved.count(), restored.members.len());
    if moved == 0 {
        return vec![Finding::note(
            Check::Keys,
            "windows or identities changed since the state was written; no live fingerprint gets another key",
            "open windows go on with the new values from their stored first and last alert",
            "",
        )];
    }
    vec![Finding::warning(
        Check::Keys,
        format!(
            "windows or identities changed since the state was written: {moved} of {all} live fingerprints get another key"
        ),
        "open incidents keep their id and members, but new alerts of the same labels may open others beside them",
        "try it first: tidegate replay --config FILE --from kept-alerts.jsonl",
    )]
}

#[cfg(test)]
mod tests;
