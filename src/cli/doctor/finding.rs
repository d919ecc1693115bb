//! What a check found: a level, the measured value, why it matters, what to do. Whatever others wrote is made safe here.

use std::time::Duration;

use serde::Serialize;

use crate::cli::doctor::checks::Check;
use crate::cli::terminal::{Lines, safe};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know, or could not be found out.
    Note,
    /// Works, and will hurt one day.
    Warning,
    /// Does not work, or a promise does not hold.
    Problem,
}

impl Level {
    pub(super) const ALL: [Self; 4] = [Self::Ok, Self::Note, Self::Warning, Self::Problem];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) level: Level,
    /// The measured value.
    pub(super) what: String,
    /// Why it matters; empty if all is well.
    pub(super) why: String,
    /// A command or a setting; empty if there is nothing to do.
    pub(super) remedy: String,
}

impl Finding {
    fn new(check: Check, level: Level, what: &str, why: &str, remedy: &str) -> Self {
        let line = |text: &str| safe(text.as_bytes(), Lines::One);
        Self { check, level, what: line(what), why: line(why), remedy: line(remedy) }
    }

    pub(super) fn ok(check: Check, what: impl AsRef<str>) -> Self {
        Self::new(check, Level::Ok, what.as_ref(), "", "")
    }

    pub(super) fn note(check: Check, what: impl AsRef<str>, why: &str, remedy: impl AsRef<str>) -> Self {
        Self::new(check, Level::Note, what.as_ref(), why, remedy.as_ref())
    }

    pub(super) fn warning(check: Check, what: impl AsRef<str>, why: &str, remedy: impl AsRef<str>) -> Self {
        Self::new(check, Level::Warning, what.as_ref(), why, remedy.as_ref())
    }

    pub(super) fn problem(check: Check, what: impl AsRef<str>, why: &str, remedy: impl AsRef<str>) -> Self {
        Self::new(check, Level::Problem, what.as_ref(), why, remedy.as_ref())
    }
}

/// `3.1 GiB`: two figures are enough to judge by.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes / unit < 10 && !bytes.is_multiple_of(unit) => {
            format!("{:.1} {name}", bytes as f64 / unit as f64)
        }
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// `0.4 ms`, `23 ms`, `1.2 s`, `3 h`.
pub(super) fn time(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1_000.0;
    match ms {
        ..9.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        ..120_000.0 => format!("{:.1} s", ms / 1_000.0),
        ..7_200_000.0 => format!("{:.0} min", ms / 60_000.0),
        ..172_800_000.0 => format!("{:.0} h", ms / 3_600_000.0),
        _ => format!("{:.0} d", ms / 86_400_000.0),
    }
}

/// A list for people: `a, b and 3 more`.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (bytes, text) in
            [(5, "5 B"), (1_536, "1.5 KiB"), (3 << 30, "3 GiB"), (3_328_599_654, "3.1 GiB"), (57 << 20, "57 MiB")]
        {
            assert_eq!(size(bytes), text);
        }
        for (micros, text) in [(420, "0.4 ms"), (23_400, "23 ms"), (1_200_000, "1.2 s"), (10_800_000_000, "3 h")] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
        let names: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4 and 2 more");
    }

    #[test]
    fn what_others_wrote_cannot_steer_a_terminal() {
        let finding = Finding::problem(Check::Store, "a\x1b[2Jb\nc", "why", "rm \u{202e}x");
        assert_eq!((finding.what.as_str(), finding.remedy.as_str()), ("a\\x1b[2Jb\\x0ac", "rm \\u{202e}x"));
    }
}
