//! What a daemon's `/metrics` says, as far as a storm asks: fates, lag, epochs, and what it costs.

use crate::cli::storm::watch::fates::Fates;
use crate::metrics::Metric;

/// One look at the metrics. Counters are since the daemon's start, or its first one; see [`Reading::since`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    /// What became of the alerts.
    pub(crate) fates: Fates,
    /// Records in Kafka that are not read yet, over all partitions.
    pub(crate) lag_records: u64,
    /// Age of the oldest partition's last record read.
    pub(crate) lag_seconds: f64,
    /// Commits by how long they took.
    pub(crate) commits: Spread,
    /// Time that the process spent on processors; absent where it does not say so.
    pub(crate) cpu_seconds: Option<f64>,
    /// Its memory in RAM.
    pub(crate) rss_bytes: Option<u64>,
}

/// A histogram of Prometheus: how many were at most how long, ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Spread {
    buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: f64,
}

impl Reading {
    /// Reads Prometheus' text format; what it does not know it passes over.
    pub(crate) fn read(text: &str) -> Self {
        let mut reading = Self { fates: Fates::read(text), ..Self::default() };
        let name_of = |metric: Metric| metric.definition().name;
        let (commits, records, seconds) =
            (name_of(Metric::CommitSeconds), name_of(Metric::ConsumerLagRecords), name_of(Metric::ConsumerLagSeconds));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            match name {
                "process_cpu_seconds_total" => reading.cpu_seconds = Some(value),
                "process_resident_memory_bytes" => reading.rss_bytes = Some(value as u64),
                _ if name == records => reading.lag_records += value as u64,
                _ if name == seconds => reading.lag_seconds = reading.lag_seconds.max(value),
                _ => match name.strip_prefix(commits) {
                    Some("_bucket") => reading.commits.bucket(labels, value as u64),
                    Some("_count") => reading.commits.count = value as u64,
                    Some("_sum") => reading.commits.sum = value,
                    _ => {}
                },
            }
        }
        reading
    }

    /// What happened since an earlier look. Levels (lag, memory, held) are those of now; counters of a daemon that was
    /// started anew meanwhile are those since its start.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let grown = |now: f64, then: f64| if now >= then { now - then } else { now };
        Self {
            fates: self.fates.since(&before.fates),
            commits: self.commits.since(&before.commits),
            cpu_seconds: self.cpu_seconds.zip(before.cpu_seconds).map(|(now, then)| grown(now, then)),
            ..self.clone()
        }
    }
}

impl Spread {
    fn bucket(&mut self, labels: &str, count: u64) {
        let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
        let bound = bound.map(|bound| bound.parse().unwrap_or(f64::INFINITY));
        self.buckets.extend(bound.map(|bound| (bound, count)));
    }

    fn since(&self, before: &Self) -> Self {
        if self.count < before.count {
            return self.clone();
        }
        let then = |bound: f64| before.buckets.iter().find(|(known, _)| *known == bound).map_or(0, |(_, count)| *count);
        Self {
            buckets: self.buckets.iter().map(|(bound, count)| (*bound, count.saturating_sub(then(*bound)))).collect(),
            count: self.count - before.count,
            sum: self.sum - before.sum,
        }
    }

    /// The mean, if there is one.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The bound of the bucket in which this share of them ends: they took at most that long. Absent if there are none, or
    /// the bucket has no bound.
    pub(crate) fn at_most(&self, share: f64) -> Option<f64> {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let bound = self.buckets.iter().find(|(_, count)| *count >= wanted && *count > 0)?.0;
        bound.is_finite().then_some(bound)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn reads_what_the_daemon_shows_and_what_happened_since() {
        let metrics = Metrics::new();
        let work = |commits: &[f64]| {
            metrics.add(Metric::AlertsReceived, &["http"], 10);
            metrics.add(Metric::AlertsOutcome, &["http", "folded"], 10);
            commits.iter().for_each(|seconds| metrics.observe(Metric::CommitSeconds, &[], *seconds));
        };
        metrics.set(Metric::ConsumerLagRecords, &["in", "alerts/0"], 5.0);
        metrics.set(Metric::ConsumerLagRecords, &["in", "alerts/1"], 7.0);
        metrics.set(Metric::ConsumerLagSeconds, &["in", "alerts/0"], 0.5);
        metrics.set(Metric::ConsumerLagSeconds, &["in", "alerts/1"], 0.25);
        work(&[400.0, 700.0]);
        let before = Reading::read(&metrics.render());
        assert_eq!((before.lag_records, before.lag_seconds), (12, 0.5));
        assert_eq!(
            (before.commits.count, before.commits.at_most(0.5), before.commits.at_most(1.0)),
            (2, Some(600.0), None)
        );
        work(&[0.002; 9]);
        work(&[0.2]);
        let since = Reading::read(&metrics.render()).since(&before);
        assert_eq!((since.fates.counts.received, since.commits.count), (20, 10));
        assert_eq!(since.commits.at_most(0.9), Some(0.0025));
        assert_eq!(since.commits.at_most(0.99), Some(0.25));
        assert!((since.commits.mean().unwrap() - 0.0218).abs() < 1e-9, "{since:?}");
        assert_eq!(before.since(&Reading::read(&metrics.render())).commits, before.commits, "started anew");
        assert_eq!((Spread::default().mean(), Spread::default().at_most(0.5)), (None, None));
    }
}
