//! The scanner against the general parser, its oracle: what it takes, it takes with the same values; it takes what senders
//! write; and what the parser refuses, it never takes.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{Alert, Decoded, decode, pairs};
use crate::model::alert::Format;
use crate::model::labels::{self, Pairs};
use crate::pipeline::decode::{DetailReader, LabelReader, Limits, Reject, ScannedAlert, Scanner, SplitRecord};

/// Holds what the scanner makes of a record against what the general parser made of it.
pub(super) fn compare(format: Format, record: &[u8], decoded: &Decoded) {
    let mut scanner = Scanner::<()>::default();
    if *decoded == Err(Reject::TooLarge) {
        return; // Sizes are looked at before.
    }
    let Some(alerts) = scanner.scan(format, record, |_| None) else { return };
    let alerts = recalled(format, record, alerts);
    let text = String::from_utf8_lossy(record);
    let elements = decoded.as_ref().unwrap_or_else(|reject| panic!("taken, but {reject:?}: {text}"));
    assert_eq!(alerts.len(), elements.len(), "{text}");
    let (mut reader, mut details) = (LabelReader::new(Limits::default()), DetailReader::default());
    let split = SplitRecord::new(format, record);
    for ((index, scanned), element) in (0..).zip(&alerts).zip(elements) {
        let bytes = &record[scanned.span.0..scanned.span.1];
        assert_eq!(Some(bytes), split.get(index), "{text}");
        let encode = |pairs: &[(&str, &str)]| {
            let mut encoded = Vec::new();
            labels::encode(pairs.iter().copied(), &mut encoded);
            encoded
        };
        let read = reader.read(&record[scanned.labels.0..scanned.labels.1], encode);
        match element {
            Err(reject) => assert_eq!(read, Err(*reject), "{text}"),
            Ok(alert) => {
                let detail = details.read(bytes);
                assert_eq!(read.as_ref(), Ok(&detail.labels), "{text}");
                let pairs =
                    |encoded: &[u8]| Pairs(encoded).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                let taken = Alert {
                    labels: pairs(&detail.labels),
                    annotations: pairs(&detail.annotations),
                    status: scanned.status,
                    starts_at: scanned.starts_at,
                    ends_at: scanned.ends_at,
                    generator_url: Some(String::from_utf8(detail.url.clone()).unwrap()).filter(|url| !url.is_empty()),
                    received_at: scanned.received_at,
                    unusable_times: scanned.unusable_times,
                };
                assert_eq!(&taken, alert, "{text}");
            }
        }
    }
}

/// What a scanner makes of the record that knows its label texts already, and has read another record before.
fn recalled(format: Format, record: &[u8], alerts: &[ScannedAlert<()>]) -> Vec<ScannedAlert<()>> {
    let known: Vec<&[u8]> = alerts.iter().map(|alert| &record[alert.labels.0..alert.labels.1]).collect();
    let mut scanner = Scanner::default();
    let _ = scanner.scan(Format::Native, [COMPACT; 3].join("\n").as_bytes(), |_| None);
    let again = scanner.scan(format, record, |text| known.contains(&text).then_some(())).map(<[_]>::to_vec);
    let again = again.unwrap_or_else(|| panic!("not taken again: {}", String::from_utf8_lossy(record)));
    assert_eq!(again.iter().map(|alert| ScannedAlert { known: None, ..*alert }).collect::<Vec<_>>(), alerts);
    again
}

fn takes(format: Format, record: &str) -> bool {
    decode(format, record).unwrap_or_default(); // Compares.
    Scanner::<()>::default().scan(format, record.as_bytes(), |_| None).is_some()
}

const COMPACT: &str = r#"{"labels":{"alertname":"DiskFull","host":"db-1"},"annotations":{"summary":"disk \"a\"\n"},"status":"resolved","startsAt":"2026-11-22T08:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/g?a\u0026c","value":12.5,"ok":true}"#;

const PRETTY: &str = "{\n  \"labels\": {\n    \"größe\": \"1 µs\",\n    \"path\": \"C:\\\\x\"\n  },\n  \"annotations\": null,\n\
                      \t\"tags\": [ 1, \"a\", {} ],\r\n  \"receivedAt\": \"2026-11-22T08:00:00.5+01:00\"\n}\n";

#[test]
fn what_senders_write_is_taken() {
    for alert in [COMPACT, PRETTY] {
        assert!(takes(Format::Native, alert), "{alert}");
        assert!(takes(Format::Native, &format!("[{alert},\n{alert}]")), "{alert}");
        assert!(takes(Format::AlertmanagerV2, &format!(" [ {alert} ] ")), "{alert}");
        let envelope = format!(r#"{{"receiver":"x","version":"4","alerts":[{alert}],"truncatedAlerts":0}}"#);
        assert!(takes(Format::AlertmanagerWebhook, &envelope), "{alert}");
    }
    assert!(takes(Format::Native, &format!("{COMPACT}\n\n{COMPACT}\r\n")));
    let mut scanner = Scanner::default();
    let alerts = scanner.scan(Format::Native, COMPACT.as_bytes(), |text| Some(text.len()));
    assert_eq!(
        alerts.map(|alerts| alerts[0].known),
        Some(Some(38)),
        "a compact label object is recalled without a walk"
    );
    assert!(takes(Format::AlertmanagerV2, "[]"));
    assert!(takes(
        Format::AlertmanagerV2,
        &format!(r#"[{}]"#, COMPACT.replace(r#""resolved""#, r#"{"state":"active"}"#))
    ));
}

#[test]
fn what_only_the_parser_may_judge_is_left_to_it() {
    for alert in [
        r#"{"labels":{"a":"b"},"labels":{"a":"c"}}"#,
        r#"{"l\u0061bels":{"a":"b"}}"#,
        r#"{"labels":{"a":1}}"#,
        r#"{"labels":{}}"#,
        r#"{"labels":{"a":"b"},"status":"on"}"#,
        r#"{"labels":{"a":"b"},"note":"\ud83d and \ude00"}"#,
        r#"{"labels":{"a":"b"},"value":1e400}"#,
        r#"{"labels":{"a":"b"},"startsAt":"2026-11-22T08:00:00\u005a"}"#,
        r#"{"labels":{"a":"b"},"deep":[[[[[[[[[1]]]]]]]]]}"#,
        "5",
        "",
    ] {
        assert!(!takes(Format::Native, alert), "{alert}");
    }
    let one = r#"{"labels":{"a":"b"}}"#;
    for (format, record) in [
        (Format::Native, format!("{one} {one}")),
        (Format::Native, format!("{one},{one}")),
        (Format::Native, format!("{one}\n{{\"labels\":{{\"a\":\n\"b\"}}}}")),
        (Format::Native, format!("[{one}] x")),
        (Format::AlertmanagerV2, one.to_owned()),
        (Format::AlertmanagerWebhook, format!(r#"{{"version":"5","alerts":[{one}]}}"#)),
        (Format::AlertmanagerWebhook, r#"{"version":"4"}"#.to_owned()),
    ] {
        assert!(!takes(format, &record), "{record}");
    }
}

#[test]
fn labels_of_every_kind_are_read_as_the_parser_reads_them() {
    let many: Vec<String> = (0..65).map(|n| format!(r#""l{n}":"v""#)).collect();
    for labels in [
        r#"{"a":"1","b":"2","a":"3"}"#,
        r#"{"a":"1","a":""}"#,
        r#"{"a":"1","b":"","c":"ü"}"#,
        r#"{"":"1"}"#,
        r#"{"\u0061":"1","a":"x\ny"}"#,
        &format!("{{{}}}", many.join(",")),
        &format!(r#"{{"a":"{}"}}"#, "x".repeat(4_097)),
        &format!(r#"{{"{}":"x"}}"#, "x".repeat(257)),
    ] {
        assert!(takes(Format::Native, &format!(r#"{{"labels":{labels}}}"#)), "{labels}");
    }
    let read = LabelReader::new(Limits::default()).read(br#"{"b":"1", "a":"2"}"#, pairs);
    assert_eq!(read, Ok(pairs(&[("b", "1"), ("a", "2")])));
    assert_eq!(LabelReader::new(Limits::default()).read(br#"{"a":""}"#, |_| ()), Err(Reject::NoLabels));
}

/// Pieces that meet the scanner's branches when they are put anywhere into a record.
const PIECES: [&str; 35] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\t",
    "\u{1}",
    "\u{7f}",
    "ü",
    "\\u0041",
    "\\ud800",
    "\\ud83d\\ude00",
    "\\\"",
    "null",
    "true",
    "0",
    "-1",
    "1.5e3",
    "\"labels\"",
    "\"status\"",
    "\"firing\"",
    "\"startsAt\"",
    "\"endsAt\":null",
    "{\"a\":\"b\"}",
    "{\"labels\":{\"a\":\"b\"}}",
    "\"version\":\"4\"",
    "\"alerts\"",
    "\\/",
    "\u{feff}",
    "\r\n",
];

fn record() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let alert = prop_oneof![Just(COMPACT), Just(PRETTY), Just(r#"{"labels":{"a":"b"}}"#)];
    let shape = (0..3_usize, alert.clone(), alert, 0..4_usize);
    shape.prop_map(|(format, first, second, separator)| {
        let format = Format::ALL[format];
        let separator = [",", "\n", ", ", "\n\n"][separator];
        let both: Cow<'_, str> =
            if separator.len() > 1 { first.into() } else { format!("{first}{separator}{second}").into() };
        let record = match format {
            Format::Native if separator == "\n" => both.into_owned(),
            Format::Native | Format::AlertmanagerV2 => format!("[{both}]"),
            Format::AlertmanagerWebhook => format!(r#"{{"version":"1","alerts":[{both}]}}"#),
        };
        (format, record.into_bytes())
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Insert(usize, usize),
    Replace(usize, u8),
    Cut(usize, usize),
    Copy(usize, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        2 => (any::<usize>(), 0..40_usize).prop_map(|(at, len)| Damage::Cut(at, len)),
        1 => (any::<usize>(), any::<usize>(), 0..40_usize).prop_map(|(from, to, len)| Damage::Copy(from, to, len)),
    ]
}

fn damaged(record: &mut Vec<u8>, damage: &Damage) {
    let len = record.len() + 1;
    match *damage {
        Damage::Insert(at, piece) => drop(record.splice(at % len..at % len, PIECES[piece].bytes())),
        Damage::Replace(at, byte) if len > 1 => record[at % (len - 1)] = byte,
        Damage::Replace(..) => {}
        Damage::Cut(at, n) => drop(record.drain(at % len..(at % len + n).min(len - 1))),
        Damage::Copy(from, to, n) => {
            let piece: Vec<u8> = record[from % len..(from % len + n).min(len - 1)].to_vec();
            drop(record.splice(to % len..to % len, piece));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]
    #[test]
    fn damaged_records_are_taken_alike(
        (format, mut record) in record(),
        damages in prop::collection::vec(damage(), 0..4),
    ) {
        damages.iter().for_each(|damage| damaged(&mut record, damage));
        let _ = decode(format, &record); // Compares.
    }
}
