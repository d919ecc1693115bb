//! The Kafka source: what it reads, from where, in which order, and what it says of idle partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tidegate::metrics::Metrics;
use tidegate::model::alert::Format;
use tidegate::model::fingerprint::IncidentId;
use tidegate::model::time::{Clock as _, Millis, Stopwatch, SystemClock, Timestamp};
use tidegate::pipeline::command::{Action, Command};
use tidegate::pipeline::source::kafka::batch::Fetched;
use tidegate::pipeline::source::kafka::{self, OnOffsetLost, Options, Topic, commands};
use tidegate::pipeline::source::{Position, SourceEvent};

use crate::Test;
use crate::cluster::{Cluster, block_on};

pub const TESTS: [Test; 10] = [
    ("source::reads_all_partitions_and_then_is_idle", reads_all_partitions_and_then_is_idle),
    ("source::goes_on_from_the_restored_positions", goes_on_from_the_restored_positions),
    ("source::aligns_partitions_in_a_backlog", aligns_partitions_in_a_backlog),
    ("source::back_pressure_holds_the_exact_number", back_pressure_holds_the_exact_number),
    ("source::finds_new_partitions", finds_new_partitions),
    ("source::stops_or_goes_on_when_its_offset_is_gone", stops_or_goes_on_when_its_offset_is_gone),
    ("source::a_silent_broker_is_no_idle_partition", a_silent_broker_is_no_idle_partition),
    ("source::batches_give_what_the_safe_interface_gives", batches_give_what_the_safe_interface_gives),
    ("source::reads_commands", reads_commands),
    ("source::connects_with_tls_and_scram", connects_with_tls_and_scram),
];

/// Offset, time and value of a record.
type Found = (i64, rdkafka::Timestamp, Vec<u8>);

/// What a source said, gathered.
#[derive(Default)]
struct Heard {
    /// By partition: position, value and time of each record, in order.
    records: Vec<(String, u64, String, i64)>,
    idle: BTreeMap<String, usize>,
    assigned: Vec<String>,
    failed: Option<String>,
}

impl Heard {
    fn hear(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Records(batch) => {
                for record in &batch.records {
                    let value = String::from_utf8_lossy(batch.record_bytes(record)).into_owned();
                    let partition = batch.partitions[usize::from(record.partition)].to_string();
                    assert_eq!(record.next, record.position + 1);
                    self.records.push((partition, record.position, value, record.time.0));
                }
            }
            SourceEvent::Idle(name) => *self.idle.entry(name.to_string()).or_default() += 1,
            SourceEvent::Assigned(names) => self.assigned = names.iter().map(|name| name.to_string()).collect(),
            SourceEvent::Unsure(name) => {
                self.idle.remove(&*name);
            }
            SourceEvent::Failed(fault) => self.failed = Some(fault),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn values(&self) -> Vec<&str> {
        let mut values: Vec<&str> = self.records.iter().map(|(_, _, value, _)| value.as_str()).collect();
        values.sort_unstable();
        values
    }
}

fn options(cluster: &Cluster, topics: &[&str]) -> Options {
    let topics = topics.iter().map(|name| Topic { name: (*name).to_owned(), format: Format::Native }).collect();
    Options::new("kafka", cluster.connection(), "tidegate", topics)
}

/// Runs a source until `enough` says so, at most 30 s.
fn run(options: &Options, positions: &[Position], enough: impl Fn(&Heard) -> bool) -> Heard {
    let (sender, receiver) = bounded(4);
    with_source(options, positions, sender, || listen(&receiver, &enough))
}

fn listen(receiver: &Receiver<SourceEvent>, enough: &impl Fn(&Heard) -> bool) -> Heard {
    let mut heard = Heard::default();
    let begun = Stopwatch::start();
    while !enough(&heard) && heard.failed.is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not enough after 30 s: {} records, idle {:?}, assigned {:?}",
            heard.records.len(),
            heard.idle,
            heard.assigned
        );
        if let Ok(event) = receiver.recv_timeout(Duration::from_millis(100)) {
            heard.hear(event);
        }
    }
    heard
}

fn with_source<T>(
    options: &Options,
    positions: &[Position],
    sender: Sender<SourceEvent>,
    body: impl FnOnce() -> T,
) -> T {
    let clock = Arc::new(SystemClock);
    let thread = kafka::spawn(options.clone(), positions.to_vec(), clock, Metrics::new(), sender).unwrap();
    let result = body();
    thread.stop();
    thread.join().unwrap();
    result
}

fn now() -> i64 {
    SystemClock.now().0
}

fn reads_all_partitions_and_then_is_idle(cluster: &Cluster) {
    let (one, two) = (cluster.topic("alerts", 3), cluster.topic("tickets", 2));
    let at = now() - 60_000;
    cluster.write(&one, &[(0, "a0", at), (2, "a1", at + 1), (0, "a2", at + 2)]);
    cluster.write(&two, &[(1, "t0", now() + 3_600_000)]);
    let heard = run(&options(cluster, &[&one, &two]), &[], |heard| heard.idle.len() == 5);
    assert_eq!(heard.values(), ["a0", "a1", "a2", "t0"]);
    assert_eq!(heard.assigned.len(), 5);
    let position = |value: &str| heard.records.iter().find(|record| record.2 == value).unwrap().clone();
    assert_eq!(position("a2"), (format!("{one}/0"), 1, "a2".to_owned(), at + 2));
    assert!(position("t0").3 <= now(), "a sender's clock must not date a record into the future");
    // Order within a partition.
    let first: Vec<_> = heard.records.iter().filter(|record| record.0 == format!("{one}/0")).map(|r| r.1).collect();
    assert_eq!(first, [0, 1]);
}

fn goes_on_from_the_restored_positions(cluster: &Cluster) {
    let topic = cluster.topic("alerts", 2);
    let values: Vec<String> = (0..20).map(|number| format!("v{number:02}")).collect();
    let records: Vec<(i32, &str, i64)> = values.iter().map(|value| (0, value.as_str(), now())).collect();
    cluster.write(&topic, &records);
    let position = |source: &str, next| Position {
        source: source.to_owned(),
        partition: format!("{topic}/0"),
        next,
        clock: Timestamp::MIN,
    };
    let positions = [position("other", 3), position("kafka", 17)];
    let heard = run(&options(cluster, &[&topic]), &positions, |heard| heard.idle.len() == 2);
    assert_eq!(heard.values(), ["v17", "v18", "v19"]);
}

fn aligns_partitions_in_a_backlog(cluster: &Cluster) {
    let topic = cluster.topic("alerts", 3);
    // An hour of backlog, one record a second in two partitions; nothing in the third.
    let start = now() - 3_600_000;
    let records: Vec<(i32, &str, i64)> =
        (0..3_600).flat_map(|s| [(0, "x", start + s * 1_000), (1, "x", start + s * 1_000)]).collect();
    cluster.write(&topic, &records);
    let heard = run(&options(cluster, &[&topic]), &[], |heard| heard.records.len() == 7_200 && heard.idle.len() == 3);
    let mut clocks = BTreeMap::new();
    for (partition, _, _, time) in &heard.records {
        clocks.insert(partition.clone(), *time);
        if let [Some(zero), Some(one)] = [0, 1].map(|p| clocks.get(&format!("{topic}/{p}"))) {
            // 10 s, and the one record by which the limit is noticed.
            assert!((zero - one).abs() <= 11_000, "{zero} and {one} are too far apart");
        }
    }
}

fn back_pressure_holds_the_exact_number(cluster: &Cluster) {
    let topic = cluster.topic("alerts", 1);
    let records: Vec<(i32, &str, i64)> = (0..50).map(|_| (0, "x", now())).collect();
    cluster.write(&topic, &records);
    let options = Options { batch_records: 10, ..options(cluster, &[&topic]) };
    let (sender, receiver) = bounded(2);
    let heard = with_source(&options, &[], sender, || {
        // Nobody takes anything: assignment and one batch fit into the channel, the next batch waits outside.
        let begun = Stopwatch::start();
        while receiver.len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the channel does not fill");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(receiver.len(), 2);
        listen(&receiver, &|heard: &Heard| heard.records.len() == 50)
    });
    assert_eq!(heard.records.iter().map(|record| record.1).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
}

fn finds_new_partitions(cluster: &Cluster) {
    let topic = cluster.topic("alerts", 1);
    let options = Options { metadata_interval: Millis(300), ..options(cluster, &[&topic]) };
    let (sender, receiver) = bounded(4);
    let heard = with_source(&options, &[], sender, || {
        listen(&receiver, &|heard: &Heard| heard.idle.len() == 1);
        let more = NewPartitions::new(&topic, 3);
        block_on(cluster.admin().create_partitions([&more], &AdminOptions::new())).unwrap();
        cluster.write(&topic, &[(2, "late", now()), (0, "zero", now())]);
        listen(&receiver, &|heard: &Heard| heard.records.len() == 2 && heard.idle.len() == 3)
    });
    assert_eq!(heard.values(), ["late", "zero"]);
    assert!(heard.assigned.contains(&format!("{topic}/1")) && heard.assigned.contains(&format!("{topic}/2")));
}

fn stops_or_goes_on_when_its_offset_is_gone(cluster: &Cluster) {
    let topic = cluster.topic("alerts", 1);
    cluster.write(&topic, &[(0, "a", now()), (0, "b", now()), (0, "c", now()), (0, "d", now())]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(2)).unwrap();
    block_on(cluster.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    let gone =
        |next| Position { source: "kafka".to_owned(), partition: format!("{topic}/0"), next, clock: Timestamp::MIN };
    for next in [1, 77] {
        let heard = run(&options(cluster, &[&topic]), &[gone(next)], |_| false);
        let fault = heard.failed.unwrap();
        assert!(fault.contains(&format!("offset {next}, to go on from, is not there any more")), "{fault}");
        assert_eq!(heard.records.len(), 0);
        let options = Options { on_offset_lost: OnOffsetLost::Earliest, ..options(cluster, &[&topic]) };
        let heard = run(&options, &[gone(next)], |heard| heard.idle.len() == 1 && heard.records.len() == 2);
        assert_eq!((heard.failed.as_deref(), heard.values()), (None, vec!["c", "d"]));
    }
    let heard = run(&options(cluster, &["never-created"]), &[], |_| false);
    assert!(heard.failed.unwrap().contains("topic \"never-created\" does not exist"));
}

fn a_silent_broker_is_no_idle_partition(cluster: &Cluster) {
    let topic = cluster.topic("alerts", 1);
    let (sender, receiver) = bounded(4);
    with_source(&options(cluster, &[&topic]), &[], sender, || {
        assert!(listen(&receiver, &|heard: &Heard| heard.idle.len() == 1).failed.is_none());
        cluster.nodes()[0].signal("STOP");
        let mut unsure = false;
        let begun = Stopwatch::start();
        while !unsure && begun.elapsed() < Duration::from_secs(20) {
            unsure = matches!(receiver.recv_timeout(Duration::from_millis(100)), Ok(SourceEvent::Unsure(_)));
        }
        cluster.nodes()[0].signal("CONT");
        assert!(unsure, "the partition stays idle although nothing is known of it");
        assert!(listen(&receiver, &|heard: &Heard| heard.idle.len() == 1).failed.is_none());
    });
}

/// Records by both interfaces of the client library, over every codec, with an aborted transaction between them.
fn batches_give_what_the_safe_interface_gives(cluster: &Cluster) {
    const EACH: usize = 400;
    let topic = cluster.topic("codecs", 1);
    let write = |codec: &str, transaction: Option<bool>| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.connection().brokers.join(",")).set("compression.type", codec);
        if transaction.is_some() {
            config.set("transactional.id", cluster.name("codecs"));
        }
        let producer: BaseProducer = config.create().unwrap();
        if transaction.is_some() {
            producer.init_transactions(Duration::from_secs(20)).unwrap();
            producer.begin_transaction().unwrap();
        }
        for number in 0..EACH {
            let value = format!("{codec} {number} {}", "alert ".repeat(number % 90));
            let record = BaseRecord::<(), _>::to(&topic).partition(0).timestamp(now() - number as i64);
            let record = if number % 40 == 0 { record } else { record.payload(&value) };
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
        match transaction {
            Some(true) => producer.commit_transaction(Duration::from_secs(20)).unwrap(),
            Some(false) => producer.abort_transaction(Duration::from_secs(20)).unwrap(),
            None => {}
        }
    };
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        write(codec, None);
    }
    write("lz4", Some(false));
    write("none", Some(true));
    let wanted = EACH * 6;
    let consumer = || -> Arc<BaseConsumer<DefaultConsumerContext>> {
        let consumer = Arc::new(cluster.connection().consumer("test", "codecs").create().unwrap());
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
        BaseConsumer::assign(&consumer, &list).unwrap();
        consumer
    };
    let gather = |next: &mut dyn FnMut(&mut Vec<Found>)| {
        let (mut found, begun) = (Vec::new(), Stopwatch::start());
        while found.len() < wanted {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} of {wanted} records", found.len());
            next(&mut found);
        }
        found
    };
    let safe = consumer();
    let expected = gather(&mut |found| {
        if let Some(message) = safe.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            found.push((message.offset(), message.timestamp(), message.payload().unwrap_or_default().to_vec()));
        }
    });
    let consumer = consumer();
    let _apart = consumer.split_partition_queue(&topic, 0).unwrap();
    let mut fetched = Fetched::of(&consumer, &topic, 0).unwrap();
    let found = gather(&mut |found| {
        assert!(consumer.poll(Duration::from_millis(1)).is_none());
        while let Some(record) = fetched.next_record() {
            let record = record.unwrap();
            found.push((record.offset, record.time, record.payload.to_vec()));
        }
    });
    assert_eq!(found, expected);
}

fn reads_commands(cluster: &Cluster) {
    let topic = cluster.topic("commands", 1);
    let options =
        commands::Options { connection: cluster.connection(), group: "tidegate".to_owned(), topic: topic.clone() };
    let command = |id: u128| Command {
        at: Timestamp(1_000),
        by: "dana".to_owned(),
        action: Action::Resolve { incident_id: IncidentId(id) },
    };
    let writer = commands::CommandWriter::new(&options).unwrap();
    writer.append(&command(1)).unwrap();
    cluster.write(&topic, &[(0, "no command", now())]);
    writer.append(&command(2)).unwrap();
    let read = |next: u64, wanted: usize| -> Vec<(Command, u64)> {
        let (sender, receiver) = bounded(4);
        let thread = commands::spawn(options.clone(), next, sender).unwrap();
        let take = || match receiver.recv_timeout(Duration::from_secs(20)) {
            Ok(SourceEvent::Command { command, next }) => Some((command, next)),
            _ => None,
        };
        let taken = (0..wanted).filter_map(|_| take()).collect();
        thread.stop();
        thread.join().unwrap();
        taken
    };
    assert_eq!(read(0, 2), [(command(1), 1), (command(2), 3)]);
    assert_eq!(read(1, 1), [(command(2), 3)]);
}

fn connects_with_tls_and_scram(cluster: &Cluster) {
    let topic = cluster.topic("alerts", 1);
    cluster.write(&topic, &[(0, "secret", now())]);
    let secure = Options { connection: cluster.secure_connection(cluster.password()), ..options(cluster, &[&topic]) };
    let heard = run(&secure, &[], |heard| heard.idle.len() == 1);
    assert_eq!(heard.values(), ["secret"]);
}
