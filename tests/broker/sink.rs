//! The Kafka sink: an epoch is there as a whole or not at all, whatever happens on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate::metrics::Metrics;
use tidegate::model::alert::{Format, Severity, Status};
use tidegate::model::fingerprint::{Fingerprint, GroupHash, IncidentId};
use tidegate::model::incident::{Counts, EVENT_VERSION, EventKind, EventReason, IncidentEvent};
use tidegate::model::time::{Stopwatch, Timestamp};
use tidegate::pipeline::decode::Reject;
use tidegate::pipeline::sink::kafka::{KafkaSink, Options, Topics};
use tidegate::pipeline::sink::{Block, CommitError, Committed, DeadLetter, Epoch, EpochSink as _, IncidentRecord};
use tidegate::pipeline::source::Position;

use crate::Test;
use crate::cluster::Cluster;

pub const TESTS: [Test; 10] = [
    ("sink::an_epoch_becomes_visible_as_a_whole", an_epoch_becomes_visible_as_a_whole),
    ("sink::state_is_restored_block_by_block", state_is_restored_block_by_block),
    ("sink::the_same_epoch_can_be_sent_again_after_an_abort", the_same_epoch_can_be_sent_again_after_an_abort),
    ("sink::a_new_owner_shuts_the_old_one_out", a_new_owner_shuts_the_old_one_out),
    ("sink::an_open_foreign_transaction_hides_no_state", an_open_foreign_transaction_hides_no_state),
    ("sink::recovery_ends_an_open_transaction_of_its_own_id", recovery_ends_an_open_transaction_of_its_own_id),
    ("sink::state_is_trimmed_but_never_below_what_a_restore_needs", state_is_trimmed),
    ("sink::says_what_is_wrong_with_the_topics", says_what_is_wrong_with_the_topics),
    ("sink::an_unknown_outcome_is_settled", an_unknown_outcome_is_settled),
    ("sink::commits_over_tls_and_scram", commits_over_tls_and_scram),
];

/// A pipeline's topics and a sink over them.
struct Bench<'a> {
    cluster: &'a Cluster,
    options: Options,
}

impl<'a> Bench<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let topics = Topics {
            incidents: cluster.topic("incidents", 3),
            state: cluster.topic("state", 1),
            dead_letters: cluster.topic("dead-letters", 1),
        };
        let (id, group) = (cluster.name("pipeline"), cluster.name("group"));
        let mut options = Options::new(cluster.connection(), &id, topics, &group);
        options.offsets_of = BTreeMap::from([("kafka".to_owned(), vec![cluster.topic("alerts", 2)])]);
        Self { cluster, options }
    }

    /// A new sink, the state it restored and its last epoch.
    fn start(&self) -> (KafkaSink, Vec<String>, u64) {
        let mut sink = KafkaSink::new(self.options.clone(), Metrics::new()).unwrap();
        let mut blocks = Vec::new();
        let last = sink
            .restore(&mut |bytes| {
                blocks.push(String::from_utf8_lossy(bytes).into_owned());
                Ok(())
            })
            .unwrap();
        (sink, blocks, last)
    }

    fn alerts(&self) -> &str {
        &self.options.offsets_of["kafka"][0]
    }

    fn visible(&self, topic: &str) -> Vec<(i32, String, String)> {
        let seen = self.cluster.read(topic, "read_committed");
        seen.into_iter().map(|record| (record.partition, record.key, record.value)).collect()
    }

    fn epoch(&self, number: u64) -> Epoch {
        let position = |source: &str, partition: String, next| Position {
            source: source.to_owned(),
            partition,
            next,
            clock: Timestamp(number as i64),
        };
        let block = |index| Block { epoch: number, index, bytes: format!("block {number}.{index}").into_bytes() };
        Epoch {
            number,
            positions: vec![
                position("kafka", format!("{}/0", self.alerts()), number * 10),
                position("kafka", format!("{}/1", self.alerts()), 5),
                position("kafka", "forgotten/0".to_owned(), 77),
                position("http", String::new(), number),
            ],
            blocks: vec![block(0), block(1)],
            incidents: vec![incident(1, number), incident(2, number)],
            dead_letters: vec![DeadLetter {
                source: "kafka".to_owned(),
                partition: format!("{}/1", self.alerts()),
                position: 4,
                index: None,
                reason: Reject::MalformedJson,
                format: Format::Native,
                at: Timestamp(1_000),
                bytes: b"{oops".to_vec(),
                original_len: 5,
            }],
            safe_from: 0,
            committed_at: Timestamp(1_795_334_400_000 + number as i64),
        }
    }
}

fn incident(id: u128, epoch: u64) -> IncidentRecord {
    let event = IncidentEvent {
        version: EVENT_VERSION,
        event: EventKind::Opened,
        reason: EventReason::FirstAlert,
        incident_id: IncidentId(id),
        revision: epoch,
        epoch,
        record_time: Timestamp(1),
        committed_at: Timestamp(2),
        catching_up: false,
        status: Status::Firing,
        severity_max: Severity::Warning,
        rule: "default".to_owned(),
        group: GroupHash(id),
        group_labels: BTreeMap::new(),
        first_seen: Timestamp(1),
        last_seen: Timestamp(1),
        window_closed: false,
        members: 1,
        members_sum: Fingerprint(id),
        firing: 1,
        counts: Counts::default(),
        resolved_by: None,
        samples: Default::default(),
        links: Vec::new(),
    };
    IncidentRecord { group: event.group, json: format!("event {id} of {epoch}").into_bytes(), event: Arc::new(event) }
}

/// The incident records an epoch leaves behind, as readers see them.
fn incidents_of(numbers: impl Iterator<Item = u64>) -> Vec<(i32, String, String)> {
    let of = |number| [1_u128, 2].map(|id| (id as i32, format!("{id:032x}"), format!("event {id} of {number}")));
    sorted(numbers.flat_map(of).collect())
}

fn sorted(mut records: Vec<(i32, String, String)>) -> Vec<(i32, String, String)> {
    records.sort();
    records
}

/// The different faults and how often each came.
fn summary(faults: &[CommitError]) -> String {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    faults.iter().for_each(|fault| *seen.entry(format!("{fault:?}")).or_default() += 1);
    seen.iter().map(|(fault, n)| format!("\n    {n} x {fault}")).collect()
}

/// Sends an epoch until it is durable, settling unknown outcomes on the way, as the pipeline does.
fn insist(sink: &mut KafkaSink, epoch: &Epoch) -> Vec<CommitError> {
    let begun = Stopwatch::start();
    let mut faults = Vec::new();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(120), "not durable after 120 s: {}", summary(&faults));
        // Every attempt waits for something; a sink that fails at once would make its caller spin.
        assert!(faults.len() < 100, "{} faults in {:?}: {}", faults.len(), begun.elapsed(), summary(&faults));
        match sink.commit(epoch) {
            Ok(Committed { epoch: number }) => {
                assert_eq!(number, epoch.number);
                return faults;
            }
            Err(fault @ CommitError::Aborted(_)) => faults.push(fault),
            Err(fault @ CommitError::Unknown(_)) => {
                faults.push(fault);
                match sink.recover() {
                    Ok(last) if last == epoch.number => return faults,
                    Ok(last) => assert_eq!(last + 1, epoch.number),
                    Err(fault @ CommitError::Unknown(_)) => faults.push(fault),
                    Err(fault) => panic!("{fault:?} after {faults:?}"),
                }
            }
            Err(fault) => panic!("{fault:?} after {faults:?}"),
        }
    }
}

fn an_epoch_becomes_visible_as_a_whole(cluster: &Cluster) {
    let bench = Bench::new(cluster);
    let (mut sink, blocks, last) = bench.start();
    assert_eq!((blocks.len(), last), (0, 0));
    for number in 1..=20 {
        assert_eq!(sink.commit(&bench.epoch(number)), Ok(Committed { epoch: number }));
    }
    assert_eq!(sorted(bench.visible(&bench.options.topics.incidents)), incidents_of(1..=20));
    let dead = cluster.read(&bench.options.topics.dead_letters, "read_committed");
    assert_eq!(dead.len(), 20);
    assert_eq!(dead[0].value, "{oops");
    let header = |name: &str| dead[0].headers[name].as_str();
    assert_eq!(
        [header("dlq.reason"), header("dlq.source"), header("dlq.version")],
        ["malformed_json", &format!("{}/1/4", bench.alerts()), "1"]
    );
    let committed = cluster.committed(&bench.options.group, bench.alerts(), 2);
    assert_eq!([committed[0].0, committed[1].0], [Some(200), Some(5)]);
    assert!(committed[0].1.starts_with("tidegate epoch=20 "), "{}", committed[0].1);
    assert!(committed[1].1.starts_with("tidegate epoch=1 "), "what did not move is not committed again");
}

fn state_is_restored_block_by_block(cluster: &Cluster) {
    let bench = Bench::new(cluster);
    let (mut sink, ..) = bench.start();
    (1..=3).for_each(|number| assert!(sink.commit(&bench.epoch(number)).is_ok()));
    drop(sink);
    let (mut sink, blocks, last) = bench.start();
    assert_eq!(blocks, ["block 1.0", "block 1.1", "block 2.0", "block 2.1", "block 3.0", "block 3.1"]);
    assert_eq!(last, 3);
    assert_eq!(sink.commit(&bench.epoch(4)), Ok(Committed { epoch: 4 }));
    let mut refused = KafkaSink::new(bench.options.clone(), Metrics::new()).unwrap();
    let error = refused.restore(&mut |_| Err(tidegate::pipeline::sink::RestoreError("bad block".to_owned())));
    assert_eq!(error.unwrap_err().to_string(), "bad block");
}

fn the_same_epoch_can_be_sent_again_after_an_abort(cluster: &Cluster) {
    let mut bench = Bench::new(cluster);
    // Or the client would wait half a minute before it believes that a topic is gone.
    bench.options.connection.options.insert("topic.metadata.propagation.max.ms".to_owned(), "200".to_owned());
    bench.options.connection.options.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let (mut sink, ..) = bench.start();
    assert!(sink.commit(&bench.epoch(1)).is_ok());
    cluster.delete(&bench.options.topics.dead_letters);
    let epoch = bench.epoch(2);
    let fault = sink.commit(&epoch).unwrap_err();
    // Unknown where the broker had not heard of the transaction yet and refuses to abort it.
    assert!(matches!(fault, CommitError::Aborted(_) | CommitError::Unknown(_)), "{fault:?}");
    assert_eq!(sorted(bench.visible(&bench.options.topics.incidents)), incidents_of(1..=1));
    cluster.create(&bench.options.topics.dead_letters, 1);
    insist(&mut sink, &epoch);
    assert!(sink.commit(&bench.epoch(3)).is_ok());
    assert_eq!(sorted(bench.visible(&bench.options.topics.incidents)), incidents_of(1..=3));
    drop(sink);
    assert_eq!(bench.start().1.len(), 6, "what was aborted is not restored");
}

fn a_new_owner_shuts_the_old_one_out(cluster: &Cluster) {
    let bench = Bench::new(cluster);
    let (mut old, ..) = bench.start();
    assert!(old.commit(&bench.epoch(1)).is_ok());
    let (mut new, blocks, last) = bench.start();
    assert_eq!((blocks.len(), last), (2, 1));
    let fault = old.commit(&bench.epoch(2)).unwrap_err();
    assert!(matches!(fault, CommitError::Unknown(_)), "{fault:?}");
    let fault = old.recover().unwrap_err();
    assert!(matches!(fault, CommitError::Fenced(_)), "{fault:?}");
    // The old one's attempt has not disturbed the new one.
    assert_eq!(new.commit(&bench.epoch(2)), Ok(Committed { epoch: 2 }));
    assert!(matches!(old.recover(), Err(CommitError::Fenced(_))));
    assert_eq!(new.commit(&bench.epoch(3)), Ok(Committed { epoch: 3 }));
    assert_eq!(sorted(bench.visible(&bench.options.topics.incidents)), incidents_of(1..=3));
}

fn an_open_foreign_transaction_hides_no_state(cluster: &Cluster) {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    let bench = Bench::new(cluster);
    let (mut sink, ..) = bench.start();
    assert!(sink.commit(&bench.epoch(1)).is_ok());
    // Somebody else's open transaction in the state topic, below what comes next: it ends after a second.
    let mut config = bench.options.connection.client("stranger");
    config.set("transactional.id", cluster.name("stranger"));
    let stranger: BaseProducer = config.create().unwrap();
    stranger.init_transactions(Duration::from_secs(10)).unwrap();
    stranger.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(&bench.options.topics.state).partition(0).key("1/9").payload("stray");
    stranger.send(record).map_err(|(error, _)| error).unwrap();
    stranger.flush(Duration::from_secs(10)).unwrap();
    assert!(sink.commit(&bench.epoch(2)).is_ok());
    drop(sink);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            stranger.abort_transaction(Duration::from_secs(10)).unwrap();
        });
        let (_, blocks, last) = bench.start();
        assert_eq!((blocks.len(), last), (4, 2), "read to the last stable offset only");
    });
}

/// What an outcome that is unknown leaves behind: an open transaction of our own id, which nobody else can end.
fn recovery_ends_an_open_transaction_of_its_own_id(cluster: &Cluster) {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    let bench = Bench::new(cluster);
    let (mut sink, ..) = bench.start();
    assert!(sink.commit(&bench.epoch(1)).is_ok());
    let config = bench.options.connection.producer("left-behind", &bench.options.transactional_id);
    let left_behind: BaseProducer = config.create().unwrap();
    left_behind.init_transactions(Duration::from_secs(10)).unwrap();
    left_behind.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(&bench.options.topics.state).partition(0).key("2/0").payload("half done");
    left_behind.send(record).map_err(|(error, _)| error).unwrap();
    left_behind.flush(Duration::from_secs(10)).unwrap();
    assert!(matches!(sink.commit(&bench.epoch(2)), Err(CommitError::Unknown(_))));
    let begun = Stopwatch::start();
    assert_eq!(sink.recover(), Ok(1));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "waited {took:?} for the broker to end the transaction");
    assert_eq!(sink.commit(&bench.epoch(2)), Ok(Committed { epoch: 2 }));
    drop(sink);
    assert_eq!(bench.start().1, ["block 1.0", "block 1.1", "block 2.0", "block 2.1"]);
}

fn state_is_trimmed(cluster: &Cluster) {
    let bench = Bench::new(cluster);
    let (mut sink, ..) = bench.start();
    for number in 1..=100 {
        let safe_from = if number < 90 { 0 } else { 80 };
        assert!(sink.commit(&Epoch { safe_from, ..bench.epoch(number) }).is_ok());
        if number == 50 {
            sink.tidy_up(Timestamp(0)).unwrap();
            assert_eq!(cluster.read(&bench.options.topics.state, "read_committed")[1].key, "1/0");
        }
    }
    sink.tidy_up(Timestamp(0)).unwrap();
    let keys = |cluster: &Cluster| -> Vec<String> {
        let seen = cluster.read(&bench.options.topics.state, "read_committed");
        seen.into_iter().map(|record| record.key).filter(|key| key != "owner").collect()
    };
    let first: u64 = keys(cluster)[0].strip_suffix("/0").unwrap().parse().unwrap();
    assert!((65..=80).contains(&first), "starts at {first}");
    drop(sink);
    let (mut sink, blocks, last) = bench.start();
    assert_eq!((blocks[0].clone(), last), (format!("block {first}.0"), 100));
    assert_eq!(sink.commit(&bench.epoch(101)), Ok(Committed { epoch: 101 }));
}

fn says_what_is_wrong_with_the_topics(cluster: &Cluster) {
    let restore = |options: Options| {
        KafkaSink::new(options, Metrics::new()).unwrap().restore(&mut |_| Ok(())).unwrap_err().to_string()
    };
    let mut missing = Bench::new(cluster).options;
    missing.topics.incidents = "nowhere".to_owned();
    assert!(restore(missing).starts_with("topic \"nowhere\" does not exist"));
    let mut wide = Bench::new(cluster).options;
    wide.topics.state = cluster.topic("wide", 2);
    assert!(restore(wide).contains("has 2 partitions: state needs a topic with exactly one"));
    let strange = Bench::new(cluster);
    cluster.write(&strange.options.topics.state, &[(0, "something else", 1)]);
    assert!(restore(strange.options.clone()).contains("is not ours"));
}

fn an_unknown_outcome_is_settled(cluster: &Cluster) {
    let mut bench = Bench::new(cluster);
    bench.options.commit_timeout = Duration::from_secs(4);
    bench.options.connection.options.insert("socket.timeout.ms".to_owned(), "1500".to_owned());
    let (mut sink, ..) = bench.start();
    let fed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&fed);
    sink.on_retry(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    assert!(sink.commit(&bench.epoch(1)).is_ok());
    let mut number = 1;
    // Silent for less and for more than a request may take, and away altogether; at different moments of an epoch.
    for (silence, delay) in [(1_000, 0), (2_500, 3), (2_500, 6), (6_000, 0), (6_000, 4), (6_000, 8)] {
        number += 1;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(delay));
                cluster.nodes()[0].signal("STOP");
                std::thread::sleep(Duration::from_millis(silence));
                cluster.nodes()[0].signal("CONT");
            });
            let begun = Stopwatch::start();
            let faults = insist(&mut sink, &bench.epoch(number));
            let took = begun.elapsed();
            println!("  silent for {silence} ms after {delay} ms: {took:.1?}, {} faults", faults.len());
            // Our own open transaction must not be waited for: it would last 30 s, until the broker ends it.
            assert!(took < Duration::from_millis(silence) + Duration::from_secs(15), "{took:?}: {}", summary(&faults));
        });
    }
    number += 1;
    cluster.nodes()[0].stop();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(5));
            cluster.nodes()[0].start();
        });
        let faults = insist(&mut sink, &bench.epoch(number));
        println!("  away: {} faults", faults.len());
        assert!(!faults.is_empty());
    });
    assert!(fed.load(Ordering::Relaxed) > 10, "the watchdog was not fed");
    assert!(sink.commit(&bench.epoch(number + 1)).is_ok());
    assert_eq!(sorted(bench.visible(&bench.options.topics.incidents)), incidents_of(1..=number + 1));
    drop(sink);
    let (_, blocks, last) = bench.start();
    assert_eq!((blocks.len() as u64, last), (2 * (number + 1), number + 1));
}

fn commits_over_tls_and_scram(cluster: &Cluster) {
    let mut bench = Bench::new(cluster);
    bench.options.connection = cluster.secure_connection(cluster.password());
    let (mut sink, ..) = bench.start();
    assert_eq!(sink.commit(&bench.epoch(1)), Ok(Committed { epoch: 1 }));
    assert_eq!(sorted(bench.visible(&bench.options.topics.incidents)), incidents_of(1..=1));
    bench.options.connection = cluster.secure_connection("wrong");
    bench.options.start_timeout = Duration::from_secs(3);
    let mut refused = KafkaSink::new(bench.options.clone(), Metrics::new()).unwrap();
    assert!(refused.restore(&mut |_| Ok(())).is_err());
}
