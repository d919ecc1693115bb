//! Due times of one clock, earliest first. Files and pops in amortised O(log n); repeats never touch it.
//!
//! A ticket is not a timer of its own: whoever pops it looks at the real deadline, which repeats may have moved on, and
//! files the ticket again. So each object has at most one valid ticket, and a stale one does no harm.
//! Far tickets wait unsorted in buckets, so that no single large array has to grow by doubling.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::model::time::Timestamp;

/// log2 of a bucket's length in milliseconds: about 16 s.
const BUCKET_BITS: u32 = 14;

/// What a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TicketKind {
    /// A held alert leaves the threshold's time.
    Hold,
    /// A member may have to be resolved or forgotten.
    Member,
    /// A window may have to close.
    Window,
    /// An emission may be due.
    Report,
    /// A resolved group may leave the state.
    Retire,
}

/// A reminder to look at an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) due: Timestamp,
    pub(crate) kind: TicketKind,
    pub(crate) slot: u32,
}

/// The tickets of one clock.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    near: BinaryHeap<Reverse<Ticket>>,
    far: BTreeMap<i64, Vec<Ticket>>,
    /// Buckets up to and including this one are in `near`.
    opened: Option<i64>,
}

impl Timers {
    pub(crate) fn file(&mut self, ticket: Ticket) {
        if ticket.due == Timestamp::MAX {
            return; // Never due.
        }
        let bucket = ticket.due.0 >> BUCKET_BITS;
        if self.opened.is_some_and(|opened| bucket <= opened) {
            self.near.push(Reverse(ticket));
        } else {
            self.far.entry(bucket).or_default().push(ticket);
        }
    }

    /// The earliest due time, if it is not after `now`.
    pub(crate) fn next_due(&mut self, now: Timestamp) -> Option<Timestamp> {
        while let Some(entry) = self.far.first_entry() {
            let starts = *entry.key();
            let needed = starts <= now.0 >> BUCKET_BITS
                && self.near.peek().is_none_or(|top| top.0.due.0 >> BUCKET_BITS >= starts);
            if !needed {
                break;
            }
            self.opened = Some(starts);
            self.near.extend(entry.remove().into_iter().map(Reverse));
        }
        self.near.peek().map(|top| top.0.due).filter(|due| *due <= now)
    }

    /// Takes the earliest ticket that is due at `now`.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Ticket> {
        self.next_due(now)?;
        self.near.pop().map(|ticket| ticket.0)
    }

    /// Bytes held by tickets.
    pub(crate) fn bytes(&self) -> usize {
        let far: usize = self.far.values().map(Vec::capacity).sum();
        (self.near.capacity() + far) * size_of::<Ticket>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.near.is_empty() && self.far.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pops_in_order_whatever_was_filed_when(steps in prop::collection::vec((0_i64..200_000, 0_i64..30_000), 1..200)) {
            let mut timers = Timers::default();
            let mut model: Vec<i64> = Vec::new();
            let mut now = 0;
            for (slot, (due, advance)) in steps.into_iter().enumerate() {
                timers.file(Ticket { due: Timestamp(due), kind: TicketKind::Member, slot: slot as u32 });
                model.push(due);
                now += advance;
                while let Some(ticket) = timers.pop(Timestamp(now)) {
                    let first = *model.iter().min().unwrap();
                    prop_assert_eq!(ticket.due.0, first);
                    model.remove(model.iter().position(|due| *due == first).unwrap());
                }
                prop_assert!(model.iter().all(|due| *due > now));
            }
            prop_assert_eq!(timers.is_empty(), model.is_empty());
        }
    }
}
