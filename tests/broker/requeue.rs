//! `tidegate dlq requeue` over Kafka: records of a topic that was configured in the wrong format go in again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tidegate::model::time::{Clock as _, SystemClock};

use crate::Test;
use crate::cluster::Cluster;
use crate::end_to_end::{Daemon, binary, configure};

pub const TESTS: [Test; 1] = [("requeue::a_topic_read_in_the_wrong_format_is_mended", a_wrong_format_is_mended)];

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `tidegate dlq` with JSON; the code must be as expected.
#[track_caller]
fn dlq(config: &Path, code: i32, words: &[&str]) -> Value {
    let mut command = Command::new(binary());
    command.arg("dlq").args(words).args(["--output", "json", "--config"]).arg(config);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn envelope(name: &str) -> String {
    format!(r#"{{"version":"4","alerts":[{{"status":"firing","labels":{{"alertname":"{name}"}}}}]}}"#)
}

fn a_wrong_format_is_mended(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("requeue"), cluster.topic("requeue-in", 2));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let (first, second) = (envelope("First"), envelope("Second \u{202e}"));
    let now = SystemClock.now().0;
    cluster.write(&input, &[(0, &first, now), (1, &second, now), (1, "{oops\u{1b}[2J", now)]);
    let mut daemon = Daemon::start(&config, folder.path());
    daemon.until("at the end of its input", LIMIT, |daemon| daemon.metric("tidegate_rejected_total") == 3);
    let letters = dlq(&config, 0, &["list"]);
    let id_of = |reason: &str, partition: i32| {
        let place = format!("{input}/{partition}");
        let mut found = letters.as_array().unwrap().iter();
        let found = found.find(|letter| letter["reason"] == reason && letter["partition"] == place.as_str());
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (good, other, oops) = (id_of("no_labels", 0), id_of("no_labels", 1), id_of("malformed_json", 1));
    assert_eq!(letters[0]["format"], "native");
    let report = dlq(&config, 1, &["requeue", &good]);
    let detail = report["letters"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("still cannot be read as native: no_labels"), "{report:#}");
    daemon.kill();
    // The cause is mended.
    let text = std::fs::read_to_string(&config).unwrap();
    let mended = text.replace("format: native", "format: alertmanager_webhook");
    assert_ne!(mended, text);
    std::fs::write(&config, mended).unwrap();
    let mut daemon = Daemon::start(&config, folder.path());
    let report = dlq(&config, 0, &["requeue", &good]);
    assert_eq!((report["requeued"].as_u64(), report["letters"][0]["result"].as_str()), (Some(1), Some("requeued")));
    assert_eq!(report["letters"][0]["to"], format!("{input}/0/1"));
    daemon.until("told of what came again", LIMIT, |daemon| {
        daemon.metric("tidegate_alerts_outcome_total{source=\"in\",outcome=\"opened\"") == 1
    });
    let seen = cluster.read(&input, "read_committed");
    let again = seen.iter().find(|record| record.partition == 0 && record.offset == 1).unwrap();
    assert_eq!((again.value.as_str(), again.headers["tidegate.requeue"].as_str()), (first.as_str(), good.as_str()));
    assert_eq!(again.headers["tidegate.requeue.from"], format!("{input}/0/0"));
    // The mark is no letter, and is found from both sides.
    let letters = dlq(&config, 0, &["list"]);
    assert_eq!(letters.as_array().unwrap().len(), 3, "{letters:#}");
    let marked = letters.as_array().unwrap().iter().filter(|letter| !letter["requeued"].is_null());
    assert_eq!(marked.map(|letter| letter["id"].as_str().unwrap()).collect::<Vec<_>>(), [good.as_str()]);
    assert_eq!(dlq(&config, 0, &["show", &good])["requeued"]["to"], format!("{input}/0/1"));
    let report = dlq(&config, 1, &["requeue", &good]);
    assert!(report["letters"][0]["detail"].as_str().unwrap().contains("once more: --again"), "{report:#}");
    // All that is left: one can be read now, one never will.
    let report = dlq(&config, 1, &["requeue", "--all", "--yes"]);
    let results: Vec<_> = report["letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| (told["id"].as_str(), told["result"].as_str()))
        .collect();
    assert_eq!(results.len(), 2, "{report:#}");
    assert!(results.contains(&(Some(other.as_str()), Some("requeued"))), "{report:#}");
    assert!(results.contains(&(Some(oops.as_str()), Some("refused"))), "{report:#}");
    daemon.until("told of both", LIMIT, |daemon| {
        daemon.metric("tidegate_alerts_outcome_total{source=\"in\",outcome=\"opened\"") == 2
    });
    assert_eq!(daemon.metric("tidegate_rejected_total"), 3, "nothing was rejected again");
    // Nothing of it steers a terminal.
    for words in [&["dlq", "list"][..], &["dlq", "show", &other], &["dlq", "requeue", &other, "--dry-run", "--again"]] {
        let output = Command::new(binary()).args(words).arg("--config").arg(&config).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let steers = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
        assert!(!text.contains(steers), "{words:?}: {text:?}");
    }
    daemon.kill();
}
