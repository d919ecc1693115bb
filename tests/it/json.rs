//! `--output json`: every command that reports something writes one JSON document on standard output, and nothing else.

use serde_json::{Value, json};

use crate::program::{Program, tidegate};

/// What reports nothing by itself: the daemon has its log, the others write files of a form of their own.
const WITHOUT: [&str; 3] = ["run", "completion", "man"];

#[track_caller]
fn report(words: &[&str], code: i32) -> Value {
    let output = tidegate(&[words, &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"))
}

#[test]
fn every_command_that_reports_something_knows_it() {
    let help = String::from_utf8(tidegate(&["--help"]).stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"incident") && names.contains(&"dlq"), "{names:?}");
    for name in names.iter().filter(|name| !WITHOUT.contains(name)) {
        let help = String::from_utf8(tidegate(&[name, "--help"]).stdout).unwrap();
        assert!(help.contains("--output <OUTPUT>"), "{name}:\n{help}");
    }
}

#[test]
fn files_are_reported_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (config, flood) = (path("c.yaml"), path("flood.jsonl"));
    std::fs::write(&config, "windows: [{name: all, group_by: [service]}]\n").unwrap();
    assert_eq!(report(&["check-config", &config], 0)["good"], true);
    assert!(report(&["version"], 0)["tidegate"].is_string());
    let sent = report(&["storm", "--to", &format!("file:{flood}"), "--alerts", "500", "--shape", "cascade"], 0);
    assert_eq!((sent["sent"].as_u64(), sent["complete"].as_bool()), (Some(500), Some(true)), "{sent:#}");
    let mut lines = std::fs::read(&flood).unwrap();
    lines.extend(b"{oops\n");
    std::fs::write(&flood, lines).unwrap();
    let replayed = report(&["replay", "--config", &config, "--from", &flood], 0);
    assert_eq!((replayed["alerts"].as_u64(), replayed["outcomes"]["rejected"].as_u64()), (Some(501), Some(1)));
    assert_eq!(replayed["rejected"][0]["reason"], "malformed_json");
    let verdict = report(&["demo", "--alerts", "500", "--shape", "cascade"], 0);
    assert_eq!((verdict["agrees"].as_bool(), verdict["received"].as_u64()), (Some(true), Some(500)), "{verdict:#}");
    std::fs::write(&config, "windos: []\n").unwrap();
    assert_eq!(report(&["check-config", &config], 1)["good"], false);
    let refused = tidegate(&["storm", "--to", "-", "--alerts", "1", "--output", "json"]);
    assert_eq!((refused.status.code(), refused.stdout.is_empty()), (Some(2), true), "{refused:?}");
}

#[test]
fn a_daemon_is_reported_on() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), "windows: [{name: all, group_by: [service], wait: 0s}]\n");
    let alerts = json!([{"labels": {"service": "db"}}, {"labels": {}}]).to_string();
    assert_eq!(program.post("/api/v1/alerts", alerts.as_bytes()).0, 400);
    program.until("an incident", |program| program.get("/api/v1/incidents").1.contains("incident_id"));
    let (url, data) = (program.url(), folder.path().display().to_string());
    let (url, data) = (["--url", url.as_str()], ["--data-dir", data.as_str()]);
    let of = |words: &[&str], at: &[&str], code| report(&[words, at].concat(), code);
    let listed = of(&["incident", "list"], &url, 0);
    let id = listed["incidents"][0]["incident_id"].as_str().unwrap();
    assert_eq!(of(&["incident", "show", id], &url, 0)["steps"][0]["event"], "opened");
    assert_eq!(of(&["incident", "resolve", id, "--by", "ada"], &url, 0)["resolved"], false);
    assert_eq!(of(&["state", "verify"], &data, 0)["faults"], json!([]));
    assert_eq!(of(&["dlq", "list"], &data, 0)[0]["reason"], "no_labels");
    assert_eq!(of(&["dlq", "show", "1"], &data, 0)["text"], "{\"labels\":{}}");
    assert_eq!(of(&["dlq", "requeue", "1"], &data, 1)["refused"], 1);
    program.stop();
}
