//! The way of one alert: who it is, whether it is folded into an equal one right before it, which shard owns it.
//!
//! Folding changes no result: it merges only alerts of one fingerprint, status and record time between which no clock
//! moved; whatever the first of them does, the others are plain repeats of it. Rules with a threshold are left alone.

use std::sync::Arc;

use crate::model::alert::{AlertView, Status};
use crate::model::fingerprint::{Fingerprint, HashKey};
use crate::model::labels;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Arrival, ENDS_BY_DEFAULT, Part, Seq, Step, StepKind, Stretch, Taken};
use crate::pipeline::decode::{LabelReader, Limits, Reject, ScannedAlert};
use crate::pipeline::exchange::ahead::Sight;
use crate::pipeline::exchange::{ChunkReport, Placement, shard_of};
use crate::pipeline::identify::{Form, Identifier, Known, TextHash};
use crate::pipeline::options::Options;
use crate::pipeline::pressure::novelty::NoveltyBoard;
use crate::pipeline::source::SourceIndex;

/// Places of the fold table, a power of two; what does not find one is not folded.
const FOLD_PLACES: usize = 1 << 10;

/// Where a record stands, for all of its alerts.
pub(super) struct Place {
    pub(super) source: SourceIndex,
    /// The record's number in the sequence.
    pub(super) number: u64,
    pub(super) origin: u64,
    pub(super) position: u64,
    /// Alertmanager's v2 API, where `endsAt` counts.
    pub(super) is_v2: bool,
    pub(super) time: Timestamp,
    pub(super) in_payload: bool,
}

/// Where the last arrival of a fingerprint lies.
#[derive(Clone, Copy, Default)]
struct Recent {
    stretch: u64,
    fingerprint: Fingerprint,
    shard: u32,
    index: u32,
}

/// Identifies, folds and routes.
pub(super) struct Router {
    identifier: Identifier,
    labels: LabelReader,
    placement: Placement,
    /// By window rule: whether repeats may be folded.
    folds: Vec<bool>,
    /// Last arrival of a fingerprint since the last step.
    recent: Vec<Recent>,
    /// Grows with every step and chunk, so that nothing has to be cleared.
    stretch: u64,
    scratch: Vec<u8>,
}

/// What is said of an alert beside its labels.
struct Saying {
    status: Status,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    received_at: Option<Timestamp>,
}

impl Router {
    pub(super) fn new(options: Arc<Options>, key: HashKey, placement: Placement, folds: bool) -> Self {
        Self {
            identifier: Identifier::new(&options, key),
            labels: LabelReader::new(Limits::default()),
            placement,
            folds: options.rules.iter().map(|rule| folds && rule.open_after.count <= 1).collect(),
            recent: vec![Recent::default(); FOLD_PLACES],
            stretch: 0,
            scratch: Vec::new(),
        }
    }

    /// The parts of a new chunk.
    pub(super) fn begin(&mut self, n_shards: usize, n_records: usize, wall: Timestamp) -> Vec<Part> {
        self.new_stretch();
        let share = n_records / n_shards.max(1);
        let part = |_| Part { wall, arrivals: Vec::with_capacity(share + share / 8), ..Part::default() };
        (0..n_shards).map(part).collect()
    }

    /// Ends the parts: all have the steps of the chunk, and those with alerts its records.
    pub(super) fn finish(parts: &mut [Part], steps: Vec<Step>, taken: Taken) {
        let taken = Arc::new(taken);
        for part in parts.iter_mut().filter(|part| !part.arrivals.is_empty()) {
            part.taken = Some(taken.clone());
        }
        if let Some((last, others)) = parts.split_last_mut() {
            others.iter_mut().for_each(|part| part.steps.clone_from(&steps));
            last.steps = steps;
        }
    }

    /// What is new is noted from now on.
    pub(super) fn note_novelty(&mut self) {
        self.identifier.note_novelty();
    }

    /// Tells the board what is new, every few hundred texts or `at_once`.
    pub(super) fn tell_novelty(&mut self, board: &NoveltyBoard, wall: Timestamp, at_once: bool) {
        if let Some(novelty) = self.identifier.novelty() {
            novelty.tell(board, wall, at_once);
        }
    }

    /// From here on nothing is folded into what came before.
    pub(super) fn new_stretch(&mut self) {
        self.stretch += 1;
    }

    /// Routes an alert of the general decoder; its texts travel with it.
    pub(super) fn route_alert(
        &mut self,
        alert: &AlertView<'_>,
        seq: Seq,
        place: &Place,
        parts: &mut [Part],
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) {
        let AlertView { status, starts_at, ends_at, received_at, .. } = *alert;
        let saying = Saying { status, starts_at, ends_at, received_at };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        labels::encode(alert.labels.iter().copied(), &mut scratch);
        let known = self.identifier.identify(place.source, &scratch);
        let mut arrival = self.arrival(&saying, &known, seq, place, steps, report);
        let shard = shard_of(&self.placement, known.group, parts.len());
        if !self.fold(&arrival, shard, parts)
            && let Some(part) = parts.get_mut(shard)
        {
            arrival.labels = part.store(&scratch);
            if status == Status::Firing {
                scratch.clear();
                labels::encode(alert.annotations.iter().copied(), &mut scratch);
                arrival.rest = part.store_rest(&scratch, alert.generator_url.unwrap_or_default());
            }
            self.push(arrival, shard, part);
        }
        self.scratch = scratch;
    }

    /// Routes an alert of the scanner; its texts stay where they are, in the `record` that begins at `start` in the chunk.
    /// `sight`: what the table said of its label text, if it was asked.
    ///
    /// # Errors
    /// Its labels are beyond the limits.
    #[expect(
        clippy::too_many_arguments,
        reason = "the borrowed halves of one chunk; a struct would only name them again"
    )]
    #[inline]
    pub(super) fn route_scanned<K>(
        &mut self,
        alert: &ScannedAlert<K>,
        sight: Option<&Sight>,
        record: &[u8],
        start: usize,
        seq: Seq,
        place: &Place,
        parts: &mut [Part],
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) -> Result<(), Reject> {
        let fresh;
        let (known, is_new) = match sight.and_then(|sight| sight.known.as_ref()) {
            Some(known) => (known, false),
            None => {
                let text = alert.labels_in(record);
                let hash = sight.map_or_else(|| self.hash(place.source, text), |sight| sight.text);
                fresh = self.identify(hash, text, place.source)?;
                (&fresh.0, fresh.1)
            }
        };
        let ScannedAlert { status, starts_at, ends_at, received_at, .. } = *alert;
        let saying = Saying { status, starts_at, ends_at, received_at };
        let mut arrival = self.arrival(&saying, known, seq, place, steps, report);
        let shard = shard_of(&self.placement, known.group, parts.len());
        if self.fold(&arrival, shard, parts) {
            return Ok(());
        }
        let Some(part) = parts.get_mut(shard) else { return Ok(()) };
        let (from, to) = alert.span;
        arrival.rest = Stretch { start: (start + from) as u32, len: (to - from) as u32 };
        arrival.is_raw = true;
        if is_new {
            arrival.labels = part.store(&self.scratch);
        }
        self.push(arrival, shard, part);
        Ok(())
    }

    /// The hash of the text of a label object.
    #[inline]
    pub(super) fn hash(&self, source: SourceIndex, labels: &[u8]) -> TextHash {
        self.identifier.hash(source, Form::Json, labels)
    }

    /// What is known of a text.
    #[inline]
    pub(super) fn recall(&self, text: TextHash) -> Option<Known> {
        self.identifier.recall(text)
    }

    /// The identity of a label object that the scanner walked over, and whether it is new; then it is left encoded in
    /// `scratch`.
    fn identify(&mut self, hash: TextHash, text: &[u8], source: SourceIndex) -> Result<(Known, bool), Reject> {
        if let Some(known) = self.identifier.recall(hash) {
            return Ok((known, false)); // It came for the first time a moment ago.
        }
        let Self { identifier, labels: reader, scratch, .. } = self;
        let learn = |pairs: &[(&str, &str)]| {
            scratch.clear();
            labels::encode(pairs.iter().copied(), scratch);
            identifier.learn(hash, source, pairs, scratch)
        };
        Ok((reader.read(text, learn)?, true))
    }

    #[inline]
    fn arrival(
        &mut self,
        saying: &Saying,
        known: &Known,
        seq: Seq,
        place: &Place,
        steps: &mut Vec<Step>,
        report: &mut ChunkReport,
    ) -> Arrival {
        let mut time = place.time;
        if place.in_payload {
            time = saying.received_at.or(saying.starts_at).unwrap_or(Timestamp::MIN);
            if time > report.payload_clock {
                report.payload_clock = time;
                steps.push(Step { seq, kind: StepKind::Clock { source: place.source, to: time } });
                self.new_stretch();
            }
        }
        let ends_at = match (place.is_v2, saying.ends_at) {
            (true, None) => ENDS_BY_DEFAULT,
            (true, Some(at)) => at,
            (false, _) => Timestamp::MIN,
        };
        Arrival {
            seq,
            time,
            source: place.source,
            status: saying.status,
            severity: known.severity,
            rule: known.rule,
            fingerprint: known.fingerprint,
            group: known.group,
            starts_at: saying.starts_at.unwrap_or(Timestamp::MIN),
            ends_at,
            count: 1,
            origin: place.origin,
            position: place.position,
            labels: Stretch::default(),
            rest: Stretch::default(),
            is_raw: false,
        }
    }

    #[inline]
    fn push(&mut self, arrival: Arrival, shard: usize, part: &mut Part) {
        if let Some(place) = self.recent.get_mut(fold_place(&arrival)) {
            let (stretch, fingerprint, index) = (self.stretch, arrival.fingerprint, part.arrivals.len() as u32);
            *place = Recent { stretch, fingerprint, shard: shard as u32, index };
        }
        part.arrivals.push(arrival);
    }

    /// Adds the alert to an equal one right before it, if there is one.
    #[inline]
    fn fold(&self, arrival: &Arrival, shard: usize, parts: &mut [Part]) -> bool {
        if !self.folds.get(usize::from(arrival.rule)).is_some_and(|folds| *folds) {
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
}

fn fold_place(arrival: &Arrival) -> usize {
    (arrival.fingerprint.0 >> 32) as usize % FOLD_PLACES
}
