//! Tests of the subcommand against a store written by the sink.
#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;
use crate::model::time::Timestamp;
use crate::pipeline::sink::samples;
use crate::pipeline::sink::sqlite::{FILE_NAME, SqliteOptions, SqliteSink};
use crate::pipeline::sink::{DeadLetter, Epoch, EpochSink as _};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    dlq: DlqArgs,
}

fn store() -> (tempfile::TempDir, SqliteSink) {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = SqliteSink::open(SqliteOptions::new(folder.path().join(FILE_NAME))).unwrap();
    let bad = DeadLetter { index: Some(2), ..samples::dead_letter(7, b"{\"labels\": \x1b[31m\xff}\nsecond") };
    let large = DeadLetter {
        source: "http".to_owned(),
        partition: String::new(),
        reason: Reject::TooLarge,
        original_len: 2_000_000,
        ..samples::dead_letter(8, "x".repeat(65_536).as_bytes())
    };
    let epoch = Epoch { dead_letters: vec![bad, large], committed_at: Timestamp(86_400_000), ..samples::epoch(1) };
    sink.commit(&epoch).unwrap();
    (folder, sink)
}

/// Runs with those arguments; (exit code, output, raw output, errors).
fn dlq(folder: &std::path::Path, args: &[&str]) -> (u8, String, Vec<u8>, String) {
    let folder = folder.display().to_string();
    let args = ["dlq"].iter().chain(args).copied().chain(["--data-dir", folder.as_str()]);
    let cli = Cli::try_parse_from(args).unwrap();
    let (mut out, mut raw, mut err) = (Vec::new(), Vec::new(), Vec::new());
    let code = run_to(&cli.dlq, &mut anstream::StripStream::new(&mut out), &mut raw, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), raw, String::from_utf8(err).unwrap())
}

#[test]
fn lists_newest_first_while_the_daemon_runs() {
    let (folder, _sink) = store();
    let (code, out, _, _) = dlq(folder.path(), &["list"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r#"
    ID  STORED                    SOURCE  PARTITION  POSITION  REASON          BYTES    BEGINS WITH
    2   1970-01-02T00:00:00.000Z  http    -          8         too_large       2000000  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    1   1970-01-02T00:00:00.000Z  in      alerts/0   7[2]      malformed_json  25       {"labels": \x1b[31m\xff}\x0asecond
    "#);
}

#[test]
fn filters_and_limits() {
    let (folder, sink) = store();
    drop(sink); // Without a daemon, too.
    let ids = |args: &[&str]| {
        let args: Vec<_> = ["list", "--output", "json"].iter().chain(args).copied().collect();
        let (_, out, _, _) = dlq(folder.path(), &args);
        let items: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
        items.iter().map(|item| item["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), [2, 1]);
    assert_eq!(ids(&["--reason", "malformed_json"]), [1]);
    assert_eq!(ids(&["--source", "http"]), [2]);
    assert_eq!(ids(&["--source", "http", "--reason", "malformed_json"]), [0; 0]);
    assert_eq!(ids(&["--limit", "1"]), [2]);
    let (_, out, _, _) = dlq(folder.path(), &["list", "--source", "nowhere"]);
    assert_eq!(out, "no dead letters\n");
    assert!(Cli::try_parse_from(["dlq", "list", "--reason", "boredom"]).is_err());
}

#[test]
fn shows_one_with_all_it_has() {
    let (folder, _sink) = store();
    let (code, out, _, _) = dlq(folder.path(), &["show", "1"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r#"
    id          1
    reason      malformed_json
    source      in
    partition   alerts/0
    position    7[2]
    record time 1970-01-01T00:00:00.007Z
    stored      1970-01-02T00:00:00.000Z in epoch 1
    original    25 bytes
    format      native

    {"labels": \x1b[31m\xff}
    second
    "#);
    let (_, out, _, _) = dlq(folder.path(), &["show", "2"]);
    assert!(out.contains("2000000 bytes, of which the first 65536 were kept"), "{out}");
    let (_, out, _, _) = dlq(folder.path(), &["show", "1", "--output", "json"]);
    let item: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((item["exact"].as_bool(), item["element"].as_u64()), (Some(false), Some(2)));
}

#[test]
fn raw_is_the_bytes_and_nothing_else() {
    let (folder, _sink) = store();
    let (code, out, raw, _) = dlq(folder.path(), &["show", "1", "--raw"]);
    assert_eq!((code, out.as_str(), raw.as_slice()), (0, "", &b"{\"labels\": \x1b[31m\xff}\nsecond"[..]));
}

#[test]
fn says_what_is_not_there() {
    let (folder, _sink) = store();
    let (code, _, _, err) = dlq(folder.path(), &["show", "99"]);
    assert_eq!((code, err.as_str()), (1, "error: no dead letter has the id 99; see: tidegate dlq list\n"));
    let empty = tempfile::tempdir().unwrap();
    let (code, _, _, err) = dlq(empty.path(), &["list"]);
    assert_eq!(code, 2);
    assert!(err.contains("state.db: no such file; use --data-dir"), "{err}");
    assert!(!empty.path().join(FILE_NAME).exists(), "looking must not create");
}
