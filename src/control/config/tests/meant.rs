//! What sound files mean, and that no file at all makes the loader fall over.

use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::shipped::everything;
use super::{around, load};
use crate::control::config::{Config, Overrides, SourceKind, Store, Surroundings};
use crate::model::alert::{Format, Severity};
use crate::model::time::Millis;
use crate::pipeline::options::{OpenAfter, RecordTime, ResolveAfter, WindowKind};

#[test]
fn nothing_means_every_default() {
    let config = load("").unwrap().config;
    assert_eq!(config.store, Store::Sqlite { file: "/var/lib/tidegate/state.db".into() });
    assert_eq!(config.sources.len(), 1);
    assert_eq!(config.sources.first().unwrap().kind, SourceKind::Http);
    let source = config.pipeline.sources.first().unwrap();
    assert!(source.lossy_when_unread && source.time == RecordTime::Record && source.name == "http");
    assert_eq!(config.pipeline.rules.len(), 1);
    assert!(config.http.token.is_none() && config.kafka.is_none());
}

#[test]
fn a_proxy_may_call_us_by_the_external_name() {
    let http = load("external_url: https://alerts.example.org:8443/tidegate/").unwrap().config.http;
    assert_eq!(http.external_url.as_deref(), Some("https://alerts.example.org:8443/tidegate"));
    assert_eq!(http.allowed_hosts(), ["alerts.example.org"]);
}

#[test]
fn a_replay_needs_nothing_but_windows() {
    let text = "windows:\n  - {name: all, group_by: [service|alertname], gap: 600s, reopen: 0, max_age: never, \
                resolve_after: never, forget_after: never, wait: 0}\n";
    let config = load(text).unwrap().config;
    let rule = config.pipeline.rules.first().unwrap();
    assert_eq!((rule.wait, rule.gap, rule.reopen), (Millis::ZERO, Millis::minutes(10), Millis::ZERO));
    assert_eq!((rule.max_age, rule.forget_after, rule.resolve_after), (None, None, ResolveAfter::Never));
    assert_eq!(rule.group_by, [vec!["service".to_owned(), "alertname".to_owned()]]);
}

#[test]
fn every_setting_of_a_rule_arrives() {
    let text = r#"
windows:
  - &base
    name: a
    match: [severity=~"critical|page", 'team!="lab"']
    group_by: []
    open_after: {count: 5, within: 30s}
    wait_by_severity: {critical: 0s, info: 1m}
    max_alerts: 1000
    kind: fixed
    max_age: 1h
    resolve_after: 5m
  - <<: *base
    name: b
    resolve_after: default
"#;
    let config = load(text).unwrap().config;
    let names: Vec<&str> = config.pipeline.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "default"]);
    let rule = config.pipeline.rules.first().unwrap();
    assert!(rule.group_by.is_empty());
    assert_eq!(rule.matchers.len(), 2);
    assert_eq!(rule.open_after, OpenAfter { count: 5, within: Millis::seconds(30) });
    assert_eq!(rule.wait_for(Severity::Critical), Millis::ZERO);
    assert_eq!(rule.wait_for(Severity::High), rule.wait);
    assert_eq!((rule.kind, rule.max_age, rule.max_alerts), (WindowKind::Fixed, Some(Millis::hours(1)), Some(1_000)));
    assert_eq!(rule.resolve_after, ResolveAfter::After(Millis::minutes(5)));
    assert_eq!(config.pipeline.rules.get(1).unwrap().resolve_after, ResolveAfter::BySource);
}

#[test]
fn sources_and_cluster_arrive() {
    let text = r#"
store: kafka
kafka:
  brokers: [a:1, b:2]
  namespace: prod
  sasl: {mechanism: SCRAM-SHA-256, username: ada, password: {credential: kafka_password}}
  tls: {}
  options: {linger.ms: 20}
identity: {alias: {instance: [host, hostname]}, mask: [{label: pod, pattern: '-\d+$', replace: '-#'}]}
sources:
  - {name: in, type: kafka, topics: [{name: x}, {name: y, format: alertmanager_webhook}]}
  - {name: old, type: file, path: alerts.jsonl, follow: false, identity: {drop: [pod]}, resend_interval: 2m}
"#;
    let config = load(text).unwrap().config;
    let kafka = config.kafka.unwrap();
    assert_eq!(kafka.topic("dead-letters"), "prod.dead-letters");
    assert_eq!(kafka.connection.sasl.unwrap().password.expose_secret(), "s3cret");
    assert_eq!(kafka.connection.options.get("linger.ms").unwrap(), "20");
    let SourceKind::Kafka(source) = &config.sources.first().unwrap().kind else { panic!() };
    assert_eq!(source.topics.get(1).unwrap().format, Format::AlertmanagerWebhook);
    let [first, second] = &*config.pipeline.sources else { panic!() };
    assert_eq!(first.identity.alias.len(), 2);
    assert_eq!((second.identity.drop.len(), second.identity.alias.len()), (1, 0));
    assert_eq!((second.time, second.resend_interval), (RecordTime::Payload, Some(Millis::minutes(2))));
    assert!(!first.lossy_when_unread && !second.lossy_when_unread);
}

#[test]
fn the_command_line_wins() {
    let around = Surroundings { folder: "/etc".into(), credentials: None, environment: |_| None };
    let overrides = Overrides { listen: Some("[::1]:1".to_owned()), data_dir: Some("here".into()) };
    // What the file says of `listen` no longer counts, so it needs no token either.
    let text = b"listen: 0.0.0.0:9093\ndata_dir: there\n";
    let config = Config::from_bytes(text, Some(Path::new("c.yaml")), &overrides, &around).unwrap().config;
    assert_eq!(config.http.listen.to_string(), "[::1]:1");
    assert_eq!((config.data_dir, config.store), ("here".into(), Store::Sqlite { file: "here/state.db".into() }));
}

#[test]
fn the_hash_is_the_same_everywhere() {
    // Golden values: a change means that every daemon takes its first start after an update for a reload.
    let config = load("windows: [{name: a, match: 'x=~\"y\"'}]").unwrap().config;
    assert_eq!(format!("{:016x}", config.pipeline.config_version), "589112035d140c1f");
    let with_log = load("windows: [{name: a, match: 'x=~\"y\"'}]\nlog: {level: debug}").unwrap().config;
    assert_eq!(config.pipeline.config_version, with_log.pipeline.config_version);
    assert_ne!(config.hash, with_log.hash);
}

/// A file with every key that there is, and what it refers to.
fn sound() -> &'static (String, TempDir, Surroundings) {
    static SOUND: OnceLock<(String, TempDir, Surroundings)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let (folder, around) = around();
        (everything(), folder, around)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is done to the file, the answer is a configuration or faults with a place.
    #[test]
    fn a_damaged_file_gets_an_answer(
        cuts in prop::collection::vec((0_usize..20_000, 0_usize..30, "[-a-z0-9:,{}\\[\\]&*<|>'\"\\\\ \n\t!%@~é]{0,12}"), 1..6),
    ) {
        let (text, _folder, around) = sound();
        prop_assert!(Config::from_bytes(text.as_bytes(), None, &Overrides::default(), around).is_ok());
        let mut text = text.clone().into_bytes();
        for (at, len, put) in cuts {
            let at = at % text.len();
            let end = (at + len).min(text.len());
            text.splice(at..end, put.into_bytes());
        }
        if let Err(faults) = Config::from_bytes(&text, None, &Overrides::default(), around) {
            prop_assert!(faults.count > 0 && !faults.faults.is_empty());
            prop_assert!(faults.faults.iter().all(|fault| fault.line > 0 && fault.column > 0), "{}", faults);
            prop_assert!(!faults.details(true).is_empty());
        }
    }
}
