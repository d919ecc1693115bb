//! What people read when something is wrong with Kafka, each produced on purpose by the program itself.
//!
//! The texts are in `snapshots/`; names, ports and times in them are replaced.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::{Offset, TopicPartitionList};
use regex::Regex;
use tidegate::model::time::{Clock as _, Stopwatch, SystemClock};

use crate::Test;
use crate::cluster::{Cluster, block_on};
use crate::end_to_end::{Daemon, binary, configure};

pub const TESTS: [Test; 3] = [
    ("messages::topics_that_are_missing_or_set_wrongly", topics_that_are_missing_or_set_wrongly),
    ("messages::another_instance_takes_over", another_instance_takes_over),
    ("messages::input_expired_before_it_was_read", input_expired_before_it_was_read),
];

const PATIENCE: Duration = Duration::from_secs(120);

/// Without what differs from run to run.
fn normal(text: &str, names: &[(&str, &str)]) -> String {
    let text = names.iter().fold(text.to_owned(), |text, (found, name)| text.replace(found, name));
    let rules = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
        (r"\x1b\[[0-9;]*m", ""),
        (r"\b[0-9a-f]{16}\b", "INSTANCE"),
    ];
    rules.iter().fold(text, |text, (pattern, name)| Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned())
}

fn check(name: &str, text: &str) {
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!(name, text);
    });
}

/// What a command says, and its exit code.
fn said(words: &[&str]) -> String {
    let output = Command::new(binary()).args(words).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    format!("{text}exit code {}\n", output.status.code().unwrap())
}

/// A daemon that is left to end by itself; a test that fails leaves none behind.
struct Left(Child);

impl Drop for Left {
    fn drop(&mut self) {
        let _ = self.0.kill(); // Gone already in most cases.
        let _ = self.0.wait();
    }
}

fn spawn(config: &Path, folder: &Path, log: &Path) -> Left {
    let log = std::fs::File::create(log).unwrap();
    let mut command = Command::new(binary());
    command.args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(config).arg("--data-dir").arg(folder);
    Left(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

/// What a daemon says as it ends by itself: the lines that are no plain information, and its exit code.
fn last_words(mut daemon: Left, log: &Path) -> String {
    let watch = Stopwatch::start();
    let code = loop {
        if let Some(status) = daemon.0.try_wait().unwrap() {
            break status.code().unwrap();
        }
        assert!(watch.elapsed() < PATIENCE, "it does not end: {}", std::fs::read_to_string(log).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    };
    let text = std::fs::read_to_string(log).unwrap();
    let ours = text.lines().filter(|line| !line.contains(" INFO ") && !line.contains(" WARN "));
    let lines: Vec<&str> = ours.collect();
    format!("{}\nexit code {code}\n", lines.join("\n"))
}

fn topics_that_are_missing_or_set_wrongly(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let namespace = cluster.name("words");
    let input = cluster.topic("words-in", 1);
    let config = configure(cluster, folder.path(), &namespace, &input);
    let config_text = config.display().to_string();
    let names = [(namespace.as_str(), "NAMESPACE"), (input.as_str(), "INPUT")];
    let ask = || normal(&said(&["topics", "check", "--replication", "1", "--config", &config_text]), &names);
    let state = format!("{namespace}.state");
    let change = AlterConfig::new(ResourceSpecifier::Topic(&state)).set("retention.ms", "3600000");
    block_on(cluster.admin().alter_configs([&change], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    check("topics_set_wrongly", &ask());
    for purpose in ["incidents", "state", "dead-letters", "commands"] {
        cluster.delete(&format!("{namespace}.{purpose}"));
    }
    check("topics_missing", &ask());
    let log = folder.path().join("run.log");
    check("run_without_topics", &normal(&last_words(spawn(&config, folder.path(), &log), &log), &names));
}

fn another_instance_takes_over(cluster: &Cluster) {
    let (old_home, new_home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let namespace = cluster.name("words");
    let input = cluster.topic("words-in", 1);
    let config = configure(cluster, old_home.path(), &namespace, &input);
    let log = old_home.path().join("old.log");
    let old = spawn(&config, old_home.path(), &log);
    let watch = Stopwatch::start();
    while !std::fs::read_to_string(&log).unwrap().contains("takes alerts on") {
        assert!(watch.elapsed() < PATIENCE, "{}", std::fs::read_to_string(&log).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    let new = Daemon::start(&config, new_home.path());
    // Its next epoch tells the old one.
    cluster.write(&input, &[(0, r#"{"labels":{"alertname":"Now"}}"#, SystemClock.now().0)]);
    let words = normal(&last_words(old, &log), &[(namespace.as_str(), "NAMESPACE"), (input.as_str(), "INPUT")]);
    assert!(words.ends_with("exit code 3\n"), "{words}");
    check("fenced", &words);
    new.kill();
}

fn input_expired_before_it_was_read(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let namespace = cluster.name("words");
    let input = cluster.topic("words-in", 1);
    let config = configure(cluster, folder.path(), &namespace, &input);
    let alert = r#"{"labels":{"alertname":"Now"}}"#;
    let write = || cluster.write(&input, &[(0, alert, SystemClock.now().0), (0, alert, SystemClock.now().0)]);
    write();
    let mut daemon = Daemon::start(&config, folder.path());
    daemon.until("at the end", PATIENCE, |daemon| daemon.metric("tidegate_alerts_received_total") == 2);
    daemon.kill();
    write();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&input, 0, Offset::Offset(3)).unwrap();
    block_on(cluster.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    let log = folder.path().join("run.log");
    let words = last_words(spawn(&config, folder.path(), &log), &log);
    check("offset_lost", &normal(&words, &[(namespace.as_str(), "NAMESPACE"), (input.as_str(), "INPUT")]));
}
