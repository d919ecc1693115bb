//! How a storm went over time: a row of moments, a few hundred however long it lasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Moments are this far apart at first.
const EVERY: Duration = Duration::from_millis(250);
/// More moments than this are thinned to half: more than a picture has points, five minutes without thinning.
const MOMENTS_MAX: usize = 1_200;

/// How things stood at one time. Counts are since the beginning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since the first alert was due.
    pub at_s: f64,
    /// Alerts that were due; without a rate, that were made.
    pub offered: u64,
    /// Alerts that the receiver (HTTP: the daemon; Kafka: the broker) has acknowledged.
    pub acknowledged: u64,
    /// Alerts that the daemon has taken, durably.
    pub taken: Option<u64>,
    /// Alerts that were due and not taken yet (without a daemon to ask: not acknowledged).
    pub behind: u64,
    /// Records in Kafka that the daemon had not read.
    pub lag_records: Option<u64>,
    /// How old those were.
    pub lag_seconds: Option<f64>,
    /// From due to acknowledged, of the answers since the moment before: the median.
    pub acknowledged_p50_ms: Option<f64>,
    /// And within which 99 percent came.
    pub acknowledged_p99_ms: Option<f64>,
    /// From due to the durable incident, of the incidents opened since the moment before: the median.
    pub incident_p50_ms: Option<f64>,
    /// And within which 99 percent came.
    pub incident_p99_ms: Option<f64>,
    /// Epochs that the daemon has committed.
    pub epochs: Option<u64>,
    /// Processor time of the daemon, seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory of the daemon.
    pub rss_bytes: Option<u64>,
}

/// The moments so far.
#[derive(Debug)]
pub(super) struct Course {
    moments: Vec<Moment>,
    every: Duration,
}

impl Default for Course {
    fn default() -> Self {
        Self { moments: Vec::new(), every: EVERY }
    }
}

impl Course {
    /// Whether it is time for another moment.
    pub(super) fn is_due(&self, since_start: Duration) -> bool {
        self.moments.last().is_none_or(|last| since_start.as_secs_f64() >= last.at_s + self.every.as_secs_f64())
    }

    pub(super) fn add(&mut self, moment: Moment) {
        self.moments.push(moment);
        if self.moments.len() > MOMENTS_MAX {
            self.moments = self.moments.chunks(2).map(joined).collect();
            self.every *= 2;
        }
    }

    pub(super) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    pub(super) fn into_moments(self) -> Vec<Moment> {
        self.moments
    }
}

/// Two moments as one: counts are those of the later, latencies and lag the worse, so that no peak is lost.
fn joined(moments: &[Moment]) -> Moment {
    let worse = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
    let joined = moments.iter().cloned().reduce(|earlier, later| Moment {
        behind: earlier.behind.max(later.behind),
        lag_records: earlier.lag_records.max(later.lag_records),
        lag_seconds: worse(earlier.lag_seconds, later.lag_seconds),
        acknowledged_p50_ms: worse(earlier.acknowledged_p50_ms, later.acknowledged_p50_ms),
        acknowledged_p99_ms: worse(earlier.acknowledged_p99_ms, later.acknowledged_p99_ms),
        incident_p50_ms: worse(earlier.incident_p50_ms, later.incident_p50_ms),
        incident_p99_ms: worse(earlier.incident_p99_ms, later.incident_p99_ms),
        taken: later.taken.or(earlier.taken),
        epochs: later.epochs.or(earlier.epochs),
        cpu_seconds: later.cpu_seconds.or(earlier.cpu_seconds),
        rss_bytes: earlier.rss_bytes.max(later.rss_bytes),
        ..later
    });
    joined.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_storm_has_fewer_moments_and_keeps_its_peaks() {
        let mut course = Course::default();
        assert!(course.is_due(Duration::ZERO));
        for number in 0..=MOMENTS_MAX as u64 {
            let peak = (number == 700).then_some(9_000.0);
            course.add(Moment {
                at_s: number as f64 / 4.0,
                offered: number * 10,
                taken: Some(number * 9),
                behind: number,
                acknowledged_p99_ms: peak.or(Some(1.0)),
                ..Moment::default()
            });
        }
        let moments = course.moments();
        assert_eq!(moments.len(), MOMENTS_MAX / 2 + 1);
        assert_eq!((moments[0].offered, moments[0].taken, moments[1].at_s), (10, Some(9), 0.75));
        assert_eq!(moments.iter().filter_map(|moment| moment.acknowledged_p99_ms).fold(0.0, f64::max), 9_000.0);
        let last = moments.last().map(|moment| moment.at_s).unwrap_or_default();
        assert!(!course.is_due(Duration::from_secs_f64(last + 0.4)));
        assert!(course.is_due(Duration::from_secs_f64(last + 0.5)));
    }
}
