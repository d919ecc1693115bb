//! Looks at a stretch of records before the first of them is routed, so that the waits for what is known of their label
//! texts overlap: the table of known texts is larger than the caches near the core, and one wait is a quarter of a repeat.
//!
//! Where nearly all texts are known, the end of a label object is only guessed, and the guess taken for right until the
//! table has been asked: the texts in it were walked over once, so a text found there is a whole label object. A record
//! with a text that is not found is scanned anew by whoever routes it. Where many are new, nothing is guessed.

use std::ops::Range;

use crate::model::alert::Format;
use crate::pipeline::decode::{ScannedAlert, Scanner};
use crate::pipeline::exchange::router::Router;
use crate::pipeline::identify::{Known, TextHash};
use crate::pipeline::source::SourceIndex;
use crate::pipeline::trap;

/// Alerts after which a stretch ends: more than a core can wait for at once, few enough for the first-level cache.
const STRETCH: usize = 64;

/// Of a stretch, one alert in this many may be new for the next stretch to be guessed.
const NEW_AT_MOST: usize = 8;

/// Alerts of which the memory is kept for the next stretch; one of a body with more gets memory of its own.
const KEPT_SIGHTS: usize = 16 << 10;

/// Records by which fetching is ahead of scanning.
const FETCHED_AHEAD: usize = 2;

/// No record is in hand.
pub(super) const NOBODY: usize = usize::MAX;

/// The records of a stretch.
#[derive(Default)]
pub(super) struct Ahead {
    /// Index in the chunk of the record that the decoder turns to, looking ahead or routing: for the moment after a panic.
    pub(super) hand: usize,
    scanner: Scanner<TextHash>,
    /// Index of its first record in the chunk.
    first: usize,
    records: Vec<Look>,
    /// By alert.
    sights: Vec<Sight>,
    /// Whether ends of label objects were guessed in this stretch.
    guessed: bool,
    /// Whether they will be in the next.
    guesses: bool,
}

/// A record that was looked at.
enum Look {
    /// Where its alerts are.
    Taken(Range<usize>),
    /// The scanner did not take it.
    Refused,
    /// It was not shown to the scanner.
    NotShown,
}

/// What the table says of the label text of an alert.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    pub(super) text: TextHash,
    pub(super) known: Option<Known>,
}

/// What was seen of a record.
pub(super) enum Seen<'a> {
    /// Its alerts, and what the table says of each.
    Alerts(&'a [ScannedAlert<TextHash>], &'a [Sight]),
    /// Guessing does not tell: it must be scanned without.
    Unclear,
    /// The scanner does not take it.
    Other,
}

impl Ahead {
    /// A new chunk begins.
    pub(super) fn begin(&mut self) {
        self.first = 0;
        self.records.clear();
        self.hand = NOBODY;
    }

    /// Makes sure that record `at` of the chunk is looked at, which all before it are. `records`: those from there on, with
    /// the bytes of what is for the scanner.
    #[inline]
    pub(super) fn reach<'a, I>(&mut self, at: usize, router: &Router, source: SourceIndex, records: impl FnOnce() -> I)
    where
        I: Iterator<Item = (Format, Option<&'a [u8]>)> + Clone,
    {
        if at >= self.first + self.records.len() {
            self.first = at;
            self.look(router, source, records());
        }
    }

    fn look<'a>(
        &mut self,
        router: &Router,
        source: SourceIndex,
        records: impl Iterator<Item = (Format, Option<&'a [u8]>)> + Clone,
    ) {
        let guesses = self.guesses;
        self.guessed = guesses;
        self.scanner.clear();
        self.records.clear();
        if self.sights.capacity() > KEPT_SIGHTS {
            self.sights = Vec::new();
        }
        self.sights.clear();
        let mut coming = records.clone().skip(FETCHED_AHEAD);
        for (format, bytes) in records.clone() {
            if let Some((_, Some(bytes))) = coming.next() {
                Scanner::<TextHash>::fetch(bytes);
            }
            if self.scanner.alerts().len() >= STRETCH || self.records.len() >= STRETCH {
                break;
            }
            self.hand = self.first + self.records.len();
            trap::step(trap::Stage::Scan, || bytes.unwrap_or_default().to_vec());
            let hash = |labels: &[u8]| guesses.then(|| router.hash(source, labels));
            self.records.push(match bytes.map(|bytes| self.scanner.scan_on(format, bytes, hash)) {
                Some(Some(alerts)) => Look::Taken(alerts),
                Some(None) => Look::Refused,
                None => Look::NotShown,
            });
        }
        let alerts = self.scanner.alerts();
        for ((at, look), (_, bytes)) in (self.first..).zip(&self.records).zip(records) {
            let (Look::Taken(range), Some(bytes)) = (look, bytes) else { continue };
            self.hand = at;
            let texts = alerts
                .get(range.clone())
                .unwrap_or_default()
                .iter()
                .map(|alert| alert.known.unwrap_or_else(|| router.hash(source, alert.labels_in(bytes))));
            self.sights.extend(texts.map(|text| Sight { text, known: None }));
        }
        self.hand = NOBODY;
        // One look does not wait for the one before.
        for sight in &mut self.sights {
            sight.known = router.recall(sight.text);
        }
        let n_refused = self.records.iter().filter(|look| matches!(look, Look::Refused)).count();
        let n_new = self.sights.iter().filter(|sight| sight.known.is_none()).count() + n_refused;
        self.guesses = n_new * NEW_AT_MOST <= self.sights.len();
    }

    /// What was seen of record `at` of the chunk.
    #[inline]
    pub(super) fn seen(&self, at: usize) -> Seen<'_> {
        let range = match self.records.get(at - self.first) {
            Some(Look::Taken(range)) => range,
            Some(Look::Refused) if self.guessed => return Seen::Unclear,
            _ => return Seen::Other,
        };
        let alerts = self.scanner.alerts().get(range.clone()).unwrap_or_default();
        let sights = self.sights.get(range.clone()).unwrap_or_default();
        let is_open =
            |(alert, sight): (&ScannedAlert<TextHash>, &Sight)| alert.known.is_some() && sight.known.is_none();
        if alerts.iter().zip(sights).any(is_open) { Seen::Unclear } else { Seen::Alerts(alerts, sights) }
    }

    /// Whether ends of label objects are guessed in the next stretch.
    #[cfg(test)]
    pub(super) const fn guesses_ends(&self) -> bool {
        self.guesses
    }
}
