//! The corpus: a seeded flood of `tidegate::storm` in memory, as it is made or dressed up.
//!
//! Dressed, the same alerts are pretty-printed, with escapes and text beyond ASCII in labels and annotations, so that no short cut
//! for plain text applies. One value becomes one other, so fingerprints and groups stay as many as they were.

use anyhow::Result;
use clap::{Args, ValueEnum};
use tidegate::model::Timestamp;
use tidegate::storm::{Flood, FloodOptions, Shape, Truth};

/// Which corpus.
#[derive(Args, Clone)]
pub(crate) struct Input {
    /// What the flood looks like
    #[arg(long, default_value = "corpus", value_parser = |text: &str| text.parse::<Shape>())]
    pub(crate) shape: Shape,
    /// How many alerts
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) alerts: u32,
    /// Alerts per second of the flood's own time
    #[arg(long, default_value_t = 1_000.0)]
    pub(crate) rate: f64,
    /// How the alerts are written
    #[arg(long, value_enum, default_value_t = Dress::Compact)]
    pub(crate) dress: Dress,
}

/// How the alerts are written.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
pub(crate) enum Dress {
    /// Compact JSON, plain ASCII, few escapes: as programs send it
    Compact,
    /// Pretty-printed, with escapes and text beyond ASCII
    Dressed,
}

impl Dress {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Dressed => "dressed",
        }
    }
}

/// Records back to back.
pub(crate) struct Corpus {
    pub(crate) bytes: Vec<u8>,
    /// Where each record ends, and its time.
    ends: Vec<(usize, Timestamp)>,
    pub(crate) truth: Truth,
}

impl Corpus {
    pub(crate) fn new(input: &Input) -> Self {
        let options = FloodOptions {
            shape: input.shape,
            alerts: input.alerts,
            rate: input.rate,
            received_at: false,
            ..FloodOptions::default()
        };
        let mut flood = Flood::new(options);
        let mut bytes = Vec::with_capacity(input.alerts as usize * 900);
        let mut ends = Vec::with_capacity(input.alerts as usize);
        let mut line = Vec::new();
        loop {
            line.clear();
            let Some(truth) = flood.next_into(&mut line) else { break };
            match input.dress {
                Dress::Compact => bytes.extend_from_slice(&line),
                Dress::Dressed => dress(&line, &mut bytes),
            }
            ends.push((bytes.len(), truth.at));
        }
        Self { bytes, ends, truth: flood.truth() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of record `index`.
    pub(crate) fn record(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        &self.bytes[start..self.ends[index].0]
    }

    /// The records with their times.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&[u8], Timestamp)> {
        (0..self.len()).map(|index| (self.record(index), self.ends[index].1))
    }

    /// What must be found, in every peer.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check(&self, identities: u64, incidents: u64) -> Result<()> {
        let (members, groups) = (self.truth.members, self.truth.groups.len() as u64);
        anyhow::ensure!(
            (identities, incidents) == (members, groups),
            "found {identities} identities in {incidents} incidents, and there are {members} in {groups}"
        );
        Ok(())
    }
}

/// What is put before the closing quote of the value of this key, already as JSON.
fn addition(key: &[u8]) -> &'static str {
    match key {
        b"region" => " Süd",
        b"team" => r" \u00e9quipe",
        b"description" => r" – größer als üblich, siehe \u201eHandbuch\u201c \ud83d\udd25",
        b"summary" => r" \u2014 東京",
        _ => "",
    }
}

/// Writes compact JSON of objects and strings, which is what floods are made of, in its other dress.
fn dress(compact: &[u8], out: &mut Vec<u8>) {
    let (mut depth, mut at, mut key, mut is_value) = (0, 0, 0..0, false);
    let new_line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    while let Some(byte) = compact.get(at) {
        match byte {
            b'{' => {
                depth += 1;
                is_value = false;
                out.push(b'{');
                new_line(out, depth);
            }
            b'}' => {
                depth -= 1;
                new_line(out, depth);
                out.push(b'}');
            }
            b',' => {
                is_value = false;
                out.push(b',');
                new_line(out, depth);
            }
            b':' => {
                is_value = true;
                out.extend_from_slice(b": ");
            }
            _ => {
                let end = end_of_string(compact, at);
                out.extend_from_slice(&compact[at..end]);
                if is_value {
                    out.extend_from_slice(addition(&compact[key.clone()]).as_bytes());
                } else {
                    key = at + 1..end;
                }
                out.push(b'"');
                at = end;
            }
        }
        at += 1;
    }
}

/// Where the closing quote of the string stands that opens at `start`.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while json[at] != b'"' {
        at += if json[at] == b'\\' { 2 } else { 1 };
    }
    at
}
