//! Looks at the memory some times a second, and says how short it is: to the shards (through the sequence), to the valves
//! of the sources, to metrics and to the log.
//!
//! Who is to blame is decided here, too: the source that brings most new alerts, and its label with too many values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::control::config::Config;
use crate::metrics::heap::give_back;
use crate::metrics::process::usage;
use crate::metrics::{Metric, Metrics, memory_bound};
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::identify::Identifier;
use crate::pipeline::pressure::ladder::{Ladder, Load};
use crate::pipeline::pressure::novelty::Brought;
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::pressure::{Level, Offender, Pressure};
use crate::pipeline::run::Shared;
use crate::pipeline::shard::Tally;
use crate::pipeline::source::SourceIndex;

/// Of what the system allows: the rest is for other processes, the system's cache of our files, and a restart that reads the
/// state back.
const AUTO_PERCENT: u64 = 80;
/// The budget, and what labels bring, are looked at anew this often.
const SLOWLY: Millis = Millis::seconds(1);

/// While memory is short, what was freed is given back to the system this often.
const GIVE_BACK_EVERY: Millis = Millis::seconds(2);

/// Between two looks at the memory; the shorter while half of the budget is used. 300,000 new alerts a second take 200 MB a second:
/// 4 MB in the shorter time.
const ROOMY: Duration = Duration::from_millis(100);
const TIGHT: Duration = Duration::from_millis(20);

/// A source that is held back reads for the second of these two after each of the first. Were it never read, a state that is as
/// large as it has to be would stop it for ever: its clock would stand, no window would end, no resolve would come in. Short
/// ones: with 5 s and 1 s, what the clocks had missed fell due at once, and its incident events took a tenth of the budget.
const BREATH: (Millis, Millis) = (Millis::seconds(1), Millis(200));
/// The breath while the whole budget is used: what is critical comes in, and little of it.
const SHORT_BREATH: Millis = Millis(40);

/// The log names the same label of the same source this often at most.
const NAME_AGAIN: Millis = Millis::minutes(10);
/// Labels that are remembered as named.
const NAMED_MAX: usize = 1_000;

/// What readers keep of an open incident, its newest event and its last steps: texts and maps of a few labels. Samples are shared
/// with the group.
const READER_BYTES: u64 = 2_000;

/// What the configuration says about memory and labels; replaced at a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    budget: Option<u64>,
    watched: BTreeSet<String>,
    label_values: u64,
    decoders: u64,
}

/// The rules in force.
pub(super) type LiveRules = Arc<ArcSwap<Rules>>;

impl Rules {
    /// The budget as it is now, bytes; 0 where nothing bounds it.
    pub(super) fn budget(&self) -> u64 {
        self.budget.unwrap_or_else(|| memory_bound().unwrap_or(0) / 100 * AUTO_PERCENT)
    }

    pub(super) fn of(config: &Config) -> Self {
        let of_groups = config.pipeline.rules.iter().flat_map(|rule| rule.group_by.iter().flatten());
        let of_identity = config.pipeline.sources.iter().flat_map(|source| {
            source.identity.labels.iter().chain(source.identity.alias.iter().map(|(_, canonical)| canonical))
        });
        let watched = config.limits.watch_labels.iter().chain(of_groups).chain(of_identity);
        Self {
            budget: config.memory.budget,
            watched: watched.cloned().collect(),
            label_values: config.limits.label_values,
            decoders: config.pipeline.decoders as u64,
        }
    }
}

/// See the file.
pub(super) struct PressureKeeper {
    metrics: Metrics,
    rules: LiveRules,
    valves: Arc<Valves>,
    /// Sources of records; the commands, which come last, are never held back.
    source_names: Vec<String>,
    ladder: Ladder,
    budget: u64,
    is_tight: bool,
    offender: Option<Offender>,
    /// Who is held back by `Level::PauseHeaviest`.
    heaviest: Option<SourceIndex>,
    brought: Vec<Brought>,
    looked_at: Timestamp,
    gave_back_at: Timestamp,
    held_since: Option<Timestamp>,
    named: BTreeMap<(usize, Box<str>), Timestamp>,
}

impl PressureKeeper {
    /// `source_names`: of the sources of records, in their order.
    pub(super) fn new(metrics: Metrics, rules: LiveRules, valves: Arc<Valves>, source_names: Vec<String>) -> Self {
        for name in &source_names {
            metrics.add(Metric::LabelBombs, &[name], 0); // What first shows with 1 is no increase to Prometheus.
        }
        Self {
            metrics,
            rules,
            valves,
            source_names,
            ladder: Ladder::default(),
            budget: 0,
            is_tight: false,
            offender: None,
            heaviest: None,
            brought: Vec::new(),
            looked_at: Timestamp::MIN,
            gave_back_at: Timestamp::MIN,
            held_since: None,
            named: BTreeMap::new(),
        }
    }

    /// How soon to look again: sooner while there may be little room left.
    pub(super) fn patience(&self) -> Duration {
        if self.is_tight { TIGHT } else { ROOMY }
    }

    /// One look. `http_bytes`: bodies that are not durable yet.
    pub(super) fn look(&mut self, shared: &Shared, http_bytes: u64, now: Timestamp) {
        let rules = self.rules.load_full();
        if now - self.looked_at >= SLOWLY {
            self.looked_at = now;
            self.budget = rules.budget();
            self.metrics.set(Metric::MemoryBudget, &[], self.budget as f64);
            self.brought = shared.novelty.read(now);
            self.tell_labels(&rules, now);
        }
        let on_the_way = shared.bytes_on_the_way().max(http_bytes);
        let used = Used::of(&shared.tally(), on_the_way, rules.decoders);
        used.tell(&self.metrics);
        if self.ladder.level() >= Level::PauseHeaviest && now - self.gave_back_at >= GIVE_BACK_EVERY {
            self.gave_back_at = now;
            give_back();
        }
        let rss = usage(None).map_or(0, |usage| usage.rss_bytes);
        let load = Load { bytes: rss.max(used.sum()), windows: used.windows(), budget: self.budget };
        self.is_tight = load.bytes >= self.budget / 2;
        let before = self.ladder.level();
        let level = self.ladder.look(&load);
        self.blame(level, &rules);
        if level != before {
            self.tell_level(before, level, &load);
        }
        shared.press(&Pressure { level, offender: self.offender.clone() });
        self.hold_back(level, load.bytes >= self.budget, now);
    }

    /// Chooses who is to blame, once per time of trouble; the label may become known later.
    fn blame(&mut self, level: Level, rules: &Rules) {
        if level < Level::PauseHeaviest {
            self.heaviest = None;
        } else if self.heaviest.is_none() {
            self.heaviest = heaviest(&self.brought);
        }
        if level < Level::Fold {
            self.offender = None;
            return;
        }
        if self.offender.is_none() {
            self.offender = self.heaviest.map(|source| Offender { source, label: None });
        }
        if let Some(Offender { source, label }) = &mut self.offender
            && label.is_none()
        {
            *label = self.brought.get(usize::from(source.0)).and_then(|brought| culprit(brought, rules.label_values));
        }
    }

    /// Shuts the valves of those that shall wait, but for a breath now and then.
    fn hold_back(&mut self, level: Level, is_used_up: bool, now: Timestamp) {
        self.valves.make_small(level >= Level::SmallBatches);
        let all = (0..self.source_names.len().min(64)).fold(0, |bits, at| bits | Valves::bit(SourceIndex(at as u8)));
        let held = match level {
            Level::PauseAll => all,
            Level::PauseHeaviest | Level::Fold | Level::Evict => self.heaviest.map_or(0, Valves::bit) & all,
            Level::Normal | Level::SmallBatches => 0,
        };
        let since = *self.held_since.get_or_insert(now);
        if held == 0 {
            self.held_since = None;
        }
        let breath = if is_used_up { SHORT_BREATH } else { BREATH.1 };
        self.valves.set(if breathes(now - since, breath) { 0 } else { held });
        for (at, name) in self.source_names.iter().enumerate() {
            let is_held = held & Valves::bit(SourceIndex(at as u8)) != 0;
            self.metrics.set(Metric::SourcePaused, &[name], if is_held { 1.0 } else { 0.0 });
        }
    }

    fn tell_level(&self, before: Level, level: Level, load: &Load) {
        for entered in Level::ALL.into_iter().filter(|entered| *entered > before && *entered <= level) {
            self.metrics.add(Metric::MemoryLevelEntered, &[entered.name()], 1);
        }
        self.metrics.set(Metric::MemoryLevel, &[], f64::from(level as u8));
        let (percent, mib) = (load.bytes * 100 / load.budget.max(1), load.bytes >> 20);
        let (name, words) = (level.name(), level.words());
        let source = self.heaviest.and_then(|source| self.source_names.get(usize::from(source.0)));
        let source = source.map_or("", String::as_str);
        let label = self.offender.as_ref().and_then(|offender| offender.label.as_deref()).unwrap_or_default();
        let whose = match (level >= Level::PauseHeaviest && !source.is_empty(), label.is_empty()) {
            (false, _) => String::new(),
            (true, true) => format!("; most new alerts come from source {source}"),
            (true, false) => format!("; most new alerts come from source {source}, by values of its label {label:?}"),
        };
        if level == Level::PauseAll {
            tracing::error!(
                level = name,
                source,
                label,
                percent,
                "memory: {mib} MiB, {percent} % of the budget: {words}{whose}"
            );
        } else if level > before {
            tracing::warn!(
                level = name,
                source,
                label,
                percent,
                "memory: {mib} MiB, {percent} % of the budget: {words}{whose}"
            );
        } else {
            tracing::info!(
                level = name,
                source,
                label,
                percent,
                "memory: {mib} MiB, {percent} % of the budget: back to level {name}"
            );
        }
    }

    /// Names labels that bring too many values, and shows how many those that the configuration names have.
    fn tell_labels(&mut self, rules: &Rules, now: Timestamp) {
        let Self { metrics, source_names, brought, named, .. } = self;
        named.retain(|_, at| now - *at < NAME_AGAIN);
        for (index, (name, brought)) in source_names.iter().zip(brought).enumerate() {
            let (known, others): (Vec<_>, Vec<_>) =
                brought.values.iter().partition(|(label, _)| rules.watched.contains(&**label));
            for label in &rules.watched {
                let values = known.iter().find(|(known, _)| **known == **label).map_or(0, |(_, values)| *values);
                metrics.set(Metric::LabelValues, &[name, label], values as f64);
            }
            let most = others.iter().map(|(_, values)| *values).max().unwrap_or(0);
            metrics.set(Metric::LabelValues, &[name, "other"], most as f64);
            for (label, values) in brought.values.iter().filter(|(_, values)| *values > rules.label_values) {
                if named.len() >= NAMED_MAX || named.insert((index, label.clone()), now).is_some() {
                    continue;
                }
                metrics.add(Metric::LabelBombs, &[name], 1);
                tracing::warn!(
                    source = name,
                    label = &**label,
                    values,
                    "source {name}: label {label:?} has about {values} values in the new alerts of a minute; if it is an id or a \
                     time, take it out of the identity (identity: drop or mask)"
                );
            }
        }
    }
}

/// The source that brings most new alerts.
fn heaviest(brought: &[Brought]) -> Option<SourceIndex> {
    let sources = (0_u8..).zip(brought).filter(|(_, brought)| brought.texts > 0);
    sources.max_by_key(|(index, brought)| (brought.texts, u8::MAX - index)).map(|(index, _)| SourceIndex(index))
}

/// The label that brings them, if it has too many values.
fn culprit(brought: &Brought, limit: u64) -> Option<Arc<str>> {
    brought.values.first().filter(|(_, values)| *values > limit).map(|(label, _)| Arc::from(&**label))
}

/// Whether one that is held back for this long may read just now.
fn breathes(held: Millis, breath: Millis) -> bool {
    let into = held.0.rem_euclid(BREATH.0.0 + BREATH.1.0) - BREATH.0.0;
    (0..breath.0).contains(&into)
}

/// What memory is used for, bytes, in the order of the metric's components.
struct Used([(&'static str, u64); 7]);

impl Used {
    fn of(tally: &Tally, on_the_way: u64, decoders: u64) -> Self {
        Self([
            ("tables", tally.table_bytes),
            ("labels", tally.arena_bytes),
            ("groups", tally.group_bytes),
            ("samples", tally.sample_bytes),
            ("known_texts", decoders * Identifier::BYTES),
            ("on_the_way", on_the_way),
            ("readers", tally.open_incidents * READER_BYTES),
        ])
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }

    fn windows(&self) -> u64 {
        self.0.iter().take(4).map(|(_, bytes)| bytes).sum()
    }

    fn tell(&self, metrics: &Metrics) {
        for (component, bytes) in self.0 {
            metrics.set(Metric::MemoryUsed, &[component], bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests;
