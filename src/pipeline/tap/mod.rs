//! The tap: a live sample of what passes a stage, for whoever listens. One way only: the pipeline is never asked anything.
//!
//! While nobody listens it costs one relaxed load per chunk and thread: no allocation, no lock, no call per alert. The
//! flag needs no order with anything else: a listener whose first chunk is missed misses nothing that was promised.
//! While somebody listens, a rate per listener is applied before a sample is built, and a sample is handed over only if
//! there is room for it; both are counted, so that a listener knows how much is not shown. Nothing here ever waits.
//!
//! The tap outlives the pipeline: a reload exchanges that, and listeners notice nothing. `rate` is the arithmetic of the
//! rate, `sample` what is shown; `records` and `fates` make samples of what is decoded and of what a shard decides.

mod fates;
mod rate;
mod records;
mod sample;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use serde::Serialize;

use crate::model::matcher::Matcher;
use crate::model::time::Timestamp;
use crate::pipeline::sink::IncidentRecord;

pub use fates::show_fates;
use rate::Rate;
pub use records::RecordLook;
pub use sample::{DecodeSample, IncidentSample, Origin, RecordSample, Sample, ShardSample};

/// Listeners at once: people who look into it, and no more of them than work on one trouble.
pub const LISTENERS_MAX: usize = 4;
/// Samples per second, unless asked otherwise: what a person can follow.
pub const RATE_DEFAULT: u32 = 10;
/// Most samples per second: more is not a sample but a copy, for which there are the topics and the store.
pub const RATE_MAX: u32 = 1_000;
/// Samples that may wait for a listener. A second's worth at the highest rate; 8 KiB of texts each, at most.
const WAITING_MAX: usize = RATE_MAX as usize;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Stage {
    /// Records as they came, before anything is read.
    Record = 0,
    /// What decoding made of them: alerts, and rejects with their reason.
    Decode = 1,
    /// What became of each alert in its shard: its outcome and why.
    Shard = 2,
    /// Incident events, once they are durable.
    Incident = 3,
}

impl Stage {
    /// Every stage, in the order in which an alert walks through them.
    pub const ALL: [Self; 4] = [Self::Record, Self::Decode, Self::Shard, Self::Incident];

    /// The word used in the API and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Decode => "decode",
            Self::Shard => "shard",
            Self::Incident => "incident",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What a listener wants to see.
#[derive(Clone, Debug)]
pub struct Question {
    /// After which stage.
    pub stage: Stage,
    /// Samples per second, 1 to `RATE_MAX`; values outside are taken as the nearest.
    pub rate: u32,
    /// All must pass. On the labels of the alert, on those of the group for incidents; a record has none.
    pub matchers: Vec<Matcher>,
}

/// What a listener has been shown, and what not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Samples handed over.
    pub shown: u64,
    /// What passed the filter but came faster than the rate.
    pub over_rate: u64,
    /// Samples for which there was no room because the listener reads too slowly.
    pub dropped: u64,
}

/// There are `LISTENERS_MAX` listeners already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{LISTENERS_MAX} listeners are at the tap already")]
pub struct Crowded;

/// The tap, shared by all threads of the pipeline and by those who listen.
#[derive(Debug, Default)]
pub struct Tap {
    /// The stages somebody listens to, a bit each.
    wanted: AtomicU8,
    listeners: ArcSwap<Vec<Arc<Listener>>>,
    /// Held while the list changes; the pipeline never asks for it.
    change: Mutex<()>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Listener {
    stage: Stage,
    matchers: Vec<Matcher>,
    rate: Rate,
    samples: Sender<Sample>,
    over_rate: AtomicU64,
    dropped: AtomicU64,
    /// Those of all listeners.
    dropped_in_all: Arc<AtomicU64>,
}

impl Tap {
    /// Begins to listen; until the result is dropped.
    ///
    /// # Errors
    /// When there is no place for another listener.
    pub fn listen(self: &Arc<Self>, question: Question) -> Result<Listening, Crowded> {
        let Question { stage, rate, matchers } = question;
        let (samples, waiting) = bounded(WAITING_MAX);
        let rate = Rate::per_second(rate.clamp(1, RATE_MAX));
        let (over_rate, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        let dropped_in_all = self.dropped.clone();
        let listener = Arc::new(Listener { stage, matchers, rate, samples, over_rate, dropped, dropped_in_all });
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listeners = Vec::clone(&self.listeners.load());
        if listeners.len() >= LISTENERS_MAX {
            return Err(Crowded);
        }
        listeners.push(listener.clone());
        self.publish(listeners);
        Ok(Listening { tap: self.clone(), listener, waiting, shown: 0 })
    }

    fn leave(&self, listener: &Arc<Listener>) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listeners = Vec::clone(&self.listeners.load());
        listeners.retain(|known| !Arc::ptr_eq(known, listener));
        self.publish(listeners);
    }

    /// To be called with `change` held.
    fn publish(&self, listeners: Vec<Arc<Listener>>) {
        let wanted = listeners.iter().fold(0, |bits, listener| bits | listener.stage.bit());
        self.listeners.store(Arc::new(listeners));
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Those who listen to one of these stages; `None`, at the cost of one relaxed load, if nobody does. To be called once
    /// per chunk, with the wall clock of the chunk.
    #[inline]
    #[must_use]
    pub fn look(&self, stages: &[Stage], now: Timestamp) -> Option<Look> {
        let bits = stages.iter().fold(0, |bits, stage| bits | stage.bit());
        if self.wanted.load(Ordering::Relaxed) & bits == 0 {
            return None;
        }
        Some(Look { listeners: self.listeners.load_full(), now })
    }

    /// Listeners now.
    #[must_use]
    pub fn n_listeners(&self) -> usize {
        self.listeners.load().len()
    }

    /// Samples for which a listener had no room, since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Those who listen while one chunk passes.
#[derive(Debug)]
pub struct Look {
    listeners: Arc<Vec<Arc<Listener>>>,
    now: Timestamp,
}

impl Look {
    /// The wall clock of the chunk.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Offers a sample to those who listen to its stage. `value_of` tells the labels that filters look at; `sample` is
    /// called only for those who are shown it.
    pub fn show<'l>(&self, stage: Stage, value_of: impl Fn(&str) -> Option<&'l str>, sample: impl Fn() -> Sample) {
        for listener in self.listeners.iter().filter(|listener| listener.stage == stage) {
            let passes = |matcher: &Matcher| matcher.matches_value(value_of(matcher.name()).unwrap_or_default());
            if listener.matchers.iter().all(passes) {
                listener.offer(self.now, &sample);
            }
        }
    }

    /// Shows the incident events of an epoch that is durable.
    pub fn show_incidents(&self, records: &[IncidentRecord]) {
        for record in records {
            let value_of = |name: &str| record.event.group_labels.get(name).map(String::as_str);
            self.show(Stage::Incident, value_of, || Sample::Incident(IncidentSample::of(record)));
        }
    }
}

impl Listener {
    fn offer(&self, now: Timestamp, sample: &impl Fn() -> Sample) {
        if !self.rate.allows(now) {
            self.over_rate.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Room is looked for first: for a listener that does not read, no sample is built.
        if self.samples.is_full() || matches!(self.samples.try_send(sample()), Err(TrySendError::Full(_))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_in_all.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A listener's end of the tap.
#[derive(Debug)]
pub struct Listening {
    tap: Arc<Tap>,
    listener: Arc<Listener>,
    waiting: Receiver<Sample>,
    shown: u64,
}

impl Listening {
    /// The next sample, if there is one. Does not wait.
    pub fn next_sample(&mut self) -> Option<Sample> {
        let sample = self.waiting.try_recv().ok()?;
        self.shown += 1;
        Some(sample)
    }

    /// What was shown so far, and what not.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            shown: self.shown,
            over_rate: self.listener.over_rate.load(Ordering::Relaxed),
            dropped: self.listener.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tap.leave(&self.listener);
    }
}
