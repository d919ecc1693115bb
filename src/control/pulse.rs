//! The last minutes of the daemon in numbers, a sample a second: what `top` and the page draw.
//!
//! A sample is read from the same text that Prometheus scrapes, so that the two never disagree, and everything of an epoch
//! is in it or nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::metrics::{Metric, Metrics};
use crate::model::Timestamp;
use crate::model::time::Millis;

/// Time between two samples.
pub const EVERY: Millis = Millis::seconds(1);
/// Samples kept: 15 minutes, some hundred kilobytes.
pub const SAMPLES_MAX: usize = 900;

/// The numbers of one moment. Totals count from the first start of the state or the start of the process; the difference of
/// two samples is what happened in between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// When it was taken.
    pub at: Timestamp,
    /// Alerts received, total.
    pub received: f64,
    /// Alerts by outcome, totals.
    pub outcomes: BTreeMap<String, f64>,
    /// Alerts held back below a threshold, now.
    pub held: f64,
    /// Records consumed, total.
    pub records: f64,
    /// Bytes consumed, total.
    pub bytes: f64,
    /// Incident events by kind, totals.
    pub events: BTreeMap<String, f64>,
    /// Dead letters, total.
    pub dead_letters: f64,
    /// Windows that take new members, now.
    pub open_windows: f64,
    /// Unresolved incidents, now.
    pub open_incidents: f64,
    /// Fingerprints in memory, now.
    pub fingerprints: f64,
    /// Memory of the state, bytes.
    pub state_bytes: f64,
    /// Memory of the process, bytes.
    pub resident_bytes: f64,
    /// Processor time of the process, seconds, total.
    pub cpu_seconds: f64,
    /// Records not read yet, over all partitions.
    pub lag_records: f64,
    /// The oldest unread partition's delay, seconds.
    pub lag_seconds: f64,
    /// The slowest source clock's delay behind the wall clock, seconds.
    pub clock_delay_seconds: f64,
    /// Epochs made durable, total.
    pub epochs: f64,
    /// Attempts at an epoch that failed or whose outcome was unknown, total.
    pub epochs_troubled: f64,
    /// Time that commits took, seconds, total.
    pub commit_seconds: f64,
    /// Entries waiting in the queues.
    pub queued: f64,
    /// Time that writers waited for a full queue, seconds, total.
    pub blocked_seconds: f64,
    /// HTTP requests refused for lack of room, total.
    pub refused: f64,
}

impl Sample {
    /// Reads the numbers out of what a scrape would see.
    #[must_use]
    pub fn read(at: Timestamp, metrics: &Metrics) -> Self {
        let text = metrics.render();
        let families = Families::read(&text);
        let name = |metric: Metric| metric.definition().name;
        let sum = |metric: Metric| families.each(name(metric)).map(|(_, value)| value).fold(0.0, std::ops::Add::add);
        let most = |metric: Metric| families.each(name(metric)).map(|(_, value)| value).fold(0.0, f64::max);
        let by = |metric: Metric, label: &str| {
            let mut totals = BTreeMap::new();
            for (labels, value) in families.each(name(metric)) {
                *totals.entry(label_value(labels, label).to_owned()).or_insert(0.0) += value;
            }
            totals
        };
        let commit = name(Metric::CommitSeconds);
        let by_result = by(Metric::Transactions, "result");
        let of = |result: &str| by_result.get(result).copied().unwrap_or(0.0);
        Self {
            at,
            received: sum(Metric::AlertsReceived),
            outcomes: by(Metric::AlertsOutcome, "outcome"),
            held: sum(Metric::AlertsHeld),
            records: sum(Metric::RecordsConsumed),
            bytes: sum(Metric::ConsumedBytes),
            events: by(Metric::IncidentEvents, "event"),
            dead_letters: sum(Metric::DeadLetters),
            open_windows: sum(Metric::OpenWindows),
            open_incidents: sum(Metric::OpenIncidents),
            fingerprints: sum(Metric::LiveFingerprints),
            state_bytes: sum(Metric::StateBytes),
            resident_bytes: families.total("process_resident_memory_bytes"),
            cpu_seconds: families.total("process_cpu_seconds_total"),
            lag_records: sum(Metric::ConsumerLagRecords),
            lag_seconds: most(Metric::ConsumerLagSeconds),
            clock_delay_seconds: most(Metric::SourceClockDelay),
            epochs: of("committed"),
            epochs_troubled: of("aborted") + of("unknown"),
            commit_seconds: families.total(&format!("{commit}_sum")),
            queued: sum(Metric::QueueDepth),
            blocked_seconds: sum(Metric::BackpressureSeconds),
            refused: sum(Metric::HttpRefused),
        }
    }
}

/// The samples of Prometheus' text format, by name.
struct Families<'t>(BTreeMap<&'t str, Vec<(&'t str, f64)>>);

impl<'t> Families<'t> {
    /// Our own text: label values hold no braces but inside quotes, and a value follows the last space.
    fn read(text: &'t str) -> Self {
        let mut families = BTreeMap::<_, Vec<_>>::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            families.entry(name).or_default().push((labels, value));
        }
        Self(families)
    }

    fn each(&self, name: &str) -> impl Iterator<Item = (&'t str, f64)> {
        self.0.get(name).into_iter().flatten().copied()
    }

    fn total(&self, name: &str) -> f64 {
        self.each(name).map(|(_, value)| value).fold(0.0, std::ops::Add::add)
    }
}

/// The value of a label whose values are words of a closed list, so that nothing in them is escaped.
fn label_value<'t>(labels: &'t str, name: &str) -> &'t str {
    let starts = labels.match_indices(name).map(|(at, _)| at);
    let mut values = starts.filter_map(|at| {
        let is_start = at == 0 || labels.get(..at).is_some_and(|before| before.ends_with(','));
        let rest = labels.get(at + name.len()..)?.strip_prefix("=\"")?;
        if is_start { rest.split('"').next() } else { None }
    });
    values.next().unwrap_or_default()
}

/// The samples of the last minutes.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<VecDeque<Sample>>);

impl Pulse {
    /// Adds a sample if the last one is old enough. To be called some times a second by one thread.
    pub fn beat(&self, now: Timestamp, metrics: &Metrics) {
        let is_due = self.lock().back().is_none_or(|last| now - last.at >= EVERY || now < last.at);
        if !is_due {
            return;
        }
        self.add(Sample::read(now, metrics));
    }

    /// Adds a sample; the oldest goes when there are too many.
    pub(crate) fn add(&self, sample: Sample) {
        let mut samples = self.lock();
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// The newest samples, at most that many, oldest first.
    #[must_use]
    pub fn last(&self, limit: usize) -> Vec<Sample> {
        let samples = self.lock();
        samples.iter().skip(samples.len().saturating_sub(limit)).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_says_what_a_scrape_says() {
        let metrics = Metrics::new();
        for (source, n) in [("http", 5), ("kafka,outcome=\\\"x", 7)] {
            metrics.add(Metric::AlertsReceived, &[source], n);
            metrics.add(Metric::AlertsOutcome, &[source, "folded"], n);
        }
        metrics.add(Metric::Transactions, &["committed"], 3);
        metrics.observe(Metric::CommitSeconds, &[], 0.25);
        metrics.observe(Metric::CommitSeconds, &[], 0.5);
        metrics.set(Metric::ConsumerLagSeconds, &["a", "t/0"], 4.0);
        metrics.set(Metric::ConsumerLagSeconds, &["a", "t/1"], 9.0);
        metrics.run_upkeep();
        let sample = Sample::read(Timestamp(1), &metrics);
        assert_eq!((sample.received, sample.outcomes.get("folded")), (12.0, Some(&12.0)));
        assert_eq!((sample.epochs, sample.commit_seconds, sample.lag_seconds), (3.0, 0.75, 9.0));
        assert_eq!(sample.events.get("opened"), Some(&0.0));
    }

    #[test]
    fn a_beat_a_second_and_no_more_than_are_kept() {
        let (pulse, metrics) = (Pulse::default(), Metrics::new());
        for at in [0, 100, 999, 1_000, 1_500, 2_000] {
            pulse.beat(Timestamp(at), &metrics);
        }
        let times = |samples: Vec<Sample>| samples.iter().map(|sample| sample.at.0).collect::<Vec<_>>();
        assert_eq!(times(pulse.last(10)), [0, 1_000, 2_000]);
        assert_eq!(times(pulse.last(2)), [1_000, 2_000]);
        for second in 3..SAMPLES_MAX as i64 + 10 {
            pulse.beat(Timestamp(second * 1_000), &metrics);
        }
        assert_eq!(pulse.last(usize::MAX).len(), SAMPLES_MAX);
    }
}
