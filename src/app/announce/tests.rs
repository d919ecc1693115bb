//! Tests of what the log says, read as the JSON that a program would read.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::control::example::{NOW, event};
use crate::model::Status;
use crate::model::alert::Format;
use crate::pipeline::decode::Reject;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that were logged while `run` ran.
fn lines(run: impl FnOnce()) -> Vec<Value> {
    let memory = Memory::default();
    let writer = memory.clone();
    let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(move || writer.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
    let bytes = memory.0.lock().unwrap();
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

fn letter(source: &str, reason: Reject) -> DeadLetter {
    let partition = String::new();
    DeadLetter {
        source: source.to_owned(),
        partition,
        position: 1,
        index: None,
        reason,
        format: Format::Native,
        at: NOW,
        bytes: vec![],
        original_len: 0,
    }
}

#[test]
fn an_incident_has_a_line_for_what_matters_with_id_and_reason() {
    let opened = event(1, 1, Status::Firing);
    let counted = IncidentEvent {
        event: EventKind::Updated,
        reason: EventReason::Counted,
        ..(*event(1, 2, Status::Firing)).clone()
    };
    let worse = IncidentEvent { reason: EventReason::SeverityRose, ..counted.clone() };
    let mut ended = (*event(1, 4, Status::Resolved)).clone();
    ended.reason = EventReason::Person;
    ended.resolved_by = Some("ada\u{202e}".to_owned());
    ended.group_labels.insert("team".to_owned(), "a\"b\n\u{1b}[2J".to_owned());
    let lines = lines(|| Announcer::default().incidents([&*opened, &counted, &worse, &ended], NOW));
    assert_eq!(
        messages(&lines),
        [
            r#"incident opened: service="s1""#,
            r#"incident became more severe: service="s1""#,
            r#"incident resolved: service="s1",team="a\"b\n\u{1b}[2J""#
        ]
    );
    assert_eq!((&lines[0]["reason"], &lines[0]["level"]), (&"first_alert".into(), &"INFO".into()));
    assert_eq!(lines[0]["incident_id"], opened.incident_id.to_string());
    assert_eq!((&lines[2]["reason"], &lines[2]["by"]), (&"person".into(), &"ada\\u{202e}".into()));
    assert_eq!(lines[2]["group"], r#"service="s1",team="a\"b\n\u{1b}[2J""#);
}

#[test]
fn a_flood_of_incidents_is_counted_after_the_first_lines() {
    let mut announcer = Announcer::default();
    let flood: Vec<_> = (0..1_000).map(|id| event(id, 1, Status::Firing)).collect();
    let first = lines(|| announcer.incidents(flood.iter().map(|event| &**event), NOW));
    assert_eq!(first.len(), LINES_MAX as usize);
    let silent = lines(|| announcer.incidents([&*event(1, 2, Status::Resolved)], NOW + Millis(STRETCH.0 - 1)));
    assert_eq!(silent, Vec::<Value>::new());
    let later = lines(|| announcer.incidents([&*event(2, 2, Status::Resolved)], NOW + STRETCH));
    assert_eq!(
        messages(&later),
        ["951 more changes of incidents, in a flood not told one by one", r#"incident resolved: service="s2""#]
    );
    assert_eq!((&later[0]["opened"], &later[0]["resolved"]), (&950.into(), &1.into()));
}

#[test]
fn rejects_are_told_once_a_minute_per_source_and_reason() {
    let mut announcer = Announcer::default();
    let (bad, large) = (letter("http", Reject::ALL[0]), letter("http", Reject::ALL[1]));
    let first = lines(|| announcer.dead_letters([&bad, &large, &bad], NOW));
    let mut told: Vec<_> =
        first.iter().map(|line| (line["reason"].as_str().unwrap(), line["n"].as_u64().unwrap())).collect();
    told.sort_unstable_by_key(|(_, n)| *n);
    assert_eq!(told, [(Reject::ALL[1].name(), 1), (Reject::ALL[0].name(), 2)]);
    assert_eq!(first[0]["level"], "WARN");
    assert_eq!(lines(|| announcer.dead_letters([&bad, &bad], NOW + Millis::seconds(59))), Vec::<Value>::new());
    let later = lines(|| announcer.dead_letters([], NOW + REJECTS_EVERY));
    assert_eq!(later[0]["n"], 2);
}
