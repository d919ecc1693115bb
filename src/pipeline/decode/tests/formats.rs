//! What is read from each format, and how the bytes of an element are found again.

use super::{at, decode, decode_with, one, pairs, record_of};
use crate::model::alert::{Format, Status};
use crate::pipeline::decode::{Decoder, Limits, Reject, SplitRecord, element_bytes};

const FULL: &str = r#"{"labels":{"alertname":"DiskFull","host":"db-1"},"annotations":{"summary":"disk \"a\" is full\n"},
    "status":"resolved","startsAt":"2026-11-22T08:00:00Z","endsAt":"2026-11-22T08:30:00+00:00",
    "receivedAt":"2026-11-22T08:31:00.25Z","generatorURL":"http://prom/graph?a=b\u0026c","unknown":{"labels":{"x":[1]}}}"#;

#[test]
fn every_field_is_read_as_its_format_says() {
    for format in Format::ALL {
        let alert = one(format, &record_of(format, FULL));
        let is_v2 = format == Format::AlertmanagerV2;
        assert_eq!(alert.labels, pairs(&[("alertname", "DiskFull"), ("host", "db-1")]));
        assert_eq!(alert.annotations, pairs(&[("summary", "disk \"a\" is full\n")]));
        assert_eq!(alert.status, if is_v2 { Status::Firing } else { Status::Resolved });
        assert_eq!(alert.starts_at, at("2026-11-22T08:00:00Z"));
        assert_eq!(alert.ends_at, at("2026-11-22T08:30:00Z").filter(|_| is_v2));
        assert_eq!(alert.received_at, at("2026-11-22T08:31:00.25Z").filter(|_| format == Format::Native));
        assert_eq!(alert.generator_url.as_deref(), Some("http://prom/graph?a=b&c"));
        assert_eq!(alert.unusable_times, 0);
    }
}

#[test]
fn only_labels_are_needed() {
    for format in Format::ALL {
        for rest in ["", r#","annotations":null,"status":null,"startsAt":null,"endsAt":null,"generatorURL":null"#] {
            let alert = one(format, &record_of(format, &format!(r#"{{"labels":{{"a":"b"}}{rest}}}"#)));
            assert_eq!((alert.status, alert.starts_at, alert.ends_at), (Status::Firing, None, None));
            assert_eq!((alert.annotations.len(), alert.generator_url, alert.unusable_times), (0, None, 0));
        }
    }
}

#[test]
fn labels_follow_prometheus() {
    for (labels, expected) in [
        (r#"{"b":"1","a":"2"}"#, &[("b", "1"), ("a", "2")][..]),
        (r#"{"a":"1","b":"x","a":"2"}"#, &[("a", "2"), ("b", "x")]),
        (r#"{"a":"","b":"x"}"#, &[("b", "x")]),
        (r#"{"a":"1","b":"x","a":""}"#, &[("b", "x")]),
        (r#"{"a":"","b":"x","a":"1"}"#, &[("b", "x"), ("a", "1")]),
        (r#"{"\u0061":"1","a":"2"}"#, &[("a", "2")]),
        (r#"{"größe":"a\nb\t\"c\"\\ \u0026 \/ \u00b5 \ud83d\ude00"}"#, &[("größe", "a\nb\t\"c\"\\ & / µ 😀")]),
    ] {
        assert_eq!(one(Format::Native, &format!(r#"{{"labels":{labels}}}"#)).labels, pairs(expected), "{labels}");
    }
}

#[test]
fn of_duplicate_fields_the_last_counts() {
    let alert = one(Format::Native, r#"{"labels":5,"status":"x","labels":{"a":"b"},"status":"resolved"}"#);
    assert_eq!((alert.labels, alert.status), (pairs(&[("a", "b")]), Status::Resolved));
    assert_eq!(decode(Format::Native, r#"{"labels":{"a":"b"},"labels":null}"#), Ok(vec![Err(Reject::NoLabels)]));
}

#[test]
fn times_are_data_and_never_a_reason_to_reject() {
    for (fields, starts_at, ends_at, unusable) in [
        (r#""startsAt":"0001-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00.000Z""#, None, None, 0),
        (r#""startsAt":"yesterday","endsAt":"""#, None, None, 2),
        (r#""startsAt":1795334400,"endsAt":{"a":1}"#, None, None, 2),
        (r#""startsAt":"2026-11-22T10:00:00+02:00","endsAt":[]"#, at("2026-11-22T08:00:00Z"), None, 1),
        (r#""endsAt":"2026-11-22T08:00:00.123456789Z""#, None, at("2026-11-22T08:00:00.123Z"), 0),
    ] {
        for format in Format::ALL {
            let alert = one(format, &record_of(format, &format!(r#"{{"labels":{{"a":"b"}},{fields}}}"#)));
            let ends_at = ends_at.filter(|_| format == Format::AlertmanagerV2);
            assert_eq!(
                (alert.starts_at, alert.ends_at, alert.unusable_times),
                (starts_at, ends_at, unusable),
                "{fields}"
            );
        }
    }
    let received = |text: &str| one(Format::Native, &format!(r#"{{"labels":{{"a":"b"}},"receivedAt":{text}}}"#));
    assert_eq!(received("7").unusable_times, 1);
    let v2 = record_of(Format::AlertmanagerV2, r#"{"labels":{"a":"b"},"receivedAt":7,"status":{"state":"active"}}"#);
    assert_eq!(one(Format::AlertmanagerV2, &v2).unusable_times, 0);
}

#[test]
fn annotations_are_never_a_reason_to_reject() {
    for (annotations, expected) in [
        (r#""text""#, &[][..]),
        ("[1,2]", &[]),
        (r#"{"a":null,"b":"","c":true,"d":-1,"e":1.5}"#, &[("b", ""), ("c", "true"), ("d", "-1"), ("e", "1.5")]),
        (r#"{"a": {"x" : [1, "\n"]} , "b":"y", "c":[ ]}"#, &[("a", r#"{"x":[1,"\n"]}"#), ("b", "y"), ("c", "[]")]),
        (r#"{"a":1,"b":2,"a":"3"}"#, &[("a", "3"), ("b", "2")]),
        (r#"{"a":100000000000000000000000,"b":-0.0}"#, &[("a", "1e+23"), ("b", "-0.0")]),
    ] {
        let alert = one(Format::Native, &format!(r#"{{"labels":{{"a":"b"}},"annotations":{annotations}}}"#));
        assert_eq!(alert.annotations, pairs(expected), "{annotations}");
    }
}

#[test]
fn annotations_are_cut_to_their_limits_with_a_mark() {
    let with = |annotations: String| {
        one(Format::Native, &format!(r#"{{"labels":{{"a":"b"}},"annotations":{{{annotations}}}}}"#)).annotations
    };
    let value = |text: &str| with(format!(r#""a":{text},"b":7"#)).swap_remove(0).1;
    let long = value(&format!(r#""{}""#, "é".repeat(3_000)));
    assert_eq!(
        (long.len(), long.ends_with("é…"), value(&format!(r#""{}""#, "x".repeat(4_096))).len()),
        (4_095, true, 4_096)
    );
    let json = value(&format!("[{}1]", "1,".repeat(3_000)));
    assert_eq!((json.len(), json.starts_with("[1,1,"), json.ends_with('…')), (4_096, true, true));

    let many = |n: usize, value: &str| with((0..n).map(|i| format!(r#""n{i}":{value}"#)).collect::<Vec<_>>().join(","));
    let mark = ("…".to_owned(), "further annotations were left out".to_owned());
    for value in [r#""x""#, "5"] {
        assert_eq!((many(64, value).len(), many(64, value).contains(&mark)), (64, false));
        assert_eq!((many(65, value).len(), many(65, value).last()), (64, Some(&mark)));
    }
    let full = many(20, &format!(r#""{}""#, "x".repeat(4_000)));
    let bytes: usize = full.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert_eq!((full.len(), full.last()), (17, Some(&mark)));
    assert!(bytes <= 64 << 10);
}

#[test]
fn a_url_is_taken_whole_or_not_at_all() {
    let url =
        |url: String| one(Format::Native, &format!(r#"{{"labels":{{"a":"b"}},"generatorURL":{url}}}"#)).generator_url;
    assert_eq!((url(r#""""#.into()), url("7".into()), url(format!("\"{}\"", "x".repeat(4_097)))), (None, None, None));
    assert_eq!(url(format!("\"{}\"", "x".repeat(4_096))).unwrap().len(), 4_096);
}

#[test]
fn native_is_an_object_an_array_or_lines() {
    const A: &str = r#"{"labels":{"n":"1"}}"#;
    let pretty = "{\n  \"labels\": {\n    \"n\": \"1\"\n  }\n}\n";
    let odd = "{\"labels\": {\"n\":\"1\"}\n}\n";
    let bad = Err(Reject::MalformedJson);
    for (record, expected) in [
        (A.to_owned(), &[Ok(())][..]),
        (format!("\u{feff} {A}\r\n"), &[Ok(())]),
        (pretty.to_owned(), &[Ok(())]),
        (odd.to_owned(), &[Ok(())]),
        (format!("[{A},{A}]"), &[Ok(()), Ok(())]),
        ("[]".to_owned(), &[]),
        (format!("[{A},7,null,{A}]"), &[Ok(()), Err(Reject::WrongShape), Err(Reject::WrongShape), Ok(())]),
        (format!("{A}\n{A}"), &[Ok(()), Ok(())]),
        (format!("\n{A}\r\n\r\n{A}\r\n{A}\r\n"), &[Ok(()), Ok(()), Ok(())]),
        (format!("{A}\ngarbage\n{A}\n[{A}]"), &[Ok(()), bad, Ok(()), Err(Reject::WrongShape)]),
        (format!("garbage\n{A}"), &[bad, Ok(())]),
        (format!("{}\n{A}", A.get(..10).unwrap()), &[bad, Ok(())]),
        (format!("{A}\n,"), &[Ok(()), bad]),
        (format!("{A}\n{{}}"), &[Ok(()), Err(Reject::NoLabels)]),
    ] {
        let elements = decode(Format::Native, &record).unwrap();
        let elements: Vec<_> = elements.into_iter().map(|element| element.map(|_| ())).collect();
        assert_eq!(elements, expected, "{record}");
    }
    for (record, expected) in [
        ("garbage".to_owned(), Reject::MalformedJson),
        ("garbage\nmore".to_owned(), Reject::MalformedJson),
        (pretty.replace(':', ""), Reject::MalformedJson),
        (format!("[\n{A}\n{A}\n]"), Reject::MalformedJson),
        (format!("{A} {A}"), Reject::MalformedJson),
        ("\"text\"".to_owned(), Reject::WrongShape),
    ] {
        assert_eq!(decode(Format::Native, &record), Err(expected), "{record}");
    }
}

/// Short records are parsed before anything else, long ones looked at before: the result must be the same.
#[test]
fn lines_are_found_in_short_and_long_records() {
    let good = r#"{"labels":{"n":"1"}}"#.to_owned();
    let deep = format!(r#"{{"labels":{{"n":"1"}},"x":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let number = r#"{"labels":{"n":"1"},"x":1e999}"#.to_owned();
    let big = r#"{"labels":{"n":"1"},"x":99999999999999999999}"#.to_owned();
    for n_good in [1, 10_000] {
        for (line, reject) in [(&deep, Some(Reject::TooDeep)), (&number, Some(Reject::InvalidNumber)), (&big, None)] {
            let mut lines = vec![good.clone(); n_good];
            lines.insert(0, line.clone());
            let elements = decode(Format::Native, lines.join("\n")).unwrap();
            let rejects: Vec<_> = elements.into_iter().map(Result::err).collect();
            assert_eq!((rejects.len(), rejects.first()), (n_good + 1, Some(&reject)));
            assert!(rejects.iter().skip(1).all(Option::is_none));
        }
    }
}

#[test]
fn one_bad_line_of_bytes_harms_no_other() {
    let record =
        [b"{\"labels\":{\"n\":\"1\"}}\n".as_slice(), b"{\"labels\":{\"n\":\"\xff\"}}\n", b"{\"labels\":{\"n\":\"3\"}}"]
            .concat();
    let elements = decode(Format::Native, &record).unwrap();
    assert_eq!(elements.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(elements.get(1), Some(&Err(Reject::InvalidUtf8)));
    assert_eq!(element_bytes(Format::Native, &record, 1).unwrap(), b"{\"labels\":{\"n\":\"\xff\"}}");
}

#[test]
fn the_webhook_takes_alertmanager_and_grafana() {
    for version in [r#""version":"4","#, r#""version":"1","#, r#""version":null,"#, ""] {
        let record = format!(r#"{{{version}"status":"x","alerts":[{{"labels":{{"a":"b"}}}}],"groupLabels":{{}}}}"#);
        assert_eq!(one(Format::AlertmanagerWebhook, &record).labels.len(), 1);
    }
    assert_eq!(decode(Format::AlertmanagerWebhook, r#"{"version":"4","alerts":[]}"#), Ok(vec![]));
}

#[test]
fn elements_are_found_again_as_they_were_sent() {
    let good = r#"{ "labels" : {"a":"\u0062"} }"#;
    for format in Format::ALL {
        let record = record_of(format, &format!(" {good} , 7,{{\"labels\": 1e999}}"));
        let split = SplitRecord::new(format, record.as_bytes());
        assert_eq!((split.len(), split.is_empty()), (3, false));
        assert_eq!(split.get(0), Some(good.as_bytes()));
        assert_eq!(element_bytes(format, record.as_bytes(), 1).as_deref(), Some(&b"7"[..]));
        assert_eq!(element_bytes(format, record.as_bytes(), 3), None);
        assert!(SplitRecord::new(format, b"garbage").is_empty());
    }
    for (record, expected) in [
        (format!("\u{feff}\n {good}\n"), &[good][..]),
        (format!("{good}\r\n\n x \n{good}"), &[good, "x", good]),
        (format!("x\n{good}"), &["x", good]),
        (format!("[{good}\n,\n{good}]"), &[good, good]),
    ] {
        let split = SplitRecord::new(Format::Native, record.as_bytes());
        let decoded = decode(Format::Native, &record).unwrap();
        let found: Vec<_> = (0..).map_while(|index| split.get(index)).collect();
        assert_eq!(found, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), "{record}");
        assert_eq!(decoded.len(), found.len(), "{record}");
    }
}

#[test]
fn a_decoder_can_be_made_here_and_used_in_a_thread() {
    fn check<T: Send + 'static>(_: &T) {}
    check(&Decoder::new(Limits::default()));
}

#[test]
fn a_decoder_is_used_again_without_traces_of_what_was_before() {
    let mut decoder = Decoder::new(Limits::default());
    let small = record_of(Format::Native, r#"{"labels":{"a":"b"}}"#);
    for (record, fallbacks) in [
        (record_of(Format::Native, FULL), 0),
        ("garbage".to_owned(), 0),
        (r#"{"labels":{"a":"b"},"annotations":{"n":99999999999999999999,"m":1}}"#.to_owned(), 1),
        (format!("[{}1]", "1,".repeat(500_000)), 1),
    ] {
        let _ = decode_with(&mut decoder, Format::Native, record.as_bytes());
        assert_eq!(decoder.fallbacks(), fallbacks);
        assert_eq!(decode_with(&mut decoder, Format::Native, small.as_bytes()), decode(Format::Native, &small));
    }
}
