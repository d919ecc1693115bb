//! What is sent for a letter: its bytes, in a wrapping that makes of a single element a record with exactly this element.

use std::panic::catch_unwind;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::model::alert::Format;
use crate::pipeline::decode::{Decoder, Limits, Reject, Scanner};

/// The same record with other bytes, for a letter of reason `panic`: white space at the end means nothing in JSON, and a suspect
/// is known by its bytes (`pipeline::suspect`), so this lifts the suspicion. If it panics again, this text is the suspect.
pub(super) fn unsuspected(mut body: Vec<u8>) -> Vec<u8> {
    body.push(b'\n');
    body
}

/// The bytes to be sent to be read as `target`, for a record or element that came as `format`.
///
/// An element is wrapped as its format has it. Where the format was what was wrong, nobody knows how the sender would
/// have wrapped it: it goes as it is if it is a record of the right format, else wrapped.
pub(super) fn of(bytes: &[u8], is_element: bool, format: Format, target: Format) -> Vec<u8> {
    if !is_element || (format != target && is_record(bytes, target)) {
        return bytes.to_vec();
    }
    let (before, after): (&[u8], &[u8]) = match target {
        // An object is a native record by itself, also where one object a line was sent. So is what is no JSON at all.
        Format::Native if is_object(bytes) || !is_json(bytes) => (b"", b""),
        Format::Native | Format::AlertmanagerV2 => (b"[", b"]"),
        Format::AlertmanagerWebhook => (b"{\"version\":\"4\",\"alerts\":[", b"]}"),
    };
    [before, bytes, after].concat()
}

/// What this program would reject of it, if anything. A body that still makes it panic does so here, where it ends nothing.
pub(super) fn judge(body: &[u8], format: Format, bytes_max: usize) -> Option<Reject> {
    let judged = catch_unwind(|| {
        let mut first = None;
        let _ = Scanner::<()>::default().scan(format, body, |_| None);
        let whole = Decoder::new(Limits::default()).decode_within(bytes_max, format, body, |_, alert| {
            first = first.or(alert.err());
        });
        whole.err().or(first)
    });
    judged.unwrap_or(Some(Reject::Panic))
}

/// Whether the bytes have the outer shape of a record of that format.
fn is_record(bytes: &[u8], format: Format) -> bool {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        alerts: &'a RawValue,
    }
    match format {
        Format::Native => is_json(bytes),
        Format::AlertmanagerV2 => bytes.trim_ascii_start().starts_with(b"[") && is_json(bytes),
        Format::AlertmanagerWebhook => {
            serde_json::from_slice::<Envelope<'_>>(bytes).is_ok_and(|body| body.alerts.get().starts_with('['))
        }
    }
}

fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::decode::SplitRecord;

    /// Labels, status and reasons of every element.
    fn read(format: Format, record: &[u8]) -> Vec<String> {
        let mut elements = Vec::new();
        let whole = Decoder::new(Limits::default()).decode(format, record, |_, alert| {
            elements.push(match alert {
                Ok(alert) => format!("{:?} {:?} {:?}", alert.labels, alert.status, alert.ends_at),
                Err(reject) => reject.name().to_owned(),
            });
        });
        if let Err(reject) = whole {
            elements.push(format!("whole: {}", reject.name()));
        }
        elements
    }

    /// Every element of the record, put in again alone, reads as it did among the others.
    fn check(format: Format, record: &str) {
        let expected = read(format, record.as_bytes());
        let split = SplitRecord::new(format, record.as_bytes());
        assert_eq!(split.len(), expected.len(), "{record}");
        for (index, expected) in (0..).zip(expected) {
            let element = split.get(index).unwrap();
            let body = of(element, true, format, format);
            assert_eq!(read(format, &body), [expected], "{record}: {}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn one_element_goes_in_as_exactly_this_element() {
        let alerts = r#"[{"labels":{"a":"1"}}, {"labels":{}}, {"labels":{"a":5}} , 7, "x", null, [{"labels":{"a":"1"}}],
                         {"labels":{"a":"2"},"status":"odd","endsAt":"2026-01-01T00:00:00Z"}]"#;
        check(Format::Native, alerts);
        check(Format::AlertmanagerV2, alerts);
        check(Format::AlertmanagerWebhook, &format!("{{\"version\":\"4\",\"x\":1,\"alerts\":{alerts}}}"));
        check(Format::Native, "{\"labels\":{\"a\":\"1\"}}\n{\"labels\":{}}\n[{\"labels\":{\"a\":\"1\"}}]\n\n5\n");
        check(Format::Native, r#"{"labels":{}}"#);
    }

    #[test]
    fn a_record_in_a_wrong_format_goes_as_it_is_and_an_element_wrapped() {
        let envelope = br#"{"version":"4","alerts":[{"labels":{"a":"1"}}]}"#;
        for (bytes, is_element, format, target, expected) in [
            (&envelope[..], true, Format::Native, Format::AlertmanagerWebhook, &envelope[..]),
            (envelope, false, Format::AlertmanagerV2, Format::AlertmanagerWebhook, envelope),
            (b"{\"labels\":{}}", true, Format::Native, Format::AlertmanagerV2, b"[{\"labels\":{}}]"),
            (b"[1]", true, Format::Native, Format::AlertmanagerV2, b"[1]"),
            (b"{}", true, Format::AlertmanagerV2, Format::AlertmanagerWebhook, b"{\"version\":\"4\",\"alerts\":[{}]}"),
            (b"{oops", false, Format::Native, Format::Native, b"{oops"),
            (b"{oops", true, Format::Native, Format::Native, b"{oops"),
        ] {
            let body = of(bytes, is_element, format, target);
            assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(expected));
        }
    }

    #[test]
    fn lifting_a_suspicion_changes_nothing_but_the_bytes() {
        let alert = r#"{"labels":{"a":"1"}}"#;
        for (format, record) in [
            (Format::Native, alert.to_owned()),
            (Format::Native, format!("{alert}\n{alert}")),
            (Format::AlertmanagerV2, format!("[{alert}]")),
            (Format::AlertmanagerWebhook, format!("{{\"version\":\"4\",\"alerts\":[{alert}]}}")),
        ] {
            let lifted = unsuspected(record.clone().into_bytes());
            assert_eq!(read(format, &lifted), read(format, record.as_bytes()));
            assert_ne!(lifted, record.into_bytes());
        }
    }

    #[test]
    fn what_is_still_wrong_is_known_before() {
        let judged = |format, body: &str| judge(body.as_bytes(), format, 100).map(Reject::name);
        assert_eq!(judged(Format::Native, r#"{"labels":{"a":"1"}}"#), None);
        assert_eq!(judged(Format::Native, r#"[{"labels":{"a":"1"}},{}]"#), Some("no_labels"));
        assert_eq!(judged(Format::AlertmanagerV2, "{}"), Some("wrong_shape"));
        assert_eq!(judged(Format::Native, &" ".repeat(101)), Some("too_large"));
    }
}
