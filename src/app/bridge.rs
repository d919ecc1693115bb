//! The HTTP source: requests come in on tokio, records go out to the sequencer's plain thread.
//!
//! The only file that holds both a crossbeam and a tokio channel. Never waits: where there is no room it refuses, and
//! remembers since when, because what nobody could send is not silence (design: time).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use crossbeam::channel::{Sender, TrySendError};
use tokio::sync::oneshot;

use crate::control::intake::{Intake, Refused};
use crate::model::Timestamp;
use crate::model::alert::Format;
use crate::model::time::{Clock, Millis};
use crate::pipeline::source::{Answer, Batch, PartitionName, RecordRef, Reply, SourceEvent};

/// Under load, refusals come and go many times a second; the log is told this often at most.
const TELL_EVERY: Millis = Millis::seconds(30);

/// Bounds of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Bytes of bodies that are not durable yet. 64 MiB: eight of the largest requests.
    pub bytes_in_flight_max: u64,
    /// What a refused sender is told.
    pub retry_after_seconds: u32,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self { bytes_in_flight_max: 64 << 20, retry_after_seconds: 5 }
    }
}

/// The sending end of the HTTP source.
pub struct HttpBridge {
    options: BridgeOptions,
    clock: Box<dyn Clock + Sync>,
    partition: PartitionName,
    bytes_in_flight: Arc<AtomicU64>,
    /// Holds the source's clock while requests are refused; the sequencer clears it when it takes `Unread`.
    refusing: Arc<AtomicBool>,
    /// One lock for number and channel: positions must be in order in the channel. Held for a `try_send` only.
    line: Mutex<Line>,
}

struct Line {
    /// `None` after `close`.
    sender: Option<Sender<SourceEvent>>,
    /// Position of the next request.
    next: u64,
    /// Since when requests are refused.
    refused_since: Option<Timestamp>,
    /// When the log was told of it.
    told_at: Option<Timestamp>,
    /// Something was sent since the last `Idle`.
    is_active: bool,
}

/// The bytes of one request, counted from submission until its answer.
struct InFlight {
    total: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl HttpBridge {
    /// A bridge whose first request gets position `first`: the next one after what is committed.
    #[must_use]
    pub fn new(
        sender: Sender<SourceEvent>,
        first: u64,
        options: BridgeOptions,
        clock: Box<dyn Clock + Sync>,
        refusing: Arc<AtomicBool>,
    ) -> Self {
        let line = Line { sender: Some(sender), next: first, refused_since: None, told_at: None, is_active: true };
        Self { options, clock, partition: "".into(), bytes_in_flight: Arc::default(), refusing, line: Mutex::new(line) }
    }

    /// Tells the sequencer that the one partition is read from now on. To be called once, before requests; waits for room.
    pub fn open(&self) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &line.sender {
            // A sequencer that is gone ends the run by itself.
            let _ = sender.send(SourceEvent::Assigned(vec![Arc::clone(&self.partition)]));
        }
    }

    /// To be called some times a second: says `Idle` once when nothing waits, so that the clock goes on without requests,
    /// and ends a time of refusal when there is room although nobody came again.
    pub fn tick(&self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.refused_since.is_some()
            && self.bytes_in_flight.load(Ordering::Relaxed) < self.options.bytes_in_flight_max
        {
            self.end_refusal(&mut line);
        }
        let is_quiet = line.is_active && line.refused_since.is_none();
        let idle = SourceEvent::Idle(Arc::clone(&self.partition));
        if is_quiet && line.sender.as_ref().is_some_and(|sender| sender.is_empty() && sender.try_send(idle).is_ok()) {
            line.is_active = false;
        }
    }

    /// Takes nothing more: drops the channel, whose end tells the sequencer that this source has ended.
    pub fn close(&self) {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).sender = None;
    }

    /// Entries waiting in the channel and how many it can hold, for metrics.
    #[must_use]
    pub fn queue(&self) -> (usize, usize) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.sender.as_ref().map_or((0, 0), |sender| (sender.len(), sender.capacity().unwrap_or(0)))
    }

    /// Bytes submitted and not answered yet.
    #[must_use]
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight.load(Ordering::Relaxed)
    }

    /// Says how long nobody could send. `false` when there is no room even for that: the refusal goes on.
    fn end_refusal(&self, line: &mut Line) -> bool {
        let (Some(from), Some(sender)) = (line.refused_since, &line.sender) else {
            return true;
        };
        let to = self.clock.now();
        if sender.try_send(SourceEvent::Unread { from, to }).is_err() {
            return false;
        }
        line.refused_since = None;
        line.is_active = true;
        true
    }

    fn refuse(&self, line: &mut Line) -> Refused {
        if line.refused_since.is_none() {
            let now = self.clock.now();
            line.refused_since = Some(now);
            let is_news = line.told_at.is_none_or(|told_at| now - told_at >= TELL_EVERY);
            if is_news && line.sender.is_some() {
                line.told_at = Some(now);
                tracing::warn!("requests with alerts are answered 503 for lack of room: the pipeline is behind");
            }
        }
        self.refusing.store(true, Ordering::Release);
        Refused { retry_after_seconds: self.options.retry_after_seconds }
    }

    /// Counts the bytes if they fit; a single request always fits, however small the bound.
    fn reserve(&self, bytes: u64) -> Option<InFlight> {
        let fits = |now: u64| (now == 0 || now + bytes <= self.options.bytes_in_flight_max).then_some(now + bytes);
        self.bytes_in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(InFlight { total: Arc::clone(&self.bytes_in_flight), bytes })
    }

    fn batch(&self, position: u64, format: Format, body: Bytes, reply: Reply) -> Batch {
        let record = RecordRef {
            start: 0,
            len: body.len(),
            partition: 0,
            position,
            next: position + 1,
            time: Timestamp::MIN, // The sequencer stamps the arrival.
            format,
        };
        Batch {
            bytes: Vec::from(body).into(), // No copy: the intake gives the only handle.
            records: vec![record],
            partitions: vec![Arc::clone(&self.partition)],
            replies: vec![(0, reply)],
        }
    }
}

impl Intake for HttpBridge {
    fn submit(&self, format: Format, body: Bytes) -> Result<oneshot::Receiver<Answer>, Refused> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(in_flight) = self.reserve(body.len() as u64) else {
            return Err(self.refuse(&mut line));
        };
        if !self.end_refusal(&mut line) {
            return Err(self.refuse(&mut line));
        }
        let Some(sender) = &line.sender else {
            return Err(self.refuse(&mut line));
        };
        let (answer, receiver) = oneshot::channel();
        let reply = Reply::new(move |what| {
            drop(in_flight);
            let _ = answer.send(what); // A sender that has gone away does not hear it; its alerts are taken all the same.
        });
        match sender.try_send(SourceEvent::Records(self.batch(line.next, format, body, reply))) {
            Ok(()) => {
                line.next += 1;
                line.is_active = true;
                Ok(receiver)
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(self.refuse(&mut line)),
        }
    }
}

#[cfg(test)]
mod tests;
