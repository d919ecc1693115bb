//! A record that makes the program panic ends the run; after the next start it is a dead letter, and everything else is taken
//! as if nothing had happened. The panics are laid as traps, which only test builds have (`pipeline/trap.rs`).

use std::path::Path;

use serde_json::Value;

use crate::program::{Program, tidegate};

/// What arms a trap.
const VARIABLE: &str = "TIDEGATE_TEST_PANIC";

fn config(folder: &Path) -> String {
    let path = folder.join("alerts.jsonl");
    format!(
        "store: sqlite\nengine: {{decoders: 2, shards: 2}}\nsources:\n  - {{name: http, type: http}}\n  \
         - {{name: lines, type: file, path: {path:?}, format: native, follow: true}}\n\
         windows: [{{name: all, group_by: [alertname], wait: 0s}}]\n"
    )
}

fn alert(name: &str) -> String {
    format!(r#"{{"labels":{{"alertname":"{name}"}}}}"#)
}

/// A daemon with a trap, that is not ready yet.
fn start(folder: &Path, trap: &str) -> Program {
    Program::spawn(folder, &config(folder), &[(VARIABLE, trap)])
}

fn until_ready(program: &Program) {
    program.until("ready", |program| program.get("/-/ready").0 == 200);
}

fn letters(folder: &Path) -> Vec<Value> {
    let output = tidegate(&["dlq", "list", "--output", "json", "--data-dir", &folder.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn raw(folder: &Path, letter: &Value) -> String {
    let id = letter["id"].to_string();
    let output = tidegate(&["dlq", "show", &id, "--raw", "--data-dir", &folder.to_string_lossy()]);
    String::from_utf8(output.stdout).unwrap()
}

fn suspects(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("suspects.jsonl")).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn assert_conserved(program: &Program, received: u64, rejected: u64) {
    assert_eq!(program.metric("tidegate_alerts_received_total", ""), received);
    assert_eq!(program.metric("tidegate_alerts_outcome_total", ""), received);
    assert_eq!(program.metric("tidegate_alerts_outcome_total", "outcome=\"rejected\""), rejected);
}

/// A file with one line that trips the trap, among 200 others and some that are like it; where it lies, `stage` says.
#[track_caller]
fn one_line_alone(stage: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = (0..200).map(|n| alert(&format!("Alert{}", n % 50))).collect();
    lines.insert(100, alert("Poison"));
    lines.insert(101, alert("poison"));
    let place: usize = lines[..100].iter().map(|line| line.len() + 1).sum();
    std::fs::write(folder.path().join("alerts.jsonl"), lines.join("\n") + "\n").unwrap();
    let trap = format!("{stage}:Poison");
    assert_eq!(start(folder.path(), &trap).exit_code(), Some(1), "{stage}: the run ends");
    let noted = suspects(folder.path());
    assert_eq!(noted.len(), 1, "{noted:#?}");
    assert_eq!((noted[0]["source"].as_str(), noted[0]["position"].as_u64()), (Some("lines"), Some(place as u64)));
    let program = start(folder.path(), &trap); // The trap still lies there.
    until_ready(&program);
    program.until("all taken", |program| program.metric("tidegate_alerts_received_total", "") >= lines.len() as u64);
    assert_conserved(&program, lines.len() as u64, 1);
    assert_eq!(program.metric("tidegate_suspects", ""), 1);
    assert_eq!(program.metric("tidegate_open_incidents", ""), 51);
    let letters = letters(folder.path());
    assert_eq!(letters.len(), 1, "{letters:#?}");
    let letter = &letters[0];
    assert_eq!((letter["reason"].as_str(), letter["position"].as_u64()), (Some("panic"), Some(place as u64)));
    assert_eq!(raw(folder.path(), letter), lines[100]);
    program.stop();
    let log = std::fs::read_to_string(folder.path().join("tidegate.log")).unwrap();
    assert!(log.contains("panicked with a record of lines in hand"), "{log}");
    assert!(log.contains("1 rejected from lines, panic: kept as dead letters"), "{log}");
}

#[test]
fn a_line_that_panics_as_it_is_looked_at_ahead() {
    one_line_alone("scan");
}

#[test]
fn a_line_that_panics_as_it_is_decoded() {
    one_line_alone("decode");
}

#[test]
fn a_line_that_panics_in_a_shard() {
    one_line_alone("shard");
}

#[test]
fn a_request_is_refused_the_second_time_and_goes_in_again_once_the_fault_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.jsonl"), "").unwrap();
    let body = format!("[{},{}]", alert("Good"), alert("Poison"));
    let program = start(folder.path(), "shard:Poison");
    until_ready(&program);
    let (status, _) = program.post("/api/v1/alerts", body.as_bytes());
    assert!(matches!(status, 0 | 503), "{status}: it is not taken");
    assert_eq!(program.exit_code(), Some(1));
    assert_eq!(suspects(folder.path())[0]["position"], Value::Null, "a request has no place of its own");

    let program = start(folder.path(), "shard:Poison");
    until_ready(&program);
    assert_eq!(program.post("/api/v1/alerts", format!("[{}]", alert("Other")).as_bytes()).0, 200);
    for _ in 0..2 {
        let (status, answer) = program.post("/api/v1/alerts", body.as_bytes());
        assert!(status == 400 && answer.contains("\"panic\""), "{status} {answer}");
    }
    assert_conserved(&program, 3, 2);
    program.stop();

    let program = Program::start(folder.path(), &config(folder.path())); // The fault is mended: no trap.
    let (url, data) = (program.url(), folder.path().to_string_lossy().into_owned());
    let letters = letters(folder.path());
    assert_eq!(letters.len(), 2, "{letters:#?}");
    assert_eq!((letters[0]["reason"].as_str(), raw(folder.path(), &letters[0])), (Some("panic"), body.clone()));
    assert_eq!(program.post("/api/v1/alerts", body.as_bytes()).0, 400, "these very bytes stay suspect");
    let id = letters[0]["id"].to_string();
    let output = tidegate(&["dlq", "requeue", &id, "--data-dir", &data, "--url", &url]);
    assert!(output.status.success(), "{output:?}");
    assert_conserved(&program, 3 + 1 + 2, 3);
    assert_eq!(program.metric("tidegate_open_incidents", ""), 3);
    program.stop();
}

#[test]
fn what_correlation_fails_at_accuses_no_record() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.jsonl"), alert("Poison") + "\n").unwrap();
    assert_eq!(start(folder.path(), "correlate:Poison").exit_code(), Some(1));
    assert_eq!(suspects(folder.path()), Vec::<Value>::new());
    let program = Program::start(folder.path(), &config(folder.path()));
    program.until("taken", |program| program.metric("tidegate_alerts_received_total", "") == 1);
    assert_conserved(&program, 1, 0);
    program.stop();
}

/// The same bytes at two places: two restarts, and from then on wherever they come again.
#[test]
fn bytes_that_panic_twice_are_passed_on_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let line = alert("Poison") + "\n";
    let other = alert("Other") + "\n";
    let text = format!("{other}{line}{other}{line}{line}{other}{line}");
    std::fs::write(folder.path().join("alerts.jsonl"), text).unwrap();
    for n in 1..=2 {
        assert_eq!(start(folder.path(), "decode:Poison").exit_code(), Some(1));
        assert_eq!(suspects(folder.path()).len(), n);
    }
    let program = start(folder.path(), "decode:Poison");
    until_ready(&program);
    program.until("all taken", |program| program.metric("tidegate_alerts_received_total", "") >= 7);
    assert_conserved(&program, 7, 4);
    assert_eq!(letters(folder.path()).len(), 4);
    program.stop();
}
