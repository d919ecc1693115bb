//! A record on an input topic that makes the program panic: the run ends, and after the next start that record alone is a dead
//! letter. The panics are laid as traps, which only test builds have (`pipeline/trap.rs`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate::model::time::{Clock as _, Stopwatch, SystemClock};

use crate::Test;
use crate::cluster::Cluster;
use crate::dlq::{dlq, list};
use crate::end_to_end::{Daemon, configure, events};

pub const TESTS: [Test; 1] = [("poison::one_record_alone_is_a_dead_letter", one_record_alone_is_a_dead_letter)];

const LIMIT: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 3;
/// Names of alerts, each of which comes four times in either half.
const NAMES: i32 = 30;
const HALF: i32 = 4 * NAMES;
const RECEIVED: &str = "tidegate_alerts_received_total";

fn alert(name: &str) -> String {
    format!(r#"{{"labels":{{"alertname":"{name}"}}}}"#)
}

/// Starts the daemon as systemd does, again after each end with 1, until it has taken so many alerts. How often it ended.
fn serve(config: &Path, folder: &Path, trap: &str, alerts: u64) -> (Daemon, u32) {
    let watch = Stopwatch::start();
    let mut n_ends = 0;
    let mut daemon = Daemon::start_with_trap(config, folder, trap);
    while daemon.metric(RECEIVED) < alerts {
        if let Some(code) = daemon.has_ended() {
            assert_eq!(code, 1, "systemd starts it again");
            n_ends += 1;
            daemon = Daemon::start_with_trap(config, folder, trap);
        }
        assert!(watch.elapsed() < LIMIT, "{n_ends} ends, and it has not taken {alerts} alerts");
        std::thread::sleep(Duration::from_millis(50));
    }
    (daemon, n_ends)
}

/// Writes half of the good records, a millisecond each, over all partitions.
fn write_half(cluster: &Cluster, input: &str, from: i32, begin: i64) {
    let values: Vec<String> = (0..HALF).map(|n| alert(&format!("Alert{}", n % NAMES))).collect();
    let at = |n: i32| (n % NAMES % PARTITIONS, values[n as usize].as_str(), begin + i64::from(from + n));
    cluster.write(input, &(0..HALF).map(at).collect::<Vec<_>>());
}

fn one_record_alone(cluster: &Cluster, stage: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("poison"), cluster.topic("poison-in", PARTITIONS));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let text = std::fs::read_to_string(&config).unwrap().replace("gap: 15s", "gap: 1s");
    std::fs::write(&config, text).unwrap();
    let begin = SystemClock.now().0;
    write_half(cluster, &input, 0, begin);
    let trap = format!("{stage}:Poison");
    let (before, n_ends) = serve(&config, folder.path(), &trap, HALF as u64);
    assert_eq!(n_ends, 0, "{stage}: nothing is wrong so far");
    // One that is bad, one that looks nearly like it, and more that are good, while it runs.
    let (bad, similar, at) = (alert("Poison"), alert("poison"), begin + i64::from(HALF));
    cluster.write(&input, &[(1, &bad, at), (1, &similar, at)]);
    write_half(cluster, &input, HALF, begin);
    assert_eq!(before.ended(LIMIT), 1, "{stage}: the run ends");
    let alerts = 2 * HALF as u64 + 2;
    let (daemon, n_ends) = serve(&config, folder.path(), &trap, alerts);
    assert_eq!(n_ends, 0, "{stage}: one end is enough");
    assert_eq!(daemon.metric("tidegate_alerts_outcome_total{source=\"in\",outcome=\"rejected\""), 1);
    assert_eq!(daemon.metric("tidegate_suspects"), 1);
    daemon.finish(alerts);
    // Started once more it finds nothing to do, and says nothing twice.
    let (daemon, n_ends) = serve(&config, folder.path(), &trap, alerts);
    assert_eq!(n_ends, 0);
    daemon.finish(alerts);

    let letters = list(&config, &["--limit", "100"]);
    assert_eq!(letters.len(), 1, "{letters:#?}");
    let (place, position) = (format!("{input}/1"), Some(HALF as u64 / PARTITIONS as u64));
    assert_eq!(letters[0]["reason"], "panic");
    assert_eq!((letters[0]["partition"].as_str(), letters[0]["position"].as_u64()), (Some(place.as_str()), position));
    let raw = dlq(&config, &["show", letters[0]["id"].as_str().unwrap(), "--raw"]).stdout;
    assert_eq!(String::from_utf8(raw).unwrap(), bad);
    // Who reads the topic with tools of their own sees the same.
    let seen = cluster.read(&format!("{namespace}.dead-letters"), "read_committed");
    assert_eq!(seen.iter().map(|seen| seen.value.as_str()).collect::<Vec<_>>(), [bad.as_str()]);

    let mut counts: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let told = events(cluster, &namespace);
    let last: BTreeMap<String, _> = told.iter().map(|event| (event.incident_id.to_string(), event)).collect();
    for event in last.values() {
        let name = event.group_labels.values().find(|value| !value.is_empty()).unwrap();
        counts.entry(name.clone()).or_default().push((event.members, event.counts.alerts));
    }
    let mut expected: BTreeMap<String, _> = (0..NAMES).map(|n| (format!("Alert{n}"), vec![(1, 8)])).collect();
    expected.insert("poison".to_owned(), vec![(1, 1)]);
    assert_eq!(counts, expected, "{stage}: every other one counts once");
}

fn one_record_alone_is_a_dead_letter(cluster: &Cluster) {
    for stage in ["scan", "decode", "shard"] {
        one_record_alone(cluster, stage);
    }
}
