//! Times, ids and the like: what is read is shown as the same.

use tidegate::control::config::duration;
use tidegate::model::alert::{Format, Severity};
use tidegate::model::time::Timestamp;
use tidegate::model::{GroupHash, IncidentId};
use tidegate::pipeline::command::Command;

/// What stands for something in one of them.
pub(crate) const PIECES: &[&str] = &[
    "2026-11-22",
    "T",
    "Z",
    "z",
    ":",
    "-",
    "+",
    ".",
    "08:00:00",
    "23:59:60",
    "24:00:00",
    "+14:00",
    "-00:00",
    "0001-01-01",
    "9999-12-31",
    "-000001",
    "+010000",
    "1",
    "0",
    "ms",
    "s",
    "m",
    "h",
    "d",
    "µs",
    " ",
    "\u{0}",
    "é",
    "\u{ff10}",
    "{\"at\":",
    "\"resolve\"",
    "}",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "2026-11-22T08:00:00Z",
        "2026-11-22T08:00:00.123456789+02:00",
        "0001-01-01T00:00:00Z",
        "1m30s",
        "1500ms",
        "0123456789abcdef0123456789abcdef",
        "alertmanager_v2",
        r#"{"at":"2026-11-22T08:00:00Z","by":"ada","command":"resolve","incident_id":"0123456789abcdef0123456789abcdef"}"#,
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(crate) fn check(input: &[u8]) {
    if let Ok(command) = serde_json::from_slice::<Command>(input) {
        let text = serde_json::to_vec(&command).unwrap();
        assert_eq!(serde_json::from_slice::<Command>(&text).unwrap(), command);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{text}");
    }
    if let Ok(id) = text.parse::<IncidentId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(hash) = text.parse::<GroupHash>() {
        assert_eq!(hash.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(format) = text.parse::<Format>() {
        assert_eq!(format.name(), text);
    }
    if let Ok(span) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::show(span)), Ok(span), "{text}");
    }
    assert!(Severity::ALL.contains(&Severity::from_label(text)));
}
