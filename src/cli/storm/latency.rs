//! How long something took, as a distribution: of the whole run, and of the time since somebody last looked.
//!
//! **Coordinated omission.** A sender that waits for a slow receiver sends less just when the receiver is slow, and a
//! distribution of its requests shows the good times only. Here a latency counts from the time at which an alert was *due*
//! by the schedule, not from when it could be sent; so an alert that waited behind a stall has the stall in its latency.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest time that is told apart from still longer ones, microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;
/// A value is right to a thousandth.
const DIGITS: u8 = 3;

/// A distribution of times.
#[derive(Debug, Clone)]
pub struct Latencies {
    whole: Histogram<u64>,
    recent: Histogram<u64>,
}

/// What a distribution says, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many times were measured.
    pub count: u64,
    /// Half of them were this long at most.
    pub p50_ms: f64,
    /// 90 percent of them.
    pub p90_ms: f64,
    /// 99 percent of them.
    pub p99_ms: f64,
    /// 99.9 percent of them.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        let whole = Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are constant and valid");
        Self { recent: whole.clone(), whole }
    }
}

impl Latencies {
    /// `n` times this long.
    pub fn record(&mut self, time: Duration, n: u64) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_US);
        self.whole.saturating_record_n(us, n);
        self.recent.saturating_record_n(us, n);
    }

    /// Of the whole run so far.
    #[must_use]
    pub fn whole(&self) -> Quantiles {
        quantiles(&self.whole)
    }

    /// Since the last time this was asked.
    pub fn recent(&mut self) -> Quantiles {
        let recent = quantiles(&self.recent);
        self.recent.reset();
        recent
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    if histogram.is_empty() {
        return Quantiles::default();
    }
    let within = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    Quantiles {
        count: histogram.len(),
        p50_ms: within(0.5),
        p90_ms: within(0.9),
        p99_ms: within(0.99),
        p999_ms: within(0.999),
        max_ms: histogram.max() as f64 / 1_000.0,
    }
}

impl Quantiles {
    /// Nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::storm::pace::Schedule;

    /// A receiver in virtual time: one request after the other, each a millisecond, but for one second in which it does
    /// not answer at all. Answers the distribution from due times and that from send times.
    fn stalled(alerts: u64, rate: f64) -> (Quantiles, Quantiles) {
        let schedule = Schedule { rate, origin: Duration::ZERO };
        let (stall, service) = (Duration::from_secs(5)..Duration::from_secs(6), Duration::from_millis(1));
        let (mut from_due, mut from_send) = (Latencies::default(), Latencies::default());
        let mut free_at = Duration::ZERO;
        for number in 0..alerts {
            let due = schedule.due(number).unwrap_or_default();
            let sent = due.max(free_at);
            let begun = if stall.contains(&sent) { stall.end } else { sent };
            free_at = begun + service;
            from_due.record(free_at - due, 1);
            from_send.record(free_at - sent, 1);
        }
        (from_due.whole(), from_send.whole())
    }

    #[test]
    fn a_stall_is_seen_by_every_alert_that_was_due_in_it() {
        // 100/s for 10 s, a stall of one second: 10 percent were due in it, and waited half a second on average.
        let (corrected, naive) = stalled(1_000, 100.0);
        assert!((naive.p99_ms - 1.0).abs() < 0.01, "the closed loop hides it: {naive:?}");
        assert!((corrected.p50_ms - 1.0).abs() < 0.01, "{corrected:?}");
        assert!((800.0..1_002.0).contains(&corrected.p99_ms), "{corrected:?}");
        assert!((corrected.max_ms - 1_001.0).abs() < 1.1, "{corrected:?}");
        let late = (corrected.p90_ms, corrected.p999_ms);
        assert!(late.0 < 200.0 && late.1 > 980.0, "{corrected:?}");
    }

    #[test]
    fn recent_times_are_those_since_the_last_look() {
        let mut latencies = Latencies::default();
        assert!(latencies.recent().is_empty() && latencies.whole().is_empty());
        latencies.record(Duration::from_millis(10), 3);
        assert_eq!(latencies.recent().count, 3);
        latencies.record(Duration::ZERO, 1);
        let recent = latencies.recent();
        assert_eq!((recent.count, recent.max_ms), (1, 0.001));
        assert_eq!((latencies.whole().count, latencies.whole().p50_ms), (4, 10.007));
    }
}
