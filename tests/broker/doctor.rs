//! `tidegate doctor` against a real cluster: healthy, out of reach, wrongly set, and with an authorizer that denies.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use serde_json::Value;
use tidegate::cli::doctor::checks::Check;

use crate::Test;
use crate::cluster::{Cluster, block_on};
use crate::end_to_end::{Daemon, binary, configure};
use crate::node::Kind;

pub const TESTS: [Test; 4] = [
    ("doctor::a_healthy_cluster_has_nothing_against_it", a_healthy_cluster_has_nothing_against_it),
    ("doctor::a_broker_that_is_not_there_is_explained", a_broker_that_is_not_there_is_explained),
    ("doctor::wrong_settings_and_lost_input_are_named", wrong_settings_and_lost_input_are_named),
    ("doctor::what_it_says_to_grant_is_what_is_needed", what_it_says_to_grant_is_what_is_needed),
];

/// Exit code and findings.
fn doctor(config: &Path, more: &[&str]) -> (i32, Vec<Value>) {
    let folder = config.parent().unwrap().to_str().unwrap();
    let config = config.to_str().unwrap();
    let mut words = vec!["doctor", "--output", "json", "--replication", "1", "--config", config, "--data-dir", folder];
    words.extend(more);
    let output = Command::new(binary()).args(words).output().unwrap();
    let findings = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), findings)
}

/// Levels and texts of a check, a line each.
fn of(findings: &[Value], check: Check) -> String {
    let lines = findings.iter().filter(|finding| finding["check"] == check.name());
    lines.map(|one| format!("{} {}\n", one["level"].as_str().unwrap(), one["what"].as_str().unwrap())).collect()
}

#[track_caller]
fn assert_says(findings: &[Value], check: Check, texts: &[&str]) {
    let said = of(findings, check);
    assert!(texts.iter().all(|text| said.contains(text)), "{texts:?} in {said:?}; all: {findings:#?}");
}

fn problems(findings: &[Value]) -> Vec<&Value> {
    findings.iter().filter(|finding| finding["level"] == "problem").collect()
}

fn alert(name: &str) -> String {
    format!(r#"{{"labels": {{"alertname": "{name}"}}}}"#)
}

fn now() -> i64 {
    use tidegate::model::time::{Clock as _, SystemClock};
    SystemClock.now().0
}

fn a_healthy_cluster_has_nothing_against_it(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("well"), cluster.topic("well-in", 2));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let mut daemon = Daemon::start(&config, folder.path());
    cluster.write(&input, &[(0, &alert("one"), now())]);
    let received = |number: u64| move |daemon: &Daemon| daemon.metric("tidegate_alerts_received_total") >= number;
    daemon.until("at work", Duration::from_secs(60), received(1));
    let listen = format!("127.0.0.1:{}", daemon.port);
    let (code, findings) = doctor(&config, &["--listen", &listen]);
    assert_eq!(code, 0, "{:#?}", problems(&findings));
    for check in [
        Check::Librdkafka,
        Check::Brokers,
        Check::AdvertisedBrokers,
        Check::BrokerVersion,
        Check::BrokerSettings,
        Check::TransactionalId,
        Check::TopicWrites,
        Check::TopicReads,
        Check::StateTrim,
        Check::ConsumerGroup,
        Check::BrokerClock,
        Check::InputTimes,
        Check::RunningConfiguration,
        Check::State,
        Check::StateActivity,
        Check::WindowRules,
        Check::Sources,
        Check::Keys,
        Check::InputPositions,
    ] {
        let said = of(&findings, check);
        assert!(!said.is_empty() && said.lines().all(|line| line.starts_with("ok ")), "{}: {said}", check.name());
    }
    assert_says(&findings, Check::BrokerVersion, &["Apache Kafka 4.0 or newer"]);
    println!("  {}", of(&findings, Check::BrokerClock).trim());
    // One machine has one clock.
    let clock = of(&findings, Check::BrokerClock);
    assert!(clock.contains(" ms behind ours") || clock.contains(" ms ahead of ours"), "{clock}");

    // It left nothing that anybody reads, and the daemon goes on as if nothing had been.
    for purpose in ["incidents", "state", "dead-letters", "commands"] {
        let seen = cluster.read(&format!("{namespace}.{purpose}"), "read_committed");
        assert!(seen.iter().all(|record| record.key != "doctor"), "{seen:?}");
    }
    assert_eq!(cluster.read(&input, "read_uncommitted").len(), 1, "nothing is ever written to the input");
    cluster.write(&input, &[(1, &alert("two"), now())]);
    daemon.until("still at work", Duration::from_secs(60), received(2));

    // Without the address of the daemon it looks as if another machine worked on the state.
    let (_, findings) = doctor(&config, &["--listen", "127.0.0.1:1"]);
    assert_says(&findings, Check::StateActivity, &["note an epoch was committed "]);
    daemon.kill();
}

fn a_broker_that_is_not_there_is_explained(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidegate.yaml");
    let broker = &cluster.connection().brokers[0];
    let text = format!("store: kafka\nkafka: {{brokers: ['127.0.0.1:1', 'no-such-host.invalid:9092', {broker:?}]}}\n");
    std::fs::write(&config, text).unwrap();
    let (code, findings) = doctor(&config, &[]);
    assert_eq!(code, 1);
    let lines = of(&findings, Check::Brokers);
    assert!(lines.contains("problem 127.0.0.1:1: ") && lines.contains("Connection refused"), "{lines}");
    assert!(lines.contains("problem no-such-host.invalid:9092: ") && lines.contains("resolve"), "{lines}");
    assert!(lines.contains(&format!("ok {broker} answers after ")), "{lines}");
    assert_says(&findings, Check::Topics, &["problem tidegate.state: does not exist"]);
    assert_says(&findings, Check::State, &["note there is none yet"]);

    // The secure listener, spoken to without encryption.
    let secure = &cluster.secure_connection("").brokers[0];
    std::fs::write(&config, format!("store: kafka\nkafka: {{brokers: [{secure:?}]}}\n")).unwrap();
    let (_, findings) = doctor(&config, &[]);
    let why = findings.iter().find(|one| one["check"] == "brokers").unwrap()["why"].as_str().unwrap().to_owned();
    assert!(why.contains("a listener with TLS or SASL, spoken to without"), "{findings:#?}");
}

fn wrong_settings_and_lost_input_are_named(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("ill"), cluster.topic("ill-in", 1));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let mut daemon = Daemon::start(&config, folder.path());
    cluster.write(&input, &[(0, &alert("one"), now()), (0, &alert("two"), now())]);
    daemon.until("at work", Duration::from_secs(60), |daemon| daemon.metric("tidegate_alerts_received_total") >= 2);
    daemon.kill();

    let state = format!("{namespace}.state");
    let changes = [
        AlterConfig::new(ResourceSpecifier::Topic(&state)).set("retention.ms", "3600000"),
        AlterConfig::new(ResourceSpecifier::Topic(&input)).set("retention.ms", "7200000"),
    ];
    for result in block_on(cluster.admin().alter_configs(&changes, &AdminOptions::new())).unwrap() {
        result.unwrap();
    }
    cluster.delete(&format!("{namespace}.dead-letters"));
    cluster.delete(&input);
    cluster.create(&input, 1);
    cluster.write(&input, &[(0, &alert("from the future"), now() + 3_600_000)]);
    let (code, findings) = doctor(&config, &["--listen", "127.0.0.1:1"]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::Topics, &["problem ", ".state: retention.ms is 3600000: its records expire"]);
    assert_says(&findings, Check::Topics, &[".dead-letters: does not exist"]);
    assert_says(
        &findings,
        Check::InputTimes,
        &["warning records from more than a minute ahead", &format!("{input}/0")],
    );
    assert_says(
        &findings,
        Check::InputPositions,
        &["problem ", "ends at 1, and was read up to 2: the topic was made anew"],
    );
    assert_says(
        &findings,
        Check::BrokerClock,
        &["note not measured: it needs a transaction in the topic of dead letters"],
    );

    let change = AlterConfig::new(ResourceSpecifier::Topic(&input)).set("retention.ms", "7200000");
    block_on(cluster.admin().alter_configs([&change], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    let (_, findings) = doctor(&config, &["--listen", "127.0.0.1:1"]);
    assert_says(
        &findings,
        Check::InputRetention,
        &["warning ", "is kept for 2h, less than twice the longest window (1d)"],
    );
}

/// A configuration that reaches the cluster by its secure listener.
fn secure(cluster: &Cluster, folder: &Path, namespace: &str, input: &str) -> PathBuf {
    let connection = cluster.secure_connection(cluster.password());
    let (tls, sasl) = (connection.tls.unwrap(), connection.sasl.unwrap());
    let password = folder.join("password");
    std::fs::write(&password, cluster.password()).unwrap();
    let file = folder.join("secure.yaml");
    let text = format!(
        "store: kafka\nkafka:\n  brokers: [{:?}]\n  namespace: {namespace}\n  tls: {{ca: {{file: {:?}}}}}\n  \
         sasl: {{mechanism: {}, username: {:?}, password: {{file: {password:?}}}}}\n\
         sources: [{{name: in, type: kafka, topics: [{{name: {input}, format: native}}]}}]\n",
        connection.brokers[0],
        tls.ca.unwrap(),
        sasl.mechanism.name(),
        sasl.user
    );
    std::fs::write(&file, text).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// Commands that differ in the name of the topic only, as one: each run of `kafka-acls` starts a Java of its own.
fn merged(commands: &[String]) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for command in commands {
        let topic = command.split_once(" --topic ");
        let same =
            merged.iter_mut().find(|known| topic.is_some_and(|(to, _)| known.starts_with(&format!("{to} --topic "))));
        match (same, topic) {
            (Some(known), Some((_, name))) => known.push_str(&format!(" --topic {name}")),
            _ => merged.push(command.clone()),
        }
    }
    merged
}

/// Whoever does what doctor says, and nothing else, ends with a cluster on which nothing is wrong and the daemon runs.
fn what_it_says_to_grant_is_what_is_needed(_: &Cluster) {
    let cluster = Cluster::start(Kind::Guarded).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = ("guarded", cluster.topic("guarded-in", 1));
    // Over the plain listener everybody is the administrator.
    configure(&cluster, folder.path(), namespace, &input);
    let config = secure(&cluster, folder.path(), namespace, &input);
    let mut rounds = 0;
    let mut granted = Vec::new();
    loop {
        let (code, findings) = doctor(&config, &["--listen", "127.0.0.1:1"]);
        if rounds == 0 {
            assert_eq!(code, 1);
            assert_says(&findings, Check::Brokers, &["ok localhost:"]);
            assert_says(&findings, Check::Topics, &["problem guarded.state: ", "Topic authorization failed"]);
        }
        let commands: Vec<String> = problems(&findings)
            .iter()
            .map(|finding| finding["do"].as_str().unwrap().to_owned())
            .filter(|remedy| remedy.starts_with("kafka-acls.sh "))
            .collect();
        if let Some(denial) = problems(&findings).iter().find(|finding| finding["check"] == "transactional_id") {
            assert!(denial["what"].as_str().unwrap().contains("\"guarded-doctor\" is denied"), "{denial}");
        }
        if code == 0 {
            assert_says(&findings, Check::TopicWrites, &["ok can be written: guarded.incidents, guarded.state"]);
            assert_says(&findings, Check::TransactionalId, &["ok transactions can be begun"]);
            assert_says(&findings, Check::BrokerClock, &["ok "]);
            break;
        }
        assert!(!commands.is_empty() && rounds < 5, "{:#?}", problems(&findings));
        merged(&commands).iter().for_each(|command| cluster.grant(command));
        granted.extend(commands);
        rounds += 1;
    }
    println!("  {} grants in {rounds} rounds", granted.len());
    let mut daemon = Daemon::start(&config, folder.path());
    cluster.write(&input, &[(0, &alert("one"), now())]);
    daemon.until("at work", Duration::from_secs(60), |daemon| daemon.metric("tidegate_alerts_received_total") >= 1);
    daemon.kill();
}
