//! `epoch`, `engine`, `memory`, `limits`, `retention` and `log`: how fast, how much, how long.

use std::thread;

use tracing::Level;

use crate::control::config::check::{ANY_LENGTH, or_never};
use crate::control::config::section::{Section, Value};
use crate::control::config::{Limits, Log, LogFormat, Memory, Retention};
use crate::model::time::Millis;
use crate::pipeline::options::EpochOptions;

/// More threads than this of a kind do not help: the epoch's single thread is the bottleneck by then.
const MAX_THREADS: u64 = 64;
/// `auto` stays below this: beyond it a flood is no longer CPU-bound on the hot path.
const MAX_AUTO_THREADS: usize = 16;

pub(super) fn epoch(top: &Section<'_>) -> EpochOptions {
    let mut epoch = EpochOptions::default();
    if let Some(value) = top.get("epoch") {
        value.fields(|section| {
            let interval = Millis(20)..=Millis::seconds(1);
            section.set("interval", &mut epoch.interval, |value| value.duration(interval));
            section.set("records", &mut epoch.max_records, |value| value.number(1..=10_000_000));
            section.set("output", &mut epoch.max_output_bytes, |value| value.size(64 << 10..=256 << 20));
            let clock = Millis(100)..=Millis::seconds(10);
            section.set("clock_interval", &mut epoch.clock_interval, |value| value.duration(clock));
        });
    }
    epoch
}

/// Threads and samples.
pub(super) struct Engine {
    pub(super) decoders: usize,
    pub(super) shards: usize,
    pub(super) samples: usize,
}

pub(super) fn engine(top: &Section<'_>) -> Engine {
    // Decoding and deciding cost about the same, so each gets half of the processors.
    let cores = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let auto = (cores / 2).clamp(1, MAX_AUTO_THREADS);
    let mut engine = Engine { decoders: auto, shards: auto, samples: 10 };
    let threads = |value: &Value<'_>| match value.word() {
        Some("auto") => Some(auto),
        _ => value.number(1..=MAX_THREADS).map(|number| number as usize),
    };
    if let Some(value) = top.get("engine") {
        value.fields(|section| {
            section.set("decoders", &mut engine.decoders, threads);
            section.set("shards", &mut engine.shards, threads);
            section.set("samples", &mut engine.samples, |value| value.number(0..=100).map(|number| number as usize));
        });
    }
    engine
}

/// Below this an idle daemon with its tables of known texts has no room for a flood of any size.
const BUDGET_MIN: u64 = 64 << 20;
/// Names to be watched: each is a series per source.
const WATCHED_MAX: usize = 100;

pub(super) fn memory(top: &Section<'_>) -> Memory {
    let mut memory = Memory::default();
    if let Some(value) = top.get("memory") {
        value.fields(|section| {
            section.set("budget", &mut memory.budget, |value| {
                or_never(value, "auto", |value| value.size(BUDGET_MIN..=1 << 50))
            });
        });
    }
    memory
}

pub(super) fn limits(top: &Section<'_>) -> Limits {
    let mut limits = Limits { watch_labels: Vec::new(), label_values: 10_000 };
    if let Some(value) = top.get("limits") {
        value.fields(|section| {
            section.set("watch_labels", &mut limits.watch_labels, |value| {
                let names = value.texts()?;
                if names.len() > WATCHED_MAX {
                    value.fault(format!("more than {WATCHED_MAX} labels"));
                }
                Some(names)
            });
            section.set("label_values", &mut limits.label_values, |value| value.number(100..=1_000_000_000));
        });
    }
    limits
}

pub(super) fn retention(top: &Section<'_>) -> Retention {
    let month = Millis::hours(30 * 24);
    let mut retention = Retention { incidents: month, dead_letters: month, dead_letters_size: 1 << 30 };
    let bounds = || Millis::hours(1)..=ANY_LENGTH;
    if let Some(value) = top.get("retention") {
        value.fields(|section| {
            section.set("incidents", &mut retention.incidents, |value| value.duration(bounds()));
            section.set("dead_letters", &mut retention.dead_letters, |value| value.duration(bounds()));
            let size = 1 << 20..=1 << 50;
            section.set("dead_letters_size", &mut retention.dead_letters_size, |value| value.size(size));
        });
    }
    retention
}

pub(super) fn log(top: &Section<'_>) -> Log {
    let mut log = Log { level: Level::INFO, format: LogFormat::Text };
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    if let Some(value) = top.get("log") {
        value.fields(|section| {
            section.set("level", &mut log.level, |value| value.one_of(&levels));
            let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
            section.set("format", &mut log.format, |value| value.one_of(&formats));
        });
    }
    log
}
