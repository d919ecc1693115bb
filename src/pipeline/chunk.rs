//! What travels from the sequencer over the decoders to the shards: numbered chunks, and each shard's part of them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::alert::{Severity, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId};
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::decode::{Detail, DetailReader};
use crate::pipeline::options::SourceOptions;
use crate::pipeline::pressure::Pressure;
use crate::pipeline::source::buffer::Buffer;
use crate::pipeline::source::{PartitionName, RecordRef, SourceIndex};
use crate::pipeline::suspect::InHand;

/// The place of an alert in the one sequence of everything: number of the record, index of the alert in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq {
    /// Number of the record (or tick, or command).
    pub record: u64,
    /// Index of the alert in the record.
    pub index: u32,
}

/// Something that happens to time or to all shards; takes effect before the alert with the same `Seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the sequence.
    pub seq: Seq,
    /// What happens.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The clock of a source moves on; one that lies behind is ignored.
    Clock {
        /// Which source.
        source: SourceIndex,
        /// Its clock now.
        to: Timestamp,
    },
    /// The wall clock moves on. Without any such step (replay) record times are all there is.
    Wall {
        /// The wall clock now.
        to: Timestamp,
    },
    /// Nobody could send to this source for a while: its deadlines move by that time.
    Unread {
        /// Which source.
        source: SourceIndex,
        /// For how long.
        by: Millis,
    },
    /// A person resolves an incident.
    Resolve {
        /// Which one.
        incident: IncidentId,
        /// Who.
        by: String,
    },
    /// Memory got shorter, or longer.
    Pressure {
        /// What shards do about it from here on.
        pressure: Pressure,
        /// The wall clock.
        at: Timestamp,
    },
    /// The input has ended: the clocks run on until no timer is left.
    RunOut,
}

impl StepKind {
    /// Whether it moves a clock on, so that timers may be due.
    #[must_use]
    pub const fn moves_clock(&self) -> bool {
        matches!(self, Self::Clock { .. } | Self::Wall { .. } | Self::RunOut)
    }
}

/// A stretch of bytes of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

/// Alertmanager v2 without an `endsAt`: five minutes from the record's time, which only the shard may know.
pub const ENDS_BY_DEFAULT: Timestamp = Timestamp(i64::MIN + 1);

/// Alertmanager's `resolve_timeout` default. Source: Alertmanager configuration, `global.resolve_timeout`.
pub const RESOLVE_TIMEOUT: Millis = Millis::minutes(5);

/// One alert, identified and routed; `count` above 1 means that equal repeats right behind it were folded into it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Place of the first one.
    pub seq: Seq,
    /// Record time; `Timestamp::MIN`: the source's clock.
    pub time: Timestamp,
    /// Where it came from.
    pub source: SourceIndex,
    /// Firing or resolved, by the alert's own word.
    pub status: Status,
    /// How bad.
    pub severity: Severity,
    /// Index of the window rule.
    pub rule: u16,
    /// Identity.
    pub fingerprint: Fingerprint,
    /// Group key.
    pub group: GroupHash,
    /// `startsAt`, or `Timestamp::MIN`.
    pub starts_at: Timestamp,
    /// `endsAt` where it counts, `ENDS_BY_DEFAULT`, or `Timestamp::MIN`.
    pub ends_at: Timestamp,
    /// How many alerts this stands for, at least 1.
    pub count: u32,
    /// Where the record came from, see `fingerprint::origin`.
    pub origin: u64,
    /// Position of the record in its partition.
    pub position: u64,
    /// Encoded labels in the arena; empty if they are to be read from its JSON.
    pub labels: Stretch,
    /// Where its other texts are, of the kind that `is_raw` says.
    pub rest: Stretch,
    /// Whether `rest` is its JSON in `Part::taken`, of which the texts are read when somebody asks; else it is a block that
    /// `Part::store_rest` made in the arena.
    pub is_raw: bool,
}

const _: () = assert!(size_of::<Arrival>() <= 128, "two cache lines; larger ones are copied by a call");

/// One shard's part of a chunk. Every shard gets one for every chunk, with all steps of the chunk, even if no alert is its own.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Alerts in order.
    pub arrivals: Vec<Arrival>,
    /// Texts of arrivals.
    pub arena: Vec<u8>,
    /// The records of the chunk, shared by all parts with alerts.
    pub taken: Option<Arc<Taken>>,
    /// The wall clock of the chunk, for the tap; nothing is decided by it.
    pub wall: Timestamp,
}

/// The records of a chunk while alerts of it are under way: what `Arrival::rest` points into where it is raw, and what is told
/// of a record whose alert a shard had in hand when it panicked.
#[derive(Debug, Default)]
pub struct Taken {
    /// The bytes of all records.
    pub bytes: Buffer,
    /// The records.
    pub records: Vec<RecordRef>,
    /// The partitions the records refer to.
    pub partitions: Vec<PartitionName>,
    /// Number of the first record in the sequence.
    pub first_record: u64,
}

impl Taken {
    /// The record with this number in the sequence, which came from that source.
    #[must_use]
    pub fn in_hand<'a>(&'a self, number: u64, source: &'a SourceOptions) -> Option<InHand<'a>> {
        let record = self.records.get(usize::try_from(number.checked_sub(self.first_record)?).ok()?)?;
        let partition = self.partitions.get(usize::from(record.partition)).map_or("", |name| &**name);
        Some(InHand::new(source, partition, record, self.bytes_of(record)))
    }

    fn bytes_of(&self, record: &RecordRef) -> &[u8] {
        self.bytes.get(record.start..record.start + record.len).unwrap_or_default()
    }
}

/// The texts of an arrival: label sets in the encoding of `model::labels`, and the generator URL, empty if there is none.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// Labels.
    pub labels: &'a [u8],
    /// Annotations.
    pub annotations: &'a [u8],
    /// Link.
    pub url: &'a [u8],
}

impl Part {
    /// The labels of an arrival of this part, encoded.
    #[must_use]
    pub fn labels(&self, arrival: &Arrival) -> Cow<'_, [u8]> {
        if arrival.labels.len > 0 || !arrival.is_raw {
            return Cow::Borrowed(stretch(&self.arena, arrival.labels));
        }
        Cow::Owned(DetailReader::default().read(self.json(arrival)).labels.clone())
    }

    /// All texts of an arrival of this part.
    #[must_use]
    pub fn texts<'a>(&'a self, arrival: &Arrival, reader: &'a mut DetailReader) -> Texts<'a> {
        if arrival.is_raw {
            let Detail { labels, annotations, url } = reader.read(self.json(arrival));
            return Texts { labels, annotations, url };
        }
        let labels = stretch(&self.arena, arrival.labels);
        let rest = stretch(&self.arena, arrival.rest);
        let (n_bytes, texts) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let (annotations, url) = texts.split_at_checked(u32::from_le_bytes(*n_bytes) as usize).unwrap_or_default();
        Texts { labels, annotations, url }
    }

    /// The record that the alert with this index in the part came with.
    #[must_use]
    pub fn in_hand<'a>(&'a self, at: usize, sources: &'a [SourceOptions]) -> Option<InHand<'a>> {
        let arrival = self.arrivals.get(at)?;
        self.taken.as_ref()?.in_hand(arrival.seq.record, sources.get(usize::from(arrival.source.0))?)
    }

    /// The bytes of that record, for a trap.
    pub(super) fn bytes_in_hand(&self, arrival: &Arrival) -> Vec<u8> {
        let Some(taken) = &self.taken else { return Vec::new() };
        let at = arrival.seq.record.saturating_sub(taken.first_record) as usize;
        taken.records.get(at).map(|record| taken.bytes_of(record).to_vec()).unwrap_or_default()
    }

    fn json(&self, arrival: &Arrival) -> &[u8] {
        self.taken.as_ref().map_or(&[], |taken| stretch(&taken.bytes, arrival.rest))
    }

    /// Puts encoded annotations and a URL into the arena: for `Arrival::rest`.
    pub fn store_rest(&mut self, annotations: &[u8], url: &str) -> Stretch {
        let start = self.arena.len();
        self.arena.extend_from_slice(&(annotations.len() as u32).to_le_bytes());
        self.arena.extend_from_slice(annotations);
        self.arena.extend_from_slice(url.as_bytes());
        Stretch { start: start as u32, len: (self.arena.len() - start) as u32 }
    }

    /// Puts bytes into the arena. Chunks are far below 4 GiB, which the limits on records guarantee.
    pub fn store(&mut self, bytes: &[u8]) -> Stretch {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Stretch { start: start as u32, len: bytes.len() as u32 }
    }
}

fn stretch(bytes: &[u8], at: Stretch) -> &[u8] {
    let start = at.start as usize;
    bytes.get(start..start + at.len as usize).unwrap_or_default()
}
