//! `tidegate storm --watch` through a real broker: the flood goes into a topic, the daemon that reads it is measured.

use std::process::Command;

use serde_json::Value;

use crate::Test;
use crate::cluster::Cluster;
use crate::end_to_end::{Daemon, binary, configure};

pub const TESTS: [Test; 1] =
    [("storm::a_daemon_that_reads_kafka_is_measured_and_exact", a_daemon_that_reads_kafka_is_measured_and_exact)];

const ALERTS: u64 = 40_000;

fn a_daemon_that_reads_kafka_is_measured_and_exact(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("measured"), cluster.topic("measured-in", 4));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let daemon = Daemon::start(&config, folder.path());
    let to = format!("kafka://{}/{input}", cluster.connection().brokers[0]);
    let picture = folder.path().join("run.svg");
    let output = Command::new(binary())
        .args(["storm", "--to", &to, "--watch", &format!("http://127.0.0.1:{}", daemon.port), "--seed", "7"])
        .args(["--alerts", &ALERTS.to_string(), "--rate", "20000", "--output", "json", "--picture"])
        .arg(&picture)
        .output()
        .unwrap();
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{record:#}");
    assert_eq!((record["complete"].as_bool(), record["exact"].as_bool()), (Some(true), Some(true)), "{record:#}");
    let seen = &record["daemon"];
    assert_eq!(seen["received"].as_u64(), Some(ALERTS));
    assert_eq!(seen["incidents_exact"], record["incidents"]);
    assert_eq!(record["acknowledged"]["count"].as_u64(), Some(ALERTS), "the broker acknowledged every record");
    let opened = &seen["alert_to_incident"];
    assert_eq!(opened["count"], record["incidents"], "every opening was seen");
    // The rule waits for a second before it tells of an incident.
    assert!(opened["p50_ms"].as_f64().unwrap() >= 1_000.0, "{opened}");
    assert!(record["course"].as_array().unwrap().iter().all(|moment| moment["lag_records"].is_u64()), "{record:#}");
    assert!(std::fs::read_to_string(picture).unwrap().contains(">complete and exact<"));
    daemon.kill();
    println!("  {ALERTS} alerts at 20000/s: alert to incident {opened}");
}
