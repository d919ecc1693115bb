//! When each alert is due: an open loop. The schedule never waits for the receiver and forgives no delay, so what is
//! sent late was late, and its latency says so. The arithmetic is pure; the stopwatch is only read.

use std::time::Duration;

use crate::model::time::Stopwatch;

/// Shorter pauses are not worth a sleep: the alerts of this time go together, each late by this at most.
const PAUSE_MIN: Duration = Duration::from_micros(250);
/// Longer pauses are slept in pieces, so that what waits for company is passed on in time and the end is noticed.
const PAUSE_MAX: Duration = Duration::from_millis(1);

/// Says when the next alert is due.
#[derive(Debug)]
pub struct Pacer {
    clock: Stopwatch,
    schedule: Schedule,
    alerts: u64,
}

/// What is due when: alert `n` at `origin + n / rate`, whatever happened before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Alerts per second; 0 is as fast as possible, and nothing is due at any time.
    pub rate: f64,
    /// When the first one is due.
    pub origin: Duration,
}

impl Pacer {
    /// `rate` alerts per second from now on, by this clock; 0 is as fast as possible.
    #[must_use]
    pub fn new(rate: f64, clock: Stopwatch) -> Self {
        Self { clock, schedule: Schedule { rate, origin: clock.elapsed() }, alerts: 0 }
    }

    /// When what is due.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// How long it has been going.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.schedule.origin)
    }

    /// What its clock shows.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// One more alert is to go: when it is due.
    pub fn next_due(&mut self) -> Option<Duration> {
        self.alerts += 1;
        self.schedule.due(self.alerts - 1)
    }
}

impl Schedule {
    /// When the alert with this number is due, from 0; `None` where there is no rate.
    #[must_use]
    pub fn due(&self, number: u64) -> Option<Duration> {
        (self.rate > 0.0).then(|| self.origin + Duration::from_secs_f64(number as f64 / self.rate))
    }

    /// How many alerts are due by then, of `alerts` in all; `None` where there is no rate.
    #[must_use]
    pub fn due_by(&self, now: Duration, alerts: u64) -> Option<u64> {
        let since = now.checked_sub(self.origin).unwrap_or_default();
        (self.rate > 0.0).then(|| ((since.as_secs_f64() * self.rate) as u64 + 1).min(alerts))
    }
}

/// How long to sleep before something that is due then; none if it is time.
pub(super) fn nap(due: Duration, now: Duration) -> Option<Duration> {
    let pause = due.checked_sub(now).filter(|pause| !pause.is_zero())?;
    Some(pause.clamp(PAUSE_MIN, PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn alerts_are_due_at_even_distances_however_late_it_is() {
        let schedule = Schedule { rate: 10.0, origin: 5 * MS };
        let dues: Vec<Option<Duration>> = [0, 1, 2, 1_000].map(|number| schedule.due(number)).to_vec();
        assert_eq!(dues, [5, 105, 205, 100_005].map(|ms| Some(ms * MS)));
        for (ms, due) in [(0, 1), (5, 1), (104, 1), (106, 2), (50_006, 20)] {
            assert_eq!(schedule.due_by(ms * MS, 20), Some(due), "{ms}");
        }
        let free = Schedule { rate: 0.0, ..schedule };
        assert_eq!((free.due(7), free.due_by(MS, 20)), (None, None));
    }

    #[test]
    fn nobody_sleeps_over_a_due_alert_and_nobody_sleeps_long() {
        for (due_us, now_us, nap_us) in [
            (100, 100, None),
            (100, 5_000, None),
            (101, 100, Some(250)),
            (1_000, 400, Some(600)),
            (99_000, 0, Some(1_000)),
        ] {
            let found = nap(Duration::from_micros(due_us), Duration::from_micros(now_us));
            assert_eq!(found, nap_us.map(Duration::from_micros), "{due_us} {now_us}");
        }
    }
}
