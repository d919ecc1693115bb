//! Tests of the subcommand against a store and a snapshot written on purpose.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::Parser;
use rusqlite::Connection;

use super::*;
use crate::model::fingerprint::origin;
use crate::model::labels;
use crate::model::time::Timestamp;
use crate::pipeline::sink::sqlite::{FILE_NAME, SqliteOptions, SqliteSink};
use crate::pipeline::sink::{Epoch, EpochSink as _};
use crate::pipeline::snapshot::{Durable, Folder, LocalCopy as _, Recorder};
use crate::pipeline::state::entry::{
    GroupEntry, IncidentEntry, Kind, MemberEntry, MetaEntry, PositionEntry, TotalsEntry, TouchEntry, Wide,
};
use crate::pipeline::state::{BlockWriter, read_block};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    state: StateArgs,
}

fn wide(low: u64) -> Wide {
    Wide { high: 0, low }
}

fn member() -> MemberEntry {
    let mut encoded = Vec::new();
    labels::encode([("alertname", "Late\u{202e}"), ("service", "checkout")], &mut encoded);
    let touch =
        TouchEntry { key: wide(9), last: 2_000, ends_at: i64::MAX, count: 2, severity: 3, ..TouchEntry::default() };
    MemberEntry {
        fingerprint: wide(4),
        incident: wide(7),
        group: wide(8),
        labels: encoded,
        first: 1_000,
        touch,
        source: origin("in", ""),
    }
}

/// Three epochs: an incident, nothing, and the end with totals.
fn epochs(received: u64) -> Vec<Epoch> {
    let group = GroupEntry {
        hash: wide(8),
        incident: wide(7),
        rule: "all".to_owned(),
        opening_reason: "first_alert".to_owned(),
        firing: 1,
        members: 1,
        severity_counts: vec![0, 0, 0, 3, 0, 0],
        status_counts: vec![3, 0],
        feed: vec![origin("in", "")],
        ..GroupEntry::default()
    };
    let first = vec![
        Kind::Member(member()),
        Kind::Group(Box::new(group)),
        Kind::Incident(IncidentEntry { incident: wide(7), revision: 1 }),
    ];
    let entries = [first, Vec::new(), Vec::new()];
    let numbered = (1..).zip(entries);
    let epoch = |(number, entries): (u64, Vec<Kind>)| {
        let mut writer = BlockWriter::default();
        entries.into_iter().for_each(|kind| writer.push(kind));
        let totals =
            TotalsEntry { source: "in".to_owned(), received, outcomes: vec![1, 0, 2], ..TotalsEntry::default() };
        let place = PositionEntry {
            source: "in".to_owned(),
            partition: "alerts/0".to_owned(),
            next: 7,
            ..PositionEntry::default()
        };
        writer.push(Kind::Meta(Box::new(MetaEntry {
            epoch: number,
            hash_key: vec![3; 16],
            safe_from: 1,
            positions: vec![place],
            totals: vec![totals],
            wall: 5_000,
            ..MetaEntry::default()
        })));
        Epoch { number, blocks: writer.finish(number), safe_from: 1, ..Epoch::default() }
    };
    numbered.map(epoch).collect()
}

fn store(received: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = SqliteSink::open(SqliteOptions::new(folder.path().join(FILE_NAME))).unwrap();
    epochs(received).iter().for_each(|epoch| {
        sink.commit(epoch).unwrap();
    });
    folder
}

fn change(folder: &Path, sql: &str) {
    Connection::open(folder.join(FILE_NAME)).unwrap().execute_batch(sql).unwrap();
}

/// Runs with those arguments; (exit code, output, errors).
fn state(args: &[&str]) -> (u8, String, String) {
    let cli = Cli::try_parse_from(["state"].iter().chain(args)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run_to(&cli.state, &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn verify(folder: &Path) -> (u8, Vec<String>) {
    let folder = folder.display().to_string();
    let (code, out, err) = state(&["verify", "--data-dir", &folder]);
    assert_eq!(err, "");
    (code, out.lines().map(|line| line.replace(&folder, "FOLDER")).collect())
}

#[test]
fn a_whole_state_is_told_in_numbers() {
    let folder = store(3);
    let (code, lines) = verify(folder.path());
    assert_eq!(code, 0, "{lines:?}");
    let bytes: usize = epochs(3).iter().flat_map(|epoch| &epoch.blocks).map(|block| block.bytes.len()).sum();
    let expected = [
        "state in FOLDER/state.db".to_owned(),
        "  epochs       1 to 3, committed 1970-01-01T00:00:05.000Z; needed from 1".to_owned(),
        format!("  blocks       3, {bytes} bytes"),
        "  fingerprints 1 live, 1 of them firing".to_owned(),
        "  incidents    1, 1 of them unresolved".to_owned(),
        "  position     in alerts/0: next is 7".to_owned(),
        "  alerts       in: 3 received = 1 opened + 2 folded".to_owned(),
        "whole: every block can be read, no epoch is missing, every alert is accounted for".to_owned(),
    ];
    assert_eq!(lines, expected);
    let folder = folder.path().display().to_string();
    let (code, out, _) = state(&["verify", "--output", "json", "--data-dir", &folder]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["fingerprints"].as_u64(), json["faults"].as_array().map(Vec::len)), (0, Some(1), Some(0)));
    assert_eq!(json["totals"][0]["adds_up"], true);
}

#[test]
fn every_fault_is_named() {
    let flip =
        "UPDATE blocks SET bytes = CAST(substr(bytes, 1, 40) || x'ff' || substr(bytes, 42) AS BLOB) WHERE epoch = 1";
    let newer =
        "UPDATE blocks SET bytes = CAST(substr(bytes, 1, 4) || x'0200' || substr(bytes, 7) AS BLOB) WHERE epoch = 3";
    let no_meta = "there is no block: no state yet";
    let torn = "epoch 3 follows epoch 1: blocks in between are missing";
    let refused = "block 3: state block: version 2, but this program reads version 1: run the version that wrote it";
    let later = "blocks from epoch 1 on are needed, and the first there is, is of epoch 2";
    for (received, sql, faults) in [
        (3, flip, vec!["block 1: state block: epoch 1: the checksum does not match", later]),
        (3, "DELETE FROM blocks WHERE epoch = 2", vec![torn]),
        (3, "DELETE FROM blocks WHERE epoch = 1", vec![later]),
        (3, newer, vec![refused, "FOLDER"]),
        (4, "", vec!["source \"in\" received 4 alerts, and its outcomes and held ones are not as many"]),
        (3, "DELETE FROM blocks; UPDATE meta SET value = 0 WHERE key = 'last_epoch'", vec![no_meta]),
        (
            3,
            "DELETE FROM blocks WHERE epoch = 3",
            vec!["FOLDER/state.db: the last epoch is 3, but its newest block is of 2"],
        ),
    ] {
        let folder = store(received);
        change(folder.path(), sql);
        let (code, lines) = verify(folder.path());
        assert_eq!(code, 1, "{sql}: {lines:?}");
        let told: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("fault: ")).collect();
        let expected: Vec<&str> = faults.into_iter().filter(|fault| *fault != "FOLDER").collect();
        assert_eq!(told, expected, "{sql}");
        assert!(lines.last().unwrap().contains("fault"), "{lines:?}");
    }
}

#[test]
fn content_that_cannot_be_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = SqliteSink::open(SqliteOptions::new(folder.path().join(FILE_NAME))).unwrap();
    let mut epochs = epochs(3);
    let mut writer = BlockWriter::default();
    let touch = TouchEntry { state: 1, ..member().touch };
    writer.push(Kind::Touch(touch));
    read_block(&epochs[2].blocks[0].bytes, &mut |kind| writer.push(kind)).unwrap();
    epochs[2].blocks = writer.finish(3);
    epochs.iter().for_each(|epoch| {
        sink.commit(epoch).unwrap();
    });
    drop(sink);
    let (code, lines) = verify(folder.path());
    let told = "fault: incident 00000000000000000000000000000007: 1 members fire, and 0 of its fingerprints do";
    assert!(code == 1 && lines.iter().any(|line| line == told), "{lines:?}");
}

#[test]
fn a_snapshot_is_read_like_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::new(Folder::open(folder.path()).unwrap(), "ours");
    recorder.begin(1);
    for epoch in epochs(3) {
        let blocks = epoch.blocks.into_iter().map(|block| block.bytes).collect();
        let (place, committed_at) = (Some(epoch.number), Timestamp(0));
        recorder.take(Durable { epoch: epoch.number, place, safe_from: 1, committed_at, blocks });
    }
    recorder.seal().unwrap();
    let (path, index) = (folder.path().display().to_string(), folder.path().join("index").display().to_string());
    for named in [&path, &index] {
        let (code, out, _) = state(&["verify", "--snapshot", named]);
        assert_eq!((code, out.lines().next()), (0, Some(format!("state in {path}").as_str())), "{out}");
    }
    let file = folder.path().join("blocks-00000001");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, bytes.get(..bytes.len() - 1).unwrap()).unwrap();
    let (code, out, _) = state(&["verify", "--snapshot", &path]);
    assert!(code == 1 && out.contains("fault: blocks-00000001: shorter than the index says\n"), "{out}");
    std::fs::remove_file(folder.path().join("index")).unwrap();
    let (code, _, err) = state(&["verify", "--snapshot", &path]);
    assert_eq!((code, err), (2, format!("error: {path}: no snapshot there\n")));
    let (code, _, err) = state(&["export", "--data-dir", &path]);
    let expected = format!("error: {path}/state.db: no such file; use --data-dir with the daemon's data directory\n");
    assert_eq!((code, err), (2, expected));
}

#[test]
fn an_export_is_one_entry_a_line_and_steers_no_terminal() {
    let folder = store(3);
    let (code, out, _) = state(&["export", "--data-dir", &folder.path().display().to_string()]);
    assert_eq!(code, 0);
    assert!(!out.contains('\u{202e}') && out.contains("\\u202e"), "{out}");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["entry"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["meta", "position", "totals", "group", "member", "incident"]);
    let [meta, position, totals, group, member, incident] = lines.as_slice() else { panic!("{kinds:?}") };
    assert_eq!((meta["epoch"].as_u64(), meta["committed_at"].as_str()), (Some(3), Some("1970-01-01T00:00:05.000Z")));
    assert!(!out.contains("hash_key") && !out.contains(&"03".repeat(16)), "the key stays where it is");
    assert_eq!((position["partition"].as_str(), position["next"].as_u64()), (Some("alerts/0"), Some(7)));
    assert_eq!(totals["outcomes"]["folded"], 2);
    assert_eq!((group["rule"].as_str(), &group["incident"]), (Some("all"), &member["incident"]));
    assert_eq!((member["source"].as_str(), member["state"].as_str()), (Some("in"), Some("firing")));
    assert_eq!((&member["labels"]["service"], &member["severity"]), (&"checkout".into(), &"warning".into()));
    assert_eq!((&member["ends_at"], &member["count"]), (&serde_json::Value::Null, &2.into()));
    assert_eq!(incident["revision"], 1);
}

#[test]
fn a_damaged_state_is_not_exported() {
    let folder = store(3);
    change(folder.path(), "DELETE FROM blocks WHERE epoch = 2");
    let data = folder.path().display().to_string();
    let cli = Cli::try_parse_from(["state", "export", "--data-dir", &data]).unwrap();
    let mut out = Vec::new();
    let error = run_to(&cli.state, &mut out, &mut Vec::new()).unwrap_err().to_string();
    assert_eq!((error.as_str(), out.len()), ("state: epoch 3 follows epoch 1: blocks in between are missing", 0));
}
