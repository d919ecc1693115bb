//! A reload puts in force what a running daemon can change, names what it cannot, and survives a broken file.

use std::fs;

use crate::control::config::reload::{Live, ReloadOutcome};
use crate::control::config::{Config, Overrides};
use crate::model::time::Millis;

const BEFORE: &str = "windows: [{name: a, gap: 5m}]\nsources: [{name: http, type: http}]\n";

struct Running {
    folder: tempfile::TempDir,
    live: Live,
}

fn running(text: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("token"), "one").unwrap();
    let config = Config::load(&file, &Overrides::default()).unwrap().config;
    Running { folder, live: Live::new(config, Overrides::default()) }
}

impl Running {
    fn reload_with(&self, text: &str) -> ReloadOutcome {
        fs::write(self.folder.path().join("c.yaml"), text).unwrap();
        self.live.reload().unwrap()
    }
}

#[test]
fn a_changed_rule_is_in_force_at_once() {
    let running = running(BEFORE);
    let before = running.live.get();
    let outcome = running.reload_with(&BEFORE.replace("5m", "6m"));
    assert_eq!((outcome.changed, outcome.needs_restart), (vec!["windows".to_owned()], vec![]));
    let after = running.live.get();
    assert_eq!(after.pipeline.rules.first().unwrap().gap, Millis::minutes(6));
    assert_ne!(before.pipeline.config_version, after.pipeline.config_version);
    assert_ne!(before.hash, after.hash);
}

#[test]
fn comments_and_spelling_change_nothing() {
    let running = running(BEFORE);
    let before = running.live.get();
    let outcome =
        running.reload_with("# new\nsources:\n- type: http\n  name: \"http\"\nwindows:\n- gap: 300s\n  name: a\n");
    assert_eq!(outcome, ReloadOutcome::default());
    assert_eq!(before.hash, running.live.get().hash);
}

#[test]
fn a_faulty_file_changes_nothing() {
    let running = running(BEFORE);
    let before = running.live.get();
    for broken in ["windows: [{name: a, gap: 5x}]", "windows: [", &"[".repeat(100), "listen: 0.0.0.0:1"] {
        fs::write(running.folder.path().join("c.yaml"), broken).unwrap();
        let faults = running.live.reload().unwrap_err();
        assert!(faults.faults.first().unwrap().line > 0, "{faults}");
        assert_eq!(before.hash, running.live.get().hash);
    }
}

#[test]
fn what_only_a_start_can_change_is_named_and_stays() {
    let running = running(BEFORE);
    let outcome = running.reload_with(
        "listen: 127.0.0.1:1\nstore: kafka\nkafka: {brokers: [a:1]}\nlog: {level: debug, format: json}\n\
         engine: {shards: 3, decoders: 3}\nsources: [{name: http, type: http, resend_interval: 1m}, {name: in, type: stdin}]\n\
         windows: [{name: a, gap: 5m}]\n",
    );
    assert_eq!(outcome.changed, ["log.level", "sources"]);
    assert_eq!(outcome.needs_restart, ["kafka", "listen", "log.format", "sources", "sqlite", "store", "engine"]);
    let now = running.live.get();
    assert_eq!((now.sources.len(), now.pipeline.sources.len()), (1, 1));
    assert_eq!(now.pipeline.sources.first().unwrap().resend_interval, Some(Millis::minutes(1)));
    assert_eq!(now.http.listen.port(), 9093);
    assert_eq!(running.reload_with(BEFORE).changed, ["log.level", "sources"], "back to what is really running");
}

#[test]
fn a_new_token_counts_without_showing_itself() {
    let running = running("token: {file: token}\n");
    assert_eq!(running.live.reload().unwrap(), ReloadOutcome::default());
    fs::write(running.folder.path().join("token"), "two").unwrap();
    assert_eq!(running.live.reload().unwrap().changed, ["token"]);
    assert!(!format!("{:?}", running.live.get()).contains("two"));
}

#[test]
fn a_token_cannot_vanish_from_an_address_that_others_reach() {
    let running = running("listen: 0.0.0.0:9093\ntoken: {file: token}\n");
    let outcome = running.reload_with("listen: 127.0.0.1:9093\n");
    assert!(running.live.get().http.token.is_some());
    assert_eq!((outcome.changed, outcome.needs_restart), (vec![], vec!["listen".to_owned(), "token".to_owned()]));
}
