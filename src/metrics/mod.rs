//! What the program says of itself in numbers. `catalogue` has every metric; this file keeps and shows the values.
//!
//! Hot threads count in plain integers and add up per batch. What belongs together (received, outcomes and held of one
//! epoch) is added inside `publish`; a scrape waits for it, so it never sees half of an epoch. No recorder is installed
//! for the whole process: each `Metrics` is on its own, which is what tests with several daemons need.

pub mod catalogue;
pub mod cgroup;
pub mod heap;
mod memory;
pub mod process;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

pub use ::metrics::{Counter, Gauge, Histogram};
use ::metrics::{Key, KeyName, Label, Level, Metadata, Recorder as _};

pub use crate::metrics::catalogue::{ALL, Definition, Kind, Metric};
pub use crate::metrics::memory::{memory_bound, memory_limit};

const METADATA: Metadata<'static> = Metadata::new("tidegate", Level::INFO, None);

/// The values of all metrics of one daemon; cloning shares them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    /// Counters in fractions of seconds, which the recorder (whole numbers) cannot hold.
    seconds: Mutex<BTreeMap<(Metric, Vec<String>), f64>>,
    /// Publishers share it, a scrape has it alone.
    gate: RwLock<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Describes every metric; those whose labels are known from the start are shown with 0 at once.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in ALL {
            if let Definition { name, kind: Kind::Histogram(bounds), .. } = metric.definition() {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
                    .expect("the catalogue has no empty list of bounds");
            }
        }
        let metrics = Self(Arc::new(Inner {
            recorder: builder.build_recorder(),
            seconds: Mutex::default(),
            gate: RwLock::new(()),
        }));
        ALL.iter().for_each(|metric| metrics.describe(*metric));
        metrics.gauge(Metric::BuildInfo, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        metrics
    }

    /// The handle of a counter, for those who add often.
    pub fn counter(&self, metric: Metric, labels: &[&str]) -> Counter {
        debug_assert_eq!(metric.definition().kind, Kind::Counter, "{metric:?}");
        self.0.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    /// The handle of a gauge.
    pub fn gauge(&self, metric: Metric, labels: &[&str]) -> Gauge {
        debug_assert_eq!(metric.definition().kind, Kind::Gauge, "{metric:?}");
        self.0.recorder.register_gauge(&key(metric, labels), &METADATA)
    }

    /// The handle of a histogram.
    pub fn histogram(&self, metric: Metric, labels: &[&str]) -> Histogram {
        debug_assert!(matches!(metric.definition().kind, Kind::Histogram(_)), "{metric:?}");
        self.0.recorder.register_histogram(&key(metric, labels), &METADATA)
    }

    /// Adds to a counter; label values in the order of the catalogue.
    pub fn add(&self, metric: Metric, labels: &[&str], n: u64) {
        self.counter(metric, labels).increment(n);
    }

    /// Adds time to a counter of seconds.
    pub fn add_seconds(&self, metric: Metric, labels: &[&str], time: Duration) {
        debug_assert_eq!(metric.definition().kind, Kind::SecondsCounter, "{metric:?}");
        check_labels(metric, labels);
        let labels = labels.iter().map(|value| (*value).to_owned()).collect();
        let mut seconds = self.0.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        *seconds.entry((metric, labels)).or_default() += time.as_secs_f64();
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, labels: &[&str], value: f64) {
        self.gauge(metric, labels).set(value);
    }

    /// Adds one observation to a histogram.
    pub fn observe(&self, metric: Metric, labels: &[&str], value: f64) {
        self.histogram(metric, labels).record(value);
    }

    /// Sets a counter to the total that the restored state holds; never lowers it.
    pub fn restore(&self, metric: Metric, labels: &[&str], total: u64) {
        self.counter(metric, labels).absolute(total);
    }

    /// Makes what `update` adds visible together: no scrape falls in between. Not to be nested, and short.
    pub fn publish<R>(&self, update: impl FnOnce(&Self) -> R) -> R {
        let _shared = self.0.gate.read().unwrap_or_else(PoisonError::into_inner);
        update(self)
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let _alone = self.0.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut out = self.0.recorder.handle().render();
        let seconds = self.0.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        for metric in ALL.iter().filter(|metric| metric.definition().kind == Kind::SecondsCounter) {
            let Definition { name, labels, help, .. } = metric.definition();
            let samples: Vec<(Vec<(&str, &str)>, f64)> = seconds
                .iter()
                .filter(|((of, _), _)| of == metric)
                .map(|((_, values), total)| {
                    (labels.iter().map(|label| label.name).zip(values.iter().map(String::as_str)).collect(), *total)
                })
                .collect();
            if !samples.is_empty() {
                text::family(&mut out, name, "counter", help, &samples);
            }
        }
        process::render(&mut out);
        out
    }

    /// Moves the samples of histograms into their buckets. To be called every 5 s or so: otherwise they pile up until
    /// somebody scrapes.
    pub fn run_upkeep(&self) {
        self.0.recorder.handle().run_upkeep();
    }

    fn describe(&self, metric: Metric) {
        let Definition { name, kind, labels, help } = metric.definition();
        let (name, help) = (KeyName::from_const_str(name), help.into());
        match kind {
            Kind::Counter => self.0.recorder.describe_counter(name, None, help),
            Kind::Gauge => self.0.recorder.describe_gauge(name, None, help),
            Kind::Histogram(_) => self.0.recorder.describe_histogram(name, None, help),
            Kind::SecondsCounter => {}
        }
        let known: Vec<Vec<&str>> = match labels {
            [] => vec![Vec::new()],
            [label] => label.values.iter().map(|value| vec![*value]).collect(),
            _ => Vec::new(),
        };
        for values in known {
            match kind {
                Kind::Counter => drop(self.counter(metric, &values)),
                Kind::Gauge => drop(self.gauge(metric, &values)),
                Kind::Histogram(_) => drop(self.histogram(metric, &values)),
                Kind::SecondsCounter => self.add_seconds(metric, &values, Duration::ZERO),
            }
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Every name that `/metrics` may show, without the suffixes of histograms.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|metric| metric.definition().name).chain(process::names())
}

/// The value of `tidegate_config_hash` for a configuration version: 48 bits, which a float holds exactly.
#[must_use]
pub fn config_hash_value(config_version: u64) -> f64 {
    (config_version >> 16) as f64
}

fn key(metric: Metric, values: &[&str]) -> Key {
    check_labels(metric, values);
    let Definition { name, labels, .. } = metric.definition();
    let labels: Vec<Label> =
        labels.iter().zip(values).map(|(label, value)| Label::new(label.name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

fn check_labels(metric: Metric, values: &[&str]) {
    let labels = metric.definition().labels;
    debug_assert_eq!(labels.len(), values.len(), "{metric:?} has other labels than {values:?}");
    for (label, value) in labels.iter().zip(values) {
        debug_assert!(label.values.is_empty() || label.values.contains(value), "{metric:?}: unknown {value:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_with_its_help() {
        let metrics = Metrics::new();
        metrics.add(Metric::AlertsReceived, &["elsewhere"], 3);
        metrics.restore(Metric::AlertsReceived, &["http"], 41);
        metrics.add(Metric::AlertsReceived, &["http"], 1);
        metrics.set(Metric::AlertsHeld, &["elsewhere"], 2.0);
        metrics.observe(Metric::CommitSeconds, &[], 0.02);
        metrics.add_seconds(Metric::BackpressureSeconds, &["decode"], Duration::from_millis(1500));
        metrics.add_seconds(Metric::BackpressureSeconds, &["decode"], Duration::from_millis(250));
        metrics.run_upkeep();
        let text = metrics.render();
        for line in [
            "# HELP tidegate_alerts_received_total Alerts received; what could not be read counts as one.",
            "# TYPE tidegate_alerts_received_total counter",
            "tidegate_alerts_received_total{source=\"elsewhere\"} 3",
            "tidegate_alerts_received_total{source=\"http\"} 42",
            "tidegate_alerts_held{source=\"elsewhere\"} 2",
            "tidegate_commit_seconds_bucket{le=\"0.01\"} 0",
            "tidegate_commit_seconds_bucket{le=\"0.025\"} 1",
            "tidegate_transactions_total{result=\"fenced\"} 0",
            "tidegate_http_refused_total 0",
            "# TYPE tidegate_backpressure_seconds_total counter",
            "tidegate_backpressure_seconds_total{queue=\"decode\"} 1.75",
            concat!("tidegate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(!Metrics::new().render().contains("elsewhere"), "two daemons in one process share nothing");
    }

    /// The law of outcomes at every scrape: a scrape during a publication would see 1 received and no outcome.
    #[test]
    fn a_scrape_never_sees_half_of_a_publication() {
        const ROUNDS: u64 = 300;
        let metrics = Metrics::new();
        let (received, folded) =
            (metrics.counter(Metric::AlertsReceived, &["a"]), metrics.counter(Metric::AlertsOutcome, &["a", "folded"]));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    metrics.publish(|_| {
                        received.increment(1);
                        std::thread::yield_now();
                        folded.increment(1);
                    });
                }
            });
            loop {
                let text = metrics.render();
                let value = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)?.parse::<u64>().ok());
                let received = value("tidegate_alerts_received_total{source=\"a\"} ");
                assert!(received.is_some());
                assert_eq!(received, value("tidegate_alerts_outcome_total{source=\"a\",outcome=\"folded\"} "));
                if received == Some(ROUNDS) {
                    break;
                }
            }
        });
    }

    #[test]
    fn the_process_is_shown_on_linux() {
        let text = Metrics::new().render();
        if cfg!(target_os = "linux") {
            for name in process::names() {
                assert!(text.contains(&format!("\n{name} ")), "{name} is not in\n{text}");
            }
        }
        assert!(names().any(|name| name == "process_open_fds"));
    }
}
