//! What live fingerprints cost: bytes of table and of labels for each, how much more is held while the table grows, and what
//! a repeat costs when the table is far larger than any cache. One line of JSON for each number of fingerprints.
//!
//! Arguments: the numbers, by default 10,000, 1,000,000 and 10,000,000 (which takes a minute and 4 GB). Labels are 12 pairs
//! whose names and values have 300 bytes; a group has 1,000 members.

#[path = "../tests/alloc/counting.rs"]
mod counting;
mod input;

use std::io::Write as _;

use counting::{Counting, live, take_peak};
use input::live::{mixed, part};
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::Stopwatch;
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::Out;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Alerts of a part.
const PART: u64 = 1_000;
/// Parts of an epoch.
const EPOCH_PARTS: u64 = 50;
/// Repeats that are timed.
const REPEATS: u64 = 2_000_000;

/// Resident memory of this process, bytes: (now, the most so far).
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn measure(n: u64) -> serde_json::Value {
    let options = input::options(1);
    let (before, resident_before) = (live(), resident().0);
    take_peak();
    let mut shard = Shard::new(&options, HashKey::FIXED);
    let mut filling = std::time::Duration::ZERO;
    let mut next = 0;
    while next < n {
        let numbers = next..(next + PART).min(n);
        let mut out = Out::new(1, false);
        let part = part(numbers, next, true);
        let watch = Stopwatch::start();
        shard.apply(&part, &mut out);
        filling += watch.elapsed();
        next += PART;
        if (next / PART).is_multiple_of(EPOCH_PARTS) || next >= n {
            drop(shard.save(false));
        }
    }
    let (peak, steady) = (take_peak() - before, live() - before);
    let (resident_now, resident_peak) = resident();
    let tally = shard.tally();
    assert_eq!(tally.fingerprints, n);
    let (mut repeating, mut at) = (std::time::Duration::ZERO, n);
    let mut out = Out::new(1, false);
    while at < n + REPEATS {
        let part = part((at..at + PART).map(|at| mixed(at) % n), at, false);
        let watch = Stopwatch::start();
        shard.apply(&part, &mut out);
        repeating += watch.elapsed();
        at += PART;
        if (at / PART).is_multiple_of(EPOCH_PARTS) {
            drop(shard.save(false));
        }
    }
    assert_eq!(out.counts[0].outcomes[2], REPEATS, "all of them are repeats");
    let each = |bytes: u64| (bytes as f64 / n as f64 * 10.0).round() / 10.0;
    serde_json::json!({
        "fingerprints": n,
        "table_bytes_each": each(shard.table_bytes()),
        "label_bytes_each": each(tally.arena_bytes),
        "all_bytes_each": each(steady as u64),
        "peak_to_steady": (peak as f64 / steady as f64 * 100.0).round() / 100.0,
        "resident_bytes_each": each(resident_now.saturating_sub(resident_before)),
        "resident_peak_bytes_each": each(resident_peak.saturating_sub(resident_before)),
        "new_ns_each": (filling.as_nanos() as f64 / n as f64).round(),
        "repeat_ns_each": (repeating.as_nanos() as f64 / REPEATS as f64 * 10.0).round() / 10.0,
    })
}

fn main() -> std::io::Result<()> {
    let asked: Vec<u64> = std::env::args().filter_map(|word| word.replace('_', "").parse().ok()).collect();
    let numbers = if asked.is_empty() { vec![10_000, 1_000_000, 10_000_000] } else { asked };
    let mut out = std::io::stdout();
    for n in numbers {
        writeln!(out, "{}", measure(n))?;
    }
    Ok(())
}
