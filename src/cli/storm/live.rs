//! The storm while it runs: one moving line on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::cli::storm::delivery::Score;
use crate::cli::storm::figures::{Rate, short};
use crate::cli::storm::latency::Quantiles;

/// The line, on standard error.
pub(super) struct Live {
    bar: ProgressBar,
    rate: Rate,
}

/// How things stand now.
pub(super) struct Look<'a> {
    /// Since the first alert.
    pub(super) at: Duration,
    /// Alerts that the daemon has taken, or those that the receiver has acknowledged.
    pub(super) done: u64,
    /// Alerts that are due and not done.
    pub(super) behind: u64,
    pub(super) score: &'a Score,
    /// Until the acknowledgement, in the whole run.
    pub(super) acknowledged: Quantiles,
    /// Until the durable incident, in the whole run.
    pub(super) incident: Option<Quantiles>,
}

impl Live {
    /// Of so many alerts.
    pub(super) fn open(alerts: u64) -> Self {
        let style = "{bar:24.cyan/238} {human_pos}/{human_len}  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is constant and valid");
        let bar = ProgressBar::new(alerts).with_style(style.progress_chars("━╸━"));
        Self { bar, rate: Rate::default() }
    }

    pub(super) fn show(&mut self, look: &Look<'_>) {
        let message = self.message(look);
        self.bar.set_position(look.done);
        self.bar.set_message(message);
    }

    fn message(&mut self, look: &Look<'_>) -> String {
        let mut message = format!("{}/s", HumanCount(self.rate.of(look.at, look.done)));
        message += &format!("  behind {}", HumanCount(look.behind));
        if !look.acknowledged.is_empty() {
            message += &format!("  ack {}", short(look.acknowledged.p99_ms));
        }
        if let Some(incident) = look.incident.filter(|incident| !incident.is_empty()) {
            message += &format!("  incident {}", short(incident.p99_ms));
        }
        if !look.acknowledged.is_empty() {
            message += " (p99)";
        }
        if look.score.retries > 0 {
            message += &format!("  {} retries", look.score.retries);
        }
        if look.score.failed > 0 {
            message += &format!("  {} failed", look.score.failed);
        }
        message
    }

    /// One word about what is waited for.
    pub(super) fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }
}

impl Drop for Live {
    /// Makes room for the report, or for the reason why there is none.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_rate_lag_and_latency() {
        let mut live = Live::open(1_000);
        let score = Score { sent: 500, retries: 2, failed: 7, ..Score::default() };
        let slow = Quantiles { count: 9, p99_ms: 1_250.0, ..Quantiles::default() };
        let fast = Quantiles { count: 9, p99_ms: 3.12, ..Quantiles::default() };
        let mut look = |at, done, incident| {
            let at = Duration::from_secs(at);
            live.message(&Look { at, done, behind: 40, score: &score, acknowledged: fast, incident })
        };
        look(1, 100, None);
        let line = look(2, 460, Some(slow));
        assert_eq!(line, "360/s  behind 40  ack 3.1 ms  incident 1.2 s (p99)  2 retries  7 failed");
    }
}
