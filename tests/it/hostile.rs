//! Whatever a sender writes, nothing of it steers the terminal of whoever looks: every command, text and JSON.

use serde_json::{Value, json};

use crate::program::{Program, tidegate};

/// What people have sent to terminals.
fn hostile() -> Vec<String> {
    [
        "\u{1b}[2J\u{1b}[1;31mowned",
        "\u{1b}]52;c;cm0gLXJmIH4=\u{7}",
        "\u{1b}]0;title\u{1b}\\\u{1b}P+q\u{1b}\\",
        "gpj.\u{202e}exe\u{202c}\u{2066}x\u{2069}",
        "two\nlines\r\u{8}\u{0}\ttab",
        "c1 \u{9b}31m \u{85} \u{9d}0;x\u{9c}",
        "zero\u{200b}width\u{feff}\u{2028}",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!("long {}", "x".repeat(3_000))])
    .collect()
}

/// Newlines are ours; everything else that could move, colour, hide or reorder is not.
#[track_caller]
fn assert_harmless(words: &[&str], codes: &[i32]) -> Vec<u8> {
    let output = tidegate(words);
    assert!(codes.contains(&output.status.code().unwrap()), "{words:?}: {output:?}");
    for bytes in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let steers = |character: char| {
            matches!(character, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
                || matches!(character, '\u{61c}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        };
        let found: Vec<char> = text.chars().filter(|&character| character != '\n' && steers(character)).collect();
        assert!(found.is_empty(), "{words:?}: {found:?} in\n{text:?}");
    }
    assert!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{words:?} said nothing");
    output.stdout
}

const CONFIG: &str = "
sources:
  - {name: http, type: http}
  - {name: lines, type: file, path: alerts.jsonl, format: native, follow: true}
windows: [{name: all, group_by: [alertname], wait: 0s, gap: 1h}]
";

#[test]
fn nothing_that_senders_write_steers_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<Vec<u8>> = hostile().iter().map(|text| text.replace('\n', "").into_bytes()).collect();
    let mut lines = lines.join(&b'\n');
    lines.extend(b"\n\xff\xfe{\xc3\x28\n");
    std::fs::write(folder.path().join("alerts.jsonl"), lines).unwrap();
    let program = Program::start(folder.path(), CONFIG);
    let texts = hostile();
    for text in &texts {
        let alert = json!({
            "labels": {"alertname": text, "severity": text, text.replace('x', "y"): text},
            "annotations": {"summary": text, text.replace('x', "z"): text},
            "generatorURL": text,
        });
        let bad = json!({"labels": {"alertname": text}, "status": text});
        let body = if text.len() < 1_000 { json!([alert, bad]) } else { json!([bad]) };
        program.post("/api/v1/alerts", body.to_string().as_bytes());
    }
    program.until("all of it", |program| program.metric("tidegate_rejected_total", "") >= 2 * texts.len() as u64);
    let (url, data) = (program.url(), folder.path().display().to_string());
    for at in [["--url", url.as_str()], ["--data-dir", data.as_str()]] {
        let list = assert_harmless(&[&["incident", "list"], &at[..]].concat(), &[0]);
        assert!(list.split(|byte| *byte == b'\n').all(|line| line.len() < 400), "one line each, and a bounded one");
        let json = assert_harmless(&[&["incident", "list", "--output", "json"], &at[..]].concat(), &[0]);
        let listed: Value = serde_json::from_slice(&json).unwrap();
        let incidents = listed["incidents"].as_array().unwrap();
        assert_eq!(incidents.len(), texts.len() - 1, "{listed:#}");
        for incident in incidents {
            let name = incident["group_labels"]["alertname"].as_str().unwrap();
            assert!(texts.iter().any(|text| text == name), "JSON is the exact text: {name:?}");
            let id = incident["incident_id"].as_str().unwrap();
            assert_harmless(&[&["incident", "show", id], &at[..]].concat(), &[0]);
            assert_harmless(&[&["incident", "show", id, "--output", "json"], &at[..]].concat(), &[0]);
        }
    }
    let id = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap()["incidents"][0]["incident_id"].clone();
    let first = id(&assert_harmless(&["incident", "list", "--output", "json", "--url", &url], &[0]));
    let by = "ada\u{202e}";
    assert_harmless(&["incident", "resolve", first.as_str().unwrap(), "--by", by, "--wait", "--url", &url], &[0]);
    assert_harmless(&["incident", "show", first.as_str().unwrap(), "--url", &url], &[0]);
    let letters = assert_harmless(&["dlq", "list", "--output", "json", "--data-dir", &data], &[0]);
    assert_harmless(&["dlq", "list", "--data-dir", &data], &[0]);
    let letters: Vec<Value> = serde_json::from_slice(&letters).unwrap();
    for letter in &letters {
        let id = letter["id"].to_string();
        // A tab is text of the sender's that may stay in a text of many lines, but steers nothing.
        let shown = tidegate(&["dlq", "show", &id, "--data-dir", &data]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(!shown.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), "{shown:?}");
        assert_harmless(&["dlq", "show", &id, "--output", "json", "--data-dir", &data], &[0]);
    }
    assert_harmless(&["dlq", "requeue", "--all", "--yes", "--anyway", "--data-dir", &data, "--url", &url], &[1]);
    program.stop();
}

#[test]
fn a_hostile_configuration_is_shown_harmlessly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let name = file.display().to_string();
    for text in hostile() {
        let quoted = serde_json::to_string(&text).unwrap();
        for config in [
            format!("listen: {quoted}\n"),
            format!("{quoted}: 1\n"),
            format!("windows: [{{name: {quoted}, gap: {quoted}}}]\n"),
            format!("store: kafka\nkafka: {{brokers: [{quoted}]}}\nsources: [{{name: {quoted}, type: odd}}]\n"),
            format!("listen: {text}\nstoer: [\n"),
        ] {
            std::fs::write(&file, config).unwrap();
            assert_harmless(&["check-config", &name], &[1]);
            assert_harmless(&["check-config", &name, "--output", "json"], &[1]);
            assert_harmless(&["topics", "check", "--config", &name], &[2]);
            assert_harmless(&["dlq", "list", "--config", &name], &[2]);
            assert_harmless(&["incident", "list", "--config", &name], &[2]);
            assert_harmless(&["run", "--config", &name], &[1]);
        }
    }
}
