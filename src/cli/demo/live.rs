//! The flood while it runs: two moving lines on a terminal, a few plain ones elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::demo::scene::Plan;
use crate::cli::storm::{Fates, Quantiles, Rate, short};
use crate::pipeline::outcome::Outcome;

/// Without a terminal a line is written at each of so many parts of the flood.
const PLAIN_LINES: u64 = 4;

/// How things stand now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Since the first alert.
    pub(super) at: Duration,
    pub(super) sent: u64,
    pub(super) fates: Fates,
    pub(super) latency: Quantiles,
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

fn numbers(look: &Look) -> String {
    let Look { fates, latency, .. } = look;
    let folded = 100.0 * fates.of(Outcome::Folded) as f64 / fates.counts.received.max(1) as f64;
    format!(
        "folded {folded:.1} %   incidents {}   durable in {} (p50), {} (p99)",
        HumanCount(fates.of(Outcome::Opened)),
        short(latency.p50_ms),
        short(latency.p99_ms),
    )
}

fn style(template: &str) -> Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("read the display's template")
}

fn write_plain(line: &str) {
    // Standard error that cannot be written leaves nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}
