//! Pressure is arithmetic: a sink that stalls stops the intake after an exact number of records, and nothing is lost.
//! And threads change nothing: several sources, decoders and shards find what one thread finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, SendTimeoutError, Sender, bounded};

use tidegate::model::alert::Format;
use tidegate::model::incident::Counts;
use tidegate::model::time::Clock;
use tidegate::model::{Fingerprint, HashKey, IncidentEvent, IncidentId, Millis, Status, Timestamp};
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, Options, RecordTime, ResolveAfter, SourceOptions, WindowRule};
use tidegate::pipeline::run::{Outside, Running, start};
use tidegate::pipeline::sink::EpochSink as _;
use tidegate::pipeline::sink::memory::MemoryStore;
use tidegate::pipeline::source::{Answer, Batch, RecordRef, Reply, SourceEvent, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::{Flood, FloodOptions, Shape};

const START: Timestamp = Timestamp(1_800_000_000_000);
/// Long enough for a loaded machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough to be sure that nobody takes anything.
const STANDSTILL: Duration = Duration::from_millis(300);

/// A clock that stands still unless told otherwise, so that epochs end by their records alone.
#[derive(Clone)]
struct HandClock(Arc<AtomicI64>);

impl HandClock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START.0)))
    }

    fn advance(&self, by: Millis) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

fn options(n_sources: usize, decoders: usize, shards: usize, max_records: u64) -> Arc<Options> {
    let source =
        |number: usize| SourceOptions { time: RecordTime::Payload, ..SourceOptions::named(&format!("s{number}")) };
    let rule = WindowRule {
        wait: Millis::seconds(1),
        gap: Millis::seconds(20),
        resolve_after: ResolveAfter::After(Millis::seconds(30)),
        ..WindowRule::named("default")
    };
    Arc::new(Options {
        decoders,
        shards,
        epoch: EpochOptions { max_records, max_output_bytes: u64::MAX, ..EpochOptions::default() },
        rules: vec![rule].into(),
        sources: (0..n_sources).map(source).collect(),
        samples: 2,
        config_version: 1,
    })
}

fn fresh(options: &Arc<Options>) -> Start {
    Start::new(options.clone(), Restored::default(), HashKey::FIXED).unwrap()
}

/// The threaded engine over a memory store, with one bounded channel per source.
fn run(
    options: &Arc<Options>,
    store: &MemoryStore,
    clock: &HandClock,
    room: usize,
) -> (Running, Vec<Sender<SourceEvent>>) {
    let (senders, inputs): (Vec<_>, Vec<Receiver<SourceEvent>>) = options.sources.iter().map(|_| bounded(room)).unzip();
    let mut sink = store.sink();
    sink.restore(&mut |_| Ok(())).unwrap();
    let outside = Outside {
        valves: Arc::default(),
        tap: Default::default(),
        inputs,
        sink: Box::new(sink),
        clock: Arc::new(clock.clone()),
        on_commit: Box::new(|_, _| {}),
        refusing: Arc::default(),
        watched: Arc::default(),
        suspicion: Default::default(),
    };
    (start(fresh(options), outside, None), senders)
}

/// One batch of alerts; its positions go on from `first`.
fn batch(lines: &[Vec<u8>], first: u64) -> Batch {
    let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
    for (position, line) in (first..).zip(lines) {
        let (time, format) = (Timestamp::MIN, Format::Native);
        batch.push(line, RecordRef { start: 0, len: 0, partition: 0, position, next: position + 1, time, format });
    }
    batch
}

/// The alerts of a source, in a cluster that no other source speaks of.
fn lines(shape: Shape, seed: u64, alerts: u32) -> Vec<Vec<u8>> {
    let options = FloodOptions { shape, seed, alerts, start: START, rate: 1_000.0, received_at: true };
    let own_cluster = |json: Vec<u8>| {
        let text = String::from_utf8(json).unwrap();
        text.replace("\"cluster\":\"", &format!("\"cluster\":\"s{seed}-")).into_bytes()
    };
    Flood::new(options).map(|alert| own_cluster(alert.json)).collect()
}

/// Waits until the last alert is durable: the answer to one more, harmless record.
fn settle(sender: &Sender<SourceEvent>, line: &[u8], position: u64) {
    let (answered, answer) = bounded(1);
    let mut last = batch(&[line.to_vec()], position);
    last.replies.push((0, Reply::new(move |what| answered.send(what).unwrap())));
    sender.send_timeout(SourceEvent::Records(last), PATIENCE).unwrap();
    assert_eq!(answer.recv_timeout(PATIENCE).unwrap(), Answer::Durable { accepted: 1, rejected: Vec::new() });
}

/// What the pipeline holds while its sink is stalled, with one decoder and one shard, in chunks; see `pipeline::run`.
///
/// The first epoch is being committed; the second waits, complete; the third is complete but for the hand-over. Then 16
/// parts before the shard, one chunk in the decoder, four before it, and one in the sequencer.
const EPOCHS_HELD: u64 = 3;
const CHUNKS_HELD: u64 = 16 + 1 + 4 + 1;

#[test]
fn a_stalled_sink_stops_the_intake_after_an_exact_number_of_records() {
    const EPOCH_RECORDS: u64 = 10;
    const ROOM: u64 = 7;
    let (store, clock) = (MemoryStore::new(), HandClock::new());
    let options = options(1, 1, 1, EPOCH_RECORDS);
    store.stall();
    let (running, senders) = run(&options, &store, &clock, ROOM as usize);
    let lines = lines(Shape::TicketStorm, 1, 1_000);
    // Every chunk is a record: an epoch ends with its last.
    let held = EPOCHS_HELD * EPOCH_RECORDS + CHUNKS_HELD;
    let room = held + ROOM;
    let mut sent = 0;
    let mut next = |patience: Duration| {
        let line = lines.get(sent as usize).unwrap().clone();
        match senders[0].send_timeout(SourceEvent::Records(batch(&[line], sent)), patience) {
            Ok(()) => sent += 1,
            Err(SendTimeoutError::Timeout(_)) => return Err(sent),
            Err(SendTimeoutError::Disconnected(_)) => panic!("the pipeline ended"),
        }
        Ok(())
    };
    for _ in 0..room {
        next(PATIENCE).expect("there is room for all of these");
    }
    assert_eq!(next(STANDSTILL), Err(room), "nothing more is taken while the sink is stalled");
    store.wait_until_stalled();
    assert_eq!((store.last_epoch(), store.incidents().len()), (0, 0));
    store.resume();
    for _ in room..lines.len() as u64 {
        next(PATIENCE).expect("the sink is free again");
    }
    settle(&senders[0], &lines[0], 1_000);
    clock.advance(Millis::hours(2));
    senders[0].send_timeout(SourceEvent::Idle("".into()), PATIENCE).unwrap();
    let stray = strays(&options, std::slice::from_ref(&lines));
    wait_until_over(&store, &clock, 1_001 - stray);
    running.stop();
    running.join().unwrap();
    let counts = standings(&store).values().map(|standing| standing.counts.alerts).sum::<u64>();
    assert_eq!(counts, 1_001 - stray, "every alert is in an incident but resolves of what did not fire");
    assert_eq!(store.positions()[0].next, 1_001);
    assert!(store.last_epoch() >= 100, "{} epochs of {EPOCH_RECORDS} records at most", store.last_epoch());
}

/// One group, so one incident event, but a member in full for each alert.
#[test]
fn an_epoch_ends_by_the_state_that_it_has_to_write() {
    const OUTPUT: u64 = 128 << 10;
    const PADDING: usize = 400;
    let (store, clock) = (MemoryStore::new(), HandClock::new());
    let mut options = Options::clone(&options(1, 1, 1, u64::MAX));
    options.epoch.max_output_bytes = OUTPUT;
    let (running, senders) = run(&Arc::new(options), &store, &clock, 1);
    let padding = "x".repeat(PADDING);
    let line = |number: u64| {
        let labels = format!(r#"{{"cluster": "a", "service": "b", "host": "h{number}", "note": "{padding}"}}"#);
        format!(r#"{{"labels": {labels}, "status": "firing", "receivedAt": "2027-01-15T08:00:00Z"}}"#).into_bytes()
    };
    let lines: Vec<Vec<u8>> = (0..4_000).map(line).collect();
    for (first, part) in (0..).step_by(10).zip(lines.chunks(10)) {
        senders[0].send_timeout(SourceEvent::Records(batch(part, first)), PATIENCE).unwrap();
    }
    settle(&senders[0], &lines[0], 4_000);
    running.stop();
    running.join().unwrap();
    // The bound is known once a shard has done its part: what is on its way by then is in the epoch, too.
    let in_one = (OUTPUT as usize / PADDING + 10 * (CHUNKS_HELD as usize + 1)) as u64;
    let (epochs, least) = (store.last_epoch(), 4_000 / in_one);
    assert!((least..=8 * least).contains(&epochs), "{epochs} epochs, {in_one} alerts in each");
}

/// Nobody waits for an answer, and the clock stands: the epoch ends because the one before ended long ago.
#[test]
fn what_comes_after_a_silence_does_not_wait_for_company() {
    let (store, clock) = (MemoryStore::new(), HandClock::new());
    let options = options(1, 1, 1, u64::MAX);
    let (running, senders) = run(&options, &store, &clock, 1);
    let lines = lines(Shape::TicketStorm, 1, 2);
    senders[0].send_timeout(SourceEvent::Records(batch(&lines[..1], 0)), PATIENCE).unwrap();
    crate::daemon::wait_for("the first epoch", || {
        clock.advance(Millis(10));
        store.last_epoch() == 1
    });
    clock.advance(options.epoch.interval);
    senders[0].send_timeout(SourceEvent::Records(batch(&lines[1..], 1)), PATIENCE).unwrap();
    crate::daemon::wait_for("the second epoch", || store.last_epoch() == 2);
    running.stop();
    running.join().unwrap();
    assert_eq!(store.positions()[0].next, 2);
}

/// Where an incident stands at its last revision.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    group_labels: BTreeMap<String, String>,
    first_seen: Timestamp,
    last_seen: Timestamp,
    members: u64,
    members_sum: Fingerprint,
    counts: Counts,
    status: Status,
}

fn note(standings: &mut BTreeMap<IncidentId, Standing>, event: &IncidentEvent) {
    let standing = Standing {
        group_labels: event.group_labels.clone(),
        first_seen: event.first_seen,
        last_seen: event.last_seen,
        members: event.members,
        members_sum: event.members_sum,
        counts: event.counts,
        status: event.status,
    };
    standings.insert(event.incident_id, standing);
}

fn standings(store: &MemoryStore) -> BTreeMap<IncidentId, Standing> {
    let mut standings = BTreeMap::new();
    store.incidents().iter().for_each(|record| note(&mut standings, &record.event));
    standings
}

/// Waits until that many alerts are told of, and no incident fires any more; time goes on meanwhile, so that ticks do.
fn wait_until_over(store: &MemoryStore, clock: &HandClock, alerts: u64) {
    crate::daemon::wait_for("the end of all incidents", || {
        clock.advance(Millis(100));
        let standings = standings(store);
        let told: u64 = standings.values().map(|standing| standing.counts.alerts).sum();
        told >= alerts && standings.values().all(|standing| standing.status == Status::Resolved)
    });
}

/// One thread over the same alerts, source after source, to the end of all time.
fn inline(options: &Arc<Options>, sources: &[Vec<Vec<u8>>]) -> (BTreeMap<IncidentId, Standing>, u64) {
    let options = Arc::new(Options { decoders: 1, shards: 1, ..Options::clone(options) });
    let mut engine = Engine::new(fresh(&options), false);
    for (number, lines) in sources.iter().enumerate() {
        engine.feed(SourceIndex(number as u8), batch(lines, 0), Vec::new(), START);
    }
    engine.step(StepKind::RunOut);
    let (epoch, attached) = engine.end_epoch(START).unwrap();
    let mut standings = BTreeMap::new();
    epoch.incidents.iter().for_each(|record| note(&mut standings, &record.event));
    (standings, attached.summary.totals.iter().map(|totals| totals.counts.received).sum())
}

/// Alerts that belong to no incident: resolves of what does not fire.
fn strays(options: &Arc<Options>, sources: &[Vec<Vec<u8>>]) -> u64 {
    let (standings, received) = inline(options, sources);
    received - standings.values().map(|standing| standing.counts.alerts).sum::<u64>()
}

#[test]
fn threads_find_what_one_thread_finds() {
    let shapes = [Shape::Cascade, Shape::TicketStorm, Shape::Corpus];
    let sources: Vec<Vec<Vec<u8>>> = (0..).zip(shapes).map(|(seed, shape)| lines(shape, seed, 4_000)).collect();
    for (decoders, shards, batch_lines) in [(1, 1, 500), (3, 4, 37), (2, 7, 1)] {
        let (store, clock) = (MemoryStore::new(), HandClock::new());
        let options = options(sources.len(), decoders, shards, 1_000);
        let (running, senders) = run(&options, &store, &clock, 16);
        let feeders = (0_u32..).zip(&senders).zip(&sources).map(|((number, sender), lines)| {
            let (sender, lines) = (sender.clone(), lines.clone());
            let feeder = std::thread::Builder::new().name(format!("feeder-{number}"));
            feeder.spawn(move || feed(&sender, &lines, batch_lines)).unwrap()
        });
        let feeders: Vec<_> = feeders.collect(); // All of them run before the first is waited for.
        feeders.into_iter().for_each(|feeder| feeder.join().unwrap());
        wait_for_positions(&store, &clock, &sources);
        clock.advance(Millis::hours(2));
        let (expected, _) = inline(&options, &sources);
        wait_until_over(&store, &clock, expected.values().map(|standing| standing.counts.alerts).sum());
        running.stop();
        running.join().unwrap();
        let found = standings(&store);
        assert_eq!(found.len(), expected.len(), "{decoders} decoders, {shards} shards");
        for (id, standing) in &expected {
            assert_eq!(found.get(id), Some(standing), "{decoders} decoders, {shards} shards, incident {id}");
        }
    }
}

/// Hands a source's alerts on in batches of that size, and says that nothing more is there.
fn feed(sender: &Sender<SourceEvent>, lines: &[Vec<u8>], batch_lines: usize) {
    let mut position = 0;
    for part in lines.chunks(batch_lines) {
        sender.send_timeout(SourceEvent::Records(batch(part, position)), PATIENCE).unwrap();
        position += part.len() as u64;
    }
    sender.send_timeout(SourceEvent::Idle("".into()), PATIENCE).unwrap();
}

/// Waits until every alert is durable; time goes on meanwhile, so that the last epoch ends.
fn wait_for_positions(store: &MemoryStore, clock: &HandClock, sources: &[Vec<Vec<u8>>]) {
    crate::daemon::wait_for("all alerts", || {
        clock.advance(Millis(10));
        let positions = store.positions();
        let taken: u64 = positions.iter().map(|position| position.next).sum();
        taken == sources.iter().map(|lines| lines.len() as u64).sum::<u64>()
    });
}
