//! The physical limit of a design that parses with simd-json: every alert is copied into a reused scratch, parsed with reused
//! buffers, and its labels, status and times are read. Nothing is kept.

use std::fmt;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use simd_json::{Buffers, Node, Tape};

use crate::corpus::{Corpus, Input};
use crate::measure::Meter;

/// Records that a thread takes at a time.
const PORTION: usize = 1_000;
/// More labels than any alert of a flood has.
const LABELS_MAX: usize = 16;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: Input,
    /// Threads, each with the next thousand records
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Into what
    #[arg(long, value_enum, default_value_t = How::Typed)]
    how: How,
}

#[derive(Clone, Copy, ValueEnum)]
enum How {
    /// A struct, by serde
    Typed,
    /// simd-json's tape, walked
    Tape,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lean<'a> {
    #[serde(borrow)]
    labels: Pairs<'a>,
    status: &'a str,
    starts_at: &'a str,
    #[serde(default)]
    ends_at: Option<&'a str>,
}

/// The labels, without a map: what costs the least.
struct Pairs<'a> {
    pairs: [(&'a str, &'a str); LABELS_MAX],
    len: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Labels;
        impl<'de> Visitor<'de> for Labels {
            type Value = Pairs<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Pairs { pairs: [("", ""); LABELS_MAX], len: 0 };
                while let Some(pair) = map.next_entry()? {
                    *found.pairs.get_mut(found.len).ok_or_else(|| A::Error::custom("too many labels"))? = pair;
                    found.len += 1;
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Labels)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let corpus = Corpus::new(&args.input);
    let (next, total) = (AtomicUsize::new(0), AtomicU64::new(0));
    let meter = Meter::start();
    std::thread::scope(|scope| {
        let start = |number: usize| {
            let work = || work(&corpus, args.how, &next, &total);
            std::thread::Builder::new().name(format!("parse-{number}")).spawn_scoped(scope, work)
        };
        let threads: Vec<_> = (0..args.threads).map(start).collect::<Result<_, _>>()?;
        threads.into_iter().try_for_each(|thread| thread.join().ok().context("a thread panicked")?)
    })?;
    let spent = meter.stop();
    let how = match args.how {
        How::Typed => "typed",
        How::Tape => "tape",
    };
    let more = serde_json::json!({
        "shape": args.input.shape, "dress": args.input.dress.name(), "threads": args.threads,
        "checksum": total.into_inner(),
    });
    spent.print(&format!("parse-{how}"), corpus.len() as u64, corpus.bytes.len() as u64, more)
}

/// Takes portions until none is left; adds up the bytes of what was read, the same for every way of reading.
fn work(corpus: &Corpus, how: How, next: &AtomicUsize, total: &AtomicU64) -> Result<()> {
    let (mut scratch, mut buffers, mut sum) = (Vec::new(), Buffers::default(), 0);
    let mut tape = Tape(Vec::new());
    loop {
        let from = next.fetch_add(PORTION, Ordering::Relaxed);
        if from >= corpus.len() {
            break;
        }
        for index in from..(from + PORTION).min(corpus.len()) {
            scratch.clear();
            scratch.extend_from_slice(corpus.record(index));
            sum += match how {
                How::Typed => typed(&mut scratch, &mut buffers)?,
                How::Tape => {
                    let mut filled = tape.reset();
                    simd_json::fill_tape(&mut scratch, &mut buffers, &mut filled)?;
                    let read = walk(&filled.0);
                    tape = filled.reset();
                    read
                }
            };
        }
    }
    total.fetch_add(sum, Ordering::Relaxed);
    Ok(())
}

fn typed(scratch: &mut [u8], buffers: &mut Buffers) -> Result<u64> {
    let alert: Lean<'_> = simd_json::serde::from_slice_with_buffers(scratch, buffers)?;
    let alert = black_box(alert);
    let labels: usize =
        alert.labels.pairs[..alert.labels.len].iter().map(|(name, value)| name.len() + value.len()).sum();
    Ok((labels + alert.status.len() + alert.starts_at.len() + alert.ends_at.map_or(0, str::len)) as u64)
}

/// The same values, read off the tape.
fn walk(nodes: &[Node<'_>]) -> u64 {
    let (mut at, mut sum) = (1, 0);
    while let Some(Node::String(key)) = nodes.get(at) {
        let value = nodes.get(at + 1).copied();
        let is_wanted = matches!(*key, "status" | "startsAt" | "endsAt");
        match value {
            Some(Node::String(text)) => {
                sum += if is_wanted { black_box(text).len() } else { 0 };
                at += 2;
            }
            Some(Node::Object { count, .. }) => {
                if *key == "labels" {
                    sum += nodes[at + 2..at + 2 + count].iter().map(length).sum::<usize>();
                }
                at += 2 + count;
            }
            _ => break,
        }
    }
    sum as u64
}

fn length(node: &Node<'_>) -> usize {
    if let Node::String(text) = node { text.len() } else { 0 }
}
