//! The way out of a flood: one trait for files, HTTP and Kafka, the count of what arrived, and the loop that sends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::storm::pace::Pacer;
use crate::storm::Flood;

/// A pause of this length, or this much sending, passes on what an outlet has gathered.
const LINGER: Duration = Duration::from_millis(100);
/// The longest answer that is told apart from still longer ones, in microseconds: an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Longer pauses are slept in pieces, so that a flood that is given up ends soon.
const NAP_MAX: Duration = Duration::from_millis(500);

/// One alert on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The true group's number: alerts of one group must stay in order.
    pub group: u32,
    /// The true group's name, `cluster/service` or `cluster/alertname`.
    pub key: &'a str,
    /// One line, without a line feed.
    pub json: &'a [u8],
}

/// Takes alerts to where they shall go. What has arrived is told to its [`Delivery`].
pub trait Outlet {
    /// Takes one alert; blocks while the receiver is slow.
    ///
    /// # Errors
    /// When nothing further can be sent.
    fn push(&mut self, parcel: Parcel<'_>) -> Result<()>;

    /// Passes on what is gathered, without waiting for an answer.
    ///
    /// # Errors
    /// When nothing further can be sent.
    fn flush(&mut self) -> Result<()>;

    /// Passes on the rest and waits until all is answered.
    ///
    /// # Errors
    /// When the rest cannot be sent.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Counts what arrives, from any thread, and shows it.
#[derive(Debug, Clone)]
pub struct Delivery {
    inner: Arc<Counts>,
    bar: ProgressBar,
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

/// How long the receiver took to answer a request with success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half of the answers came within this time.
    pub p50: Duration,
    /// 99 of 100 answers came within this time.
    pub p99: Duration,
}

#[derive(Debug)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    doubtful: AtomicU64,
    gave_up: AtomicBool,
    first_error: Mutex<Option<String>>,
    latencies_us: Mutex<Histogram<u64>>,
}

impl Default for Counts {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_US, 2).expect("the bounds are constant and valid");
        Self {
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            doubtful: AtomicU64::new(0),
            gave_up: AtomicBool::new(false),
            first_error: Mutex::default(),
            latencies_us: Mutex::new(latencies),
        }
    }
}

impl Score {
    /// Everything arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.first_error.is_none()
    }
}

impl Delivery {
    /// Of `alerts` in all. Shows a bar on standard error if that is a terminal.
    #[must_use]
    pub fn new(alerts: u64) -> Self {
        let style = "{bar:30} {human_pos}/{human_len} alerts  {per_sec}  {elapsed}  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is constant and valid");
        Self { inner: Arc::default(), bar: ProgressBar::new(alerts).with_style(style) }
    }

    /// Of as many alerts as there are, shown by somebody else.
    #[must_use]
    pub fn hidden() -> Self {
        Self { inner: Arc::default(), bar: ProgressBar::hidden() }
    }

    /// A request was answered with success after this time.
    pub fn answered(&self, after: Duration) {
        let after_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.inner.latencies_us.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(after_us);
    }

    /// How long answers took so far; zero if there was none, and for files.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let latencies = self.inner.latencies_us.lock().unwrap_or_else(PoisonError::into_inner);
        let within = |quantile| Duration::from_micros(latencies.value_at_quantile(quantile));
        Latency { p50: within(0.5), p99: within(0.99) }
    }

    /// These alerts were taken.
    pub fn sent(&self, alerts: u64) {
        self.inner.sent.fetch_add(alerts, Ordering::Relaxed);
        self.bar.inc(alerts);
    }

    /// These alerts will not arrive.
    pub fn failed(&self, alerts: u64, error: &dyn std::fmt::Display) {
        let failed = self.inner.failed.fetch_add(alerts, Ordering::Relaxed) + alerts;
        self.bar.set_message(format!("{failed} failed"));
        let mut first = self.inner.first_error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
    }

    /// A request is sent again; `doubtful` of its alerts may have been taken before.
    pub fn retried(&self, doubtful: u64) {
        let retries = self.inner.retries.fetch_add(1, Ordering::Relaxed) + 1;
        self.inner.doubtful.fetch_add(doubtful, Ordering::Relaxed);
        self.bar.set_message(format!("{retries} retries"));
    }

    /// The receiver does not come back: no further attempts.
    pub fn give_up(&self) {
        self.inner.gave_up.store(true, Ordering::Relaxed);
    }

    /// Somebody has given up.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.inner.gave_up.load(Ordering::Relaxed)
    }

    /// Takes the bar away and answers what became of the flood.
    #[must_use]
    pub fn close(&self) -> Score {
        self.bar.finish_and_clear();
        self.score()
    }

    /// What became of the flood so far.
    #[must_use]
    pub fn score(&self) -> Score {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Score {
            sent: count(&self.inner.sent),
            failed: count(&self.inner.failed),
            retries: count(&self.inner.retries),
            doubtful: count(&self.inner.doubtful),
            first_error: self.inner.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Sends the whole flood at its pace, and returns when everything is answered or given up.
///
/// # Errors
/// When the outlet can send nothing further.
pub fn send(flood: &mut Flood, mut outlet: Box<dyn Outlet>, pacer: &mut Pacer, delivery: &Delivery) -> Result<()> {
    let mut keys: Vec<String> = Vec::new();
    let mut line = Vec::with_capacity(1_024);
    let mut flushed_at = pacer.elapsed();
    while let Some(truth) = flood.next_into(&mut line) {
        if let Some(pause) = pacer.pause_before_next() {
            let now = pacer.elapsed();
            if pause >= LINGER || now.saturating_sub(flushed_at) >= LINGER {
                outlet.flush()?;
                flushed_at = now;
            }
            sleep_unless(pause, || delivery.gave_up());
        }
        if delivery.gave_up() {
            break;
        }
        for group in keys.len() as u32..=truth.group {
            keys.push(flood.group_name(group));
        }
        outlet.push(Parcel { group: truth.group, key: &keys[truth.group as usize], json: &line })?;
        line.clear();
    }
    outlet.finish()
}

fn sleep_unless(pause: Duration, stop: impl Fn() -> bool) {
    let mut left = pause;
    while !left.is_zero() && !stop() {
        let nap = left.min(NAP_MAX);
        std::thread::sleep(nap);
        left -= nap;
    }
}
