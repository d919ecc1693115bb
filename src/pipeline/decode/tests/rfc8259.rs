//! The corpus, asked in every way in which it can come: alone, in an alert, torn, with rubbish around it. serde_json is the judge; where
//! we differ from it, and why, is `differs`.

use super::corpus::{Case, Verdict, cases};
use super::decode;
use crate::model::alert::Format;
use crate::pipeline::decode::{Decoder, Limits, Reject};

/// Longer texts are not torn at every byte.
const TORN_BYTES_MAX: usize = 1_000;

/// Whether our reader takes the bytes for a JSON text, whatever it thinks of what is in it.
fn is_json(format: Format, record: &[u8]) -> Result<(), Reject> {
    match decode(format, record) {
        Ok(_) => Ok(()),
        Err(
            reject @ (Reject::MalformedJson
            | Reject::InvalidUtf8
            | Reject::InvalidNumber
            | Reject::TooDeep
            | Reject::TooLarge
            | Reject::Empty),
        ) => Err(reject),
        Err(_) => Ok(()),
    }
}

/// Where we may differ from serde_json:
/// - a byte order mark in front is passed over, as RFC 8259 allows; serde_json refuses it;
/// - 32 levels are our limit, 128 are serde_json's.
fn differs(record: &[u8], ours: Result<(), Reject>) -> bool {
    match record.strip_prefix(b"\xEF\xBB\xBF") {
        Some(text) => ours.is_ok() == serde_json::from_slice::<serde_json::Value>(text).is_ok(),
        None => ours == Err(Reject::TooDeep),
    }
}

#[track_caller]
fn judge(name: &str, record: &[u8]) {
    let serde = serde_json::from_slice::<serde_json::Value>(record).is_ok();
    for format in [Format::AlertmanagerV2, Format::AlertmanagerWebhook, Format::Native] {
        let ours = is_json(format, record);
        assert!(
            ours.is_ok() == serde || differs(record, ours),
            "{name}, {format:?}: we say {ours:?}, serde_json {serde}: {}",
            record.escape_ascii()
        );
    }
}

fn in_an_alert(text: &[u8]) -> Vec<u8> {
    [br#"{"labels":{"a":"b"},"annotations":{"x":"#, text, b"}}"].concat()
}

#[test]
fn the_corpus_is_large_and_means_what_it_says() {
    let cases = cases();
    let of = |verdict| cases.iter().filter(|case| case.verdict == verdict).count();
    assert!(cases.len() >= 600 && of(Verdict::Open) >= 60, "{} {}", cases.len(), of(Verdict::Open));
    for Case { name, text, verdict } in &cases {
        let serde = serde_json::from_slice::<serde_json::Value>(text).is_ok();
        assert!(*verdict == Verdict::Open || serde == (*verdict == Verdict::Valid), "{name}: {}", text.escape_ascii());
    }
}

#[test]
fn alone_and_in_an_alert() {
    for Case { name, text, verdict } in cases() {
        judge(&name, &text);
        judge(&name, &in_an_alert(&text));
        let ours = is_json(Format::Native, &text);
        match verdict {
            Verdict::Valid => assert_eq!(ours, Ok(()), "{name}"),
            Verdict::Invalid => assert!(ours.is_err(), "{name}"),
            Verdict::Open => {}
        }
    }
}

#[test]
fn torn_at_every_byte() {
    for Case { name, text, .. } in cases().into_iter().filter(|case| case.text.len() <= TORN_BYTES_MAX) {
        for end in 0..text.len() {
            judge(&format!("{name}, torn at {end}"), &text[..end]);
        }
        let whole = in_an_alert(&text);
        for end in whole.len() - text.len() - 2..whole.len() {
            judge(&format!("{name} in an alert, torn at {end}"), &whole[..end]);
        }
    }
}

#[test]
fn with_rubbish_before_and_behind() {
    let rubbish: [&[u8]; 6] = [b"\0", b"\xEF\xBB\xBF", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b[2J"];
    for Case { name, text, .. } in cases().into_iter().filter(|case| case.text.len() <= TORN_BYTES_MAX) {
        for text in [text.clone(), in_an_alert(&text)] {
            for rubbish in rubbish {
                judge(&format!("{name} behind {}", rubbish.escape_ascii()), &[rubbish, &text].concat());
                judge(&format!("{name} before {}", rubbish.escape_ascii()), &[&text, rubbish].concat());
            }
        }
    }
}

/// What RFC 8259 leaves open, and what we do.
#[test]
fn what_is_open_is_settled() {
    let whole = |text: &str| is_json(Format::Native, &in_an_alert(text.as_bytes()));
    for (text, expected) in [
        // Names that come twice: the last counts (`of_duplicate_fields_the_last_counts`).
        (r#"{"a":1,"a":2}"#.to_owned(), Ok(())),
        // Half a surrogate is no character, and there is no way to keep it.
        (r#""\ud800""#.to_owned(), Err(Reject::MalformedJson)),
        // What is too large for 64 bits is taken as floating point, what is too large for that is none.
        ("-0".to_owned(), Ok(())),
        ("7".repeat(300), Ok(())),
        ("7".repeat(400), Err(Reject::InvalidNumber)),
        (format!("0.{}", "7".repeat(400)), Ok(())),
        ("1e308".to_owned(), Ok(())),
        ("1e309".to_owned(), Err(Reject::InvalidNumber)),
        ("1e400".to_owned(), Err(Reject::InvalidNumber)),
        ("-1e400".to_owned(), Err(Reject::InvalidNumber)),
        ("1e-400".to_owned(), Ok(())),
    ] {
        assert_eq!(whole(&text), expected, "{text}");
    }
}

/// Every two bytes inside the value of a label: 65,536 texts, of which a few thousand are UTF-8.
#[test]
fn every_two_bytes_in_a_label() {
    let mut decoder = Decoder::new(Limits::default());
    let (mut n_taken, mut n_no_utf8) = (0, 0);
    for pair in 0..=u16::MAX {
        let pair = pair.to_be_bytes();
        // In an array: alone, a brace before a newline would make lines of it.
        let record = [br#"[{"labels":{"a":"x"#.as_slice(), &pair, br#"y"}}]"#].concat();
        let serde = serde_json::from_slice::<serde_json::Value>(&record);
        let decoded = super::decode_with(&mut decoder, Format::AlertmanagerV2, &record);
        assert_eq!(decoded.is_ok(), serde.is_ok(), "{}", record.escape_ascii());
        match decoded {
            Ok(elements) => {
                n_taken += 1;
                let value = &elements[0].as_ref().unwrap().labels[0].1;
                assert_eq!(serde.unwrap()[0]["labels"]["a"], value.as_str());
            }
            Err(reject) => {
                let is_utf8 = std::str::from_utf8(&record).is_ok();
                assert_eq!(reject == Reject::InvalidUtf8, !is_utf8, "{}", record.escape_ascii());
                n_no_utf8 += u32::from(!is_utf8);
            }
        }
    }
    // 94 printable characters but `"` and `\` in pairs, those behind a backslash, and the 1,920 characters of two bytes.
    assert_eq!((n_taken, n_no_utf8), (94 * 94 + 8 + 1_920, 65_536 - 128 * 128 - 1_920));
}

#[test]
fn a_hundred_thousand_labels_are_too_many_and_no_trouble() {
    let labels: Vec<String> = (0..100_000).map(|n| format!(r#""l{n}":"v""#)).collect();
    let record = format!(r#"{{"labels":{{{}}}}}"#, labels.join(","));
    let mut found = Vec::new();
    let mut decoder = Decoder::new(Limits::default());
    let mut each = |_, alert: Result<_, Reject>| found.push(alert.err());
    let decoded = decoder.decode_within(Limits::BODY_BYTES, Format::Native, record.as_bytes(), |index, alert| {
        each(index, alert.map(|_| ()))
    });
    assert_eq!((decoded, found), (Ok(()), vec![Some(Reject::TooManyLabels)]));
}
