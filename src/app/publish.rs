//! What happens when an epoch is durable: readers see its incidents, metrics its numbers. On the commit thread.

use std::sync::Arc;

use crate::app::announce::Announcer;
use crate::control::busiest::Busiest;
use crate::control::feed::Feed;
use crate::control::index::IncidentIndex;
use crate::metrics::{Metric, Metrics};
use crate::model::incident::IncidentEvent;
use crate::pipeline::decode::Reject;
use crate::pipeline::epoch::{Attached, Summary, counter};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::run::OnCommit;
use crate::pipeline::sink::Epoch;
use crate::pipeline::snapshot::Keeper;

/// Who reads what has become durable.
#[derive(Clone)]
pub(super) struct Readers {
    pub(super) index: Arc<IncidentIndex>,
    pub(super) busiest: Arc<Busiest>,
    pub(super) feed: Arc<Feed>,
    /// Keeps the local snapshot, if there is one.
    pub(super) keeper: Option<Keeper>,
}

/// Makes the hook that the pipeline calls for every durable epoch.
pub(super) fn publisher(metrics: Metrics, readers: Readers, source_names: Vec<String>) -> OnCommit {
    let Readers { index, busiest, feed, keeper } = readers;
    let mut announcer = Announcer::default();
    Box::new(move |epoch: &Epoch, attached: &Attached| {
        let events: Vec<Arc<IncidentEvent>> = epoch.incidents.iter().map(|record| record.event.clone()).collect();
        index.apply(&events);
        busiest.take(epoch.committed_at, &attached.busiest);
        announcer.incidents(events.iter().map(|event| &**event), epoch.committed_at);
        announcer.dead_letters(&epoch.dead_letters, epoch.committed_at);
        // Everything of the epoch at once: the conservation law holds at every scrape.
        metrics.publish(|metrics| {
            totals(metrics, &attached.summary, &source_names);
            consumed(metrics, attached, &source_names);
            results(metrics, epoch, attached);
        });
        // After that: whoever is woken finds everything above.
        feed.publish(epoch.number, &epoch.incidents);
        if let Some(keeper) = &keeper {
            keeper.take(epoch, attached.place);
        }
    })
}

/// Totals since the first start; restored ones are shown before the first epoch.
pub(super) fn totals(metrics: &Metrics, summary: &Summary, source_names: &[String]) {
    for (name, totals) in source_names.iter().zip(&summary.totals) {
        let name = name.as_str();
        metrics.restore(Metric::AlertsReceived, &[name], totals.counts.received);
        for (outcome, count) in Outcome::ALL.iter().zip(totals.counts.outcomes) {
            metrics.restore(Metric::AlertsOutcome, &[name, outcome.name()], count);
        }
        metrics.set(Metric::AlertsHeld, &[name], totals.counts.held as f64);
        for (reason, count) in Reject::ALL.iter().zip(totals.rejects).filter(|(_, count)| *count > 0) {
            metrics.restore(Metric::Rejected, &[name, reason.name()], count);
        }
    }
    let count = |name| summary.counters.get(name).copied().unwrap_or(0);
    metrics.restore(Metric::LateRecords, &[], count(counter::LATE));
    metrics.restore(Metric::ExpiredMembers, &[], count(counter::EXPIRED));
    metrics.restore(Metric::UnusableTimes, &[], count(counter::UNUSABLE_TIMES));
    metrics.restore(Metric::ParseFallback, &[], count(counter::FALLBACKS));
    metrics.restore(Metric::OverflowedAlerts, &[], count(counter::OVERFLOWED));
    metrics.restore(Metric::SamplesShed, &[], count(counter::SAMPLES_SHED));
    metrics.restore(Metric::EvictedGroups, &[], count(counter::EVICTED));
    metrics.set(Metric::OpenWindows, &[], summary.tally.open_windows as f64);
    metrics.set(Metric::OpenIncidents, &[], summary.tally.open_incidents as f64);
    metrics.set(Metric::LiveFingerprints, &[], summary.tally.fingerprints as f64);
    metrics.set(Metric::StateBytes, &[], summary.state_bytes as f64);
    metrics.set(Metric::StateLogBytes, &[], summary.state_log_bytes as f64);
    if let Some(at) = summary.swept_at {
        metrics.set(Metric::StateSweepTimestamp, &[], at.0 as f64 / 1_000.0);
    }
}

/// Counters by source and reason begin with 0: what first shows with a value is no increase to Prometheus.
pub(super) fn begin_with_zero<'a>(metrics: &Metrics, source_names: impl Iterator<Item = &'a str>) {
    for name in source_names {
        for reason in Reject::ALL {
            metrics.add(Metric::DeadLetters, &[name, reason.name()], 0);
        }
    }
}

fn consumed(metrics: &Metrics, attached: &Attached, source_names: &[String]) {
    for (source, consumed) in &attached.consumed {
        let Some(name) = source_names.get(usize::from(source.0)) else { continue };
        let labels = [name.as_str(), &consumed.partition];
        metrics.add(Metric::RecordsConsumed, &labels, consumed.records);
        metrics.add(Metric::ConsumedBytes, &labels, consumed.bytes);
    }
}

fn results(metrics: &Metrics, epoch: &Epoch, attached: &Attached) {
    for record in &epoch.incidents {
        metrics.add(Metric::IncidentEvents, &[record.event.event.name()], 1);
        if !record.event.catching_up {
            let latency = epoch.committed_at - record.event.record_time;
            metrics.observe(Metric::AlertToIncident, &[], (latency.0.max(0) as f64) / 1_000.0);
        }
    }
    for letter in &epoch.dead_letters {
        metrics.add(Metric::DeadLetters, &[&letter.source, letter.reason.name()], 1);
    }
    metrics.observe(Metric::CommitSeconds, &[], attached.commit_time.as_secs_f64());
    metrics.observe(Metric::EpochRecords, &[], attached.summary.n_records as f64);
    metrics.add(Metric::Transactions, &["committed"], 1);
}
