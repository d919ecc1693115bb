//! A shard while memory is short: which new alerts it folds away, what it says of them, which samples it does not keep, which
//! groups it lets go.
//!
//! What is folded away leaves no entry: it is counted, exactly, and its distinct fingerprints are estimated. A shard hands its
//! counts on with each move of the wall clock and at the end of the epoch; they add up to the same whatever the number of shards and
//! wherever epochs end. Level 2 owns the incidents (`correlate::own`).

use crate::model::alert::{Severity, Status};
use crate::model::incident::Counts;
use crate::model::labels;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Arrival, Part, Seq};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::pressure::sketch::Sketch;
use crate::pipeline::pressure::{Level, Pressure};
use crate::pipeline::shard::Shard;
use crate::pipeline::shard::event::{Order, Out, Own, OwnEvent, Reason};
use crate::pipeline::source::SourceIndex;

/// What was folded away of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Alerts.
    pub counts: Counts,
    /// Record time of the first.
    pub first_seen: Timestamp,
    /// Record time of the last.
    pub last_seen: Timestamp,
    /// Their fingerprints.
    pub distinct: Sketch,
}

impl Default for Share {
    fn default() -> Self {
        let (first_seen, last_seen) = (Timestamp::MAX, Timestamp::MIN);
        Self { counts: Counts::default(), first_seen, last_seen, distinct: Sketch::default() }
    }
}

impl Share {
    fn add(&mut self, arrival: &Arrival, n: u64) {
        self.counts.add(arrival.severity, Status::Firing, n);
        self.first_seen = self.first_seen.min(arrival.time);
        self.last_seen = self.last_seen.max(arrival.time);
        self.distinct.note(arrival.fingerprint.0 as u64);
    }

    /// Adds another share of the same source.
    pub fn merge(&mut self, other: &Self) {
        self.counts.alerts += other.counts.alerts;
        self.counts.severity.iter_mut().zip(other.counts.severity).for_each(|(sum, n)| *sum += n);
        self.counts.status.iter_mut().zip(other.counts.status).for_each(|(sum, n)| *sum += n);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.distinct.merge(&other.distinct);
    }
}

impl Shard {
    /// The pressure of a restored state, before anything is loaded.
    pub fn set_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
    }

    /// Memory got shorter, or longer.
    pub(super) fn press(&mut self, pressure: &Pressure, seq: Seq, at: Timestamp, out: &mut Out) {
        let order = Order { seq, by_alert: false, due: Timestamp::MAX }; // After the timers of the same number.
        Self::hand_over(order, out);
        let begins_to_evict = self.pressure.level < Level::Evict && pressure.level >= Level::Evict;
        self.pressure = pressure.clone();
        self.overflowing.retain(|source| pressure.folds(*source));
        out.own.push(OwnEvent { order, what: Own::Pressure { pressure: pressure.clone(), at } });
        if begins_to_evict {
            // Their tickets are due by now: they leave with the next move of a clock.
            (0..self.groups.len() as u32).for_each(|slot| self.file_retire(slot));
        }
    }

    /// The wall clock moved while alerts are folded away: level 2 may tell of them.
    pub(super) fn tick_overflow(&self, seq: Seq, at: Timestamp, out: &mut Out) {
        if self.pressure.level >= Level::Fold {
            let order = Order { seq, by_alert: false, due: at };
            Self::hand_over(order, out);
            out.own.push(OwnEvent { order, what: Own::Tick { at } });
        }
    }

    fn hand_over(order: Order, out: &mut Out) {
        for (index, share) in out.shares.iter_mut().enumerate() {
            if let Some(share) = share.take() {
                let source = SourceIndex(index as u8);
                out.own.push(OwnEvent { order, what: Own::Folded { source, share } });
            }
        }
    }

    /// Whether a new alert is one of those that are folded away now.
    pub(super) fn overflows(&self, part: &Part, arrival: &Arrival) -> bool {
        self.pressure.may_fold(arrival.source, arrival.severity)
            && self.pressure.only_with().is_none_or(|label| labels::get(&part.labels(arrival), label).is_some())
    }

    /// Counts an alert that is folded away.
    pub(super) fn overflow(&mut self, arrival: &Arrival, out: &mut Out) {
        let source = arrival.source;
        let mut n = u64::from(arrival.count);
        out.overflowed += n;
        Self::count(out, arrival, Outcome::Folded, Reason::Overflow, n, None);
        if !self.overflowing.contains(&source) {
            // The first of this shard goes with its place: the first of all shards opens the incident. It goes alone, because
            // how many repeats were folded into it depends on where batches end.
            self.overflowing.push(source);
            let mut share = Box::new(Share::default());
            share.add(arrival, 1);
            let order = Order { seq: arrival.seq, by_alert: true, due: Timestamp::MIN };
            let what = Own::First { source, share, origin: arrival.origin, position: arrival.position };
            out.own.push(OwnEvent { order, what });
            n -= 1;
        }
        if n > 0
            && let Some(share) = out.shares.get_mut(usize::from(source.0))
        {
            share.get_or_insert_default().add(arrival, n);
        }
    }

    /// Whether a sample of an alert of this severity is kept in a group: always of what is critical.
    pub(super) fn keeps_samples(&self, severity: Severity, group: u32) -> bool {
        self.pressure.level < Level::PauseHeaviest
            || severity == Severity::Critical
            || self.group(group).is_some_and(|group| group.severity_max == Severity::Critical)
    }

    /// Whether resolved groups leave before `reopen` ends.
    pub(super) fn evicts(&self) -> bool {
        self.pressure.level >= Level::Evict
    }
}
