//! What can be set in the pipeline, as meant (already checked): window rules, identity, sources, epochs, limits.
//!
//! Defaults and their reasons are in `config/reference.yaml`; a test keeps the two equal.

use std::sync::Arc;

use regex::Regex;

use crate::model::alert::Severity;
use crate::model::matcher::Matcher;
use crate::model::time::Millis;

/// Everything the pipeline is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that decode; at least 1.
    pub decoders: usize,
    /// Shards, each a thread; at least 1. May change between runs: state is not keyed by it.
    pub shards: usize,
    /// When an epoch ends.
    pub epoch: EpochOptions,
    /// Window rules in the order of the file; the first that matches wins, the last matches everything.
    pub rules: Arc<[WindowRule]>,
    /// The sources, in the order of their index.
    pub sources: Arc<[SourceOptions]>,
    /// Samples kept per incident, 0 to 100.
    pub samples: usize,
    /// Number of the configuration, kept in the state: a hash of its meaning.
    pub config_version: u64,
}

/// When an epoch ends: whatever comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochOptions {
    /// After this time, 20 ms to 1 s; or when the epoch before is durable, if that takes longer.
    pub interval: Millis,
    /// After this many records.
    pub max_records: u64,
    /// After this much output, bytes (checked per chunk, so it may be passed by one chunk's output).
    pub max_output_bytes: u64,
    /// A clock that moved is committed at least this often while a deadline is open.
    pub clock_interval: Millis,
}

impl Default for EpochOptions {
    fn default() -> Self {
        Self {
            interval: Millis(100),
            max_records: 100_000,
            max_output_bytes: 8 << 20,
            clock_interval: Millis::seconds(10),
        }
    }
}

/// How long a window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// Until the group has been silent for `gap`.
    Session,
    /// For `max_age` from the opening record.
    Fixed,
    /// Until the incident is resolved; `gap` is not looked at.
    UntilResolved,
}

/// When a firing alert that is not seen any more counts as resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveAfter {
    /// Alertmanager v2: its `endsAt`, else 5 minutes; a source with `resend_interval`: three times that; others never.
    BySource,
    /// Never, not even by `endsAt` in the future.
    Never,
    /// After this silence (an `endsAt` of Alertmanager v2 still counts).
    After(Millis),
}

/// Hold back until `count` alerts came within `within` of record time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenAfter {
    /// Alerts, repeats too; at least 1, at most 1,000.
    pub count: u32,
    /// Record time between the first and the last of them.
    pub within: Millis,
}

/// One window rule: which alerts, how they are grouped, how long a window stays open, when it speaks.
#[derive(Clone, Debug)]
pub struct WindowRule {
    /// Its part of the group key; unique.
    pub name: String,
    /// All must pass; none means everything.
    pub matchers: Vec<Matcher>,
    /// Labels that define the group; of the alternatives in one entry the first present is taken.
    pub group_by: Vec<Vec<String>>,
    /// Hold-back threshold; count 1 opens at once.
    pub open_after: OpenAfter,
    /// How long the first emission waits for companions.
    pub wait: Millis,
    /// Shorter waits by severity, indexed by `Severity`; `None` means `wait`.
    pub wait_by_severity: [Option<Millis>; 6],
    /// At most one `updated` event per incident in this time.
    pub update_every: Millis,
    /// Silence that ends a session.
    pub gap: Millis,
    /// Hard cap on a window's age; the length of a fixed window.
    pub max_age: Option<Millis>,
    /// Hard cap on the distinct fingerprints of a window.
    pub max_alerts: Option<u64>,
    /// How long a window is open.
    pub kind: WindowKind,
    /// When an alert not seen any more counts as resolved.
    pub resolve_after: ResolveAfter,
    /// Less than this after the later of window end and resolve the same incident continues; zero: never.
    pub reopen: Millis,
    /// A member neither seen nor resolved for this long leaves as expired; `None`: never.
    pub forget_after: Option<Millis>,
}

impl WindowRule {
    /// A rule of that name with every default.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let label = |text: &str| text.split('|').map(str::to_owned).collect();
        Self {
            name: name.to_owned(),
            matchers: Vec::new(),
            group_by: vec![label("cluster"), label("service|alertname")],
            open_after: OpenAfter { count: 1, within: Millis::minutes(5) },
            wait: Millis::seconds(10),
            wait_by_severity: [None; 6],
            update_every: Millis::minutes(1),
            gap: Millis::minutes(5),
            max_age: Some(Millis::hours(24)),
            max_alerts: None,
            kind: WindowKind::Session,
            resolve_after: ResolveAfter::BySource,
            reopen: Millis::minutes(10),
            forget_after: Some(Millis::hours(7 * 24)),
        }
    }

    /// The labels that define the group: of each entry the first that is present, else its first name with no value.
    pub fn group_labels<'a>(
        &'a self,
        value_of: impl Fn(&str) -> Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.group_by.iter().map(move |names| {
            let present = names
                .iter()
                .find_map(|name| value_of(name).filter(|value| !value.is_empty()).map(|value| (name.as_str(), value)));
            present.unwrap_or((names.first().map_or("", String::as_str), ""))
        })
    }

    /// How long the first emission waits when `severity` is the worst so far.
    #[must_use]
    pub fn wait_for(&self, severity: Severity) -> Millis {
        self.wait_by_severity.get(severity as usize).copied().flatten().unwrap_or(self.wait)
    }
}

/// Which labels make two alerts the same.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Only these labels count; empty: all.
    pub labels: Vec<String>,
    /// Labels that do not count.
    pub drop: Vec<String>,
    /// Volatile parts of values that are replaced before they count.
    pub mask: Vec<Mask>,
    /// Other names of a label: (alias, canonical name).
    pub alias: Vec<(String, String)>,
}

impl Identity {
    /// Whether it takes every label as it is.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.labels.is_empty() && self.drop.is_empty() && self.mask.is_empty() && self.alias.is_empty()
    }
}

/// Replaces what `pattern` finds in the value of `label` (every label if `None`).
#[derive(Clone, Debug)]
pub struct Mask {
    /// The label, by its canonical name.
    pub label: Option<String>,
    /// What is volatile.
    pub pattern: Regex,
    /// What stands there instead; `$1` and the like refer to groups of the pattern.
    pub replace: String,
}

/// Where the record time of a source comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordTime {
    /// The source says it with each record (Kafka timestamps, arrival of HTTP requests).
    Record,
    /// The payload: `receivedAt`, else `startsAt`, else the source's clock (files, replay).
    Payload,
}

/// What the pipeline must know of a source; how to reach it is the source's own matter.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Unique name; part of positions and incident ids.
    pub name: String,
    /// Identity of its alerts.
    pub identity: Arc<Identity>,
    /// The sender repeats a firing alert this often; silence of three times that resolves.
    pub resend_interval: Option<Millis>,
    /// Where record times come from.
    pub time: RecordTime,
    /// Whether what was sent while nobody read is lost (HTTP), so that its deadlines move by the unread time.
    pub lossy_when_unread: bool,
}

impl SourceOptions {
    /// A source with every default: record times from the source, all labels are identity.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            identity: Arc::default(),
            resend_interval: None,
            time: RecordTime::Record,
            lossy_when_unread: false,
        }
    }
}
