//! `tidegate incident`, the binary itself: beside a running daemon, and over its store when it is gone.

use std::process::Output;

use serde_json::{Value, json};

use crate::program::{Program, tidegate};

const CONFIG: &str = "
sources: [{name: http, type: http}]
windows: [{name: all, group_by: [service], wait: 0s, gap: 1h}]
";

/// Runs `tidegate incident`; the code must be as expected.
#[track_caller]
fn incident(code: i32, words: &[&str]) -> Output {
    let output = tidegate(&[&["incident"], words].concat());
    assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn listed(words: &[&str]) -> Value {
    let output = incident(0, &[&["list", "--output", "json"], words].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn services(listed: &Value) -> Vec<&str> {
    let incidents = listed["incidents"].as_array().unwrap();
    incidents.iter().map(|incident| incident["group_labels"]["service"].as_str().unwrap()).collect()
}

fn alert(service: &str, severity: &str) -> Vec<u8> {
    let labels = json!({"alertname": "Down", "service": service, "severity": severity});
    json!({"labels": labels, "annotations": {"summary": format!("{service} is down")}}).to_string().into_bytes()
}

#[test]
fn incidents_are_listed_shown_and_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), CONFIG);
    for (service, severity) in [("db", "critical"), ("web", "warning"), ("mail", "info")] {
        assert_eq!(program.post("/api/v1/alerts", &alert(service, severity)).0, 200);
    }
    program.until("three incidents", |program| program.get("/api/v1/incidents").1.matches("incident_id").count() == 3);
    let url = program.url();
    let at = ["--url", url.as_str()];
    let all = listed(&at);
    assert_eq!((services(&all).len(), all["more"].as_bool()), (3, Some(false)), "{all:#}");
    let narrowed = |words: &[&str]| listed(&[words, &at].concat());
    assert_eq!(services(&narrowed(&["--severity", "warning"])).len(), 2);
    assert_eq!(services(&narrowed(&["--filter", "service=~\"d.*\"", "--status", "firing"])), ["db"]);
    assert_eq!(services(&narrowed(&["--since", "1h"])).len(), 3);
    assert_eq!(narrowed(&["--limit", "2"])["more"], true);
    let db = narrowed(&["--filter", "service=db"])["incidents"][0].clone();
    let id = db["incident_id"].as_str().unwrap();
    let shown = text(&incident(0, &["show", &id[..12], "--url", &url]));
    for part in [id, "critical", "1, of which 1 fire", "opened", "service=db", "summary: db is down"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let output = incident(0, &["resolve", id, "--by", "ada", "--wait", "--output", "json", "--url", &url]);
    let resolved: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((resolved["resolved"].as_bool(), resolved["by"].as_str()), (Some(true), Some("ada")));
    assert_eq!(services(&narrowed(&["--status", "resolved"])), ["db"]);
    let again = incident(1, &["resolve", id, "--by", "ada", "--url", &url]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("this incident is over"), "{again:?}");
    incident(1, &["show", "0123456789abcdef0123456789abcdef", "--url", &url]);
    program.stop();
    // What it left, without it.
    let data = folder.path().to_string_lossy();
    let offline = listed(&["--data-dir", &data]);
    assert_eq!(services(&offline).len(), 3);
    let output = incident(0, &["show", id, "--data-dir", &data, "--output", "json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((shown["incident"]["resolved_by"].as_str(), shown["complete"].as_bool()), (Some("ada"), Some(true)));
    let events: Vec<&str> =
        shown["steps"].as_array().unwrap().iter().map(|step| step["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["opened", "resolved"]);
    incident(1, &["list", "--url", &url]);
}

#[test]
fn a_long_list_comes_page_after_page() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), CONFIG);
    let alerts: Vec<String> = (0..1_250).map(|n| String::from_utf8(alert(&format!("s{n}"), "info")).unwrap()).collect();
    assert_eq!(program.post("/api/v1/alerts", format!("[{}]", alerts.join(",")).as_bytes()).0, 200);
    let url = program.url();
    program.until("all of them", |program| program.metric("tidegate_alerts_received_total", "") == 1_250);
    for (limit, expected, more) in [("2000", 1_250, false), ("1100", 1_100, true), ("1000", 1_000, true)] {
        let page = listed(&["--limit", limit, "--url", &url]);
        let mut found = services(&page);
        found.sort_unstable();
        found.dedup();
        assert_eq!((found.len(), page["more"].as_bool()), (expected, Some(more)), "--limit {limit}");
    }
    program.stop();
}
