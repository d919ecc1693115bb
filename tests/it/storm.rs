//! `tidegate storm --watch`, the program itself: a daemon of its own is stormed over HTTP and measured, and the record says
//! what there is to say, in the form that its schema describes.

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::program::{Program, tidegate};

const SCHEMA: &str = include_str!("../../docs/storm-record.schema.json");
/// The rules that the truth of a flood holds for, told at once.
const CONFIG: &str = "windows: [{name: all, wait: 0s, update_every: 1s, resolve_after: never}]\nengine: {samples: 1}\n";

/// Checks a record against the schema; compiling that checks it against the meta-schema of its draft.
#[track_caller]
fn check_form(record: &Value) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("record.json", serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let index = compiler.compile("record.json", &mut schemas).unwrap();
    schemas.validate(record, index).unwrap_or_else(|error| panic!("{error:#}\n{record:#}"));
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The counts of a record that hold for every exact storm.
#[track_caller]
fn check_counts(record: &Value, alerts: u64) {
    let daemon = &record["daemon"];
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no count: {record:#}"));
    assert_eq!((record["exact"].as_bool(), record["complete"].as_bool()), (Some(true), Some(true)), "{record:#}");
    assert_eq!((count(&record["sent"]), count(&daemon["received"])), (alerts, alerts));
    let outcomes = daemon["outcomes"].as_object().unwrap();
    assert_eq!(outcomes.values().map(count).sum::<u64>(), alerts);
    assert_eq!(count(&outcomes["opened"]), count(&record["incidents"]));
    assert_eq!(count(&outcomes["opened"]) + count(&outcomes["joined"]), count(&record["fingerprints"]));
    assert_eq!(count(&daemon["incidents"]), count(&record["incidents"]));
    assert_eq!(count(&daemon["incidents_exact"]), count(&record["incidents"]));
    assert_eq!(count(&daemon["alert_to_incident"]["count"]), count(&record["incidents"]), "{record:#}");
    assert_eq!((count(&daemon["openings_unseen"]), daemon["revisions_seen"].as_bool()), (0, Some(true)));
    assert!(count(&daemon["events"]) >= count(&record["incidents"]));
    assert!(count(&daemon["epochs"]) > 0 && daemon["commit_mean_ms"].as_f64().unwrap() > 0.0);
    assert!(daemon["cpu_seconds"].as_f64().unwrap() > 0.0 && count(&daemon["rss_peak_bytes"]) > 1 << 20);
    let course = record["course"].as_array().unwrap();
    let last = course.last().unwrap();
    assert_eq!((count(&last["offered"]), count(&last["taken"]), count(&last["behind"])), (alerts, alerts, 0));
    let times: Vec<f64> = course.iter().map(|moment| moment["at_s"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_watched_storm_is_exact_and_leaves_a_record_and_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), CONFIG);
    let (record, picture) = (folder.path().join("record.json"), folder.path().join("run.svg"));
    let (url, pid) = (program.url(), program.pid().to_string());
    let (record_file, picture_file) = (record.to_str().unwrap(), picture.to_str().unwrap());
    let words = ["storm", "--to", &url, "--shape", "corpus", "--alerts", "10000", "--rate", "8000", "--watch"];
    let files = ["--record", record_file, "--picture", picture_file, "--pid", &pid];
    let output = tidegate(&[&words[..], &files].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("✓ complete, and all 199 incidents are exactly the truth"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80) && !text.contains('\u{1b}'), "{text}");
    let record = read(&record);
    check_form(&record);
    check_counts(&record, 10_000);
    assert_eq!((record["rate"].as_f64(), record["corrected"].as_bool()), (Some(8_000.0), Some(true)));
    assert_eq!(record["acknowledged"]["count"].as_u64(), Some(10_000), "every alert has a latency");
    assert_eq!(record["generator"]["late"]["count"].as_u64(), Some(10_000));
    assert_eq!(record["daemon"]["rss_peak_from"], "kernel");
    assert!(record["seconds"].as_f64().unwrap() > 1.2, "the pace was kept");
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(picture.contains(">complete and exact<") && picture.contains("class=\"taken\""), "{picture}");

    // The same flood again: the daemon knows all of its alerts, but not its clusters.
    let output = tidegate(&["storm", "--to", &url, "--alerts", "5000", "--watch", &url, "--output", "json"]);
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_form(&again);
    check_counts(&again, 5_000);
    assert_eq!((output.status.code(), again["corrected"].as_bool()), (Some(0), Some(false)));
    let tag = again["tag"].as_str().unwrap();
    let output = tidegate(&["storm", "--to", &url, "--alerts", "10", "--watch", "--tag", tag]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("already: take another one"), "{said}");
    program.stop();
}

#[test]
fn incidents_that_are_not_the_true_ones_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let program =
        Program::start(folder.path(), "windows: [{name: all, group_by: [cluster], wait: 0s, update_every: 1s}]\n");
    let url = program.url();
    let output =
        tidegate(&["storm", "--to", &url, "--alerts", "2000", "--watch", "--settle", "20s", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_form(&record);
    assert_eq!((record["complete"].as_bool(), record["exact"].as_bool()), (Some(true), Some(false)), "{record:#}");
    let fault = record["faults"][0].as_str().unwrap();
    assert!(fault.contains("the incidents are not those of the flood") && fault.contains("missing"), "{fault}");
    program.stop();
}

#[test]
fn a_storm_that_nobody_watches_has_a_record_too() {
    let folder = tempfile::tempdir().unwrap();
    let flood = folder.path().join("flood.jsonl");
    let to = format!("file:{}", flood.display());
    let record = folder.path().join("record.json");
    let output = tidegate(&["storm", "--to", &to, "--alerts", "1", "--record", record.to_str().unwrap()]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("; 1 incident, 1 fingerprint\n"), "{line}");
    let record = read(&record);
    check_form(&record);
    assert_eq!((record["exact"].as_bool(), record["daemon"].is_null(), record["sent"].as_u64()), (None, true, Some(1)));
}

#[test]
fn what_cannot_be_watched_is_a_fault_of_usage() {
    for (words, said) in [
        (&["--to", "kafka://127.0.0.1:1/alerts", "--watch"][..], "--watch needs the URL of the daemon"),
        (&["--to", "file:/nowhere", "--watch", "http://127.0.0.1:1"], "no daemon takes what is written to a file"),
        (&["--to", "http://127.0.0.1:1", "--watch", "--tag", ""], "--watch needs a --tag"),
        (&["--to", "http://127.0.0.1:1", "--pid", "1"], "--watch"),
        (&["--to", "http://127.0.0.1:1", "--tag", "a b"], "must be letters, digits and hyphens"),
        (&["--to", "http://127.0.0.1:1", "--settle", "soon"], "no duration"),
    ] {
        let output = tidegate(&[&["storm"], words].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(said), "{words:?}: {output:?}");
    }
    let output = tidegate(&["storm", "--to", "http://127.0.0.1:1", "--watch"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("Another one: --watch"), "{stderr}");
}

#[test]
fn the_guide_explains_every_argument() {
    let help = String::from_utf8(tidegate(&["storm", "--help"]).stdout).unwrap();
    let guide = include_str!("../../docs/storm.md");
    // Six columns: what is further in is text.
    let words = help.lines().filter_map(|line| line.strip_prefix("      --")?.split(' ').next());
    let arguments: Vec<&str> = words.filter(|word| !matches!(*word, "help" | "version")).collect();
    assert!(arguments.len() > 20, "{arguments:?}");
    for argument in arguments {
        assert!(guide.contains(&format!("`--{argument}")), "--{argument} is not in docs/storm.md");
    }
}
