//! What became of a flood so far: counted from any thread, looked at from any other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cli::storm::latency::{Latencies, Quantiles};
use crate::model::time::Stopwatch;

/// Counts what arrives. The clock of a flood is here too: every time is meant since this was made.
#[derive(Debug, Clone)]
pub struct Delivery {
    counts: Arc<Counts>,
    clock: Stopwatch,
}

/// What became of a flood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Score {
    /// Alerts that were taken.
    pub sent: u64,
    /// Alerts that were refused for good or given up.
    pub failed: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Alerts in requests that were sent again although the first may have been taken.
    pub doubtful: u64,
    /// The first thing that went wrong.
    pub first_error: Option<String>,
}

#[derive(Debug, Default)]
struct Counts {
    made: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    doubtful: AtomicU64,
    gave_up: AtomicBool,
    first_error: Mutex<Option<String>>,
    /// From due, or from the first attempt where nothing is due, to the receiver's answer.
    answers: Mutex<Latencies>,
    /// From due to when the alert left the generator.
    late: Mutex<Latencies>,
}

impl Score {
    /// Everything arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.first_error.is_none()
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self { counts: Arc::default(), clock: Stopwatch::start() }
    }
}

impl Delivery {
    /// The clock of this flood.
    #[must_use]
    pub fn clock(&self) -> Stopwatch {
        self.clock
    }

    /// This many alerts have left the generator so far.
    pub fn made(&self, alerts: u64) {
        self.counts.made.store(alerts, Ordering::Relaxed);
    }

    /// How many alerts have left the generator.
    #[must_use]
    pub fn n_made(&self) -> u64 {
        self.counts.made.load(Ordering::Relaxed)
    }

    /// Alerts left the generator this late.
    pub fn late(&self, lates: &mut Vec<Duration>) {
        let mut late = lock(&self.counts.late);
        lates.drain(..).for_each(|time| late.record(time, 1));
    }

    /// How late the alerts left the generator.
    #[must_use]
    pub fn lateness(&self) -> Quantiles {
        lock(&self.counts.late).whole()
    }

    /// The receiver has these alerts; each counts from its time.
    pub fn answered(&self, since: impl IntoIterator<Item = Duration>) {
        let now = self.clock.elapsed();
        let mut answers = lock(&self.counts.answers);
        since.into_iter().for_each(|time| answers.record(now.saturating_sub(time), 1));
    }

    /// How long answers took, in the whole run so far; nothing for files.
    #[must_use]
    pub fn answers(&self) -> Quantiles {
        lock(&self.counts.answers).whole()
    }

    /// How long answers took since this was last asked.
    #[must_use]
    pub fn recent_answers(&self) -> Quantiles {
        lock(&self.counts.answers).recent()
    }

    /// These alerts were taken.
    pub fn sent(&self, alerts: u64) {
        self.counts.sent.fetch_add(alerts, Ordering::Relaxed);
    }

    /// These alerts will not arrive.
    pub fn failed(&self, alerts: u64, error: &dyn std::fmt::Display) {
        self.counts.failed.fetch_add(alerts, Ordering::Relaxed);
        lock(&self.counts.first_error).get_or_insert_with(|| error.to_string());
    }

    /// A request is sent again; `doubtful` of its alerts may have been taken before.
    pub fn retried(&self, doubtful: u64) {
        self.counts.retries.fetch_add(1, Ordering::Relaxed);
        self.counts.doubtful.fetch_add(doubtful, Ordering::Relaxed);
    }

    /// The receiver does not come back: no further attempts.
    pub fn give_up(&self) {
        self.counts.gave_up.store(true, Ordering::Relaxed);
    }

    /// Somebody has given up.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.counts.gave_up.load(Ordering::Relaxed)
    }

    /// What became of the flood so far.
    #[must_use]
    pub fn score(&self) -> Score {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Score {
            sent: count(&self.counts.sent),
            failed: count(&self.counts.failed),
            retries: count(&self.counts.retries),
            doubtful: count(&self.counts.doubtful),
            first_error: lock(&self.counts.first_error).clone(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
