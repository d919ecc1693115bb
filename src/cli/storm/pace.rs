//! Keeps a flood at its rate. The arithmetic is pure; the stopwatch is only read.

use std::time::Duration;

use crate::model::time::Stopwatch;

/// Debt that may be caught up at full speed; what is later than this is forgiven, so that a stalled receiver
/// does not get a burst out of all proportion.
const DEBT_MAX: Duration = Duration::from_secs(1);
/// Shorter pauses are not worth a sleep: the next alerts make up for them.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// Says when the next alert is due.
#[derive(Debug)]
pub struct Pacer {
    rate: f64,
    started: Stopwatch,
    schedule: Schedule,
}

impl Pacer {
    /// `rate` alerts per second from now on; 0 is as fast as possible.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { rate, started: Stopwatch::start(), schedule: Schedule::default() }
    }

    /// How long it has been going.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// One more alert is about to go: how long to pause before it, if at all.
    pub fn pause_before_next(&mut self) -> Option<Duration> {
        if self.rate <= 0.0 {
            return None;
        }
        let pause = self.schedule.pause(self.rate, self.started.elapsed());
        (pause >= PAUSE_MIN).then_some(pause)
    }
}

/// What is due when, counted from the start.
#[derive(Debug, Default)]
struct Schedule {
    /// Alerts since `origin`.
    alerts: u64,
    /// Where the count begins; moved on when debt is forgiven.
    origin: Duration,
}

impl Schedule {
    fn pause(&mut self, rate: f64, now: Duration) -> Duration {
        let due = self.origin + Duration::from_secs_f64(self.alerts as f64 / rate);
        self.alerts += 1;
        let debt = now.saturating_sub(due);
        self.origin += debt.saturating_sub(DEBT_MAX);
        due.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn alerts_are_due_at_even_distances() {
        let mut schedule = Schedule::default();
        let pauses: Vec<Duration> = (0..4).map(|_| schedule.pause(10.0, Duration::ZERO)).collect();
        assert_eq!(pauses, [0, 100, 200, 300].map(|ms| ms * MS));
    }

    #[test]
    fn a_late_sender_catches_up_with_one_second_and_no_more() {
        let mut schedule = Schedule::default();
        schedule.pause(10.0, Duration::ZERO);
        // 100 alerts behind: ten of them (one second) may go at once, then the pace is as before.
        let burst = (0..100).take_while(|_| schedule.pause(10.0, 10_000 * MS).is_zero()).count();
        assert_eq!(burst, 11);
        assert_eq!(schedule.pause(10.0, 10_000 * MS), 200 * MS);
    }

    #[test]
    fn no_rate_means_no_pause() {
        let mut pacer = Pacer::new(0.0);
        assert!((0..1_000).all(|_| pacer.pause_before_next().is_none()));
    }
}
