//! Tests of the room: `formats` (what is read), `rejects` (what is not, and why), `syntax` (JSON itself), `rfc8259`
//! (every rule of its grammar, over `corpus`), `model` (against a naive decoder), `differential` (the scanner against the general parser). Every record of every test also goes
//! through the scanner, which must take it as the general parser does or not at all.
#![allow(clippy::unwrap_used)]

pub(crate) mod corpus;
mod differential;
mod formats;
mod model;
mod rejects;
mod rfc8259;
mod syntax;

use crate::model::alert::{AlertView, Format, Status};
use crate::model::time::Timestamp;
use crate::pipeline::decode::{Decoder, Limits, Reject};

/// An `AlertView` that owns its texts.
#[derive(Clone, Debug, PartialEq)]
struct Alert {
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    status: Status,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    generator_url: Option<String>,
    received_at: Option<Timestamp>,
    unusable_times: u8,
}

type Decoded = Result<Vec<Result<Alert, Reject>>, Reject>;

fn owned(view: &AlertView<'_>) -> Alert {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Alert {
        labels: pairs(view.labels),
        annotations: pairs(view.annotations),
        status: view.status,
        starts_at: view.starts_at,
        ends_at: view.ends_at,
        generator_url: view.generator_url.map(str::to_owned),
        received_at: view.received_at,
        unusable_times: view.unusable_times,
    }
}

fn decode_with(decoder: &mut Decoder, format: Format, record: &[u8]) -> Decoded {
    let mut elements = Vec::new();
    let decoded = decoder.decode(format, record, |index, element| {
        assert_eq!(index as usize, elements.len(), "elements come in order, each once");
        elements.push(element.map(|view| owned(&view)));
    });
    let decoded = decoded.map(|()| elements);
    differential::compare(format, record, &decoded);
    decoded
}

fn decode(format: Format, record: impl AsRef<[u8]>) -> Decoded {
    decode_with(&mut Decoder::new(Limits::default()), format, record.as_ref())
}

/// The only alert of a record.
fn one(format: Format, record: &str) -> Alert {
    let mut elements = decode(format, record).unwrap();
    assert_eq!(elements.len(), 1, "{record}");
    elements.pop().unwrap().unwrap_or_else(|reject| panic!("{reject:?}: {record}"))
}

/// The record that holds just these elements.
fn record_of(format: Format, elements: &str) -> String {
    match format {
        Format::Native | Format::AlertmanagerV2 => format!("[{elements}]"),
        Format::AlertmanagerWebhook => format!(r#"{{"version":"4","alerts":[{elements}]}}"#),
    }
}

fn at(text: &str) -> Option<Timestamp> {
    Some(Timestamp::parse(text).unwrap())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}
