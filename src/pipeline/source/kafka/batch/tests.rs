#![allow(clippy::unwrap_used)]

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::model::time::Stopwatch;

type Plain = BaseConsumer<DefaultConsumerContext>;
type Mock = MockCluster<'static, DefaultProducerContext>;
/// A queue, and what keeps it apart from the main queue.
type Pair = (PartitionQueue<DefaultConsumerContext>, Fetched<DefaultConsumerContext>);
/// A record as it was sent or came: payload and time.
type Known = (Option<Vec<u8>>, i64);

const TIME: i64 = 1_800_000_000_000;

fn cluster() -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("alerts", 2, 1).unwrap();
    cluster
}

/// Payloads of many sizes, empty ones and none at all among them.
fn known(n: usize, salt: usize) -> Vec<Known> {
    let payload = |at: usize| match at % 50 {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some(vec![at as u8; 20_000]),
        _ => Some(format!("{salt}/{at}/{}", "x".repeat(at % 700)).into_bytes()),
    };
    (0..n).map(|at| (payload(at), TIME + at as i64)).collect()
}

fn send(cluster: &Mock, partition: i32, records: &[Known]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for (payload, time) in records {
        let mut record = BaseRecord::<(), [u8]>::to("alerts").partition(partition).timestamp(*time);
        record.payload = payload.as_deref();
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

/// A consumer of both partitions from there on, and their queues; the first of a pair keeps the second apart.
fn consume(cluster: &Mock, from: Offset) -> (Arc<Plain>, Vec<Pair>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test");
    config.set("auto.offset.reset", "error").set("enable.auto.commit", "false");
    let consumer: Arc<Plain> = Arc::new(config.create().unwrap());
    let mut list = TopicPartitionList::new();
    for partition in [0, 1] {
        list.add_partition_offset("alerts", partition, from).unwrap();
    }
    consumer.assign(&list).unwrap();
    let queue = |partition| {
        let apart = consumer.split_partition_queue("alerts", partition).unwrap();
        (apart, Fetched::of(&consumer, "alerts", partition).unwrap())
    };
    let queues = vec![queue(0), queue(1)];
    (consumer, queues)
}

/// The next record or fault, within 20 s.
fn wait<T>(fetched: &mut Fetched<DefaultConsumerContext>, see: impl Fn(Result<Record<'_>, KafkaError>) -> T) -> T {
    let begun = Stopwatch::start();
    loop {
        if let Some(result) = fetched.next_record() {
            return see(result);
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing came");
        std::thread::yield_now();
    }
}

fn expect(fetched: &mut Fetched<DefaultConsumerContext>, offset: usize, known: &Known) {
    wait(fetched, |result| {
        let record = result.unwrap();
        assert_eq!((record.payload, record.offset), (known.0.as_deref().unwrap_or_default(), offset as i64));
        assert_eq!(record.time, Timestamp::CreateTime(known.1));
    });
}

#[test]
fn every_record_is_handed_out_once_and_in_order_each_partition_by_itself() {
    let cluster = cluster();
    let sent = [known(RECORDS_MAX * 3 + 7, 0), known(RECORDS_MAX, 1)];
    send(&cluster, 0, &sent[0]);
    send(&cluster, 1, &sent[1]);
    let (consumer, mut queues) = consume(&cluster, Offset::Beginning);
    for ((_, fetched), sent) in queues.iter_mut().zip(&sent) {
        sent.iter().enumerate().for_each(|(offset, known)| expect(fetched, offset, known));
        assert!(fetched.next_record().is_none());
    }
    assert!(consumer.poll(Duration::ZERO).is_none(), "nothing came by the main queue");
}

#[test]
fn a_fault_comes_in_its_place() {
    let cluster = cluster();
    send(&cluster, 0, &known(3, 0));
    let (_consumer, mut queues) = consume(&cluster, Offset::Offset(1_000));
    let code = wait(&mut queues[0].1, |result| result.unwrap_err().rdkafka_error_code());
    assert_eq!(code, Some(RDKafkaErrorCode::AutoOffsetReset));
}

#[test]
fn it_keeps_its_consumer_and_gives_back_what_was_not_handed_out() {
    let cluster = cluster();
    let sent = known(RECORDS_MAX * 2, 0);
    send(&cluster, 0, &sent);
    let (consumer, queues) = consume(&cluster, Offset::Beginning);
    let weak = Arc::downgrade(&consumer);
    let (_, mut fetched) = queues.into_iter().next().unwrap();
    drop(consumer);
    for (offset, known) in sent.iter().take(10).enumerate() {
        expect(&mut fetched, offset, known);
    }
    assert!(fetched.filled > fetched.next, "{fetched:?}: there is something to give back");
    drop(fetched);
    assert!(weak.upgrade().is_none(), "the consumer could be closed, which it cannot be before it has everything back");
}

#[test]
fn a_partition_taken_anew_begins_anew() {
    let cluster = cluster();
    let sent = known(RECORDS_MAX + 50, 0);
    send(&cluster, 0, &sent);
    let (consumer, mut queues) = consume(&cluster, Offset::Beginning);
    expect(&mut queues[0].1, 0, &sent[0]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("alerts", 0, Offset::Offset(40)).unwrap();
    consumer.incremental_unassign(&list).unwrap();
    consumer.incremental_assign(&list).unwrap();
    let _apart = consumer.split_partition_queue("alerts", 0).unwrap();
    let mut again = Fetched::of(&consumer, "alerts", 0).unwrap();
    for (offset, known) in sent.iter().enumerate().skip(40) {
        expect(&mut again, offset, known);
    }
    // What the old one had taken before is still its own, though of no use.
    assert!(queues[0].1.next_record().is_some());
}

#[test]
fn a_name_that_is_none_has_no_queue() {
    let cluster = cluster();
    let (consumer, _queues) = consume(&cluster, Offset::Beginning);
    assert!(Fetched::of(&consumer, "no\0name", 0).is_none());
}
