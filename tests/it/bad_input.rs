//! What cannot be read harms nothing beside it: it goes to the dead letters with reason, position and bytes, the rest is
//! taken, and the counts add up.

mod records;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::program::{Program, tidegate};
use records::{N_UNUSABLE, bad, good, kept, mixed};

/// Names of the alerts in `good`.
const GOOD_NAMES: [&str; 5] = ["Deep32", "First", "Middle", "NoTime", "NoTimes"];

/// HTTP, and a file that is followed.
fn config(folder: &Path) -> String {
    let path = folder.join("alerts.jsonl");
    format!(
        "store: sqlite\nsources:\n  - {{name: http, type: http}}\n  \
         - {{name: lines, type: file, path: {path:?}, format: native, follow: true}}\n\
         windows: [{{name: all, group_by: [alertname], wait: 0s}}]\n"
    )
}

/// The dead letters of a data folder, oldest first.
fn letters(folder: &Path, source: &str) -> Vec<Value> {
    let data = folder.to_string_lossy();
    let output = tidegate(&["dlq", "list", "--output", "json", "--source", source, "--data-dir", &data]);
    assert!(output.status.success(), "{output:?}");
    let mut letters: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    letters.reverse();
    letters
}

/// The bytes of a dead letter.
fn raw(folder: &Path, letter: &Value) -> Vec<u8> {
    let (id, data) = (letter["id"].to_string(), folder.to_string_lossy());
    let output = tidegate(&["dlq", "show", &id, "--raw", "--data-dir", &data]);
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Group labels of all incidents.
fn names(program: &Program) -> BTreeSet<String> {
    let (status, text) = program.get("/api/v1/incidents");
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let incidents = answer["incidents"].as_array().unwrap();
    incidents.iter().map(|incident| incident["group_labels"]["alertname"].as_str().unwrap().to_owned()).collect()
}

/// Everything received has one fate.
fn assert_conserved(program: &Program, received: u64, rejected: u64) {
    assert_eq!(program.metric("tidegate_alerts_received_total", ""), received);
    let outcomes = program.metric("tidegate_alerts_outcome_total", "");
    assert_eq!(outcomes + program.metric("tidegate_alerts_held", ""), received);
    assert_eq!(program.metric("tidegate_alerts_outcome_total", "outcome=\"rejected\""), rejected);
}

#[test]
fn bad_lines_of_a_file_leave_the_good_ones_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.jsonl");
    std::fs::write(&file, "").unwrap();
    let program = Program::start(folder.path(), &config(folder.path()));
    let lines = mixed();
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    std::fs::write(&file, &text).unwrap();
    program.until("at the end of the file", |program| {
        program.metric("tidegate_alerts_received_total", "") >= lines.len() as u64
    });
    assert_eq!(names(&program), GOOD_NAMES.map(str::to_owned).into());
    assert_conserved(&program, lines.len() as u64, bad().len() as u64);
    assert_eq!(program.metric("tidegate_unusable_times_total", ""), N_UNUSABLE);
    let letters = letters(folder.path(), "lines");
    assert_eq!(letters.len(), bad().len(), "{letters:#?}");
    for (letter, (reason, bytes)) in letters.iter().zip(bad()) {
        let before: usize = lines.iter().take_while(|line| **line != bytes).map(|line| line.len() + 1).sum();
        assert_eq!((letter["reason"].as_str(), letter["position"].as_u64()), (Some(reason), Some(before as u64)));
        assert!(raw(folder.path(), letter) == kept(&bytes), "{reason}: the bytes are not those that were sent");
    }
    program.stop();
}

#[test]
fn bad_elements_of_a_request_are_named_and_the_others_taken() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.jsonl"), "").unwrap();
    let program = Program::start(folder.path(), &config(folder.path()));
    // As an array only what is JSON can be an element.
    let is_element = |reason: &str| !matches!(reason, "malformed_json" | "invalid_utf8" | "too_deep" | "too_large");
    let bad_elements: Vec<_> = bad().into_iter().filter(|(reason, _)| is_element(reason)).collect();
    let good_elements: Vec<_> =
        good().into_iter().filter(|bytes| !bytes.starts_with(b"{\"labels\": {\"alertname\": \"Deep")).collect();
    let elements: Vec<Vec<u8>> =
        good_elements.iter().cloned().chain(bad_elements.iter().map(|(_, bytes)| bytes.clone())).collect();
    let body = [b"[", elements.join(&b',').as_slice(), b"]"].concat();
    let (status, answer) = program.post("/api/v1/alerts", &body);
    assert_eq!(status, 400, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["accepted"], good_elements.len());
    let rejected = answer["rejected"].as_array().unwrap();
    let named: Vec<_> = rejected.iter().map(|bad| (bad["index"].as_u64(), bad["reason"].as_str())).collect();
    let expected = bad_elements.iter().zip(good_elements.len() as u64..);
    assert_eq!(named, expected.map(|((reason, _), index)| (Some(index), Some(*reason))).collect::<Vec<_>>());
    let letters = letters(folder.path(), "http");
    assert_eq!(letters.len(), bad_elements.len(), "{letters:#?}");
    for ((letter, (reason, bytes)), index) in letters.iter().zip(&bad_elements).zip(good_elements.len() as u64..) {
        assert_eq!((letter["reason"].as_str(), letter["element"].as_u64()), (Some(*reason), Some(index)));
        assert_eq!(raw(folder.path(), letter), *bytes);
    }
    assert_eq!(names(&program), ["First", "Middle", "NoTime", "NoTimes"].map(str::to_owned).into());
    assert_conserved(&program, elements.len() as u64, bad_elements.len() as u64);
    assert_eq!(program.metric("tidegate_unusable_times_total", ""), N_UNUSABLE);
    program.stop();
}

#[test]
fn a_body_that_is_no_json_is_a_sample_and_no_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.jsonl"), "").unwrap();
    let program = Program::start(folder.path(), &config(folder.path()));
    let bodies = [
        ("malformed_json", b"[{\"labels\": {\"alertname\": \"CutOff\"}".to_vec()),
        ("invalid_utf8", b"[{\"labels\": {\"alertname\": \"\xfc\"}}]".to_vec()),
        ("too_deep", [b"[", records::deep(32).as_slice(), b"]"].concat()),
        ("empty", Vec::new()),
    ];
    for (reason, body) in &bodies {
        let (status, answer) = program.post("/api/v2/alerts", body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, answer["error"].as_str()), (400, Some(*reason)), "{answer}");
    }
    let (_, samples) = program.get("/api/v1/rejected-samples");
    let samples: Vec<Value> = serde_json::from_str(&samples).unwrap();
    let reasons: Vec<&str> = samples.iter().rev().map(|sample| sample["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, bodies.each_ref().map(|(reason, _)| *reason));
    assert_eq!(letters(folder.path(), "http"), Vec::<Value>::new());
    let (status, _) = program.post("/api/v1/alerts", &vec![b' '; (8 << 20) + 1]);
    assert_eq!(status, 413, "more than a body may have is not read");
    let (status, _) = program.post("/api/v2/alerts", br#"[{"labels": {"alertname": "After"}}]"#);
    assert_eq!((status, names(&program)), (200, BTreeSet::from(["After".to_owned()])));
    assert_conserved(&program, bodies.len() as u64 + 1, bodies.len() as u64);
    program.stop();
}
