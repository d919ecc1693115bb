//! Bad records on an input topic: the good ones beside them are taken, each bad one is shown by `tidegate dlq`.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use crate::Test;
use crate::cluster::{Cluster, block_on};
use crate::end_to_end::{Daemon, binary, configure};
use records::{N_UNUSABLE, bad, good, kept, mixed};

#[path = "../it/bad_input/records.rs"]
mod records;

pub const TESTS: [Test; 2] = [
    ("dlq::bad_records_are_listed_and_shown_and_the_rest_is_unharmed", bad_records_are_listed_and_shown),
    ("dlq::only_what_is_committed_is_shown", only_what_is_committed_is_shown),
];

/// More than the records under test, which are more than the default of clients and topics.
const MESSAGE_BYTES_MAX: &str = "4194304";
const WAIT: Duration = Duration::from_secs(15);

/// An input topic with two partitions that takes large records.
fn input(cluster: &Cluster) -> String {
    let name = cluster.name("bad-in");
    let topic = NewTopic::new(&name, 2, TopicReplication::Fixed(1)).set("max.message.bytes", MESSAGE_BYTES_MAX);
    block_on(cluster.admin().create_topics([&topic], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    name
}

/// Runs `tidegate dlq`.
pub fn dlq(config: &Path, words: &[&str]) -> Output {
    Command::new(binary()).arg("dlq").args(words).arg("--config").arg(config).output().unwrap()
}

/// The dead letters, and that the list ended well.
pub fn list(config: &Path, words: &[&str]) -> Vec<Value> {
    let output = dlq(config, &[&["list", "--output", "json"], words].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn send(cluster: &Cluster, topic: &str, records: &[(i32, Vec<u8>)]) {
    let brokers = cluster.connection().brokers.join(",");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("message.max.bytes", MESSAGE_BYTES_MAX);
    let producer: BaseProducer = config.create().unwrap();
    for (partition, bytes) in records {
        let record = BaseRecord::<(), _>::to(topic).partition(*partition).payload(bytes);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(WAIT).unwrap();
}

fn bad_records_are_listed_and_shown(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("bad"), input(cluster));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let mut sent: Vec<(i32, Vec<u8>)> =
        mixed().into_iter().zip([0, 1].into_iter().cycle()).map(|(b, p)| (p, b)).collect();
    // One record with a good and a bad element, and one that would steer a terminal.
    sent.push((0, br#"[{"labels": {"alertname": "InArray"}}, {"labels": {}}]"#.to_vec()));
    sent.push((1, b"{\x1b]0;owned\x07\x1b[2J".to_vec()));
    send(cluster, &input, &sent);
    let (n_good, n_bad) = (good().len() as u64 + 1, bad().len() as u64 + 2);
    let mut daemon = Daemon::start(&config, folder.path());
    daemon.until("at the end of its input", Duration::from_secs(60), |daemon| {
        daemon.metric("tidegate_alerts_received_total") >= n_good + n_bad
    });
    assert_eq!(daemon.metric("tidegate_rejected_total"), n_bad);
    let fates = daemon.metric("tidegate_alerts_outcome_total") + daemon.metric("tidegate_alerts_held");
    assert_eq!((daemon.metric("tidegate_alerts_received_total"), fates), (n_good + n_bad, n_good + n_bad));
    assert_eq!(daemon.metric("tidegate_alerts_outcome_total{source=\"in\",outcome=\"rejected\""), n_bad);
    assert_eq!(daemon.metric("tidegate_unusable_times_total"), N_UNUSABLE);
    let letters = list(&config, &["--limit", "100"]);
    assert_eq!(letters.len() as u64, n_bad, "{letters:#?}");
    let text = dlq(&config, &["list"]).stdout;
    assert!(!text.contains(&0x1b) && !text.contains(&7), "{}", String::from_utf8_lossy(&text));
    daemon.kill();
    // A fault of an alert names the element; with a fault of the record there are none.
    let of_record = ["malformed_json", "wrong_shape", "too_deep", "invalid_utf8", "too_large"];
    let element = |reason: &str| (!of_record.contains(&reason)).then_some(0);
    let mut expected: Vec<_> = bad().into_iter().map(|(reason, bytes)| (reason, bytes, element(reason))).collect();
    expected.push(("no_labels", br#"{"labels": {}}"#.to_vec(), Some(1)));
    expected.push(("malformed_json", b"{\x1b]0;owned\x07\x1b[2J".to_vec(), None));
    for (reason, bytes, element) in expected {
        let whole = |record: &[u8]| record == bytes || (element == Some(1) && record.starts_with(b"["));
        let at = sent.iter().position(|(_, record)| whole(record)).unwrap();
        let partition = sent[at].0;
        let offset = sent[..at].iter().filter(|(other, _)| *other == partition).count() as u64;
        let (place, position) = (format!("{input}/{partition}"), Some(offset));
        let found = letters.iter().find(|l| l["partition"] == place.as_str() && l["position"].as_u64() == position);
        let letter = found.unwrap_or_else(|| panic!("{reason} at {place}/{offset} is missing in {letters:#?}"));
        assert_eq!((letter["reason"].as_str(), letter["element"].as_u64()), (Some(reason), element));
        assert_eq!(
            (letter["source"].as_str(), letter["original_len"].as_u64()),
            (Some("in"), Some(bytes.len() as u64))
        );
        let raw = dlq(&config, &["show", letter["id"].as_str().unwrap(), "--raw"]).stdout;
        assert!(raw == kept(&bytes), "{reason}: {} bytes are not those that were sent", raw.len());
    }
    let deep = list(&config, &["--reason", "too_deep"]);
    assert_eq!((deep.len(), deep[0]["reason"].as_str()), (1, Some("too_deep")));
    assert_eq!(list(&config, &["--limit", "3"]), letters[..3]);
    assert_eq!(list(&config, &["--source", "other"]), [] as [Value; 0]);
}

fn only_what_is_committed_is_shown(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let namespace = cluster.name("bad");
    let config = configure(cluster, folder.path(), &namespace, &input(cluster));
    assert_eq!(list(&config, &[]), [] as [Value; 0], "an empty topic");
    let topic = format!("{namespace}.dead-letters");
    // What somebody else wrote has no headers; it is shown as far as it goes.
    send(cluster, &topic, &[(0, b"foreign".to_vec())]);
    let mut writer = ClientConfig::new();
    writer.set("bootstrap.servers", cluster.connection().brokers.join(",")).set("transactional.id", &namespace);
    let writer: BaseProducer = writer.create().unwrap();
    writer.init_transactions(WAIT).unwrap();
    writer.begin_transaction().unwrap();
    let record = BaseRecord::<(), _>::to(&topic).partition(0).payload("never committed");
    writer.send(record).map_err(|(error, _)| error).unwrap();
    writer.flush(WAIT).unwrap();
    for state in ["open", "aborted"] {
        let letters = list(&config, &[]);
        assert_eq!((letters.len(), letters[0]["id"].as_str()), (1, Some("0:0")), "transaction {state}");
        assert_eq!(dlq(&config, &["show", "0:0", "--raw"]).stdout, b"foreign");
        for id in ["0:1", "0:99", "77:0", "5"] {
            let output = dlq(&config, &["show", id]);
            assert_eq!(output.status.code(), Some(1), "transaction {state}: {id}: {output:?}");
        }
        if state == "open" {
            writer.abort_transaction(WAIT).unwrap();
        }
    }
    cluster.delete(&topic);
    let output = dlq(&config, &["list"]);
    let fault = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (output.status.code(), fault.contains(&format!("there is no topic {topic}"))),
        (Some(2), true),
        "{fault}"
    );
}
