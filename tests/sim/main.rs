//! Deterministic simulation: the real sequencer, engine, epochs, Kafka sink and restore, on a simulated log under every kind of
//! trouble; one seed is one run, the same each time.
//!
//! `TIDEGATE_SIM_SEEDS` says how many seeds are tried (300), `TIDEGATE_SIM_FROM` the first one (1); with
//! `TIDEGATE_SIM_PROGRESS=1` a bar shows how far it is. A seed that fails is named, with what broke; `TIDEGATE_SIM_TRACE=1` tells
//! what its instances do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod broker;
mod bug;
mod chance;
mod check;
mod client;
mod instance;
mod line;
#[allow(dead_code, reason = "people who resolve are not simulated")]
#[path = "../it/engine/naive.rs"]
mod naive;
mod standby;
mod workload;
mod world;

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidegate::metrics::Metrics;

use crate::bug::Bug;
use crate::world::Story;

/// Seeds after which a built-in bug must have been found.
const SEEDS_FOR_A_BUG: u64 = 1_000;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")),
        Err(_) => default,
    }
}

/// Runs seeds on every core until one fails; what failed first, and the sum of the stories.
fn search(from: u64, n: u64, bug: Option<Bug>) -> (Option<(u64, String)>, Story) {
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let results = Mutex::new((None::<(u64, String)>, Story::default()));
    let shows = bug.is_none() && setting("TIDEGATE_SIM_PROGRESS", 0) > 0;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let metrics = Metrics::new();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + n {
                        return;
                    }
                    let outcome = world::run(seed, bug, &metrics);
                    let mut results = results.lock().unwrap();
                    match outcome {
                        Ok(story) => add(&mut results.1, &story),
                        Err(reason) => {
                            stop.store(true, Ordering::Relaxed);
                            if results.0.as_ref().is_none_or(|(first, _)| seed < *first) {
                                results.0 = Some((seed, reason));
                            }
                        }
                    }
                    drop(results);
                    if shows && (seed - from).is_multiple_of(100) {
                        show(seed - from, n);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap()
}

fn add(sum: &mut Story, story: &Story) {
    sum.alerts += story.alerts;
    sum.incidents += story.incidents;
    sum.epochs += story.epochs;
    sum.kills += story.kills;
    sum.fenced += story.fenced;
    sum.stops += story.stops;
    sum.lives += story.lives;
    sum.time += story.time;
}

fn show(done: u64, of: u64) {
    let filled = (40 * done / of.max(1)) as usize;
    let bar = format!("\r[{}{}] {done}/{of} seeds", "#".repeat(filled), "-".repeat(40 - filled));
    let _ = std::io::stderr().write_all(bar.as_bytes()); // Nobody may be looking.
}

#[test]
fn nothing_is_lost_or_doubled_on_any_seed() {
    let (from, n) = (setting("TIDEGATE_SIM_FROM", 1), setting("TIDEGATE_SIM_SEEDS", 300));
    let (failed, story) = search(from, n, None);
    if let Some((seed, reason)) = failed {
        panic!("seed {seed}: {reason}\nagain: TIDEGATE_SIM_FROM={seed} TIDEGATE_SIM_SEEDS=1 cargo test --test sim");
    }
    let line = format!("{n} seeds: {story:?}\n");
    let _ = std::io::stderr().write_all(line.as_bytes()); // For the record of a long run.
    assert!(story.kills > n && story.fenced > 0 && story.stops > n, "there was too little trouble: {story:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let metrics = Metrics::new();
    for seed in [3, 77, 4_711] {
        let story = || format!("{:?}", world::run(seed, None, &metrics));
        assert_eq!(story(), story(), "seed {seed}");
    }
}

#[test]
fn every_built_in_bug_is_found() {
    for bug in Bug::ALL {
        let (found, _) = search(1, SEEDS_FOR_A_BUG, Some(bug));
        let (seed, reason) = found.unwrap_or_else(|| panic!("{bug:?} is not found in {SEEDS_FOR_A_BUG} seeds"));
        let line = format!("{bug:?}: seed {seed}: {reason}\n");
        let _ = std::io::stderr().write_all(line.as_bytes()); // How soon, for whoever reads.
    }
}
