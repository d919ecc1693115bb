//! A record of every wire format: scanner, general parser, splitter and serde_json agree about what it is.
//!
//! The first byte of an input chooses the format, the rest is the record.

use serde_json::Value;

use tidegate::model::alert::{AlertView, Format, Status};
use tidegate::model::labels;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::decode::{
    Decoder, DetailReader, LabelReader, Limits, Reject, ScannedAlert, Scanner, SplitRecord,
};

/// What stands for something in a record.
pub(crate) const PIECES: &[&str] = &[
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
    "\r\n",
    "\t",
    "\u{0}",
    "\u{7f}",
    "ü",
    "\u{feff}",
    "\u{202e}",
    "\\u0041",
    "\\ud800",
    "\\ud83d\\ude00",
    "\\\"",
    "\\/",
    "null",
    "true",
    "0",
    "-0",
    "1e400",
    "123456789012345678901234567890",
    "1.5e3",
    "\"labels\"",
    "\"labels\":{\"a\":\"b\"},",
    "\"l\\u0061bels\"",
    "\"annotations\":{\"x\":1},",
    "\"status\":\"firing\",",
    "\"status\":\"resolved\",",
    "\"status\":{\"state\":\"active\"},",
    "\"startsAt\":\"2026-11-22T08:00:00Z\",",
    "\"endsAt\":\"2026-11-22T08:00:00.999999999+14:00\",",
    "\"endsAt\":null,",
    "\"receivedAt\":\"0001-01-01T00:00:00Z\",",
    "\"generatorURL\":\"http://x/\\u0026\",",
    "{\"labels\":{\"a\":\"b\"}}",
    "\"version\":\"4\",",
    "\"alerts\":[]",
    "9999-12-31T23:59:60Z",
];

const ALERTS: [&str; 5] = [
    r#"{"labels":{"a":"b"}}"#,
    r#"{"labels":{"alertname":"DiskFull","host":"db-1","severity":"critical"},"annotations":{"summary":"disk \"a\"\n"},"status":"resolved","startsAt":"2026-11-22T08:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/g?a\u0026c","value":12.5,"ok":true}"#,
    "{\n  \"labels\": {\n    \"größe\": \"1 µs\",\n    \"path\": \"C:\\\\x\"\n  },\n  \"annotations\": null,\n\t\"tags\": [ 1, \"a\", {} ],\r\n  \"receivedAt\": \"2026-11-22T08:00:00.5+01:00\"\n}\n",
    r#"{"labels":{"a":"1","b":"","a":"2"},"status":"firing","deep":[[[{"a":[1e5,-0.0,null]}]]]}"#,
    r#"{"labels":{"n\u0061me":"\ud83d\ude00"},"labels":{"x":"y"},"n":18446744073709551616}"#,
];

/// Records of every format, and some that are not quite.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<String> = Vec::new();
    for alert in ALERTS {
        seeds.push(format!("0{alert}"));
        seeds.push(format!("0[{alert}, {alert}]"));
        seeds.push(format!("1[{alert}]"));
        seeds.push(format!("2{{\"receiver\":\"x\",\"version\":\"4\",\"alerts\":[{alert}],\"truncatedAlerts\":0}}"));
    }
    let [first, second, ..] = ALERTS;
    seeds.push(format!("0{first}\n{second}\r\n\n{first}\n"));
    seeds.push(format!("0{}", [second; 20].join("\n")));
    seeds.push(format!("0\u{feff}{first}"));
    seeds.push("1[]".to_owned());
    seeds.into_iter().map(String::into_bytes).collect()
}

/// The format and the record of an input.
pub(crate) fn record_of(input: &[u8]) -> Option<(Format, &[u8])> {
    let (format, record) = input.split_first()?;
    Some((Format::ALL[usize::from(format.wrapping_sub(b'0')) % Format::ALL.len()], record))
}

/// An alert with texts of its own.
#[derive(Debug, PartialEq)]
struct Alert {
    labels: Vec<u8>,
    annotations: Vec<u8>,
    url: Vec<u8>,
    status: Status,
    times: [Option<Timestamp>; 3],
    unusable_times: u8,
}

fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut encoded = Vec::new();
    labels::encode(pairs.iter().copied(), &mut encoded);
    encoded
}

fn owned(alert: &AlertView<'_>) -> Alert {
    Alert {
        labels: encoded(alert.labels),
        annotations: encoded(alert.annotations),
        url: alert.generator_url.unwrap_or_default().as_bytes().to_vec(),
        status: alert.status,
        times: [alert.starts_at, alert.ends_at, alert.received_at],
        unusable_times: alert.unusable_times,
    }
}

pub(crate) fn check(input: &[u8]) {
    let Some((format, record)) = record_of(input) else { return };
    let mut elements: Vec<Result<Alert, Reject>> = Vec::new();
    let decoded = Decoder::new(Limits::default()).decode(format, record, |index, alert| {
        assert_eq!(index as usize, elements.len(), "in order, each once");
        elements.push(alert.map(|alert| owned(&alert)));
    });
    assert!(decoded.is_ok() || elements.is_empty(), "what cannot be read as a whole has no elements");
    judge(format, record, decoded);
    if decoded.is_ok() {
        assert_eq!(SplitRecord::new(format, record).len(), elements.len());
    }
    let mut scanner = Scanner::<()>::default();
    if let Some(alerts) = scanner.scan(format, record, |_| None) {
        assert_eq!(decoded, Ok(()), "the scanner takes it");
        assert_eq!(alerts.len(), elements.len());
        for ((alert, element), index) in alerts.iter().zip(&elements).zip(0..) {
            compare(format, record, alert, index, element);
        }
    }
}

/// What serde_json says of the record as a whole.
fn judge(format: Format, record: &[u8], decoded: Result<(), Reject>) {
    let text = record.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(record);
    let is_utf8 = std::str::from_utf8(text).is_ok();
    match decoded {
        Err(Reject::InvalidUtf8) => assert!(!is_utf8),
        Err(Reject::Empty) => assert!(text.trim_ascii().is_empty()),
        // One alert a line is no JSON text.
        _ if format == Format::Native => {}
        Err(Reject::MalformedJson) => assert!(serde_json::from_slice::<Value>(text).is_err()),
        Ok(()) => assert!(is_utf8 && serde_json::from_slice::<Value>(text).is_ok()),
        Err(_) => {}
    }
}

/// What the scanner left in the record, read when it is asked for, is what the general parser read at once.
fn compare(format: Format, record: &[u8], alert: &ScannedAlert<()>, index: u32, element: &Result<Alert, Reject>) {
    let bytes = &record[alert.span.0..alert.span.1];
    assert_eq!(SplitRecord::new(format, record).get(index), Some(bytes));
    let read = LabelReader::new(Limits::default()).read(alert.labels_in(record), encoded);
    match element {
        Err(reject) => assert_eq!(read, Err(*reject)),
        Ok(element) => {
            let mut details = DetailReader::default();
            let detail = details.read(bytes);
            assert_eq!(read.as_ref(), Ok(&detail.labels));
            let taken = Alert {
                labels: detail.labels.clone(),
                annotations: detail.annotations.clone(),
                url: detail.url.clone(),
                status: alert.status,
                times: [alert.starts_at, alert.ends_at, alert.received_at],
                unusable_times: alert.unusable_times,
            };
            assert_eq!(&taken, element);
        }
    }
}
