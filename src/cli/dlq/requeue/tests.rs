//! Which letters may go back, and where to, by configuration. The sending itself is tested with a real daemon.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::Parser;

use super::*;
use crate::control::config::{Overrides, Surroundings};
use crate::model::time::Timestamp;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    requeue: RequeueArgs,
}

const CONFIG: &str = "kafka: {brokers: [a:9092]}
sources:
  - {name: in, type: kafka, topics: [{name: alerts, format: alertmanager_webhook}]}
  - {name: lines, type: file, path: /var/log/alerts.jsonl, format: alertmanager_v2}
  - {name: http, type: http}
";

fn config(text: &str) -> Config {
    let around = Surroundings { folder: "/etc/tidegate".into(), credentials: None, environment: |_| None };
    let file = Some(Path::new("c.yaml"));
    Config::from_bytes(text.as_bytes(), file, &Overrides::default(), &around).unwrap().config
}

fn letter(source: &str, partition: &str, bytes: &str) -> Letter {
    Letter {
        id: LetterId::Row(7),
        epoch: Some(1),
        stored_at: Timestamp(1),
        source: source.to_owned(),
        partition: partition.to_owned(),
        position: 42,
        element: None,
        reason: "no_labels".to_owned(),
        at: Timestamp(0),
        original_len: bytes.len() as u64,
        format: Some(Format::Native),
        requeued: None,
        bytes: bytes.as_bytes().to_vec(),
    }
}

fn check(letter: &Letter, words: &[&str], expected: Result<Way, &str>) {
    let args = Line::try_parse_from([&["requeue", "7"], words].concat()).unwrap().requeue;
    let prepared = prepare(letter, &args, &config(CONFIG)).map(|(way, _)| way);
    match (prepared, expected) {
        (Ok(way), Ok(expected)) => assert_eq!(way, expected),
        (Err(refusal), Err(part)) => assert!(refusal.contains(part), "{part} is not in {refusal}"),
        (prepared, expected) => panic!("{prepared:?}, not {expected:?}"),
    }
}

const GOOD: &str = r#"{"labels":{"a":"1"}}"#;

#[test]
fn a_letter_of_a_panic_goes_in_as_no_suspect() {
    let args = Line::try_parse_from(["requeue", "7"]).unwrap().requeue;
    for (reason, sent) in [("panic", format!("{GOOD}\n")), ("no_labels", GOOD.to_owned())] {
        let letter = Letter { reason: reason.to_owned(), ..letter("http", "", GOOD) };
        let (_, body) = prepare(&letter, &args, &config(CONFIG)).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), sent, "{reason}");
    }
}

#[test]
fn each_letter_goes_back_the_way_it_came() {
    check(&letter("http", "", GOOD), &[], Ok(Way::Door(Format::Native)));
    let v2 = ["--format", "alertmanager_v2"];
    check(&Letter { element: Some(3), ..letter("http", "", GOOD) }, &v2, Ok(Way::Door(Format::AlertmanagerV2)));
    check(&letter("lines", "", GOOD), &[], Ok(Way::Door(Format::Native)));
    let envelope = format!("{{\"version\":\"4\",\"alerts\":[{GOOD}]}}");
    let partition = Way::Partition { topic: "alerts".to_owned(), partition: 3, format: Format::AlertmanagerWebhook };
    check(&letter("in", "alerts/3", &envelope), &[], Ok(partition.clone()));
    check(&Letter { element: Some(0), ..letter("in", "alerts/3", &envelope) }, &[], Ok(partition.clone()));
    check(&Letter { element: Some(0), ..letter("in", "alerts/3", GOOD) }, &[], Ok(partition));
    let without = "sources: [{name: lines, type: file, path: /x, format: native}]\n";
    let refusal = Way::of(&letter("lines", "", GOOD), None, &config(without)).unwrap_err();
    assert!(refusal.contains("is only read, and the configuration has no source of type http"), "{refusal}");
}

#[test]
fn what_cannot_go_back_faithfully_is_refused_with_the_reason() {
    let cut = Letter { original_len: 2_000_000, ..letter("http", "", GOOD) };
    check(&cut, &[], Err("only the first 20 of 2000000 bytes were kept"));
    let requeued = Some(Requeued { at: Timestamp(0), to: "http://h/api".to_owned() });
    let again = Letter { requeued, ..letter("http", "", GOOD) };
    check(&again, &[], Err("it went in again at 1970-01-01T00:00:00.000Z, to http://h/api; once more: --again"));
    check(&again, &["--again"], Ok(Way::Door(Format::Native)));
    let old = Letter { format: None, ..letter("http", "", GOOD) };
    check(&old, &[], Err("name it with --format"));
    check(&old, &["--format", "native"], Ok(Way::Door(Format::Native)));
    let bad = letter("http", "", "{}");
    check(&bad, &[], Err("it still cannot be read as native: no_labels (`labels` must be"));
    check(&bad, &["--anyway"], Ok(Way::Door(Format::Native)));
    check(&letter("gone", "", GOOD), &[], Err("the configuration has no source \"gone\""));
    check(&letter("in", "other/1", GOOD), &[], Err("does not read topic \"other\" any more"));
    check(&letter("in", "alerts", GOOD), &[], Err("does not tell its partition"));
}

#[test]
fn letters_are_named_or_chosen_but_not_both() {
    for (line, good) in [
        (&["requeue"][..], false),
        (&["requeue", "1", "0:17"], true),
        (&["requeue", "1", "--all"], false),
        (&["requeue", "--all", "--dry-run"], true),
        (&["requeue", "--reason", "no_labels", "--source", "in", "--yes"], true),
        (&["requeue", "--reason", "boredom"], false),
    ] {
        assert_eq!(Line::try_parse_from(line).is_ok(), good, "{line:?}");
    }
}
