//! What has to be done some times a second beside the flow: gauges, the status board, the bridge's clock, systemd.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::app::bridge::HttpBridge;
use crate::app::doors::Doors;
use crate::app::pressure::PressureKeeper;
use crate::app::systemd::Systemd;
use crate::app::turns::Turns;
use crate::control::pulse::Pulse;
use crate::control::status::StatusBoard;
use crate::metrics::{Metric, Metrics, memory_limit};
use crate::model::time::{Clock as _, Millis, SystemClock, Timestamp};
use crate::pipeline::run::{COMMIT_BEAT, Shared};

/// The recorder's samples are moved into their buckets this often.
const METRICS_EVERY: Millis = Millis::seconds(5);
/// A thread whose number has not grown for this long makes the daemon unready.
const STALLED_AFTER: Millis = Millis::seconds(30);

/// What is remembered between two looks.
pub(super) struct Upkeep {
    metrics: Metrics,
    board: Arc<StatusBoard>,
    doors: Arc<Doors>,
    pulse: Arc<Pulse>,
    source_names: Vec<String>,
    metrics_at: Timestamp,
    beats: Vec<u64>,
    beaten_at: Vec<Timestamp>,
    blocked_ms: u64,
    told: [u64; 4],
    systemd: Systemd,
    turns: Turns,
    keeper: PressureKeeper,
    /// When everything was looked at; memory may be looked at more often.
    looked_at: Timestamp,
}

impl Upkeep {
    /// Time between two looks at everything.
    const EVERY: Millis = Millis(100);

    /// How soon to look again.
    pub(super) fn patience(&self) -> Duration {
        self.keeper.patience()
    }

    pub(super) fn new(
        metrics: Metrics,
        board: Arc<StatusBoard>,
        doors: Arc<Doors>,
        pulse: Arc<Pulse>,
        source_names: Vec<String>,
        keeper: PressureKeeper,
    ) -> Self {
        let never = Timestamp::MIN;
        Self {
            metrics,
            board,
            doors,
            pulse,
            source_names,
            metrics_at: never,
            beats: Vec::new(),
            beaten_at: Vec::new(),
            blocked_ms: 0,
            told: [0; 4],
            systemd: Systemd::new(SystemClock.now()),
            turns: Turns::default(),
            keeper,
            looked_at: never,
        }
    }

    /// One look.
    pub(super) fn look(&mut self, shared: &Shared) {
        let now = SystemClock.now();
        let http_bytes = self.doors.bridge.get().map_or(0, HttpBridge::bytes_in_flight);
        self.keeper.look(shared, http_bytes, now);
        if now - self.looked_at < Self::EVERY {
            return;
        }
        self.looked_at = now;
        if let Some(bridge) = self.doors.bridge.get() {
            bridge.tick();
            let (depth, capacity) = bridge.queue();
            self.metrics.set(Metric::QueueDepth, &["http"], depth as f64);
            self.metrics.set(Metric::QueueCapacity, &["http"], capacity as f64);
        }
        self.metrics.set(Metric::QueueDepth, &["chunks"], shared.queued_chunks.load(Ordering::Relaxed) as f64);
        self.metrics.set(Metric::QueueCapacity, &["chunks"], shared.chunk_capacity as f64);
        self.count(shared);
        self.tell_clocks(shared, now);
        let lively = self.lively(shared, now);
        let (ready, alive) = (lively.iter().all(|moves| *moves), is_alive(&lively, shared.is_committing()));
        self.metrics.set(Metric::Ready, &[], if ready { 1.0 } else { 0.0 });
        self.board.update(|status| {
            status.trouble =
                (!ready).then(|| "the pipeline has not moved for 30 s; is the store reachable?".to_owned());
        });
        self.look_after_the_rest(now, alive);
    }

    /// What there is to look after while another instance is active.
    pub(super) fn stand_by(&mut self) {
        let now = SystemClock.now();
        if now - self.looked_at < Self::EVERY {
            return;
        }
        self.looked_at = now;
        self.metrics.set(Metric::Ready, &[], 0.0);
        self.look_after_the_rest(now, true);
    }

    fn look_after_the_rest(&mut self, now: Timestamp, is_alive: bool) {
        if now - self.metrics_at >= METRICS_EVERY {
            self.metrics_at = now;
            self.metrics.run_upkeep();
            // Looked at again and again: an operator may change it while we run.
            self.metrics.set(Metric::MemoryLimit, &[], memory_limit().unwrap_or(0) as f64);
        }
        self.pulse.beat(now, &self.metrics);
        if is_alive {
            self.systemd.feed(now);
        }
        let status = self.board.read();
        self.turns.look(&status);
        self.systemd.tell(&status, self.pulse.last(1).first(), now);
    }

    fn count(&mut self, shared: &Shared) {
        let blocked = shared.blocked_ms.load(Ordering::Relaxed);
        let more = Duration::from_millis(blocked.saturating_sub(self.blocked_ms));
        self.metrics.add_seconds(Metric::BackpressureSeconds, &["chunks"], more);
        self.blocked_ms = blocked;
        let now = [&shared.aborted, &shared.unknown, &shared.removed_events, &shared.removed_letters]
            .map(|count| count.load(Ordering::Relaxed));
        let metrics: [(Metric, &str); 4] = [
            (Metric::Transactions, "aborted"),
            (Metric::Transactions, "unknown"),
            (Metric::RetentionRemoved, "incident_events"),
            (Metric::RetentionRemoved, "dead_letters"),
        ];
        for ((metric, label), (now, before)) in metrics.into_iter().zip(now.iter().zip(self.told)) {
            self.metrics.add(metric, &[label], now.saturating_sub(before)); // A new pipeline counts from zero.
        }
        self.told = now;
        self.metrics.restore(Metric::TapDropped, &[], shared.tap.dropped());
        self.metrics.restore(Metric::FutureTimestampClamped, &[], shared.clamped.load(Ordering::Relaxed));
    }

    fn tell_clocks(&self, shared: &Shared, now: Timestamp) {
        let clocks = shared.clocks();
        for (name, clock) in self.source_names.iter().zip(&clocks).filter(|(_, clock)| **clock != Timestamp::MIN) {
            let delay = (now - *clock).0.max(0) as f64 / 1_000.0;
            self.metrics.set(Metric::SourceClockDelay, &[name], delay);
        }
        self.board.update(|status| {
            let each = self.source_names.iter().zip(&clocks);
            let known = each.map(|(name, clock)| crate::control::status::SourceStatus {
                name: name.clone(),
                clock: (*clock != Timestamp::MIN).then_some(*clock),
                delay_seconds: if *clock == Timestamp::MIN { 0.0 } else { (now - *clock).0.max(0) as f64 / 1_000.0 },
            });
            status.sources = known.collect();
        });
    }

    /// Which threads have looped of late.
    fn lively(&mut self, shared: &Shared, now: Timestamp) -> Vec<bool> {
        let beats = shared.beats();
        self.beats.resize(beats.len(), u64::MAX);
        self.beaten_at.resize(beats.len(), now);
        for ((known, beat), at) in self.beats.iter_mut().zip(beats).zip(&mut self.beaten_at) {
            if *known != beat {
                *known = beat;
                *at = now;
            }
        }
        self.beaten_at.iter().map(|at| now - *at < STALLED_AFTER).collect()
    }
}

/// Whether there is hope without a restart: every thread moves, or the others wait for a commit that is tried again and
/// again. A store that is away must not end the run: a new process would find it no better.
fn is_alive(lively: &[bool], is_committing: bool) -> bool {
    lively.iter().all(|moves| *moves) || is_committing && lively.get(COMMIT_BEAT).is_some_and(|moves| *moves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_is_waited_for() {
        assert!(is_alive(&[true, true, true], false));
        assert!(is_alive(&[true, true, true], true));
        assert!(is_alive(&[false, true, false], true), "all wait for the commit thread, and it tries");
        assert!(!is_alive(&[false, true, true], false), "nobody to wait for");
        assert!(!is_alive(&[true, false, false], true), "the commit hangs");
    }
}
