//! The HTTP source: requests come in on tokio, records go out to the sequencer's plain thread.
//!
//! The only file that holds both a crossbeam and a tokio channel. Never waits: where there is no room it refuses, and
//! remembers since when, because what nobody could send is not silence (design: time).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use crossbeam::channel::{Sender, TrySendError};
use tokio::sync::oneshot;

use crate::control::intake::{Intake, Refused};
use crate::model::Timestamp;
use crate::model::alert::Format;
use crate::model::time::Clock;
use crate::pipeline::source::{Answer, Batch, PartitionName, RecordRef, Reply, SourceEvent};

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
    pub fn new(sender: Sender<SourceEvent>, first: u64, options: BridgeOptions, clock: Box<dyn Clock + Sync>) -> Self {
        let line = Line { sender: Some(sender), next: first, refused_since: None, is_active: true };
        Self { options, clock, partition: "".into(), bytes_in_flight: Arc::default(), line: Mutex::new(line) }
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
        line.refused_since.get_or_insert_with(|| self.clock.now());
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
            bytes: Vec::from(body), // No copy: the intake gives the only handle.
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crossbeam::channel::{Receiver, bounded};
    use std::sync::atomic::AtomicI64;

    /// A clock that moves by a second with each look.
    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.fetch_add(1_000, Ordering::Relaxed))
        }
    }

    fn bridge(capacity: usize, bytes_in_flight_max: u64) -> (HttpBridge, Receiver<SourceEvent>) {
        let (sender, receiver) = bounded(capacity);
        let options = BridgeOptions { bytes_in_flight_max, ..BridgeOptions::default() };
        (HttpBridge::new(sender, 40, options, Box::new(Ticking(AtomicI64::new(0)))), receiver)
    }

    fn submit(bridge: &HttpBridge, body: &'static str) -> Result<oneshot::Receiver<Answer>, Refused> {
        bridge.submit(Format::Native, Bytes::from_static(body.as_bytes()))
    }

    fn records(event: SourceEvent) -> Batch {
        match event {
            SourceEvent::Records(batch) => batch,
            other => panic!("expected records, not {other:?}"),
        }
    }

    #[test]
    fn requests_are_numbered_and_answered() {
        let (bridge, channel) = bridge(2, 100);
        let mut first = submit(&bridge, "one").unwrap();
        let mut second = submit(&bridge, "three").unwrap();
        assert_eq!((bridge.bytes_in_flight(), bridge.queue()), (8, (2, 2)));
        let mut batch = records(channel.try_recv().unwrap());
        let record = batch.records[0];
        assert_eq!((record.position, record.next, record.time), (40, 41, Timestamp::MIN));
        assert_eq!((batch.record_bytes(&record), &*batch.partitions[0]), (&b"one"[..], ""));
        let answer = Answer::Durable { accepted: 1, rejected: Vec::new() };
        batch.replies.pop().unwrap().1.send(answer.clone());
        assert_eq!(first.try_recv(), Ok(answer));
        assert_eq!(bridge.bytes_in_flight(), 5);
        let batch = records(channel.try_recv().unwrap());
        assert_eq!(batch.records[0].position, 41);
        drop(batch);
        assert_eq!(second.try_recv(), Ok(Answer::NotTaken), "a pipeline that goes away has taken nothing");
        assert_eq!(bridge.bytes_in_flight(), 0);
    }

    /// Backpressure is arithmetic: with room for n events exactly n requests get in, and positions have no hole.
    #[test]
    fn a_full_channel_refuses_and_the_time_is_reported_once() {
        let (bridge, channel) = bridge(3, 1_000);
        let taken: Vec<_> = (0..10).map_while(|_| submit(&bridge, "x").ok()).collect();
        assert_eq!(taken.len(), 3);
        assert_eq!(submit(&bridge, "x").unwrap_err().retry_after_seconds, 5); // Refusing since time 0.
        drop(channel.recv().unwrap());
        assert!(submit(&bridge, "x").is_err(), "room for the notice of the refusal only");
        channel.try_iter().take(2).for_each(drop);
        let SourceEvent::Unread { from, to } = channel.recv().unwrap() else { panic!("expected Unread") };
        assert_eq!((from, to), (Timestamp(0), Timestamp(1_000)));
        submit(&bridge, "x").unwrap();
        assert!(matches!(channel.recv().unwrap(), SourceEvent::Unread { from: Timestamp(2_000), .. }));
        assert_eq!(records(channel.recv().unwrap()).records[0].position, 43);
        assert_eq!(bridge.bytes_in_flight(), 0, "refused and dropped requests hold no room");
    }

    #[test]
    fn bytes_are_bounded_but_one_request_always_fits() {
        let (bridge, channel) = bridge(10, 4);
        let held = submit(&bridge, "five5").unwrap();
        assert!(submit(&bridge, "x").is_err());
        drop(channel.recv().unwrap());
        drop(held);
        submit(&bridge, "four").unwrap();
        assert!(matches!(channel.recv().unwrap(), SourceEvent::Unread { .. }));
    }

    #[test]
    fn idle_is_said_once_when_nothing_waits() {
        let (bridge, channel) = bridge(4, 100);
        bridge.open();
        bridge.tick();
        assert!(matches!(channel.recv().unwrap(), SourceEvent::Assigned(names) if names.len() == 1));
        bridge.tick();
        bridge.tick();
        assert!(matches!(channel.recv().unwrap(), SourceEvent::Idle(name) if name.is_empty()));
        assert!(channel.is_empty());
        submit(&bridge, "x").unwrap();
        bridge.tick();
        assert_eq!(channel.len(), 1, "not idle while a request waits");
        drop(channel.recv().unwrap());
        bridge.tick();
        assert!(matches!(channel.recv().unwrap(), SourceEvent::Idle(_)));
    }

    #[test]
    fn a_closed_bridge_ends_the_channel() {
        let (bridge, channel) = bridge(4, 100);
        bridge.close();
        assert!(submit(&bridge, "x").is_err());
        assert!(channel.recv().is_err(), "the end of the channel");
    }
}
