//! Decodes a chunk, identifies its alerts, folds repeats and routes the rest to the shards by group key.
//!
//! `work` is what comes in and what is reported, `ahead` looks at a stretch of records together, `router` is the way of one
//! alert; here is the way of a record: through the scanner, or, where that does not take it or somebody listens at the tap,
//! through the general decoder.

mod ahead;
mod router;
mod work;

use std::sync::Arc;

use crate::model::alert::{AlertView, Format};
use crate::model::fingerprint::{GroupHash, HashKey, HashedMap, origin};
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Part, Seq, Step, Taken};
use crate::pipeline::decode::{Decoder, Limits, Reject, ScannedAlert, Scanner};
use crate::pipeline::exchange::ahead::{Ahead, NOBODY, Seen, Sight};
use crate::pipeline::exchange::router::{Place, Router};
use crate::pipeline::options::{Options, RecordTime, SourceOptions};
use crate::pipeline::pressure::novelty::NoveltyBoard;
use crate::pipeline::source::{Answer, RecordRef, SourceIndex};
use crate::pipeline::suspect::{InHand, Suspects};
use crate::pipeline::tap::{Look, RecordLook, Stage, Tap};
use crate::pipeline::trap;
use crate::pipeline::unreadable::Unreadable;

pub use work::{Chunk, ChunkReport, Consumed, Mark, Note};

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
    let home = if placement.is_empty() { None } else { placement.get(&group).map(|shard| *shard as usize) };
    home.filter(|shard| *shard < n_shards).unwrap_or_else(|| (group.0 >> 64) as usize % n_shards.max(1))
}

/// Decoder, identifier and router of one decoder thread.
pub struct Exchange {
    options: Arc<Options>,
    ahead: Ahead,
    /// For records of which looking ahead could not make sure.
    scanner: Scanner<()>,
    decoder: Decoder,
    router: Router,
    tap: Arc<Tap>,
    /// Who is told what is new.
    novelty: Option<Arc<NoveltyBoard>>,
    /// `None`: nobody is suspected.
    suspects: Option<Arc<Suspects>>,
}

/// The partitions of a batch: who they are, and what was taken from them.
#[derive(Default)]
struct Lane {
    origin: u64,
    records: u64,
    bytes: u64,
    next: u64,
}

/// What all records of a chunk share.
struct Batch<'a> {
    chunk: &'a Chunk,
    source: SourceIndex,
    /// Name of the source.
    name: &'a str,
    in_payload: bool,
    look: Option<&'a Look>,
    suspects: Option<(&'a Suspects, &'a SourceOptions)>,
}

impl Exchange {
    /// `folds`: whether repeats may be folded; not where every single alert has to be accounted for by name.
    #[must_use]
    pub fn new(options: Arc<Options>, key: HashKey, placement: Placement, folds: bool) -> Self {
        let router = Router::new(options.clone(), key, placement, folds);
        let (ahead, scanner, decoder) = (Ahead::default(), Scanner::default(), Decoder::new(Limits::default()));
        Self { options, ahead, scanner, decoder, router, tap: Arc::default(), novelty: None, suspects: None }
    }

    /// The same, telling a board which sources and labels bring new label sets.
    #[must_use]
    pub fn telling(mut self, novelty: Arc<NoveltyBoard>) -> Self {
        self.router.note_novelty();
        Self { novelty: Some(novelty), ..self }
    }

    /// The same, with a tap that shows records and what decoding makes of them.
    #[must_use]
    pub fn tapped(self, tap: Arc<Tap>) -> Self {
        Self { tap, ..self }
    }

    /// The same, that passes suspects to the dead letters before they are decoded.
    #[must_use]
    pub fn suspecting(self, suspects: Option<Arc<Suspects>>) -> Self {
        Self { suspects, ..self }
    }

    /// Takes a chunk apart.
    pub fn route(&mut self, mut chunk: Chunk) -> Routed {
        self.route_chunk(&mut chunk)
    }

    /// The record of the chunk that was in hand when `route_chunk` panicked.
    pub(super) fn in_hand<'a>(&'a self, chunk: &'a Chunk) -> Option<InHand<'a>> {
        let record = chunk.batch.records.get(self.ahead.hand)?;
        let source = self.options.sources.get(usize::from(chunk.source?.0))?;
        let partition = chunk.batch.partitions.get(usize::from(record.partition)).map_or("", |name| &**name);
        Some(InHand::new(source, partition, record, chunk.batch.record_bytes(record)))
    }

    /// As `route`; what the parts need is taken out of the chunk at the end, so that it is whole if this panics.
    pub(super) fn route_chunk(&mut self, chunk: &mut Chunk) -> Routed {
        let (n_shards, n_records) = (self.options.shards, chunk.batch.records.len());
        let fallbacks_before = self.decoder.fallbacks();
        let mut parts = self.router.begin(n_shards, n_records, chunk.wall);
        let mut report = ChunkReport {
            number: chunk.number,
            source: chunk.source,
            next_record: chunk.first_record + n_records as u64,
            n_records: n_records as u64,
            n_bytes: chunk.batch.bytes.len() as u64,
            payload_clock: Timestamp::MIN,
            notes: std::mem::take(&mut chunk.notes),
            mark: chunk.mark,
            ..ChunkReport::default()
        };
        let mut steps = Vec::with_capacity(chunk.steps.len());
        let mut planned = std::mem::take(&mut chunk.steps).into_iter().peekable();
        let mut replies = std::mem::take(&mut chunk.batch.replies).into_iter().peekable();
        let options = self.options.clone();
        let source = chunk.source.unwrap_or(SourceIndex(0));
        let source_options = options.sources.get(usize::from(source.0));
        let name = source_options.map_or("", |source| source.name.as_str());
        let in_payload = source_options.is_some_and(|source| source.time == RecordTime::Payload);
        let look = self.tap.look(&[Stage::Record, Stage::Decode], chunk.wall);
        let suspects = self.suspects.clone();
        let suspects = suspects.as_deref().zip(source_options);
        let batch = Batch { chunk: &*chunk, source, name, in_payload, look: look.as_ref(), suspects };
        let lane = |partition: &Arc<str>| Lane { origin: origin(name, partition), ..Lane::default() };
        let mut lanes: Vec<Lane> = chunk.batch.partitions.iter().map(lane).collect();
        self.ahead.begin();
        for (at, record) in chunk.batch.records.iter().enumerate() {
            self.ahead.reach(at, &self.router, source, || batch.scannable(at));
            let number = chunk.first_record + at as u64;
            while let Some(step) = planned.next_if(|step| step.seq.record <= number) {
                steps.push(step);
                self.router.new_stretch();
            }
            let has_sender = replies.peek().is_some_and(|(index, _)| *index == at);
            let lane = lanes.get_mut(usize::from(record.partition));
            let origin = lane.map_or(0, |lane| lane.take(record));
            let place = batch.place(record, number, origin);
            self.ahead.hand = at;
            let answer = self.route_record(&batch, at, &place, has_sender, &mut parts, &mut steps, &mut report);
            if let Some((_, reply)) = replies.next_if(|(index, _)| *index == at) {
                report.replies.push((reply, answer));
            }
        }
        self.ahead.hand = NOBODY;
        steps.extend(planned);
        let taken = chunk.batch.partitions.iter().zip(lanes).filter(|(_, lane)| lane.records > 0);
        report.positions = taken
            .map(|(partition, Lane { records, bytes, next, .. })| Consumed {
                partition: partition.clone(),
                next,
                records,
                bytes,
            })
            .collect();
        report.fallbacks = self.decoder.fallbacks() - fallbacks_before;
        if let Some(board) = &self.novelty {
            self.router.tell_novelty(board, chunk.wall, chunk.mark.is_some());
        }
        let taken = Taken {
            bytes: std::mem::take(&mut chunk.batch.bytes),
            records: std::mem::take(&mut chunk.batch.records),
            partitions: std::mem::take(&mut chunk.batch.partitions),
            first_record: chunk.first_record,
        };
        Router::finish(&mut parts, steps, taken);
        Routed { parts, report }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the borrowed halves of one chunk; a struct would only name them again"
    )]
    #[inline]
    fn route_record(
        &mut self,
        batch: &Batch<'_>,
        at: usize,
        place: &Place,
        has_sender: bool,
        parts: &mut [Part],
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) -> Answer {
        let Some(record) = batch.chunk.batch.records.get(at) else {
            return Answer::Durable { accepted: 0, rejected: Vec::new() };
        };
        let bytes = batch.chunk.batch.record_bytes(record);
        if batch.is_suspect(record) {
            return batch.refuse_suspect(record, has_sender, report);
        }
        trap::step(trap::Stage::Decode, || bytes.to_vec());
        let max_bytes = if has_sender { Limits::BODY_BYTES } else { Limits::RECORD_BYTES };
        let Self { ahead, scanner, router, .. } = self;
        let seen = if bytes.len() <= max_bytes { ahead.seen(at) } else { Seen::Other };
        let scanned = Scanned { batch, record, bytes, place };
        match seen {
            Seen::Alerts(alerts, sights) => return scanned.route(alerts, sights, router, parts, steps, report),
            Seen::Unclear => {
                if let Some(alerts) = scanner.scan(record.format, bytes, |_| None) {
                    return scanned.route(alerts, &[], router, parts, steps, report);
                }
            }
            Seen::Other => {}
        }
        self.decode_record(batch, record, place, max_bytes, has_sender, parts, steps, report)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the borrowed halves of one chunk; a struct would only name them again"
    )]
    #[inline(never)]
    fn decode_record(
        &mut self,
        batch: &Batch<'_>,
        record: &RecordRef,
        place: &Place,
        max_bytes: usize,
        has_sender: bool,
        parts: &mut [Part],
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) -> Answer {
        let Self { decoder, router, .. } = self;
        let unreadable = batch.unreadable(record);
        if let Some(look) = &unreadable.look {
            look.show_record();
        }
        let mut rejected: Vec<(u32, Reject)> = Vec::new();
        let mut accepted = 0_u32;
        let each = |index, alert: Result<AlertView<'_>, Reject>| {
            report.received += 1;
            match alert {
                Ok(alert) => {
                    accepted += 1;
                    if let Some(look) = &unreadable.look {
                        look.show_alert(index, &alert);
                    }
                    report.unusable_times += u64::from(alert.unusable_times);
                    let seq = Seq { record: place.number, index };
                    router.route_alert(&alert, seq, place, parts, steps, report);
                }
                Err(reject) => rejected.push((index, reject)),
            }
        };
        if let Err(reject) = decoder.decode_within(max_bytes, record.format, unreadable.bytes, each) {
            report.received += 1;
            unreadable.refuse_whole(reject, has_sender, report);
            return Answer::Unreadable(reject);
        }
        unreadable.refuse_elements(&rejected, report);
        Answer::Durable { accepted, rejected }
    }
}

impl Lane {
    /// Notes that a record was taken; answers with the lane's origin.
    fn take(&mut self, record: &RecordRef) -> u64 {
        self.records += 1;
        self.bytes += record.len as u64;
        self.next = record.next;
        self.origin
    }
}

/// A record that the scanner took.
struct Scanned<'a> {
    batch: &'a Batch<'a>,
    record: &'a RecordRef,
    bytes: &'a [u8],
    place: &'a Place,
}

impl Scanned<'_> {
    /// Routes its alerts. `sights`: what the table said of their label texts, if it was asked.
    #[inline]
    fn route<K>(
        &self,
        alerts: &[ScannedAlert<K>],
        sights: &[Sight],
        router: &mut Router,
        parts: &mut [Part],
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) -> Answer {
        let Self { batch, record, bytes, place } = *self;
        let mut rejected: Vec<(u32, Reject)> = Vec::new();
        report.received += alerts.len() as u64;
        for (index, alert) in (0..).zip(alerts) {
            report.unusable_times += u64::from(alert.unusable_times);
            let (seq, sight) = (Seq { record: place.number, index }, sights.get(index as usize));
            let routed = router.route_scanned(alert, sight, bytes, record.start, seq, place, parts, steps, report);
            if let Err(reject) = routed {
                rejected.push((index, reject));
            }
        }
        let accepted = (alerts.len() - rejected.len()) as u32;
        if !rejected.is_empty() {
            // Times are counted of what is taken only.
            let uncounted = rejected.iter().filter_map(|(index, _)| alerts.get(*index as usize));
            report.unusable_times -= uncounted.map(|alert| u64::from(alert.unusable_times)).sum::<u64>();
            batch.unreadable(record).refuse_elements(&rejected, report);
        }
        Answer::Durable { accepted, rejected }
    }
}

impl<'a> Batch<'a> {
    /// The records from `at` on, with the bytes of those that the scanner may take: whether a record is too large for its
    /// kind is looked at when it is routed, and where somebody listens at the tap the general decoder takes all.
    fn scannable(&self, at: usize) -> impl Iterator<Item = (Format, Option<&[u8]>)> + Clone {
        let records = self.chunk.batch.records.get(at..).unwrap_or_default();
        records.iter().map(|record| {
            let may_scan = self.look.is_none()
                && record.len <= Limits::BODY_BYTES
                && record.start <= u32::MAX as usize / 2
                && !self.is_suspect(record);
            (record.format, may_scan.then(|| self.chunk.batch.record_bytes(record)))
        })
    }

    fn place(&self, record: &RecordRef, number: u64, origin: u64) -> Place {
        let (source, in_payload) = (self.source, self.in_payload);
        Place {
            source,
            number,
            origin,
            position: record.position,
            is_v2: record.format == Format::AlertmanagerV2,
            time: record.time,
            in_payload,
        }
    }

    /// The name of the partition that a record is from.
    fn partition(&self, record: &RecordRef) -> &str {
        self.chunk.batch.partitions.get(usize::from(record.partition)).map_or("", |name| &**name)
    }

    /// Whether the record is to be passed to the dead letters before anybody looks at it.
    #[inline]
    fn is_suspect(&self, record: &RecordRef) -> bool {
        self.suspects.is_some_and(|(suspects, source)| {
            let bytes = self.chunk.batch.record_bytes(record);
            suspects.accuse(&InHand::new(source, self.partition(record), record, bytes))
        })
    }

    #[inline(never)]
    fn refuse_suspect(&self, record: &RecordRef, has_sender: bool, report: &mut ChunkReport) -> Answer {
        report.received += 1;
        let unreadable = self.unreadable(record);
        if let Some(look) = &unreadable.look {
            look.show_record();
        }
        unreadable.refuse_whole(Reject::Panic, has_sender, report);
        Answer::Unreadable(Reject::Panic)
    }

    fn unreadable<'b>(&'b self, record: &'b RecordRef) -> Unreadable<'b> {
        let (source, partition, batch) = (self.name, self.partition(record), &self.chunk.batch);
        let bytes = batch.record_bytes(record);
        let look = self.look.map(|look| RecordLook { look, source, partition, record, bytes });
        let at = if record.time == Timestamp::MIN { self.chunk.wall } else { record.time };
        Unreadable { source, partition, record, bytes, at, look }
    }
}

#[cfg(test)]
mod tests;
