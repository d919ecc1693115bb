//! Our clock against that of the brokers, and record times from the future.
//!
//! The end of a transaction is marked in the log by the partition's leader, with the leader's clock. Readers never see the
//! mark, but a lookup by time finds it: so the time of the mark is searched for by halving, and compared with the
//! span of our clock in which it must have been written. That span is the uncertainty.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, listed, time};
use crate::cli::doctor::kafka::ear::Ear;
use crate::cli::doctor::kafka::rights::Mark;
use crate::control::config::Kafka;
use crate::model::time::{Clock as _, Millis, Stopwatch, SystemClock, Timestamp};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The mark follows the abort within milliseconds; a busy broker may take longer.
const MARK_WITHIN: Duration = Duration::from_secs(3);
const TURN: Duration = Duration::from_millis(5);
/// A clock that is further off is looked for no more.
const SEARCHED: Millis = Millis::hours(24);

/// Up to 5 s behind counts as caught up: beyond that a source never catches up.
const OFFSET_MAX: Millis = Millis::seconds(5);
/// NTP keeps clocks within milliseconds; this is what somebody should look at.
const OFFSET_SEEN: Millis = Millis::seconds(1);
/// Record times beyond this are from the future, whatever clocks differ by otherwise.
const FUTURE: Millis = Millis::minutes(1);

/// The leader's clock minus ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) offset: Millis,
    /// Plus or minus.
    pub(super) uncertainty: Millis,
}

/// A consumer that sees marks, and asks only.
pub(super) fn lookout(kafka: &Kafka) -> Result<BaseConsumer<Ear>, String> {
    let mut config = kafka.connection.consumer("doctor", &kafka.namespace);
    config.set("isolation.level", "read_uncommitted").set("statistics.interval.ms", "0");
    config.create_with_context(Ear::default()).map_err(|error| error.to_string())
}

/// Compares the clocks by the mark of an aborted transaction.
pub(super) fn measure(lookout: &BaseConsumer<Ear>, mark: &Mark) -> Result<Measured, String> {
    let place = mark.offset + 1;
    let after = mark.after.clone()?;
    let earliest = mark.before - SEARCHED;
    let latest = after + SEARCHED;
    let reaches = |at: Timestamp| first_since(lookout, &mark.topic, at).map(|offset| offset.is_some());
    let at = last_true(earliest, latest, reaches)?.ok_or("the clocks are more than a day apart")?;
    match first_since(lookout, &mark.topic, at)? {
        Some(offset) if offset == place => Ok(compare(mark.before, after, at)),
        _ => Err(format!("{} holds records with later times than that of the mark", mark.topic)),
    }
}

/// Waits for the mark; when it was seen, by our clock.
pub(super) fn wait_for(lookout: &BaseConsumer<Ear>, topic: &str, place: i64) -> Result<Timestamp, String> {
    let watch = Stopwatch::start();
    loop {
        let ends = lookout.fetch_watermarks(topic, 0, REQUEST_TIMEOUT);
        let (_, end) = ends.map_err(|error| error.to_string())?;
        let now = SystemClock.now();
        match end - place {
            1 => return Ok(now),
            2.. => return Err(format!("{topic} is being written to")),
            _ if watch.elapsed() > MARK_WITHIN => return Err(format!("no mark in {topic} so far")),
            _ => std::thread::sleep(TURN),
        }
    }
}

/// The first record of partition 0 with that time or a later one.
fn first_since(lookout: &BaseConsumer<Ear>, topic: &str, at: Timestamp) -> Result<Option<i64>, String> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(at.0.max(0))).map_err(|error| error.to_string())?;
    let found = lookout.offsets_for_times(list, REQUEST_TIMEOUT).map_err(|error| error.to_string())?;
    let element = found.elements().into_iter().next().ok_or("no answer")?;
    element.error().map_err(|error| error.to_string())?;
    Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
}

/// The last time for which `holds`, which is true up to some time and false after it; `None` if it is not that within
/// the bounds.
fn last_true(
    mut low: Timestamp,
    mut high: Timestamp,
    holds: impl Fn(Timestamp) -> Result<bool, String>,
) -> Result<Option<Timestamp>, String> {
    if !holds(low)? || holds(high)? {
        return Ok(None);
    }
    while (high - low).0 > 1 {
        let middle = low + Millis((high - low).0 / 2);
        if holds(middle)? { low = middle } else { high = middle }
    }
    Ok(Some(low))
}

fn compare(before: Timestamp, after: Timestamp, at: Timestamp) -> Measured {
    let half = Millis((after - before).0 / 2);
    // Both clocks are read in whole milliseconds.
    Measured { offset: at - (before + half), uncertainty: Millis(half.0 + 1) }
}

pub(super) fn judge(measured: &Result<Measured, String>) -> Finding {
    let Measured { offset, uncertainty } = match measured {
        Ok(measured) => *measured,
        Err(fault) => {
            return Finding::note(
                Check::BrokerClock,
                format!("not measured: {fault}"),
                "it is compared by the mark of an aborted transaction in the topic of dead letters",
                "run it again at a quieter time; or compare: date, here and on the brokers",
            );
        }
    };
    let direction = if offset.0 < 0 { "behind" } else { "ahead of" };
    let size = Millis(offset.0.abs());
    let shown = (time(size.to_duration()), time(uncertainty.to_duration()));
    let what = format!("the broker's clock is {} {direction} ours, plus or minus {}", shown.0, shown.1);
    let surely = Millis(size.0 - uncertainty.0);
    let why = "record times are the brokers' where topics have log-append time: a source 5 s behind never counts as caught up, \
               and one ahead closes windows early";
    let remedy = "synchronise both: timedatectl set-ntp true, or chrony, here and on the brokers";
    match surely {
        _ if surely > OFFSET_MAX => Finding::problem(Check::BrokerClock, what, why, remedy),
        _ if surely > OFFSET_SEEN => Finding::warning(Check::BrokerClock, what, why, remedy),
        _ if uncertainty > OFFSET_SEEN => {
            Finding::note(Check::BrokerClock, what, why, "run it again at a quieter time")
        }
        _ => Finding::ok(Check::BrokerClock, what),
    }
}

/// Partitions of the input that hold records from the future.
pub(super) fn from_the_future(
    lookout: &BaseConsumer<Ear>,
    inputs: &[(String, i32)],
    now: Timestamp,
) -> Result<Vec<String>, String> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in inputs {
        let offset = Offset::Offset((now + FUTURE).0.max(0));
        list.add_partition_offset(topic, *partition, offset).map_err(|error| error.to_string())?;
    }
    let found = lookout.offsets_for_times(list, REQUEST_TIMEOUT).map_err(|error| error.to_string())?;
    let is_hit = |offset: Offset| offset.to_raw().is_some_and(|raw| raw >= 0);
    let hits = found.elements().into_iter().filter(|element| element.error().is_ok() && is_hit(element.offset()));
    Ok(hits.map(|element| format!("{}/{}", element.topic(), element.partition())).collect())
}

pub(super) fn judge_input_times(found: &Result<Vec<String>, String>, n_partitions: usize) -> Finding {
    match found {
        Ok(places) if places.is_empty() => {
            Finding::ok(Check::InputTimes, format!("no record of {n_partitions} partitions is from the future"))
        }
        Ok(places) => Finding::warning(
            Check::InputTimes,
            format!("records from more than a minute ahead of our clock in {}", listed(places)),
            "with log-append time the broker's clock is ahead; else a sender's: such times are taken as the time of arrival",
            "see broker_clock, or synchronise the senders; message.timestamp.type=LogAppendTime makes the brokers stamp",
        ),
        Err(fault) => Finding::note(
            Check::InputTimes,
            format!("not looked at: {fault}"),
            "record times decide what belongs together",
            "see brokers and topic_reads",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(findings: &[Finding]) -> String {
        findings.iter().map(|one| format!("{} {}\n", one.level.name(), one.what)).collect()
    }

    #[test]
    fn the_time_of_a_mark_is_found_by_halving() {
        for at in [-7_000, -1, 0, 1, 4_321] {
            let found = last_true(Timestamp(-10_000), Timestamp(10_000), |time| Ok(time.0 <= at));
            assert_eq!(found, Ok(Some(Timestamp(at))));
        }
        assert_eq!(last_true(Timestamp(0), Timestamp(9), |_| Ok(true)), Ok(None));
        assert_eq!(last_true(Timestamp(0), Timestamp(9), |_| Ok(false)), Ok(None));
        let measured = compare(Timestamp(1_000), Timestamp(1_010), Timestamp(3_005));
        assert_eq!(measured, Measured { offset: Millis(2_000), uncertainty: Millis(6) });
    }

    #[test]
    fn only_what_is_certain_is_held_against_a_clock() {
        let of = |offset: i64, uncertainty: i64| {
            judge(&Ok(Measured { offset: Millis(offset), uncertainty: Millis(uncertainty) }))
        };
        let found = [of(3, 6), of(-2_000, 10), of(9_000, 20), of(9_000, 8_500), judge(&Err("no mark".to_owned()))];
        insta::assert_snapshot!(shown(&found), @"
        ok the broker's clock is 3.0 ms ahead of ours, plus or minus 6.0 ms
        warning the broker's clock is 2.0 s behind ours, plus or minus 10 ms
        problem the broker's clock is 9.0 s ahead of ours, plus or minus 20 ms
        note the broker's clock is 9.0 s ahead of ours, plus or minus 8.5 s
        note not measured: no mark
        ");
    }

    #[test]
    fn records_from_the_future_are_named() {
        let found = [
            judge_input_times(&Ok(Vec::new()), 12),
            judge_input_times(&Ok(vec!["alerts/3".to_owned()]), 12),
            judge_input_times(&Err("timed out".to_owned()), 12),
        ];
        insta::assert_snapshot!(shown(&found), @"
        ok no record of 12 partitions is from the future
        warning records from more than a minute ahead of our clock in alerts/3
        note not looked at: timed out
        ");
    }
}
