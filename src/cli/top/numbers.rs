//! What a row of samples says: rates over the last seconds, and histories for plots. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::control::pulse::Sample;
use crate::model::Timestamp;
use crate::model::time::Millis;
use crate::pipeline::outcome::Outcome;

/// Rates are means over this time, as those of the groups are.
const OVER: Millis = Millis::seconds(10);
/// A hole in the samples that is longer than this is shown as one.
const HOLE: Millis = Millis::seconds(5);

/// Rates now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Numbers {
    /// The time that they are means of; 0 while there is only one sample.
    pub(super) over_seconds: f64,
    pub(super) received_per_second: f64,
    pub(super) outcomes_per_second: BTreeMap<String, f64>,
    pub(super) incident_events_per_second: f64,
    pub(super) records_per_second: f64,
    pub(super) bytes_per_second: f64,
    pub(super) dead_letters_per_second: f64,
    pub(super) refused_per_second: f64,
    pub(super) epochs_per_second: f64,
    /// Attempts at an epoch that failed, in that time.
    pub(super) epochs_troubled: f64,
    /// Mean time of a commit; absent if there was none.
    pub(super) commit_seconds: Option<f64>,
    /// Share of the time in which writers waited for a full queue.
    pub(super) blocked_percent: f64,
    /// Of one processor.
    pub(super) cpu_percent: f64,
}

/// What grew between two samples; a total that fell began anew.
fn growth(before: f64, after: f64) -> f64 {
    (after - before).max(0.0)
}

impl Numbers {
    /// Reads the end of a row of samples, oldest first.
    pub(super) fn read(samples: &[Sample]) -> Self {
        let Some(last) = samples.last() else { return Self::default() };
        let from = last.at - OVER;
        let base = samples.iter().rev().find(|sample| sample.at <= from).or_else(|| samples.first());
        let Some(base) = base.filter(|base| base.at < last.at) else { return Self::default() };
        let seconds = (last.at - base.at).0 as f64 / 1_000.0;
        let per_second = |read: fn(&Sample) -> f64| growth(read(base), read(last)) / seconds;
        let outcomes = Outcome::ALL.map(|outcome| {
            let of = |sample: &Sample| sample.outcomes.get(outcome.name()).copied().unwrap_or(0.0);
            (outcome.name().to_owned(), growth(of(base), of(last)) / seconds)
        });
        let epochs = growth(base.epochs, last.epochs);
        let commit = growth(base.commit_seconds, last.commit_seconds);
        Self {
            over_seconds: seconds,
            received_per_second: per_second(|sample| sample.received),
            outcomes_per_second: outcomes.into(),
            incident_events_per_second: per_second(events),
            records_per_second: per_second(|sample| sample.records),
            bytes_per_second: per_second(|sample| sample.bytes),
            dead_letters_per_second: per_second(|sample| sample.dead_letters),
            refused_per_second: per_second(|sample| sample.refused),
            epochs_per_second: epochs / seconds,
            epochs_troubled: growth(base.epochs_troubled, last.epochs_troubled),
            commit_seconds: (epochs > 0.0).then(|| commit / epochs),
            blocked_percent: per_second(|sample| sample.blocked_seconds) * 100.0,
            cpu_percent: per_second(|sample| sample.cpu_seconds) * 100.0,
        }
    }
}

/// Incident events of all kinds.
pub(super) fn events(sample: &Sample) -> f64 {
    sample.events.values().sum()
}

/// The history of a total as a rate per second, one value per column of `every`, newest last; `None` where nothing is
/// known. Columns begin at whole multiples of `every`, so that they do not change while they move to the left.
pub(super) fn rates(
    samples: &[Sample],
    every: Millis,
    columns: usize,
    read: impl Fn(&Sample) -> f64,
) -> Vec<Option<f64>> {
    let known = samples.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        let span = after.at - before.at;
        let is_steady = span > Millis::ZERO && span <= HOLE;
        is_steady.then(|| (after.at, growth(read(before), read(after)), span.0 as f64 / 1_000.0))
    });
    let sums = gather(samples, every, columns, known.map(|(at, grown, seconds)| (at, (grown, seconds))));
    sums.into_iter().map(|(grown, seconds)| (seconds > 0.0).then(|| grown / seconds)).collect()
}

/// The history of a gauge: its largest value in each column.
pub(super) fn levels(
    samples: &[Sample],
    every: Millis,
    columns: usize,
    read: impl Fn(&Sample) -> f64,
) -> Vec<Option<f64>> {
    let mut levels = vec![None; columns];
    for sample in samples {
        if let Some(level) = place(samples, every, columns, sample.at).and_then(|at| levels.get_mut(at)) {
            *level = Some(level.map_or(read(sample), |known: f64| known.max(read(sample))));
        }
    }
    levels
}

fn gather(
    samples: &[Sample],
    every: Millis,
    columns: usize,
    values: impl Iterator<Item = (Timestamp, (f64, f64))>,
) -> Vec<(f64, f64)> {
    let mut sums = vec![(0.0, 0.0); columns];
    for (at, (grown, seconds)) in values {
        if let Some(sum) = place(samples, every, columns, at).and_then(|at| sums.get_mut(at)) {
            sum.0 += grown;
            sum.1 += seconds;
        }
    }
    sums
}

/// The column of a time; the newest sample is in the last one.
fn place(samples: &[Sample], every: Millis, columns: usize, at: Timestamp) -> Option<usize> {
    let newest = samples.last()?.at.0.div_euclid(every.0);
    let back = usize::try_from(newest - at.0.div_euclid(every.0)).ok()?;
    columns.checked_sub(back + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: i64, received: f64) -> Sample {
        let outcomes = [("folded".to_owned(), received * 0.9), ("opened".to_owned(), received * 0.1)].into();
        Sample {
            at: Timestamp::default() + Millis::seconds(second),
            received,
            outcomes,
            epochs: received / 10.0,
            commit_seconds: received / 10_000.0,
            cpu_seconds: second as f64 / 4.0,
            open_incidents: received,
            ..Sample::default()
        }
    }

    #[test]
    fn rates_are_means_of_the_last_ten_seconds() {
        let mut samples: Vec<Sample> = (0..60).map(|second| sample(second, 0.0)).collect();
        samples.extend((0..=10).map(|second| sample(60 + second, 100.0 * second as f64)));
        let numbers = Numbers::read(&samples);
        assert_eq!((numbers.over_seconds, numbers.received_per_second), (10.0, 100.0));
        assert_eq!(numbers.outcomes_per_second.get("folded").map(|rate| rate.round()), Some(90.0));
        assert_eq!(numbers.outcomes_per_second.len(), Outcome::ALL.len());
        assert_eq!((numbers.epochs_per_second, numbers.commit_seconds), (10.0, Some(0.001)));
        assert_eq!(numbers.cpu_percent, 25.0);
        assert_eq!(Numbers::read(&[]), Numbers::default());
        assert_eq!(Numbers::read(&[sample(1, 5.0)]).over_seconds, 0.0);
    }

    #[test]
    fn a_total_that_begins_anew_is_no_negative_rate() {
        assert_eq!(Numbers::read(&[sample(0, 500.0), sample(1, 20.0)]).received_per_second, 0.0);
    }

    #[test]
    fn histories_stand_in_columns_that_do_not_move_between_each_other() {
        let total = |sample: &Sample| sample.received;
        let samples: Vec<Sample> = (1..=5).map(|second| sample(second, 10.0 * second as f64)).collect();
        let two = Millis::seconds(2);
        assert_eq!(rates(&samples, two, 4, total), [None, None, Some(10.0), Some(10.0)]);
        assert_eq!(levels(&samples, two, 4, total), [None, Some(10.0), Some(30.0), Some(50.0)]);
        // A hole is shown as one, not as a slow rise.
        let samples = [sample(0, 0.0), sample(1, 10.0), sample(20, 30.0), sample(21, 30.0)];
        assert_eq!(rates(&samples, Millis::seconds(10), 3, total), [Some(10.0), None, Some(0.0)]);
        assert_eq!(rates(&samples, two, 0, total), []);
    }
}
