//! Property tests: random objects through the decoder and through a naive one on `serde_json::Value`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{Alert, decode, record_of};
use crate::model::alert::{Format, Status};
use crate::model::time::Timestamp;
use crate::pipeline::decode::{Limits, Reject};

/// Limits small enough for random input to meet them would test another program, so sizes here come from a few classes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z_]{0,12}",
        3 => "\\PC{0,20}",
        2 => any::<String>(),
        1 => (4_090_usize..4_100).prop_map(|n| "v".repeat(n)),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn texts(n: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Value> {
    let text = text().prop_map(Value::from);
    prop::collection::btree_map("[a-z]{1,6}|.{0,3}", text, n).prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn time_text() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-70_000_000_000_000_i64..9_000_000_000_000).prop_map(|millis| Timestamp(millis).to_string().into()),
        Just("0001-01-01T00:00:00Z".into()),
        any_value(),
    ]
}

fn status_text() -> impl Strategy<Value = Value> {
    prop_oneof![4 => Just("firing".into()), 4 => Just("resolved".into()), 1 => any_value()]
}

/// An element: mostly an alert, with any of its fields missing or odd.
fn element() -> impl Strategy<Value = Value> {
    let labels = prop_oneof![8 => texts(0..12), 1 => texts(60..70), 1 => any_value()];
    let annotations = prop_oneof![4 => texts(0..6), 4 => prop::collection::btree_map("[a-z]{1,6}", any_value(), 0..6)
        .prop_map(|map| Value::Object(map.into_iter().collect())), 1 => any_value()];
    let fields = (
        prop::option::weighted(0.95, labels),
        prop::option::of(annotations),
        prop::option::of(status_text()),
        prop::array::uniform3(prop::option::of(time_text())),
        prop::option::of(text()),
        prop::option::of(any_value()),
    );
    let alert = fields.prop_map(|(labels, annotations, status, [starts_at, ends_at, received_at], url, other)| {
        let url = url.map(Value::from);
        let names = ["labels", "annotations", "status", "startsAt", "endsAt", "receivedAt", "generatorURL", "other"];
        let values = [labels, annotations, status, starts_at, ends_at, received_at, url, other];
        let fields = names.into_iter().zip(values);
        Value::Object(fields.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    });
    prop_oneof![20 => alert, 1 => any_value()]
}

/// Every reason for which the element may be rejected; empty if it must be taken.
fn reasons(element: &Map<String, Value>) -> Vec<Reject> {
    let mut reasons = Vec::new();
    if let Some(labels) = element.get("labels").and_then(Value::as_object) {
        let given = labels.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let given: Vec<_> = given.filter(|(_, value)| !value.is_empty()).collect();
        let too_long = |(name, value): (&String, &Value)| {
            name.is_empty() || name.len() > 256 || value.as_str().is_some_and(|text| text.len() > 4_096)
        };
        let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
        for (applies, reason) in [
            (given.is_empty(), Reject::NoLabels),
            (labels.values().any(|value| !value.is_string()), Reject::LabelNotText),
            (given.len() > 64, Reject::TooManyLabels),
            (labels.iter().any(too_long) || bytes > 65_536, Reject::LabelTooLong),
        ] {
            reasons.extend(applies.then_some(reason));
        }
    } else {
        reasons.push(Reject::NoLabels);
    }
    let status = element.get("status").unwrap_or(&Value::Null);
    if !status.is_null() && !matches!(status.as_str(), Some("firing" | "resolved")) {
        reasons.push(Reject::UnknownStatus);
    }
    reasons
}

fn naive_time(value: Option<&Value>, unusable: &mut u8) -> Option<Timestamp> {
    let value = value.filter(|value| !value.is_null())?;
    let time = value.as_str().and_then(Timestamp::parse);
    *unusable += u8::from(time.is_none());
    time.filter(|time| Some(*time) != Timestamp::parse("0001-01-01T00:00:00Z"))
}

/// What a valid element means, except for annotations.
fn naive(element: &Map<String, Value>) -> Alert {
    let labels = element.get("labels").and_then(Value::as_object).unwrap();
    let mut unusable_times = 0;
    let mut time = |name| naive_time(element.get(name), &mut unusable_times);
    let (starts_at, _, received_at) = (time("startsAt"), time("endsAt"), time("receivedAt"));
    let url = element.get("generatorURL").and_then(Value::as_str).filter(|url| !url.is_empty() && url.len() <= 4_096);
    let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    let is_resolved = element.get("status").and_then(Value::as_str) == Some("resolved");
    Alert {
        labels: labels.filter(|(_, value)| !value.is_empty()).collect(),
        annotations: Vec::new(),
        status: if is_resolved { Status::Resolved } else { Status::Firing },
        starts_at,
        ends_at: None,
        generator_url: url.map(str::to_owned),
        received_at,
        unusable_times,
    }
}

fn check_annotations(sent: Option<&Value>, found: &[(String, String)]) {
    let limits = Limits::default();
    let sent: BTreeMap<_, _> =
        sent.and_then(Value::as_object).into_iter().flatten().filter(|(_, v)| !v.is_null()).collect();
    assert_eq!(found.len(), sent.len());
    for (name, text) in found {
        let value = sent.get(name).unwrap();
        let full = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if full.len() > limits.max_annotation_value_bytes {
            assert!(text.ends_with('…') && text.len() <= limits.max_annotation_value_bytes);
        } else {
            assert_eq!(*text, full);
        }
    }
}

fn check(element: &Value, found: Result<Alert, Reject>) {
    let Some(fields) = element.as_object() else {
        assert_eq!(found, Err(Reject::WrongShape));
        return;
    };
    let reasons = reasons(fields);
    match found {
        Err(reject) => assert!(reasons.contains(&reject), "{reject:?}, but {reasons:?}"),
        Ok(mut alert) => {
            assert_eq!(reasons, []);
            check_annotations(fields.get("annotations"), &std::mem::take(&mut alert.annotations));
            let mut expected = naive(fields);
            expected.labels.sort();
            alert.labels.sort();
            assert_eq!(alert, expected);
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_naive_decoder(elements in prop::collection::vec(element(), 0..4), is_pretty in any::<bool>()) {
        let write = |value: &Value| if is_pretty { format!("{value:#}") } else { value.to_string() };
        let record = record_of(Format::Native, &elements.iter().map(write).collect::<Vec<_>>().join(","));
        let found = decode(Format::Native, &record).unwrap();
        prop_assert_eq!(found.len(), elements.len());
        for (element, found) in elements.iter().zip(found) {
            check(element, found);
        }
    }

    #[test]
    fn lines_mean_the_same_as_an_array(elements in prop::collection::vec(element(), 2..5)) {
        let texts: Vec<_> = elements.iter().filter(|element| element.is_object()).map(Value::to_string).collect();
        let lines = decode(Format::Native, texts.join("\n"));
        let array = decode(Format::Native, record_of(Format::Native, &texts.join(",")));
        prop_assert!(texts.is_empty() || lines == array);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:a1\\\\un.e \n-]{0,60}") {
        for format in Format::ALL {
            let _ = decode(format, &bytes);
            let decoded = decode(format, &text);
            let is_json = serde_json::from_str::<Value>(&text).is_ok();
            prop_assert!(!is_json || !matches!(decoded, Err(Reject::MalformedJson | Reject::InvalidUtf8)));
        }
    }
}
