//! How a storm writes numbers: short, and right in the singular too.

use std::collections::VecDeque;
use std::time::Duration;

use indicatif::HumanCount;

/// The rate is that of the last two seconds: it moves, but does not jitter.
const RATE_OVER: Duration = Duration::from_secs(2);

/// Alerts per second over the last looks.
#[derive(Debug, Default)]
pub(crate) struct Rate(VecDeque<(Duration, u64)>);

impl Rate {
    /// The rate now that there are so many.
    pub(crate) fn of(&mut self, at: Duration, count: u64) -> u64 {
        self.0.push_back((at, count));
        while self.0.len() > 2 && self.0.front().is_some_and(|(then, _)| at.saturating_sub(*then) > RATE_OVER) {
            self.0.pop_front();
        }
        let (since, before) = self.0.front().filter(|_| self.0.len() > 1).copied().unwrap_or_default();
        let seconds = at.saturating_sub(since).as_secs_f64();
        if seconds > 0.0 { (count.saturating_sub(before) as f64 / seconds) as u64 } else { 0 }
    }
}

/// `3.1 ms`, `250 ms`, `1.2 s`: two figures are enough to look at.
pub(crate) fn short(ms: f64) -> String {
    match ms {
        ..9.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1_000.0),
    }
}

/// `1 incident`, `2 incidents`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(n), if n == 1 { "" } else { "s" })
}

/// `84 MB`, as the README has sizes: powers of ten.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        let looks = [(1_000, 500), (2_000, 1_000), (3_000, 1_000), (4_000, 1_000), (5_000, 3_000)];
        let rates = looks.map(|(ms, sent)| rate.of(Duration::from_millis(ms), sent));
        assert_eq!(rates, [500, 500, 250, 0, 1_000]);
    }

    #[test]
    fn times_are_short_and_one_is_no_plural() {
        for (ms, text) in [(0.0, "0.0 ms"), (3.12, "3.1 ms"), (9.97, "10 ms"), (249.6, "250 ms"), (1_230.0, "1.2 s")] {
            assert_eq!(short(ms), text);
        }
        assert_eq!([0, 1, 2_000].map(|n| counted(n, "incident")), ["0 incidents", "1 incident", "2,000 incidents"]);
        assert_eq!(megabytes(79_400_000), "79 MB");
    }
}
