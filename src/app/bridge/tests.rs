//! Numbers, bounds and times of the HTTP source: backpressure is arithmetic.
#![allow(clippy::unwrap_used)]
use super::*;
use crossbeam::channel::{Receiver, bounded};
use std::sync::atomic::AtomicI64;

/// A clock that a test sets.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

fn bridge(capacity: usize, bytes_in_flight_max: u64) -> (HttpBridge, Receiver<SourceEvent>) {
    with_clock(capacity, bytes_in_flight_max, &Hand::default())
}

fn with_clock(capacity: usize, bytes_in_flight_max: u64, clock: &Hand) -> (HttpBridge, Receiver<SourceEvent>) {
    // One byte is enough to go alone: every request is a batch of its own.
    let options = BridgeOptions { bytes_in_flight_max, gathered_bytes_max: 1, ..BridgeOptions::default() };
    with_options(capacity, options, clock)
}

fn with_options(capacity: usize, options: BridgeOptions, clock: &Hand) -> (HttpBridge, Receiver<SourceEvent>) {
    let (sender, receiver) = bounded(capacity);
    (HttpBridge::new(sender, 40, options, Box::new(clock.clone()), Arc::default()), receiver)
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
    let clock = Hand::default();
    let at = |millis: i64| clock.0.store(millis, Ordering::Relaxed);
    let (bridge, channel) = with_clock(3, 1_000, &clock);
    let taken: Vec<_> = (0..10).map_while(|_| submit(&bridge, "x").ok()).collect();
    assert_eq!(taken.len(), 3); // The fourth was refused at time 0.
    at(1_000);
    assert_eq!(submit(&bridge, "x").unwrap_err().retry_after_seconds, 5);
    drop(channel.recv().unwrap());
    at(2_000);
    assert!(submit(&bridge, "x").is_err(), "room for the notice of the refusal only: a new one begins");
    channel.try_iter().take(2).for_each(drop);
    let unread = |event| match event {
        SourceEvent::Unread { from, to } => (from.0, to.0),
        other => panic!("expected Unread, not {other:?}"),
    };
    assert_eq!(unread(channel.recv().unwrap()), (0, 2_000));
    at(3_000);
    submit(&bridge, "x").unwrap();
    assert_eq!(unread(channel.recv().unwrap()), (2_000, 3_000));
    assert_eq!(records(channel.recv().unwrap()).records[0].position, 43);
    assert_eq!(bridge.bytes_in_flight(), 0, "refused and dropped requests hold no room");
}

/// A refusal ends when there is room, also if nobody comes again.
#[test]
fn a_tick_ends_a_refusal() {
    let clock = Hand::default();
    let (bridge, channel) = with_clock(1, 1_000, &clock);
    let _waiting = submit(&bridge, "x").unwrap();
    assert!(submit(&bridge, "x").is_err());
    bridge.tick();
    assert_eq!(channel.len(), 1, "no room yet");
    drop(channel.recv().unwrap());
    clock.0.store(500, Ordering::Relaxed);
    bridge.tick();
    let expected = (Timestamp(0), Timestamp(500));
    assert!(matches!(channel.recv().unwrap(), SourceEvent::Unread { from, to } if (from, to) == expected));
    bridge.tick();
    assert!(matches!(channel.recv().unwrap(), SourceEvent::Idle(_)));
}

/// A bridge that gathers requests up to ten bytes.
fn gathering(capacity: usize) -> (HttpBridge, Receiver<SourceEvent>) {
    let options = BridgeOptions { gathered_bytes_max: 10, ..BridgeOptions::default() };
    with_options(capacity, options, &Hand::default())
}

/// The bodies of a batch, and that their positions have no hole from `first` on.
fn bodies(batch: &Batch, first: u64) -> Vec<&str> {
    for (at, record) in (0..).zip(&batch.records) {
        assert_eq!((record.position, record.next), (first + at, first + at + 1));
    }
    batch.records.iter().map(|record| std::str::from_utf8(batch.record_bytes(record)).unwrap()).collect()
}

fn answer_all(batch: Batch) {
    for (_, reply) in batch.replies {
        reply.send(Answer::Durable { accepted: 1, rejected: Vec::new() });
    }
}

#[test]
fn a_lone_request_goes_at_once_and_those_that_come_meanwhile_go_together() {
    let (bridge, channel) = gathering(8);
    let mut first = submit(&bridge, "a").unwrap();
    let mut others: Vec<_> = ["b", "cc", "d"].map(|body| submit(&bridge, body).unwrap()).into();
    let batch = records(channel.try_recv().unwrap());
    assert_eq!(bodies(&batch, 40), ["a"]);
    assert!(channel.is_empty(), "the others wait for it");
    answer_all(batch);
    assert!(matches!(first.try_recv(), Ok(Answer::Durable { .. })));
    let batch = records(channel.try_recv().unwrap());
    assert_eq!(bodies(&batch, 41), ["b", "cc", "d"]);
    assert_eq!(batch.replies.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(bridge.bytes_in_flight(), 4);
    answer_all(batch);
    assert!(others.iter_mut().all(|other| matches!(other.try_recv(), Ok(Answer::Durable { .. }))));
    let _again = submit(&bridge, "e").unwrap();
    assert_eq!(bodies(&records(channel.try_recv().unwrap()), 44), ["e"]);
}

#[test]
fn enough_to_be_worth_it_go_at_once_and_a_large_one_goes_alone() {
    let (bridge, channel) = gathering(8);
    let _waiting: Vec<_> =
        ["a", "four", "fives", "ninebytes", "seventeen bytes.."].map(|body| submit(&bridge, body).unwrap()).into();
    let batches: Vec<_> = channel.try_iter().map(records).collect();
    let found: Vec<_> = batches.iter().zip([40, 41, 44]).map(|(batch, first)| bodies(batch, first)).collect();
    assert_eq!(found, [&["a"][..], &["four", "fives", "ninebytes"], &["seventeen bytes.."]]);
}

/// A store that stands still: what is gathered goes on with the next tick, and nobody is idle before.
#[test]
fn a_tick_hands_on_what_is_gathered() {
    let (bridge, channel) = gathering(8);
    let _waiting = ["a", "b"].map(|body| submit(&bridge, body).unwrap());
    let _first = records(channel.try_recv().unwrap());
    bridge.tick();
    let second = channel.try_recv().unwrap();
    assert_eq!(bodies(&records(second), 41), ["b"]);
    bridge.tick();
    assert!(matches!(channel.try_recv(), Ok(SourceEvent::Idle(_))));
}

/// With room for one batch, what is gathered stays until there is room, and what would have to go at once is refused.
#[test]
fn without_room_the_gathered_stay_and_their_senders_are_told_in_the_end() {
    let (bridge, channel) = gathering(1);
    let _first = submit(&bridge, "a").unwrap();
    let mut second = submit(&bridge, "b").unwrap();
    bridge.tick();
    assert_eq!(channel.len(), 1, "no room for the second");
    assert!(submit(&bridge, "seventeen bytes..").is_err());
    assert!(submit(&bridge, "c").is_err(), "nobody overtakes the notice of a refusal");
    let first = records(channel.try_recv().unwrap());
    bridge.tick();
    assert_eq!(bodies(&records(channel.try_recv().unwrap()), 41), ["b"], "before the notice of the refusal");
    assert_eq!(second.try_recv(), Ok(Answer::NotTaken), "the batch was dropped");
    bridge.tick();
    assert!(matches!(channel.try_recv(), Ok(SourceEvent::Unread { .. })));
    let mut third = submit(&bridge, "c").unwrap();
    assert!(channel.is_empty(), "the first is on its way still");
    drop(channel);
    drop(first);
    assert_eq!(third.try_recv(), Ok(Answer::NotTaken), "nobody is there any more");
    assert!(submit(&bridge, "d").is_err());
    assert_eq!(bridge.bytes_in_flight(), 0);
}

#[test]
fn closing_hands_on_what_is_gathered() {
    let (bridge, channel) = gathering(2);
    let _waiting = ["a", "b"].map(|body| submit(&bridge, body).unwrap());
    bridge.close();
    let batches: Vec<_> = channel.iter().map(records).collect();
    assert_eq!(batches.iter().map(|batch| batch.records.len()).collect::<Vec<_>>(), [1, 1]);
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

#[test]
fn a_shut_valve_refuses_and_says_how_long_nobody_could_send() {
    let clock = Hand::default();
    let valves = Arc::new(Valves::default());
    let (bridge, channel) = with_clock(8, 100, &clock);
    let bridge = bridge.behind(valves.clone(), SourceIndex(2));
    drop(submit(&bridge, "one").unwrap());
    drop(records(channel.try_recv().unwrap()));
    valves.set(Valves::bit(SourceIndex(2)));
    clock.0.store(1_000, Ordering::Relaxed);
    assert!(submit(&bridge, "two").is_err());
    clock.0.store(9_000, Ordering::Relaxed);
    bridge.tick();
    assert!(channel.try_recv().is_err(), "the refusal goes on, whatever room there is");
    valves.set(0);
    drop(submit(&bridge, "three").unwrap());
    let unread = channel.try_recv().unwrap();
    assert!(matches!(unread, SourceEvent::Unread { from: Timestamp(1_000), to: Timestamp(9_000) }), "{unread:?}");
    assert_eq!(records(channel.try_recv().unwrap()).records.len(), 1);
}

#[test]
fn while_batches_shall_be_small_fewer_bytes_are_let_in() {
    let valves = Arc::new(Valves::default());
    let (bridge, _channel) = bridge(8, 40);
    let bridge = bridge.behind(valves.clone(), SourceIndex(0));
    let _first = submit(&bridge, "sixby.").unwrap();
    valves.make_small(true);
    assert!(submit(&bridge, "sixby.").is_err(), "a quarter of 40 is 10");
    valves.make_small(false);
    assert!(submit(&bridge, "sixby.").is_ok());
}
