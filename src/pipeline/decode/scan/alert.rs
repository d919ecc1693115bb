//! One alert object of a marked text: where its labels are, and the few fields that decide its fate.

use crate::model::alert::Status;
use crate::model::time::Timestamp;
use crate::pipeline::decode::fields::{Dialect, usable_time};
use crate::pipeline::decode::scan::times::Times;
use crate::pipeline::decode::scan::walk::{Span, Walk};

/// What the hot path needs of an alert; everything else stays in the record until somebody asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannedAlert<K> {
    /// What is known of the text of its labels, if it was recalled.
    pub known: Option<K>,
    /// Where the object is in the record.
    pub span: Span,
    /// Where its labels are in the record, with the braces. An object of texts, not empty, its limits not looked at.
    pub labels: Span,
    /// What the alert says of itself, as in `AlertView`.
    pub status: Status,
    /// As in `AlertView`.
    pub starts_at: Option<Timestamp>,
    /// As in `AlertView`.
    pub ends_at: Option<Timestamp>,
    /// As in `AlertView`.
    pub received_at: Option<Timestamp>,
    /// As in `AlertView`.
    pub unusable_times: u8,
}

impl<K> ScannedAlert<K> {
    /// The text of its labels in the record it was scanned from.
    #[inline]
    #[must_use]
    pub fn labels_in<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        record.get(self.labels.0..self.labels.1).unwrap_or_default()
    }
}

/// The known names; each may come once.
const LABELS: u8 = 1;
const STATUS: u8 = 2;
const STARTS_AT: u8 = 4;
const ENDS_AT: u8 = 8;
const RECEIVED_AT: u8 = 16;
const OTHERS_READ: [(&[u8], u8); 2] = [(b"annotations", 32), (b"generatorURL", 64)];

/// What alerts are read with.
pub(super) struct Reading<'a, R> {
    /// Says what is known of the text of a label object that was read before.
    pub(super) recall: R,
    pub(super) times: &'a mut Times,
}

/// Takes an alert, which must come next.
pub(super) fn alert<K>(
    walk: &mut Walk<'_>,
    dialect: Dialect,
    reading: &mut Reading<'_, impl FnMut(&[u8]) -> Option<K>>,
) -> Option<ScannedAlert<K>> {
    walk.peek()?;
    let start = walk.at();
    walk.expect(b'{')?;
    let mut seen = 0;
    let mut once = |field: u8| {
        let is_first = seen & field == 0;
        seen |= field;
        is_first.then_some(())
    };
    let (mut labels, mut known) = (None, None);
    let (mut starts_at, mut ends_at, mut received_at) = Default::default();
    let mut status = Status::Firing;
    let mut unusable_times = 0;
    loop {
        let name = walk.string()?;
        walk.expect(b':')?;
        match walk.bytes(name) {
            b"labels" => {
                once(LABELS)?;
                walk.peek()?;
                let guess = walk.guess_texts();
                known = guess.as_ref().and_then(|guess| (reading.recall)(walk.bytes(guess.span)));
                labels = match guess.filter(|_| known.is_some()) {
                    // Only what was walked over is ever recalled, so this is a whole object, and nothing longer is.
                    Some(guess) => {
                        walk.pass(&guess);
                        Some(guess.span)
                    }
                    None => Some(walk.texts()?),
                };
            }
            b"status" if dialect.has_status => {
                once(STATUS)?;
                status = self::status(walk)?;
            }
            b"startsAt" => {
                once(STARTS_AT)?;
                starts_at = time(walk, reading.times, &mut unusable_times)?;
            }
            b"endsAt" => {
                once(ENDS_AT)?;
                ends_at = time(walk, reading.times, &mut unusable_times)?.filter(|_| dialect.keeps_ends_at);
            }
            b"receivedAt" if dialect.has_received_at => {
                once(RECEIVED_AT)?;
                received_at = time(walk, reading.times, &mut unusable_times)?;
            }
            other => {
                if let Some((_, field)) = OTHERS_READ.iter().find(|(known, _)| *known == other) {
                    once(*field)?;
                } else if other.contains(&b'\\') {
                    return None; // It may be one of the names above, written in another way.
                }
                walk.value()?;
            }
        }
        match walk.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    let (span, labels) = ((start, walk.at()), labels?);
    Some(ScannedAlert { known, span, labels, status, starts_at, ends_at, received_at, unusable_times })
}

#[inline]
fn status(walk: &mut Walk<'_>) -> Option<Status> {
    if walk.peek()? == b'n' {
        walk.word(b"null")?;
        return Some(Status::Firing);
    }
    let text = walk.string()?;
    match walk.bytes(text) {
        b"firing" => Some(Status::Firing),
        b"resolved" => Some(Status::Resolved),
        _ => None,
    }
}

/// A time, or `null`; `Some(None)` where there is none or it cannot be used.
#[inline]
fn time(walk: &mut Walk<'_>, times: &mut Times, unusable: &mut u8) -> Option<Option<Timestamp>> {
    if walk.peek()? == b'n' {
        walk.word(b"null")?;
        return Some(None);
    }
    let text = walk.string()?;
    let text = walk.bytes(text);
    let time = times.read(text);
    if time.is_none() && text.contains(&b'\\') {
        return None; // It may be a time, written in another way.
    }
    Some(usable_time(time, unusable))
}
