//! How numbers, sizes and times are written: short, and of a width that hardly changes while they do.

use indicatif::HumanCount;

use crate::model::Timestamp;
use crate::model::time::Millis;

/// A count with thousands separated; above ten million in millions.
pub(super) fn count(n: f64) -> String {
    if n >= 1e10 {
        format!("{:.1}G", n / 1e9)
    } else if n >= 1e7 {
        format!("{:.1}M", n / 1e6)
    } else {
        HumanCount(n.max(0.0).round() as u64).to_string()
    }
}

/// Events per second: three digits that matter.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 100.0 {
        format!("{per_second:.1}")
    } else {
        count(per_second)
    }
}

/// A size in memory.
pub(super) fn bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n.max(0.0);
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{value:.0} {name}") } else { format!("{value:.1} {name}") }
}

/// How long something takes or lies behind, seconds.
pub(super) fn seconds(seconds: f64) -> String {
    if (0.0005..1.0).contains(&seconds) {
        format!("{:.0} ms", seconds * 1_000.0)
    } else if seconds < 60.0 {
        format!("{:.1} s", seconds.max(0.0))
    } else {
        span(Millis((seconds * 1_000.0) as i64))
    }
}

/// An age or a run time in its two largest units.
pub(super) fn span(length: Millis) -> String {
    let seconds = length.0.max(0) / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// The time of day, UTC, with the date where that is another one than today's.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let (text, today) = (at.to_string(), now.to_string());
    let (Some((day, rest)), Some((this_day, _))) = (text.split_once('T'), today.split_once('T')) else { return text };
    let time = rest.get(..8).unwrap_or(rest);
    if day == this_day { time.to_owned() } else { format!("{day} {time}") }
}

/// A share of a whole in percent.
pub(super) fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { part * 100.0 / whole } else { 0.0 };
    if share > 0.0 && share < 0.1 { "<0.1%".to_owned() } else { format!("{share:.1}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |shown: String, expected: &str| assert_eq!(shown, expected);
        for (n, expected) in [(0.0, "0"), (1_204.4, "1,204"), (9_999_999.0, "9,999,999"), (12_340_000.0, "12.3M")] {
            check(count(n), expected);
        }
        for (n, expected) in [(0.0, "0"), (0.04, "0"), (3.12, "3.1"), (99.94, "99.9"), (31_415.9, "31,416")] {
            check(rate(n), expected);
        }
        for (n, expected) in [(0.0, "0 B"), (999.0, "999 B"), (1_000.0, "1.0 KiB"), (88.0 * 1_048_576.0, "88.0 MiB")] {
            check(bytes(n), expected);
        }
        for (n, expected) in [(0.0, "0.0 s"), (0.0031, "3 ms"), (4.2, "4.2 s"), (125.0, "2m05s"), (-1.0, "0.0 s")] {
            check(seconds(n), expected);
        }
        for (n, expected) in [(-5, "0s"), (45, "45s"), (123, "2m03s"), (11_520, "3h12m"), (363_600, "4d05h")] {
            check(span(Millis::seconds(n)), expected);
        }
        check(percent(1.0, 0.0), "0.0%");
        check(percent(1.0, 3.0), "33.3%");
        check(percent(1.0, 10_000.0), "<0.1%");
    }

    #[test]
    fn another_day_is_named() {
        let now = Timestamp(1_795_334_400_000);
        assert_eq!(clock(now, now), "08:00:00");
        assert_eq!(clock(now - Millis::hours(9), now), "2026-11-21 23:00:00");
    }
}
