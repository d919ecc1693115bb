//! Who brings new label sets, and which label makes them new: distinct values of every label name within a minute, about.
//!
//! Only a label text seen for the first time is looked at, so a repeat costs nothing. A decoder gathers for itself, and puts what
//! it has into the board, which all share, every few hundred texts. Minutes are those of the chunks' wall clock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::time::Timestamp;
use crate::pipeline::pressure::sketch::Sketch;
use crate::pipeline::source::SourceIndex;

/// Names looked at for each source: as many as an alert may have labels. Names beyond are a bomb of names, not of values, and
/// the count of texts tells of it.
const NAMES_MAX: usize = 64;
/// New texts after which a decoder tells the board: some ten times a second in a flood of them.
const TELL_AFTER: u64 = 512;
/// A minute.
const MINUTE: i64 = 60_000;

/// What is new in one minute, by source.
#[derive(Clone, Debug, Default)]
struct Minute {
    number: i64,
    sources: Vec<OfSource>,
}

#[derive(Clone, Debug, Default)]
struct OfSource {
    texts: u64,
    /// In the order in which names came.
    labels: Vec<(Box<[u8]>, Sketch)>,
}

impl OfSource {
    /// The sketch of a name; most sets have the same names in the same order, so it is looked for at its place first.
    #[inline]
    fn sketch(&mut self, place: usize, name: &[u8]) -> Option<&mut Sketch> {
        let is_there = self.labels.get(place).is_some_and(|(known, _)| **known == *name);
        let at = if is_there { Some(place) } else { self.labels.iter().position(|(known, _)| **known == *name) };
        let at = match at {
            Some(at) => at,
            None if self.labels.len() >= NAMES_MAX => return None,
            None => {
                self.labels.push((name.into(), Sketch::default()));
                self.labels.len() - 1
            }
        };
        self.labels.get_mut(at).map(|(_, sketch)| sketch)
    }
}

impl Minute {
    fn begin(&mut self, number: i64) {
        self.number = number;
        self.sources.iter_mut().for_each(|source| {
            source.texts = 0;
            source.labels.iter_mut().for_each(|(_, sketch)| sketch.clear());
        });
    }

    fn source(&mut self, source: SourceIndex) -> Option<&mut OfSource> {
        let at = usize::from(source.0);
        if at >= self.sources.len() {
            self.sources.resize_with(at + 1, OfSource::default);
        }
        self.sources.get_mut(at)
    }
}

/// What one decoder has seen.
#[derive(Debug, Default)]
pub struct Novelty {
    minute: Minute,
    /// Texts since the board was told.
    untold: u64,
}

impl Novelty {
    /// A text comes for the first time: its labels follow.
    #[inline]
    pub fn begin_text(&mut self, source: SourceIndex) {
        self.untold += 1;
        if let Some(source) = self.minute.source(source) {
            source.texts += 1;
        }
    }

    /// A label of it: the `place`-th, with the hash of name and value.
    #[inline]
    pub fn note(&mut self, source: SourceIndex, place: usize, name: &[u8], hash: u64) {
        if let Some(sketch) = self.minute.source(source).and_then(|source| source.sketch(place, name)) {
            sketch.note(hash);
        }
    }

    /// To be called after each chunk. `at_once`: an epoch ends.
    pub fn tell(&mut self, board: &NoveltyBoard, wall: Timestamp, at_once: bool) {
        if self.untold == 0 || !at_once && self.untold < TELL_AFTER {
            return;
        }
        self.untold = 0;
        let number = wall.0.div_euclid(MINUTE);
        board.lock().take(number, &mut self.minute);
        if self.minute.number != number {
            self.minute.begin(number);
        }
    }
}

/// What is new, over all decoders.
#[derive(Debug, Default)]
pub struct NoveltyBoard(Mutex<Board>);

#[derive(Debug, Default)]
struct Board {
    now: Minute,
    /// New texts of the minute before, by source.
    before: Vec<u64>,
}

/// What a source has brought that is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// New label texts in this minute and the one before.
    pub texts: u64,
    /// Distinct values of each label name in this minute, about; the largest first.
    pub values: Vec<(Box<str>, u64)>,
}

impl Board {
    /// Adds what a decoder has seen since it told last; the sketches stay with it, merging twice does no harm.
    fn take(&mut self, number: i64, from: &mut Minute) {
        if number > self.now.number {
            let is_next = number == self.now.number + 1;
            self.before = self.now.sources.iter().map(|source| if is_next { source.texts } else { 0 }).collect();
            self.now.begin(number);
        }
        // What was gathered over a change of the minute counts for the new one: it is at most a few hundred texts more.
        for (index, seen) in from.sources.iter_mut().enumerate() {
            let Some(known) = self.now.source(SourceIndex(index as u8)) else { continue };
            known.texts += std::mem::take(&mut seen.texts);
            if from.number != number {
                continue; // Its values are mostly those of an earlier minute.
            }
            for (place, (name, sketch)) in seen.labels.iter().enumerate() {
                if let Some(known) = known.sketch(place, name) {
                    known.merge(sketch);
                }
            }
        }
    }
}

impl NoveltyBoard {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each source has brought, by index; of a minute that is over only while nothing new came since.
    #[must_use]
    pub fn read(&self, wall: Timestamp) -> Vec<Brought> {
        let board = self.lock();
        let age = wall.0.div_euclid(MINUTE) - board.now.number;
        let of = |(index, source): (usize, &OfSource)| {
            let before = if age <= 0 { board.before.get(index).copied().unwrap_or(0) } else { 0 };
            if age > 1 {
                return Brought::default();
            }
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned().into_boxed_str();
            let mut values: Vec<(Box<str>, u64)> =
                source.labels.iter().map(|(name, sketch)| (text(name), sketch.estimate())).collect();
            values.sort_by(|(name, n), (other, m)| m.cmp(n).then_with(|| name.cmp(other)));
            Brought { texts: source.texts + before, values }
        };
        board.now.sources.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn hash(text: &str) -> u64 {
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }

    fn see(novelty: &mut Novelty, source: u8, labels: &[(&str, &str)]) {
        novelty.begin_text(SourceIndex(source));
        for (place, (name, value)) in labels.iter().enumerate() {
            novelty.note(SourceIndex(source), place, name.as_bytes(), hash(&format!("{name}={value}")));
        }
    }

    const NOW: Timestamp = Timestamp(600_000);

    #[test]
    fn the_label_with_most_values_comes_first_over_all_decoders() {
        let board = NoveltyBoard::default();
        let mut decoders = [Novelty::default(), Novelty::default()];
        decoders.iter_mut().for_each(|decoder| decoder.tell(&board, NOW, true));
        for n in 0..4_000 {
            let (id, zone) = (format!("{n}"), format!("z{}", n % 7));
            let decoder = &mut decoders[n % 2];
            see(decoder, 1, &[("alertname", "A"), ("zone", &zone), ("request_id", &id)]);
            decoder.tell(&board, NOW, n < 2); // The first tell begins the minute.
        }
        decoders.iter_mut().for_each(|decoder| decoder.tell(&board, NOW, true));
        let read = board.read(NOW);
        assert_eq!((read[0].clone(), read[1].texts), (Brought::default(), 4_000));
        let (name, values) = &read[1].values[0];
        assert!(**name == *"request_id" && (3_700..4_300).contains(values), "{:?}", read[1]);
        assert_eq!(read[1].values[1..], [("zone".into(), 7), ("alertname".into(), 1)]);
        assert_eq!(board.read(NOW + crate::model::time::Millis::minutes(2))[1], Brought::default(), "it is over");
    }

    #[test]
    fn a_minute_begins_with_nothing_and_remembers_how_much_there_was() {
        let (board, mut decoder) = (NoveltyBoard::default(), Novelty::default());
        let later = Timestamp(NOW.0 + MINUTE);
        see(&mut decoder, 0, &[("a", "0")]);
        decoder.tell(&board, NOW, true);
        for n in 0..100 {
            see(&mut decoder, 0, &[("a", &n.to_string())]);
        }
        decoder.tell(&board, NOW, false);
        assert_eq!(board.read(NOW)[0].texts, 1, "the board is told every few hundred texts, or with an epoch");
        decoder.tell(&board, NOW, true);
        assert!((95..105).contains(&board.read(NOW)[0].values[0].1));
        see(&mut decoder, 0, &[("a", "x")]);
        decoder.tell(&board, later, true);
        see(&mut decoder, 0, &[("a", "y")]);
        decoder.tell(&board, later, true);
        assert_eq!(board.read(later), [Brought { texts: 103, values: vec![("a".into(), 1)] }]);
    }

    #[test]
    fn names_are_bounded() {
        let (board, mut decoder) = (NoveltyBoard::default(), Novelty::default());
        for n in 0..1_000 {
            see(&mut decoder, 0, &[(format!("name_{n}").as_str(), "v")]);
        }
        decoder.tell(&board, NOW, true);
        assert_eq!(decoder.minute.sources[0].labels.len(), NAMES_MAX);
        assert_eq!(board.read(NOW)[0].texts, 1_000);
    }
}
