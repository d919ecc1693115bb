//! The HTTP source: requests come in on tokio, records go out to the sequencer's plain thread.
//!
//! The only file that holds both a crossbeam and a tokio channel. Never waits: where there is no room it refuses, and
//! remembers since when, because what nobody could send is not silence (design: time).
//!
//! Small requests go on together: while others are on their way through the pipeline, those that come are gathered, and go on
//! when the last of the others is answered, or when they are enough to be worth a chunk of their own. So a crowd of senders
//! costs a few hand-overs per epoch instead of a few per request, and a lone one waits for nobody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::body::Bytes;
use crossbeam::channel::Sender;
use tokio::sync::oneshot;

use crate::control::intake::{Intake, Refused};
use crate::model::Timestamp;
use crate::model::alert::Format;
use crate::model::time::{Clock, Millis};
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::source::buffer::Home;
use crate::pipeline::source::{Answer, Batch, PartitionName, RecordRef, Reply, SourceEvent, SourceIndex};

/// Under load, refusals come and go many times a second; the log is told this often at most.
const TELL_EVERY: Millis = Millis::seconds(30);

/// Gathered buffers that are kept for the next: as many as are on their way at once.
const BUFFERS_KEPT: usize = 16;

/// Bounds of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Bytes of bodies that are not durable yet. 64 MiB: eight of the largest requests.
    pub bytes_in_flight_max: u64,
    /// Gathered requests of so many bytes together go on at once. 32 KiB: some fifty alerts, beside whose decoding a
    /// hand-over does not count; a larger request is a batch of its own, whose bytes are not copied.
    pub gathered_bytes_max: usize,
    /// What a refused sender is told.
    pub retry_after_seconds: u32,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self { bytes_in_flight_max: 64 << 20, gathered_bytes_max: 32 << 10, retry_after_seconds: 5 }
    }
}

/// The sending end of the HTTP source.
pub struct HttpBridge {
    options: BridgeOptions,
    clock: Box<dyn Clock + Sync>,
    /// Holds the source's clock while requests are refused; the sequencer clears it when it takes `Unread`.
    refusing: Arc<AtomicBool>,
    /// Shut while memory is short: then everything is refused.
    valve: (Arc<Valves>, SourceIndex),
    road: Arc<Road>,
}

/// What requests and their answers share.
struct Road {
    partition: PartitionName,
    /// Bytes submitted and not answered yet.
    bytes_in_flight: AtomicU64,
    /// Requests handed over to the sequencer and not answered yet.
    on_its_way: AtomicU64,
    /// One lock for number, gathered requests and channel: positions must be in order. Held for a copy of at most
    /// `gathered_bytes_max` and a `try_send` only, and never while a reply is dropped: replies take it.
    line: Mutex<Line>,
}

struct Line {
    /// `None` after `close`.
    sender: Option<Sender<SourceEvent>>,
    /// Position of the next request.
    next: u64,
    /// Requests that wait for those on their way.
    gathered: Batch,
    buffers: Home,
    /// Since when requests are refused.
    refused_since: Option<Timestamp>,
    /// When the log was told of it.
    told_at: Option<Timestamp>,
    /// Something was sent since the last `Idle`.
    is_active: bool,
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
        let line = Line {
            sender: Some(sender),
            next: first,
            gathered: Batch::default(),
            buffers: Home::new(BUFFERS_KEPT, options.gathered_bytes_max.saturating_mul(2)),
            refused_since: None,
            told_at: None,
            is_active: true,
        };
        let road = Road {
            partition: "".into(),
            bytes_in_flight: AtomicU64::new(0),
            on_its_way: AtomicU64::new(0),
            line: Mutex::new(line),
        };
        let valve = (Arc::default(), SourceIndex(0));
        Self { options, clock, refusing, valve, road: Arc::new(road) }
    }

    /// The same behind a valve: while it is shut, requests are refused; while batches shall be small, fewer bytes are let in.
    #[must_use]
    pub fn behind(self, valves: Arc<Valves>, source: SourceIndex) -> Self {
        Self { valve: (valves, source), ..self }
    }

    fn is_shut(&self) -> bool {
        self.valve.0.is_shut(self.valve.1)
    }

    fn bytes_in_flight_max(&self) -> u64 {
        self.valve.0.bound(self.options.bytes_in_flight_max)
    }

    /// Tells the sequencer that the one partition is read from now on. To be called once, before requests; waits for room.
    pub fn open(&self) {
        let line = self.road.line();
        if let Some(sender) = &line.sender {
            // A sequencer that is gone ends the run by itself.
            let _ = sender.send(SourceEvent::Assigned(vec![Arc::clone(&self.road.partition)]));
        }
    }

    /// To be called some times a second: hands on what is gathered, so that its time of arrival is not far from the truth
    /// while a store stands still; says `Idle` once when nothing waits, so that the clock goes on without requests; and ends
    /// a time of refusal when there is room although nobody came again.
    pub fn tick(&self) {
        let mut line = self.road.line();
        self.road.hand_over(&mut line);
        if line.refused_since.is_some() && !self.is_shut() && self.bytes_in_flight() < self.bytes_in_flight_max() {
            self.end_refusal(&mut line);
        }
        let is_quiet = line.is_active && line.refused_since.is_none() && line.gathered.records.is_empty();
        let idle = SourceEvent::Idle(Arc::clone(&self.road.partition));
        if is_quiet && line.sender.as_ref().is_some_and(|sender| sender.is_empty() && sender.try_send(idle).is_ok()) {
            line.is_active = false;
        }
        leave(line);
    }

    /// Takes nothing more: hands on what is gathered and drops the channel, whose end tells the sequencer that this source
    /// has ended.
    pub fn close(&self) {
        let mut line = self.road.line();
        self.road.hand_over(&mut line);
        line.sender = None;
        leave(line);
    }

    /// Entries waiting in the channel and how many it can hold, for metrics.
    #[must_use]
    pub fn queue(&self) -> (usize, usize) {
        let line = self.road.line();
        line.sender.as_ref().map_or((0, 0), |sender| (sender.len(), sender.capacity().unwrap_or(0)))
    }

    /// Bytes submitted and not answered yet.
    #[must_use]
    pub fn bytes_in_flight(&self) -> u64 {
        self.road.bytes_in_flight.load(Ordering::Relaxed)
    }

    /// Says how long nobody could send. `false` when there is no room even for that: the refusal goes on.
    fn end_refusal(&self, line: &mut Line) -> bool {
        let Some(from) = line.refused_since else { return true };
        // What came before the refusal goes before the notice of it.
        if !self.road.hand_over(line) {
            return false;
        }
        let Some(sender) = &line.sender else { return true };
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
                tracing::warn!(
                    "requests with alerts are answered 503 for lack of room: the pipeline is behind, or memory is short"
                );
            }
        }
        self.refusing.store(true, Ordering::Release);
        Refused { retry_after_seconds: self.options.retry_after_seconds }
    }

    /// Whether so many bytes more fit; a single request always fits, however small the bound.
    fn fits(&self, bytes: u64) -> bool {
        let now = self.bytes_in_flight();
        now == 0 || now + bytes <= self.bytes_in_flight_max()
    }

    /// How a request of that many bytes goes: together with others or alone, at once or later; `None`: there is no room.
    fn way(&self, line: &Line, n_bytes: usize) -> Option<Way> {
        let sender = line.sender.as_ref()?;
        let bytes_max = self.options.gathered_bytes_max;
        let way = Way {
            is_alone: n_bytes >= bytes_max,
            // What goes on when the last on its way is answered would wait for ever if none were.
            is_now: line.gathered.bytes.len() + n_bytes >= bytes_max
                || self.road.on_its_way.load(Ordering::Acquire) == 0,
        };
        let n_batches = usize::from(way.is_now) + usize::from(way.is_alone && !line.gathered.records.is_empty());
        let n_free = sender.capacity().map_or(usize::MAX, |capacity| capacity.saturating_sub(sender.len()));
        (n_batches <= n_free).then_some(way)
    }
}

/// See `HttpBridge::way`.
#[derive(Clone, Copy)]
struct Way {
    is_alone: bool,
    is_now: bool,
}

impl Road {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a request to what is gathered.
    fn gather(&self, line: &mut Line, format: Format, body: Bytes, reply: Reply, is_alone: bool) {
        let position = line.next;
        line.next += 1;
        line.is_active = true;
        let Line { gathered, buffers, .. } = line;
        let record = RecordRef {
            start: 0,
            len: body.len(),
            partition: 0,
            position,
            next: position + 1,
            time: Timestamp::MIN, // The sequencer stamps the arrival.
            format,
        };
        gathered.replies.push((gathered.records.len(), reply));
        if !gathered.records.is_empty() {
            return gathered.push(&body, record);
        }
        gathered.partitions.push(Arc::clone(&self.partition));
        if is_alone {
            gathered.bytes = Vec::from(body).into(); // No copy: the intake gives the only handle.
            gathered.records.push(record);
        } else {
            gathered.bytes = buffers.take();
            gathered.push(&body, record);
        }
    }

    /// Hands what is gathered to the sequencer. `false` when there is no room, or nobody any more: then it stays.
    fn hand_over(&self, line: &mut Line) -> bool {
        if line.gathered.records.is_empty() {
            return true;
        }
        let Some(sender) = &line.sender else { return false };
        let n_requests = line.gathered.replies.len() as u64;
        self.on_its_way.fetch_add(n_requests, Ordering::AcqRel);
        match sender.try_send(SourceEvent::Records(std::mem::take(&mut line.gathered))) {
            Ok(()) => true,
            Err(error) => {
                self.on_its_way.fetch_sub(n_requests, Ordering::AcqRel);
                if error.is_disconnected() {
                    line.sender = None;
                }
                if let SourceEvent::Records(batch) = error.into_inner() {
                    line.gathered = batch; // Not dropped here: its replies would ask for the lock.
                }
                false
            }
        }
    }

    /// A request has its answer: with the last of those on their way, the next go on.
    fn answered(&self, bytes: u64) {
        self.bytes_in_flight.fetch_sub(bytes, Ordering::Relaxed);
        let before = self.on_its_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        if before == Ok(1) {
            let mut line = self.line();
            self.hand_over(&mut line);
            leave(line);
        }
    }
}

/// Lets go of the lock, and then of requests that can go nowhere any more: their senders are told.
fn leave(mut line: MutexGuard<'_, Line>) {
    let lost = if line.sender.is_none() { std::mem::take(&mut line.gathered) } else { Batch::default() };
    drop(line);
    drop(lost);
}

impl Intake for HttpBridge {
    fn submit(&self, format: Format, body: Bytes) -> Result<oneshot::Receiver<Answer>, Refused> {
        let n_bytes = body.len() as u64;
        let mut line = self.road.line();
        if self.is_shut() || !self.fits(n_bytes) || !self.end_refusal(&mut line) {
            return Err(self.refuse(&mut line));
        }
        let Some(way) = self.way(&line, body.len()) else {
            return Err(self.refuse(&mut line));
        };
        let (answer, receiver) = oneshot::channel();
        let road = Arc::downgrade(&self.road);
        let reply = Reply::new(move |what| {
            if let Some(road) = Weak::upgrade(&road) {
                road.answered(n_bytes);
            }
            let _ = answer.send(what); // A sender that has gone away does not hear it; its alerts are taken all the same.
        });
        self.road.bytes_in_flight.fetch_add(n_bytes, Ordering::Relaxed);
        if way.is_alone {
            self.road.hand_over(&mut line);
        }
        self.road.gather(&mut line, format, body, reply, way.is_alone);
        if way.is_now {
            self.road.hand_over(&mut line);
        }
        leave(line);
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests;
