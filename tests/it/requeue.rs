//! `tidegate dlq requeue`: what was rejected goes in again once its cause was mended; never lost, never twice unsaid.

use std::path::Path;

use serde_json::Value;

use crate::program::{Program, tidegate};

/// HTTP, and a file that is followed, in the wrong format at first.
fn config(folder: &Path, format: &str) -> String {
    let path = folder.join("alerts.jsonl");
    format!(
        "sources:\n  - {{name: http, type: http}}\n  \
         - {{name: lines, type: file, path: {path:?}, format: {format}, follow: true}}\n\
         windows: [{{name: all, group_by: [alertname], wait: 0s}}]\n"
    )
}

fn envelope(alertname: &str) -> String {
    format!(r#"{{"version":"4","alerts":[{{"status":"firing","labels":{{"alertname":"{alertname}"}}}}]}}"#)
}

/// Runs `tidegate dlq` over that folder and its daemon.
struct Dlq<'a> {
    folder: &'a Path,
    url: String,
}

impl Dlq<'_> {
    #[track_caller]
    fn run(&self, code: i32, words: &[&str]) -> String {
        let config = self.folder.join("tidegate.yaml").display().to_string();
        let data = self.folder.display().to_string();
        let url = if words[0] == "requeue" { vec!["--url", &self.url] } else { vec![] };
        let at = ["--config", &config, "--data-dir", &data];
        let output = tidegate(&[&["dlq"], words, &at, &url].concat());
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    #[track_caller]
    fn requeue(&self, code: i32, words: &[&str]) -> Value {
        serde_json::from_str(&self.run(code, &[&["requeue", "--output", "json"], words].concat())).unwrap()
    }

    fn letters(&self) -> Vec<Value> {
        serde_json::from_str(&self.run(0, &["list", "--output", "json"])).unwrap()
    }
}

fn is_there(program: &Program, alertname: &str) -> bool {
    program.get("/api/v1/incidents").1.contains(&format!("\"alertname\":\"{alertname}\""))
}

/// The result of each letter in a report.
fn results(report: &Value) -> Vec<&str> {
    report["letters"].as_array().unwrap().iter().map(|letter| letter["result"].as_str().unwrap()).collect()
}

#[test]
fn a_body_sent_to_the_wrong_door_goes_in_by_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.jsonl"), "").unwrap();
    let program = Program::start(folder.path(), &config(folder.path(), "native"));
    let dlq = Dlq { folder: folder.path(), url: program.url() };
    assert_eq!(program.post("/api/v1/alerts", envelope("Misled").as_bytes()).0, 400);
    assert_eq!(dlq.letters()[0]["format"], "native");
    let report = dlq.requeue(1, &["1"]);
    let detail = report["letters"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("still cannot be read as native: no_labels"), "{report:#}");
    let right = ["1", "--format", "alertmanager_webhook"];
    let report = dlq.requeue(0, &[&right[..], &["--dry-run"]].concat());
    assert_eq!((results(&report), is_there(&program, "Misled")), (vec!["would_be_requeued"], false));
    let report = dlq.requeue(0, &right);
    assert_eq!((results(&report), report["requeued"].as_u64()), (vec!["requeued"], Some(1)), "{report:#}");
    assert!(is_there(&program, "Misled"));
    let to = format!("{}/api/v1/webhooks/alertmanager", program.url());
    assert_eq!(dlq.letters()[0]["requeued"]["to"], to.as_str());
    let said = dlq.run(1, &[&["requeue"], &right[..]].concat());
    assert!(said.contains("1: refused: it went in again at") && said.contains("once more: --again"), "{said}");
    let received = program.metric("tidegate_alerts_received_total", "");
    dlq.requeue(0, &[&right[..], &["--again"]].concat());
    assert_eq!(program.metric("tidegate_alerts_received_total", ""), received + 1);
    assert_eq!(program.metric("tidegate_alerts_outcome_total", "outcome=\"folded\""), 1, "the second is a repeat");
    program.stop();
}

#[test]
fn what_is_rejected_again_is_a_new_letter_and_what_is_not_taken_stays() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.jsonl"), "").unwrap();
    let program = Program::start(folder.path(), &config(folder.path(), "native"));
    let mut dlq = Dlq { folder: folder.path(), url: program.url() };
    let body = r#"[{"labels":{"alertname":"Good"}}, {"labels":{}}, {"labels":{"alertname":5}}]"#;
    assert_eq!(program.post("/api/v1/alerts", body.as_bytes()).0, 400);
    assert_eq!(dlq.letters().len(), 2);
    let report = dlq.requeue(1, &["1", "--anyway"]);
    assert_eq!(results(&report), ["rejected_again"], "{report:#}");
    let letters = dlq.letters();
    assert_eq!((letters.len(), letters[0]["reason"].as_str()), (3, Some("no_labels")));
    assert!(letters[2]["requeued"]["to"].is_string() && letters[0]["requeued"].is_null(), "{letters:#?}");
    // Nobody to ask, and nobody to take it.
    let said = dlq.run(2, &["requeue", "--all"]);
    assert_eq!(said, "error: this puts 2 dead letters in again: say --yes, or --dry-run to see which\n");
    program.stop();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    dlq.url = format!("http://{closed}");
    let report = dlq.requeue(1, &["2", "3", "--anyway"]);
    assert_eq!((results(&report), report["stopped"].as_bool()), (vec!["failed"], Some(true)), "{report:#}");
    assert!(dlq.letters()[1]["requeued"].is_null(), "what was not taken has no mark");
    let missing = dlq.run(1, &["requeue", "99"]);
    assert!(missing.starts_with("99: refused: there is no dead letter with this id\n"), "{missing}");
}

#[test]
fn lines_of_a_file_read_in_the_wrong_format_go_in_through_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.jsonl");
    let huge = format!("{{\"labels\":{{\"alertname\":\"Huge\"}},\"x\":\"{}\"}}", "x".repeat(1 << 20));
    std::fs::write(&file, format!("{}\n{}\n{huge}\n", envelope("First"), envelope("Second"))).unwrap();
    let program = Program::start(folder.path(), &config(folder.path(), "native"));
    program.until("at the end of the file", |program| program.metric("tidegate_alerts_received_total", "") == 3);
    program.stop();
    let program = Program::start(folder.path(), &config(folder.path(), "alertmanager_webhook"));
    let dlq = Dlq { folder: folder.path(), url: program.url() };
    let words = ["--source", "lines", "--yes", "--format", "alertmanager_webhook"];
    let report = dlq.requeue(1, &words);
    assert_eq!(results(&report), ["requeued", "requeued", "refused"], "{report:#}");
    let detail = report["letters"][2]["detail"].as_str().unwrap();
    assert!(detail.starts_with("only the first 65536 of 1048"), "{detail}");
    assert!(is_there(&program, "First") && is_there(&program, "Second"));
    assert_eq!(results(&dlq.requeue(1, &words)), ["refused"], "those that went in are left out of a second turn");
    program.stop();
}
