//! The flood while it runs: two moving lines on a terminal, a few plain ones elsewhere.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::demo::fates::Fates;
use crate::cli::demo::scene::Plan;
use crate::cli::storm::Latency;
use crate::pipeline::outcome::Outcome;

/// The rate is that of the last two seconds: it moves, but does not jitter.
const RATE_OVER: Duration = Duration::from_secs(2);
/// Without a terminal a line is written at each of so many parts of the flood.
const PLAIN_LINES: u64 = 4;

/// How things stand now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Since the first alert.
    pub(super) at: Duration,
    pub(super) sent: u64,
    pub(super) fates: Fates,
    pub(super) latency: Latency,
}

/// The display, on standard error.
pub(super) struct Live {
    alerts: u64,
    lines: MultiProgress,
    /// Kept because a line that is dropped vanishes.
    _title: ProgressBar,
    bar: ProgressBar,
    numbers: ProgressBar,
    plain: Option<Plain>,
    rate: Rate,
}

/// What is left of the display when nobody looks.
#[derive(Default)]
struct Plain {
    written: u64,
}

/// Alerts per second over the last looks.
#[derive(Debug, Default)]
struct Rate(VecDeque<(Duration, u64)>);

impl Live {
    pub(super) fn open(plan: &Plan, url: &str) -> Result<Self> {
        let alerts = u64::from(plan.alerts);
        let lines = MultiProgress::new();
        let title = lines.add(ProgressBar::new(0));
        title.set_style(style("\n {msg}\n")?);
        let bar = lines.add(ProgressBar::new(alerts));
        bar.set_style(style(" {bar:34.cyan/238} {msg}")?.progress_chars("━╸━"));
        let numbers = lines.add(ProgressBar::new(0));
        numbers.set_style(style(" {msg}\n")?);
        let what = format!("{} alerts, {}, seed {}", HumanCount(alerts), plan.shape, plan.seed);
        title.set_message(format!("{what} → {url}"));
        title.tick(); // Drawn once, and again whenever the lines below move.
        let plain = (!std::io::stderr().is_terminal()).then(Plain::default);
        if plain.is_some() {
            write_plain(&format!("sending {what}, to {url}"));
        }
        Ok(Self { alerts, lines, _title: title, bar, numbers, plain, rate: Rate::default() })
    }

    pub(super) fn show(&mut self, look: &Look) {
        let rate = self.rate.of(look.at, look.sent);
        let sent = format!("{:>9} of {}", HumanCount(look.sent).to_string(), HumanCount(self.alerts));
        let rate = format!("{:>8} alerts/s", HumanCount(rate).to_string());
        let numbers = numbers(look);
        match &mut self.plain {
            None => {
                self.bar.set_position(look.sent);
                self.bar.set_message(format!("{sent} {rate}"));
                self.numbers.set_message(numbers);
            }
            Some(plain) => {
                let part = look.sent * PLAIN_LINES / self.alerts.max(1);
                if part > plain.written && part < PLAIN_LINES {
                    plain.written = part;
                    write_plain(&format!("{} {}; {numbers}", sent.trim_start(), rate.trim_start()));
                }
            }
        }
    }

    /// One word about what happens now.
    pub(super) fn say(&self, what: &str) {
        match self.plain {
            None => {
                self.bar.set_position(self.alerts);
                self.numbers.set_message(what.to_owned());
            }
            Some(_) => write_plain(what),
        }
    }
}

impl Drop for Live {
    /// Makes room for the report, or for the reason why there is none.
    fn drop(&mut self) {
        // A terminal that cannot be cleared shows the last look above the report.
        let _ = self.lines.clear();
    }
}

impl Rate {
    fn of(&mut self, at: Duration, sent: u64) -> u64 {
        self.0.push_back((at, sent));
        while self.0.len() > 2 && self.0.front().is_some_and(|(then, _)| at.saturating_sub(*then) > RATE_OVER) {
            self.0.pop_front();
        }
        let (since, before) = self.0.front().filter(|_| self.0.len() > 1).copied().unwrap_or_default();
        let seconds = at.saturating_sub(since).as_secs_f64();
        if seconds > 0.0 { (sent.saturating_sub(before) as f64 / seconds) as u64 } else { 0 }
    }
}

fn numbers(look: &Look) -> String {
    let Look { fates, latency, .. } = look;
    let folded = 100.0 * fates.of(Outcome::Folded) as f64 / fates.counts.received.max(1) as f64;
    format!(
        "folded {folded:.1} %   incidents {}   durable in {} (p50), {} (p99)",
        HumanCount(fates.of(Outcome::Opened)),
        short(latency.p50),
        short(latency.p99),
    )
}

/// `3.1 ms`, `250 ms`, `1.2 s`: two figures are enough to look at.
pub(super) fn short(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    match ms {
        ..9.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1_000.0),
    }
}

fn style(template: &str) -> Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("read the display's template")
}

fn write_plain(line: &str) {
    // Standard error that cannot be written leaves nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "{line}");
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
    fn times_are_short() {
        for (us, text) in
            [(0, "0.0 ms"), (3_140, "3.1 ms"), (9_970, "10 ms"), (249_600, "250 ms"), (1_230_000, "1.2 s")]
        {
            assert_eq!(short(Duration::from_micros(us)), text);
        }
    }
}
