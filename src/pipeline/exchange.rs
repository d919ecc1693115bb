//! Decodes a chunk, identifies its alerts, folds repeats and routes the rest to the shards by group key.
//!
//! Folding changes no result: it merges only alerts of one fingerprint, status and record time between which no clock
//! moved; whatever the first of them does, the others are plain repeats of it. Rules with a threshold are left alone.

use std::sync::Arc;

use crate::model::alert::{AlertView, Format, Status};
use crate::model::fingerprint::{Fingerprint, GroupHash, HashKey, HashedMap, origin};
use crate::model::labels;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Arrival, ENDS_BY_DEFAULT, Part, Seq, Step, StepKind};
use crate::pipeline::decode::{Decoder, Limits, Reject};
use crate::pipeline::identify::Identifier;
use crate::pipeline::options::{Options, RecordTime};
use crate::pipeline::sink::DeadLetter;
use crate::pipeline::source::{Answer, Batch, PartitionName, RecordRef, Reply, SourceIndex};
use crate::pipeline::tap::{Look, RecordLook, Stage, Tap};
use crate::pipeline::unreadable::Unreadable;

/// Work for a decoder: a batch of one source with its place in the sequence.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Number of the chunk, without gaps.
    pub number: u64,
    /// Where the batch comes from.
    pub source: Option<SourceIndex>,
    /// Number of the batch's first record; the others follow.
    pub first_record: u64,
    /// The records.
    pub batch: Batch,
    /// Clock steps and commands, in order.
    pub steps: Vec<Step>,
    /// The wall clock when the chunk was made; record time of what has none, for dead letters.
    pub wall: Timestamp,
    /// Where sources and partitions stand after this chunk; passed on to the epoch.
    pub notes: Vec<Note>,
    /// An epoch ends with this chunk.
    pub mark: Option<Mark>,
}

/// Where a source or one of its partitions stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The clock of a source.
    Clock(SourceIndex, Timestamp),
    /// The next position and the clock of a partition.
    Position(SourceIndex, PartitionName, u64, Timestamp),
}

/// The end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Shards start a state sweep with it.
    pub start_sweep: bool,
}

/// What the epoch must know of a chunk besides what the shards make of it.
#[derive(Debug, Default)]
pub struct ChunkReport {
    /// Number of the chunk.
    pub number: u64,
    /// Where it came from.
    pub source: Option<SourceIndex>,
    /// Number of the record after its last.
    pub next_record: u64,
    /// Records and their bytes.
    pub n_records: u64,
    /// Bytes of the records.
    pub n_bytes: u64,
    /// Alerts received, those rejected included.
    pub received: u64,
    /// Rejected by reason, in the order of `Reject::ALL`.
    pub rejects: [u64; Reject::ALL.len()],
    /// What could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Bodies that are no JSON at all, from senders that were told so: kept as samples only.
    pub unreadable: Vec<(Reject, Vec<u8>)>,
    /// Senders and what they will be told.
    pub replies: Vec<(Reply, Answer)>,
    /// Positions to go on from, and what was taken to get there.
    pub positions: Vec<Consumed>,
    /// The latest record time of the chunk, where the payload tells it.
    pub payload_clock: Timestamp,
    /// Time fields that were ignored.
    pub unusable_times: u64,
    /// Records that needed the second JSON reader.
    pub fallbacks: u64,
    /// Where sources and partitions stand.
    pub notes: Vec<Note>,
    /// An epoch ends with this chunk.
    pub mark: Option<Mark>,
}

/// What was taken from a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Which partition.
    pub partition: PartitionName,
    /// Where it goes on.
    pub next: u64,
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What becomes of a chunk: a part for every shard, and the report.
#[derive(Debug)]
pub struct Routed {
    /// One part per shard, empty ones included.
    pub parts: Vec<Part>,
    /// For the epoch.
    pub report: ChunkReport,
}

/// Which shard owns a group key: by its hash, unless a reload tied it to another key.
pub type Placement = Arc<HashedMap<GroupHash, u32>>;

/// The shard that owns a group key.
#[must_use]
pub fn shard_of(placement: &Placement, group: GroupHash, n_shards: usize) -> usize {
    let home = placement.get(&group).map(|shard| *shard as usize).filter(|shard| *shard < n_shards);
    home.unwrap_or_else(|| (group.0 >> 64) as usize % n_shards.max(1))
}

/// Decoder, identifier and router of one decoder thread.
pub struct Exchange {
    decoder: Decoder,
    router: Router,
    tap: Arc<Tap>,
}

struct Router {
    options: Arc<Options>,
    identifier: Identifier,
    placement: Placement,
    folds: bool,
    /// Last arrival of a fingerprint since the last step.
    recent: Vec<Recent>,
    /// Grows with every step and chunk, so that nothing has to be cleared.
    stretch: u64,
    scratch: Vec<u8>,
}

/// Where the last arrival of a fingerprint lies.
#[derive(Clone, Copy, Default)]
struct Recent {
    stretch: u64,
    fingerprint: Fingerprint,
    shard: u32,
    index: u32,
}

/// Places of the fold table, a power of two; what does not find one is not folded.
const FOLD_PLACES: usize = 1 << 10;

impl Exchange {
    /// `folds`: whether repeats may be folded; not where every single alert has to be accounted for by name.
    #[must_use]
    pub fn new(options: Arc<Options>, key: HashKey, placement: Placement, folds: bool) -> Self {
        let identifier = Identifier::new(&options, key);
        let recent = vec![Recent::default(); FOLD_PLACES];
        let router = Router { options, identifier, placement, folds, recent, stretch: 0, scratch: Vec::new() };
        Self { decoder: Decoder::new(Limits::default()), router, tap: Arc::default() }
    }

    /// The same, with a tap that shows records and what decoding makes of them.
    #[must_use]
    pub fn tapped(self, tap: Arc<Tap>) -> Self {
        Self { tap, ..self }
    }

    /// Takes a chunk apart.
    pub fn route(&mut self, mut chunk: Chunk) -> Routed {
        let n_shards = self.router.options.shards;
        let fallbacks_before = self.decoder.fallbacks();
        let mut parts: Vec<Part> = (0..n_shards).map(|_| Part { wall: chunk.wall, ..Part::default() }).collect();
        let mut report = ChunkReport {
            number: chunk.number,
            source: chunk.source,
            next_record: chunk.first_record + chunk.batch.records.len() as u64,
            n_records: chunk.batch.records.len() as u64,
            n_bytes: chunk.batch.bytes.len() as u64,
            payload_clock: Timestamp::MIN,
            notes: std::mem::take(&mut chunk.notes),
            mark: chunk.mark,
            ..ChunkReport::default()
        };
        let mut steps = Vec::with_capacity(chunk.steps.len());
        let mut planned = std::mem::take(&mut chunk.steps).into_iter().peekable();
        let mut replies = std::mem::take(&mut chunk.batch.replies).into_iter().peekable();
        self.router.stretch += 1;
        let look = self.tap.look(&[Stage::Record, Stage::Decode], chunk.wall);
        let look = look.as_ref();
        for (at, record) in chunk.batch.records.iter().enumerate() {
            let number = chunk.first_record + at as u64;
            while let Some(step) = planned.next_if(|step| step.seq.record <= number) {
                steps.push(step);
                self.router.stretch += 1;
            }
            let has_sender = replies.peek().is_some_and(|(index, _)| *index == at);
            let answer =
                self.route_record(&chunk, record, number, has_sender, look, &mut parts, &mut steps, &mut report);
            if let Some((_, reply)) = replies.next_if(|(index, _)| *index == at) {
                report.replies.push((reply, answer));
            }
            note_position(&mut report.positions, chunk.batch.partitions.get(usize::from(record.partition)), record);
        }
        steps.extend(planned);
        for part in &mut parts {
            part.steps.clone_from(&steps);
        }
        report.fallbacks = self.decoder.fallbacks() - fallbacks_before;
        Routed { parts, report }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the borrowed halves of one chunk; a struct would only name them again"
    )]
    fn route_record(
        &mut self,
        chunk: &Chunk,
        record: &RecordRef,
        number: u64,
        has_sender: bool,
        look: Option<&Look>,
        parts: &mut [Part],
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) -> Answer {
        let Self { decoder, router, .. } = self;
        let source = chunk.source.unwrap_or(SourceIndex(0));
        let options = router.options.clone();
        let source_options = options.sources.get(usize::from(source.0));
        let name = source_options.map_or("", |source| source.name.as_str());
        let in_payload = source_options.is_some_and(|source| source.time == RecordTime::Payload);
        let partition = chunk.batch.partitions.get(usize::from(record.partition)).map_or("", |name| &**name);
        let place = Place {
            source,
            origin: origin(name, partition),
            position: record.position,
            format: record.format,
            time: record.time,
            in_payload,
        };
        let bytes = chunk.batch.record_bytes(record);
        let look = look.map(|look| RecordLook { look, source: name, partition, record, bytes });
        if let Some(look) = &look {
            look.show_record();
        }
        let mut rejected: Vec<(u32, Reject)> = Vec::new();
        let mut accepted = 0_u32;
        let max_bytes = if has_sender { Limits::BODY_BYTES } else { Limits::RECORD_BYTES };
        let whole =
            decoder.decode_within(max_bytes, record.format, bytes, |index, alert: Result<AlertView<'_>, Reject>| {
                report.received += 1;
                match alert {
                    Ok(alert) => {
                        accepted += 1;
                        if let Some(look) = &look {
                            look.show_alert(index, &alert);
                        }
                        report.unusable_times += u64::from(alert.unusable_times);
                        let seq = Seq { record: number, index };
                        router.route_alert(&alert, seq, &place, parts, steps, report);
                    }
                    Err(reject) => rejected.push((index, reject)),
                }
            });
        let at = if record.time == Timestamp::MIN { chunk.wall } else { record.time };
        let unreadable = Unreadable { source: name, partition, record, bytes, at, look };
        if let Err(reject) = whole {
            report.received += 1;
            unreadable.refuse_whole(reject, has_sender, report);
            return Answer::Unreadable(reject);
        }
        unreadable.refuse_elements(&rejected, report);
        Answer::Durable { accepted, rejected }
    }
}

fn note_position(positions: &mut Vec<Consumed>, partition: Option<&PartitionName>, record: &RecordRef) {
    let Some(partition) = partition else { return };
    let (next, bytes) = (record.next, record.len as u64);
    match positions.iter_mut().find(|known| known.partition == *partition) {
        Some(known) => {
            *known =
                Consumed { next, records: known.records + 1, bytes: known.bytes + bytes, partition: partition.clone() }
        }
        None => positions.push(Consumed { partition: partition.clone(), next, records: 1, bytes }),
    }
}

/// Where a record stands, for all of its alerts.
struct Place {
    source: SourceIndex,
    origin: u64,
    position: u64,
    format: Format,
    time: Timestamp,
    in_payload: bool,
}

impl Router {
    fn route_alert(
        &mut self,
        alert: &AlertView<'_>,
        seq: Seq,
        place: &Place,
        parts: &mut [Part],
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) {
        let time =
            if place.in_payload { alert.received_at.or(alert.starts_at).unwrap_or(Timestamp::MIN) } else { place.time };
        if place.in_payload && time > report.payload_clock {
            report.payload_clock = time;
            steps.push(Step { seq, kind: StepKind::Clock { source: place.source, to: time } });
            self.stretch += 1;
        }
        self.scratch.clear();
        labels::encode(alert.labels.iter().copied(), &mut self.scratch);
        let known = self.identifier.identify(place.source, &self.scratch);
        let ends_at = match (place.format, alert.ends_at) {
            (Format::AlertmanagerV2, None) => ENDS_BY_DEFAULT,
            (Format::AlertmanagerV2, Some(at)) => at,
            _ => Timestamp::MIN,
        };
        let mut arrival = Arrival {
            seq,
            time,
            source: place.source,
            status: alert.status,
            severity: known.severity,
            rule: known.rule,
            fingerprint: known.fingerprint,
            group: known.group,
            starts_at: alert.starts_at.unwrap_or(Timestamp::MIN),
            ends_at,
            count: 1,
            origin: place.origin,
            position: place.position,
            labels: Default::default(),
            annotations: Default::default(),
            url: Default::default(),
        };
        let shard = shard_of(&self.placement, known.group, parts.len());
        if self.fold(&arrival, shard, parts) {
            return;
        }
        let Some(part) = parts.get_mut(shard) else { return };
        arrival.labels = part.store(&self.scratch);
        if alert.status == Status::Firing {
            self.scratch.clear();
            labels::encode(alert.annotations.iter().copied(), &mut self.scratch);
            arrival.annotations = part.store(&self.scratch);
            arrival.url = part.store(alert.generator_url.unwrap_or_default().as_bytes());
        }
        self.remember(&arrival, shard, part.arrivals.len());
        part.arrivals.push(arrival);
    }

    fn may_fold(&self, arrival: &Arrival) -> bool {
        let rule = self.options.rules.get(usize::from(arrival.rule));
        self.folds && rule.is_some_and(|rule| rule.open_after.count <= 1)
    }

    /// Adds the alert to an equal one right before it, if there is one.
    fn fold(&self, arrival: &Arrival, shard: usize, parts: &mut [Part]) -> bool {
        if !self.may_fold(arrival) {
            return false;
        }
        let Some(recent) = self.recent.get(fold_place(arrival)) else { return false };
        let known = recent.stretch == self.stretch && recent.fingerprint == arrival.fingerprint;
        if !known || recent.shard as usize != shard {
            return false;
        }
        let before = parts.get_mut(shard).and_then(|part| part.arrivals.get_mut(recent.index as usize));
        let Some(before) = before else { return false };
        let same = before.status == arrival.status
            && before.time == arrival.time
            && before.severity == arrival.severity
            && before.starts_at == arrival.starts_at
            && before.ends_at == arrival.ends_at
            && before.group == arrival.group;
        before.count += u32::from(same);
        same
    }

    fn remember(&mut self, arrival: &Arrival, shard: usize, index: usize) {
        if let Some(place) = self.recent.get_mut(fold_place(arrival)) {
            let (stretch, fingerprint) = (self.stretch, arrival.fingerprint);
            *place = Recent { stretch, fingerprint, shard: shard as u32, index: index as u32 };
        }
    }
}

fn fold_place(arrival: &Arrival) -> usize {
    (arrival.fingerprint.0 >> 32) as usize % FOLD_PLACES
}
