#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;
use crate::control::config::{Loaded, Overrides, Surroundings};
use crate::model::fingerprint::IncidentId;
use crate::pipeline::state::entry::{GroupEntry, MemberEntry, PositionEntry};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn config(text: &str) -> Config {
    let around = Surroundings { folder: "/etc/tidegate".into(), credentials: None, environment: |_| None };
    let loaded = Config::from_bytes(text.as_bytes(), Some(Path::new("c.yaml")), &Overrides::default(), &around);
    let Loaded { config, .. } = loaded.unwrap();
    config
}

/// A state of two groups of rule `critical` and one of `default`, written under a configuration of that version.
fn restored(config_version: u64) -> Restored {
    let mut restored = Restored::default();
    for (id, rule) in [(1, "critical"), (2, "critical"), (3, "default")] {
        let group = GroupEntry { rule: rule.to_owned(), incident: u128::into(id), ..GroupEntry::default() };
        restored.groups.insert(IncidentId(id), Box::new(group));
    }
    restored.members.insert(MemberKey(7), MemberEntry::default());
    let position = |source: &str, partition: &str| PositionEntry {
        source: source.to_owned(),
        partition: partition.to_owned(),
        next: 5,
        clock: 0,
    };
    restored.meta = Some(Box::new(MetaEntry {
        epoch: 12,
        hash_key: vec![7; 16],
        config_version,
        wall: NOW.0 - 60_000,
        positions: vec![
            position("http", ""),
            position("old\x1b[0m", "t/0"),
            position("old\x1b[0m", "t/1"),
            position("commands", ""),
        ],
        ..MetaEntry::default()
    }));
    restored
}

fn shown(read: &Read, config: &Config, is_local: bool) -> String {
    let findings = judge(read, config, NOW, is_local);
    findings.iter().map(|one| format!("{} {}: {}\n", one.level.name(), one.check.name(), one.what)).collect()
}

#[test]
fn a_state_that_fits_has_nothing_against_it() {
    let config = config("windows: [{name: critical, match: severity=critical}]\n");
    let mut restored = restored(config.pipeline.config_version);
    restored.meta.as_mut().unwrap().positions.retain(|position| !position.source.starts_with("old"));
    insta::assert_snapshot!(shown(&Read::Whole(Box::new(restored)), &config, true), @"
    ok state: epoch 12, 3 unresolved of 3 incidents, 1 fingerprint, 0 B in 0 blocks
    ok state_activity: the daemon of this machine works on it, last 60.0 s ago
    ok window_rules: every open window has its rule in the configuration
    ok sources: the state knows the same sources as the configuration
    ok keys: the state was written with the same windows and identities
    ");
}

#[test]
fn what_vanished_is_named() {
    let config = config("sources: [{name: http, type: http}, {name: log, type: file, path: /tmp/x, format: native}]\n");
    insta::assert_snapshot!(shown(&Read::Whole(Box::new(restored(1))), &config, false), @r#"
    ok state: epoch 12, 3 unresolved of 3 incidents, 1 fingerprint, 0 B in 0 blocks
    warning window_rules: rule "critical" has 2 open windows in the state, and is not in the configuration
    warning sources: source "old\u{1b}[0m" has positions of 2 partitions in the state, and is not in the configuration
    note sources: source "log" has no position in the state
    warning keys: windows or identities changed since the state was written: 1 of 1 live fingerprints get another key
    "#);
}

#[test]
fn clocks_and_other_instances_are_noticed() {
    let config = config("");
    let mut state = restored(config.pipeline.config_version);
    state.meta.as_mut().unwrap().wall = NOW.0 + 3_600_000;
    let ahead = shown(&Read::Whole(Box::new(state)), &config, true);
    assert!(
        ahead.contains("problem state_clock: the last epoch is of 2027-01-15T09:00:00.000Z, 60 min after"),
        "{ahead}"
    );
    let mut state = restored(config.pipeline.config_version);
    state.meta.as_mut().unwrap().wall = NOW.0 - 2_000;
    let busy = shown(&Read::Whole(Box::new(state)), &config, false);
    assert!(busy.contains("note state_activity: an epoch was committed 2.0 s ago"), "{busy}");
}

#[test]
fn a_state_that_cannot_be_read_is_a_problem() {
    let config = config("");
    let all = [Read::Whole(Box::default()), Read::TooLarge(3 << 30), Read::Failed("state: torn".to_owned())];
    let text: String = all.iter().map(|read| shown(read, &config, false)).collect();
    insta::assert_snapshot!(text, @"
    note state: there is none yet
    note state: 3 GiB of blocks, which is more than the 1 GiB that are taken apart here
    problem state: state: torn
    ");
}
