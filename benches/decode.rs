//! Decoding, one thread, by format, layout and size of record: the scanner of the hot path, the general decoder that takes
//! what the scanner does not, and as a yardstick simd-json, which only parses into typed structs.
//!
//! The alerts lie in memory one after the other, more than the caches hold.

mod input;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::alerts::{LABELS, Packing};
use input::choice::is_wanted;
use serde::Deserialize;
use tidegate::model::alert::Format;
use tidegate::pipeline::decode::{Decoder, Limits, Scanner};

const N_ALERTS: usize = 20_000;

/// An alert as simd-json reads it: every field, texts borrowed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedAlert<'a> {
    #[serde(borrow)]
    labels: Texts<'a>,
    #[serde(borrow)]
    annotations: Texts<'a>,
    status: &'a str,
    starts_at: &'a str,
    ends_at: &'a str,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
}

/// An object of texts, as a list: no map is made of it.
struct Texts<'a>(Vec<(&'a str, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Texts<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object of texts")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(pair) = map.next_entry()? {
                    texts.push(pair);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl TypedAlert<'_> {
    fn n_labels(&self) -> usize {
        black_box((self.status, self.starts_at, self.ends_at, self.generator_url, self.annotations.0.len()));
        self.labels.0.len()
    }
}

/// Alertmanager's envelope.
#[derive(Deserialize)]
struct TypedEnvelope<'a> {
    #[serde(borrow)]
    alerts: Vec<TypedAlert<'a>>,
}

/// simd-json with the memory that it uses again.
#[derive(Default)]
struct Typed {
    bytes: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl Typed {
    fn parse<'a, T: Deserialize<'a>>(&'a mut self, text: &[u8]) -> T {
        self.bytes.clear();
        self.bytes.extend_from_slice(text); // It writes into what it reads.
        simd_json::serde::from_slice_with_buffers(&mut self.bytes, &mut self.buffers)
            .expect("every record of the bench is valid")
    }

    fn n_labels(&mut self, packing: Packing, record: &[u8]) -> usize {
        let of = |alerts: Vec<TypedAlert<'_>>| alerts.iter().map(TypedAlert::n_labels).sum();
        match packing.format {
            _ if packing.is_lines => {
                record.split(|byte| *byte == b'\n').map(|line| self.parse::<TypedAlert<'_>>(line).n_labels()).sum()
            }
            Format::Native if packing.per_record == 1 => self.parse::<TypedAlert<'_>>(record).n_labels(),
            Format::Native | Format::AlertmanagerV2 => of(self.parse(record)),
            Format::AlertmanagerWebhook => of(self.parse::<TypedEnvelope<'_>>(record).alerts),
        }
    }
}

/// Runs a way of reading over all records of each packing. It answers with a number of things read per alert.
fn each_packing(
    criterion: &mut Criterion,
    name: &str,
    per_alert: usize,
    mut read: impl FnMut(Packing, &[u8]) -> usize,
) {
    let mut group = criterion.benchmark_group(name);
    for packing in Packing::ALL {
        if !is_wanted(&format!("{name}/{}", packing.name)) {
            continue;
        }
        let records = packing.records(N_ALERTS);
        let bytes = records.iter().map(Vec::len).sum::<usize>() as u64;
        let mut run = || records.iter().map(|record| read(packing, record)).sum::<usize>();
        assert_eq!(run(), per_alert * N_ALERTS, "{name} reads all of {packing:?}");
        group.throughput(Throughput::ElementsAndBytes { elements: N_ALERTS as u64, bytes });
        group.bench_function(BenchmarkId::from_parameter(packing.name), |bencher| bencher.iter(&mut run));
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut scanner = Scanner::<()>::default();
    each_packing(criterion, "decode/scan", 1, |packing, record| {
        // No label text is known, so all are read.
        let alerts = black_box(scanner.scan(packing.format, record, |_| None));
        alerts.expect("the scanner takes every record of the bench").len()
    });
    let mut decoder = Decoder::new(Limits::default());
    each_packing(criterion, "decode/general", LABELS, |packing, record| {
        let mut n_labels = 0;
        let decoded = decoder.decode(packing.format, record, |_, alert| {
            n_labels += black_box(alert).expect("every alert of the bench is valid").labels.len();
        });
        decoded.expect("every record of the bench is valid");
        n_labels
    });
    let mut typed = Typed::default();
    each_packing(criterion, "decode/simd-json-typed", LABELS, |packing, record| typed.n_labels(packing, record));
}

criterion_group!(benches, decode);
criterion_main!(benches);
