//! What the client library can hand over at most: reads a topic from its beginning to its end by the batch interface and
//! does nothing with what it gets. The measure for Kafka to Kafka.
//!
//! `cargo bench --profile ci --bench consume -- --brokers 127.0.0.1:9092 --topic alerts [--option KEY=VALUE]...`
//! prints one line of JSON. Records are counted from the first one on, so that connecting is not.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::{Offset, TopicPartitionList};
use tidegate::model::time::Stopwatch;
use tidegate::pipeline::source::kafka::batch::Fetched;

type Plain = BaseConsumer<DefaultConsumerContext>;

const TIMEOUT: Duration = Duration::from_secs(10);

struct Arguments {
    topic: String,
    config: ClientConfig,
}

fn main() {
    let Arguments { topic, config } = arguments();
    let consumer: Arc<Plain> = Arc::new(config.create().expect("the settings are accepted"));
    let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT).expect("the broker answers");
    let described = metadata.topics().first().expect("the topic is described");
    let mut list = TopicPartitionList::new();
    let mut wanted = 0;
    for partition in described.partitions() {
        let (low, high) = consumer.fetch_watermarks(&topic, partition.id(), TIMEOUT).expect("the broker answers");
        wanted += u64::try_from(high - low).unwrap_or(0);
        list.add_partition_offset(&topic, partition.id(), Offset::Beginning).expect("a valid offset");
    }
    consumer.assign(&list).expect("partitions can be assigned");
    // Kept: a queue that is split off sends its records to the main queue again once its owner is gone.
    let split: Vec<_> =
        described.partitions().iter().map(|partition| consumer.split_partition_queue(&topic, partition.id())).collect();
    let mut queues: Vec<Fetched<_>> = described
        .partitions()
        .iter()
        .map(|partition| Fetched::of(&consumer, &topic, partition.id()).expect("every partition has a queue"))
        .collect();
    let cpu_before = cpu_seconds();
    let (mut records, mut bytes, mut first) = (0_u64, 0_u64, None);
    while records < wanted {
        let before = records;
        for queue in &mut queues {
            while let Some(result) = queue.next_record() {
                let record = result.expect("the topic can be read");
                first.get_or_insert_with(Stopwatch::start);
                records += 1;
                bytes += record.payload.len() as u64;
            }
        }
        let _ = consumer.poll(Duration::ZERO);
        if records == before {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    let seconds = first.map_or(0.0, |first: Stopwatch| first.elapsed().as_secs_f64());
    let cpu = cpu_seconds() - cpu_before;
    drop(split);
    writeln!(
        std::io::stdout(),
        r#"{{"records": {records}, "bytes": {bytes}, "seconds": {seconds:.3}, "records_per_second": {:.0}, "cpu_seconds": {cpu:.2}, "cpu_ns_per_record": {:.0}}}"#,
        records as f64 / seconds,
        cpu * 1e9 / records as f64,
    )
    .expect("standard output is open");
}

fn arguments() -> Arguments {
    let (mut topic, mut config) = ("alerts".to_owned(), ClientConfig::new());
    // Ahead of the reader by a second or so; the back-off of a full queue is what a bounded one needs.
    config.set("bootstrap.servers", "127.0.0.1:9092").set("group.id", "consume-only");
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("fetch.queue.backoff.ms", "1");
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--brokers" => _ = config.set("bootstrap.servers", value()),
            "--topic" => topic = value(),
            "--option" => {
                let option = value();
                let (name, value) = option.split_once('=').expect("--option KEY=VALUE");
                config.set(name, value);
            }
            "--bench" => {} // cargo bench adds it.
            other => panic!("unknown argument {other}"),
        }
    }
    Arguments { topic, config }
}

/// CPU time of all threads of this process so far: the first number of each `schedstat` is nanoseconds.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux has /proc");
    let spent = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    tasks.filter_map(spent).sum::<f64>() / 1e9
}
