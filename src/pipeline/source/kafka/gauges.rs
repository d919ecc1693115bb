//! What a Kafka source shows of its partitions: one set of handles for each lane, so that telling needs no look-up.
//!
//! Records and bytes are not counted here: they are published when they are durable, for every kind of source alike.

use crate::metrics::{Gauge, Metric, Metrics};
use crate::model::time::Timestamp;
use crate::pipeline::source::kafka::lane::Lane;

pub(super) struct Gauges {
    metrics: Metrics,
    source: String,
    lanes: Vec<LaneGauges>,
    waiting: Gauge,
}

struct LaneGauges {
    lag_records: Gauge,
    lag_seconds: Gauge,
}

impl Gauges {
    pub(super) fn new(metrics: Metrics, source: &str) -> Self {
        let waiting = metrics.gauge(Metric::PausedPartitions, &[source]);
        metrics.add(Metric::OffsetsLost, &[source], 0); // What first shows with 1 is no increase to Prometheus.
        Self { metrics, source: source.to_owned(), lanes: Vec::new(), waiting }
    }

    /// Another lane, in the order of the lanes.
    pub(super) fn add(&mut self, lane: &Lane) {
        let labels = [self.source.as_str(), &lane.name];
        self.metrics.gauge(Metric::PartitionAssigned, &labels).set(1.0);
        self.lanes.push(LaneGauges {
            lag_records: self.metrics.gauge(Metric::ConsumerLagRecords, &labels),
            lag_seconds: self.metrics.gauge(Metric::ConsumerLagSeconds, &labels),
        });
    }

    /// The set of partitions has changed.
    pub(super) fn reassigned(&self) {
        self.metrics.add(Metric::Rebalances, &[&self.source], 1);
    }

    /// Records to go on from are gone.
    pub(super) fn lost_offset(&self) {
        self.metrics.add(Metric::OffsetsLost, &[&self.source], 1);
    }

    /// Where a lane stands; `end` is its high watermark as far as it is known.
    pub(super) fn stands(&self, index: usize, lane: &Lane, end: Option<u64>, now: Timestamp) {
        let Some(gauges) = self.lanes.get(index) else { return };
        if let Some(end) = end {
            gauges.lag_records.set(end.saturating_sub(lane.next) as f64);
        }
        let behind = lane.clock.filter(|_| !lane.idle).map_or(0, |clock| (now - clock).0.max(0));
        gauges.lag_seconds.set(behind as f64 / 1_000.0);
    }

    /// How many lanes wait for the others.
    pub(super) fn waiting(&self, n: usize) {
        self.waiting.set(n as f64);
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.waiting.set(0.0);
    }
}
