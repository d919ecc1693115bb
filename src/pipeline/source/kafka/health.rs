//! What the client library tells of itself: log lines, errors, and the statistics by which idleness is judged.
//!
//! A partition is idle only when its position equals its high watermark *and* its broker was heard of lately: silence
//! of a broker that is slow or gone is not silence of the partition.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Deserialize;

/// A broker answers a waiting fetch every 500 ms; four missed answers mean that nothing is known of its partitions.
const FRESH_US: i64 = 2_000_000;

/// Takes what the library reports; read by the loop that polls.
#[derive(Debug, Default)]
pub(crate) struct Health {
    latest: Mutex<Option<Snapshot>>,
}

/// The ends of partitions, as of one report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// By topic and partition: whether everything that was written had been fetched, and the high watermark.
    ends: BTreeMap<String, BTreeMap<i32, (bool, i64)>>,
}

impl Health {
    /// The latest report, once.
    pub(super) fn take(&self) -> Option<Snapshot> {
        self.latest.lock().ok()?.take()
    }
}

impl Snapshot {
    /// Whether everything that was written to the partition had been fetched, as far as its broker was heard of.
    pub(super) fn is_at_end(&self, topic: &str, partition: i32) -> bool {
        self.of(topic, partition).is_some_and(|(at_end, _)| at_end)
    }

    /// The high watermark, if it is known.
    pub(super) fn end(&self, topic: &str, partition: i32) -> Option<u64> {
        self.of(topic, partition).and_then(|(_, end)| u64::try_from(end).ok())
    }

    fn of(&self, topic: &str, partition: i32) -> Option<(bool, i64)> {
        self.ends.get(topic)?.get(&partition).copied()
    }

    fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let report: Report = serde_json::from_slice(json)?;
        let fresh: Vec<i32> = report
            .brokers
            .values()
            .filter(|broker| broker.state == "UP" && (0..FRESH_US).contains(&broker.rxidle))
            .map(|broker| broker.nodeid)
            .collect();
        let at_end = |partition: &Partition| {
            fresh.contains(&partition.broker)
                && partition.fetch_state == "active"
                && partition.eof_offset >= 0
                && partition.eof_offset >= partition.hi_offset
        };
        let of = |topic: Topic| {
            topic.partitions.into_iter().map(|(number, p)| (number, (at_end(&p), p.hi_offset))).collect()
        };
        Ok(Self { ends: report.topics.into_iter().map(|(name, topic)| (name, of(topic))).collect() })
    }
}

#[derive(Deserialize)]
struct Report {
    brokers: BTreeMap<String, Broker>,
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
struct Broker {
    nodeid: i32,
    state: String,
    /// Microseconds since something was received, -1 if nothing was.
    rxidle: i64,
}

#[derive(Deserialize)]
struct Topic {
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    /// The broker it is fetched from.
    broker: i32,
    fetch_state: String,
    /// The offset at which the end was last reported.
    eof_offset: i64,
    /// The high watermark. The last stable offset is not enough: an open transaction hides records.
    hi_offset: i64,
}

impl ClientContext for Health {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats_raw(&self, json: &[u8]) {
        match Snapshot::parse(json) {
            Ok(snapshot) => {
                if let Ok(mut latest) = self.latest.lock() {
                    *latest = Some(snapshot);
                }
            }
            Err(error) => tracing::warn!("the statistics of the Kafka client cannot be read: {error}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Everything is read: no trouble, and said anew each time that it is so.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::warn!(reason, "Kafka client: {error}");
    }
}

impl ConsumerContext for Health {}

/// Whether an error stays as it is until a person acts. The library mends all others by itself.
pub(crate) fn is_for_good(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
            )
        )
}

/// Passes a line of the client library on. It mends most of what it calls an error by itself, hence WARN at most.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
            tracing::warn!(facility, "Kafka client: {message}");
        }
        Level::Notice | Level::Info | Level::Debug => tracing::debug!(facility, "Kafka client: {message}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(broker: (&str, i64), partition: (&str, i64, i64), expected: bool) {
        let json = format!(
            r#"{{"name": "c", "brokers": {{"x:1/1": {{"nodeid": 1, "state": "{}", "rxidle": {}, "tx": 5}}}},
               "topics": {{"alerts": {{"topic": "alerts", "partitions": {{"3": {{"broker": 1, "fetch_state": "{}",
               "eof_offset": {}, "hi_offset": {}, "ls_offset": 7}}, "-1": {{"broker": -1, "fetch_state": "none",
               "eof_offset": -1001, "hi_offset": -1001}}}}}}}}}}"#,
            broker.0, broker.1, partition.0, partition.1, partition.2
        );
        let snapshot = Snapshot::parse(json.as_bytes()).unwrap();
        assert_eq!(snapshot.is_at_end("alerts", 3), expected, "{broker:?} {partition:?}");
        assert_eq!(snapshot.end("alerts", 3), u64::try_from(partition.2).ok());
        assert!(!snapshot.is_at_end("alerts", -1));
        assert!(!snapshot.is_at_end("other", 3));
    }

    #[test]
    fn at_the_end_means_the_high_watermark_and_a_broker_that_answers() {
        check(("UP", 400_000), ("active", 9, 9), true);
        check(("UP", 400_000), ("active", 7, 9), false); // An open transaction, or records on their way.
        check(("UP", 2_500_000), ("active", 9, 9), false);
        check(("UP", -1), ("active", 9, 9), false);
        check(("TRY_CONNECT", 400_000), ("active", 9, 9), false);
        check(("UP", 400_000), ("offset-query", 9, 9), false);
        check(("UP", 400_000), ("active", -1001, -1001), false);
    }
}
