//! Every reason to reject, in every format in which it can occur.

use super::{decode, record_of};
use crate::model::alert::Format;
use crate::pipeline::decode::{Decoder, Limits, Reject};

/// An element with these labels.
fn labels(labels: impl AsRef<str>) -> String {
    format!(r#"{{"labels":{{{}}}}}"#, labels.as_ref())
}

fn n_labels(n: usize, value: &str) -> String {
    (0..n).map(|i| format!(r#""name_{i}":"{value}""#)).collect::<Vec<_>>().join(",")
}

#[test]
fn a_bad_element_leaves_its_neighbours_unharmed() {
    let good = labels(r#""a":"b""#);
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (element, reject) in [
        ("7".to_owned(), Some(Reject::WrongShape)),
        ("[]".to_owned(), Some(Reject::WrongShape)),
        ("\"{}\"".to_owned(), Some(Reject::WrongShape)),
        ("{}".to_owned(), Some(Reject::NoLabels)),
        (r#"{"labels":null}"#.to_owned(), Some(Reject::NoLabels)),
        (r#"{"labels":[]}"#.to_owned(), Some(Reject::NoLabels)),
        (labels(""), Some(Reject::NoLabels)),
        (labels(r#""a":"","b":"""#), Some(Reject::NoLabels)),
        (labels(r#""a":1"#), Some(Reject::LabelNotText)),
        (labels(r#""a":null"#), Some(Reject::LabelNotText)),
        (labels(r#""a":{"b":"c"}"#), Some(Reject::LabelNotText)),
        (labels(n_labels(64, "x")), None),
        (labels(n_labels(65, "x")), Some(Reject::TooManyLabels)),
        (labels(format!("{},{}", n_labels(64, "x"), n_labels(64, "y"))), None),
        (labels(r#""":"b""#), Some(Reject::LabelTooLong)),
        (labels(format!(r#""{}":"b""#, "n".repeat(256))), None),
        (labels(format!(r#""{}":"b""#, "n".repeat(257))), Some(Reject::LabelTooLong)),
        (labels(format!(r#""a":"{}""#, "v".repeat(4_096))), None),
        (labels(format!(r#""a":"{}""#, "v".repeat(4_097))), Some(Reject::LabelTooLong)),
        (labels(n_labels(15, &"v".repeat(4_096))), None),
        (labels(n_labels(16, &"v".repeat(4_096))), Some(Reject::LabelTooLong)),
        (format!(r#"{{"labels":{{"a":"b"}},"annotations":{{"a":{}}}}}"#, nested(20)), None),
    ] {
        for format in Format::ALL {
            let elements = decode(format, record_of(format, &format!("{good},{element},{good}"))).unwrap();
            let rejects: Vec<_> = elements.into_iter().map(Result::err).collect();
            assert_eq!(rejects, [None, reject, None], "{format:?}: {element:.80}");
        }
    }
}

#[test]
fn status_is_firing_or_resolved() {
    for (status, reject) in [
        (r#""firing""#, None),
        (r#""resolved""#, None),
        ("null", None),
        (r#""Firing""#, Some(Reject::UnknownStatus)),
        (r#""""#, Some(Reject::UnknownStatus)),
        ("1", Some(Reject::UnknownStatus)),
        (r#"{"state":"active"}"#, Some(Reject::UnknownStatus)),
    ] {
        for format in Format::ALL {
            let record = record_of(format, &format!(r#"{{"labels":{{"a":"b"}},"status":{status}}}"#));
            let found = decode(format, &record).unwrap().pop().unwrap().err();
            assert_eq!(found, reject.filter(|_| format != Format::AlertmanagerV2), "{format:?}: {status}");
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_is_rejected_as_a_whole() {
    let deep = |inside: &str| format!("{}{inside}{}", "[".repeat(33), "]".repeat(33));
    for (record, reject) in [
        (b"".to_vec(), Reject::Empty),
        (b" \r\n\t".to_vec(), Reject::Empty),
        (b"\xEF\xBB\xBF".to_vec(), Reject::Empty),
        (b"{".to_vec(), Reject::MalformedJson),
        (b"hello".to_vec(), Reject::MalformedJson),
        (b"{} {}".to_vec(), Reject::MalformedJson),
        (b"\xEF\xBB\xBF\xEF\xBB\xBF{}".to_vec(), Reject::MalformedJson),
        (b"[\"\xff\"]".to_vec(), Reject::InvalidUtf8),
        (b"\xff\xfe[\0]\0".to_vec(), Reject::InvalidUtf8),
        (b"[\"\xed\xa0\x80\"]".to_vec(), Reject::InvalidUtf8),
        (deep("").into_bytes(), Reject::TooDeep),
        (deep("\"x").into_bytes(), Reject::MalformedJson),
        (b"[1e999]".to_vec(), Reject::InvalidNumber),
        (b"[01]".to_vec(), Reject::InvalidNumber),
        (b"[\"\xff\",1e999]".to_vec(), Reject::InvalidUtf8),
        (b"7".to_vec(), Reject::WrongShape),
        (b"null".to_vec(), Reject::WrongShape),
        (vec![b' '; (1 << 20) + 1], Reject::TooLarge),
    ] {
        for format in Format::ALL {
            let shown = String::from_utf8_lossy(&record).chars().take(80).collect::<String>();
            assert_eq!(decode(format, &record), Err(reject), "{format:?}: {shown}");
        }
    }
}

#[test]
fn each_format_asks_for_its_own_shape() {
    for (format, record, reject) in [
        (Format::AlertmanagerV2, r#"{"labels":{"a":"b"}}"#, Reject::WrongShape),
        (Format::AlertmanagerWebhook, r#"[{"labels":{"a":"b"}}]"#, Reject::WrongShape),
        (Format::AlertmanagerWebhook, r#"{"version":"4"}"#, Reject::WrongShape),
        (Format::AlertmanagerWebhook, r#"{"version":"4","alerts":null}"#, Reject::WrongShape),
        (Format::AlertmanagerWebhook, r#"{"version":"4","alerts":{}}"#, Reject::WrongShape),
        (Format::AlertmanagerWebhook, r#"{"version":"3","alerts":[]}"#, Reject::UnknownVersion),
        (Format::AlertmanagerWebhook, r#"{"version":4,"alerts":[]}"#, Reject::UnknownVersion),
    ] {
        assert_eq!(decode(format, record), Err(reject), "{record}");
    }
}

#[test]
fn the_size_limit_is_exact_and_can_differ_per_record() {
    for format in Format::ALL {
        let mut record = record_of(format, &labels(r#""a":"b""#)).into_bytes();
        record.resize(1 << 20, b' ');
        assert_eq!(decode(format, &record).unwrap().len(), 1);
        record.push(b' ');
        assert_eq!(decode(format, &record), Err(Reject::TooLarge));
        let mut n_alerts = 0;
        let mut decoder = Decoder::new(Limits::default());
        decoder
            .decode_within(Limits::BODY_BYTES, format, &record, |_, element| n_alerts += usize::from(element.is_ok()))
            .unwrap();
        assert_eq!(n_alerts, 1);
    }
}
