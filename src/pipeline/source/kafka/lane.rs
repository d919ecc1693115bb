//! One lane per partition: how far it was read, its clock, whether it is idle; and which lanes may go on.
//!
//! Alignment: in a backlog no partition runs more than a few seconds of record time ahead of the slowest, so that groups
//! whose alerts lie in several partitions are not torn. Waiting costs nothing: what was fetched stays in its own queue.

use crate::model::alert::Format;
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::source::PartitionName;

/// What is known of one partition.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// `topic/partition`, its name in positions.
    pub(super) name: PartitionName,
    pub(super) format: Format,
    /// The next offset expected. A lower one was delivered twice by the client library, and is dropped.
    pub(super) next: u64,
    /// The latest record time read; `None` before the first record.
    pub(super) clock: Option<Timestamp>,
    /// Its queue was found empty in the present round.
    pub(super) dry: bool,
    /// The sequencer was told that nothing is left.
    pub(super) idle: bool,
}

impl Lane {
    pub(super) fn new(topic: &str, partition: i32, format: Format, next: u64, clock: Option<Timestamp>) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            name: format!("{topic}/{partition}").into(),
            format,
            next,
            clock,
            dry: false,
            idle: false,
        }
    }

    /// Whether it may go on without running ahead of `limit`. Before its first record it must: its clock is unknown.
    pub(super) fn may_go_on(&self, limit: Timestamp) -> bool {
        self.clock.is_none_or(|clock| clock <= limit)
    }

    /// Notes a record. `false` if it was seen before and must be dropped.
    pub(super) fn advance(&mut self, offset: u64, time: Timestamp) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset + 1;
        self.clock = self.clock.max(Some(time));
        self.idle = false;
        true
    }

    /// What is to be told after a report on whether the partition's end has been fetched, if anything.
    pub(super) fn judge(&mut self, end_was_fetched: bool) -> Option<Change> {
        if self.idle && !end_was_fetched {
            self.idle = false;
            return Some(Change::Unsure);
        }
        // The report is older than the look into the queue: what it counts as fetched has been taken out by now.
        if !self.idle && end_was_fetched && self.dry {
            self.idle = true;
            return Some(Change::Idle);
        }
        None
    }
}

/// What became of a lane's idleness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing is left to read.
    Idle,
    /// It is not known any more whether something is left: the broker is slow or gone, or records are on their way.
    Unsure,
}

/// The record time beyond which a lane has to wait for the others.
pub(super) fn limit(lanes: &[Lane], ahead: Millis) -> Timestamp {
    let slowest = lanes.iter().filter(|lane| !lane.idle).map(|lane| lane.clock.unwrap_or(Timestamp::MIN)).min();
    slowest.map_or(Timestamp::MAX, |slowest| slowest + ahead)
}

/// The time of a record. Only the broker's own time is taken as it is; a sender's clock may run ahead, never the record.
pub(super) fn record_time(stamp: rdkafka::Timestamp, arrival: Timestamp) -> Timestamp {
    match stamp {
        rdkafka::Timestamp::LogAppendTime(millis) if millis >= 0 => Timestamp(millis),
        rdkafka::Timestamp::CreateTime(millis) if millis >= 0 => Timestamp(millis).min(arrival),
        _ => arrival,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: Millis = Millis::seconds(10);

    fn lane(clock: Option<i64>) -> Lane {
        Lane::new("alerts", 0, Format::Native, 0, clock.map(Timestamp))
    }

    #[test]
    fn a_lane_waits_for_the_slowest_but_not_for_the_idle() {
        let mut lanes = [lane(Some(1_000)), lane(Some(11_000)), lane(Some(11_001))];
        let limit_now = limit(&lanes, AHEAD);
        assert_eq!(lanes.each_ref().map(|lane| lane.may_go_on(limit_now)), [true, true, false]);
        lanes[0].idle = true;
        let limit_now = limit(&lanes, AHEAD);
        assert_eq!(lanes.each_ref().map(|lane| lane.may_go_on(limit_now)), [true, true, true]);
    }

    #[test]
    fn before_its_first_record_a_lane_holds_the_others() {
        let lanes = [lane(None), lane(Some(5))];
        let limit_now = limit(&lanes, AHEAD);
        assert_eq!(lanes.each_ref().map(|lane| lane.may_go_on(limit_now)), [true, false]);
        assert_eq!(limit(&[], AHEAD), Timestamp::MAX);
    }

    #[test]
    fn offsets_go_up_only() {
        let mut lane = lane(None);
        assert!(lane.advance(7, Timestamp(50)));
        assert!(!lane.advance(7, Timestamp(60)));
        assert!(lane.advance(9, Timestamp(40))); // A gap is no loss: transaction markers take offsets too.
        assert_eq!((lane.next, lane.clock), (10, Some(Timestamp(50))));
    }

    #[test]
    fn idle_is_told_once_and_taken_back() {
        let mut lane = lane(None);
        assert_eq!(lane.judge(true), None); // Its queue was not looked into.
        lane.dry = true;
        assert_eq!(lane.judge(true), Some(Change::Idle));
        assert_eq!(lane.judge(true), None);
        assert_eq!(lane.judge(false), Some(Change::Unsure));
        assert_eq!(lane.judge(true), Some(Change::Idle));
        assert!(lane.advance(0, Timestamp(1)));
        assert_eq!(lane.judge(false), None); // A record came, which says the same.
    }

    #[test]
    fn senders_cannot_date_records_into_the_future() {
        let now = Timestamp(1_000);
        for (stamp, expected) in [
            (rdkafka::Timestamp::LogAppendTime(1_500), 1_500),
            (rdkafka::Timestamp::CreateTime(1_500), 1_000),
            (rdkafka::Timestamp::CreateTime(10), 10),
            (rdkafka::Timestamp::CreateTime(-1), 1_000),
            (rdkafka::Timestamp::NotAvailable, 1_000),
        ] {
            assert_eq!(record_time(stamp, now), Timestamp(expected), "{stamp:?}");
        }
    }
}
