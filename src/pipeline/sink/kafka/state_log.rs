//! Reading the state topic back: everything for a restore, its end to learn what became of a commit.
//!
//! The bound is the high watermark, asked for by a client that sees uncommitted records too: the last stable offset
//! could lie before state that is committed but not yet marked so. What is read is committed only.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::pipeline::sink::kafka::cluster::{Bound, Deadline, EachEntry, Entry, Hook, Stretch};
use crate::pipeline::sink::kafka::records::OWNER_KEY;
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::health::Health;
use crate::pipeline::source::kafka::partitions::close;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Without any progress for this long, reading is given up.
const STALL: Duration = Duration::from_secs(60);
const TURN: Duration = Duration::from_millis(50);
/// How long the broker holds back the answer that nothing more is there: by it the end is known, and a start waits for it.
const AT_THE_END: &str = "10";

/// Where the state is.
#[derive(Clone)]
pub(super) struct StateLog {
    pub(super) connection: Connection,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) hook: Hook,
}

impl StateLog {
    /// Hands every committed record from offset `from` on to `each`, with its offset.
    pub(super) fn read(
        &self,
        lookout: &BaseConsumer<Health>,
        from: i64,
        bound: Bound,
        each: &mut EachEntry<'_>,
    ) -> Result<Stretch, String> {
        let fault = |what: &str, error: &KafkaError| format!("topic {:?}: {what}: {error}", self.topic);
        let (low, end) =
            lookout.fetch_watermarks(&self.topic, 0, REQUEST_TIMEOUT).map_err(|e| fault("read its end", &e))?;
        let start = from.max(low);
        if start >= end {
            return Ok(Stretch { begin: start, end });
        }
        let mut config = self.connection.consumer("state", &self.group);
        config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
        config.set("fetch.wait.max.ms", AT_THE_END);
        let consumer: BaseConsumer<Health> =
            config.create_with_context(Health::default()).map_err(|e| fault("connect", &e))?;
        let consumer = Arc::new(consumer);
        let result = self.bounded(&consumer, end, bound).and_then(|end| {
            if start < end {
                self.read_to(&consumer, start, end, each)?
            }
            Ok(Stretch { begin: start, end })
        });
        close(consumer);
        result
    }

    /// The offset to read to.
    fn bounded(&self, consumer: &BaseConsumer<Health>, end: i64, bound: Bound) -> Result<i64, String> {
        match bound {
            Bound::Everything => self.wait_until_stable(consumer, end).map(|()| end),
            Bound::Settled => consumer
                .fetch_watermarks(&self.topic, 0, REQUEST_TIMEOUT)
                .map(|(_, stable)| stable.min(end))
                .map_err(|error| format!("topic {:?}: read its end: {error}", self.topic)),
        }
    }

    /// Waits until no open transaction hides anything before `end`; a foreign one is ended by the broker in time.
    fn wait_until_stable(&self, consumer: &BaseConsumer<Health>, end: i64) -> Result<(), String> {
        let deadline = Deadline::new(STALL, &self.hook);
        loop {
            // The isolation of this client is `read_committed`, so what it is told is the last stable offset.
            match consumer.fetch_watermarks(&self.topic, 0, REQUEST_TIMEOUT) {
                Ok((_, stable)) if stable >= end => return Ok(()),
                Ok((_, stable)) => tracing::debug!(stable, end, "an open transaction hides the end of the state"),
                Err(error) => tracing::warn!("read the end of the state: {error}"),
            }
            if deadline.has_passed() {
                return Err(format!("topic {:?}: an open transaction hides its end", self.topic));
            }
            // Serves the library and waits a little; nothing is assigned yet, so no record can come.
            let _ = consumer.poll(TURN);
        }
    }

    fn read_to(
        &self,
        consumer: &BaseConsumer<Health>,
        start: i64,
        end: i64,
        each: &mut EachEntry<'_>,
    ) -> Result<(), String> {
        let fault = |error: KafkaError| format!("topic {:?}: {error}", self.topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(start)).map_err(fault)?;
        consumer.assign(&list).map_err(fault)?;
        let mut deadline = Deadline::new(STALL, &self.hook);
        loop {
            match consumer.poll(TURN) {
                Some(Ok(message)) => {
                    deadline = Deadline::new(STALL, &self.hook);
                    let key = std::str::from_utf8(message.key().unwrap_or_default()).unwrap_or_default();
                    let value = message.payload().unwrap_or_default();
                    let entry = if key == OWNER_KEY {
                        Entry::Owner(std::str::from_utf8(value).unwrap_or_default())
                    } else if let Ok(key) = key.parse() {
                        Entry::Block(key, value)
                    } else {
                        return Err(format!(
                            "topic {:?}: the record at offset {} is not ours (key {key:?}): another use of the topic?",
                            self.topic,
                            message.offset()
                        ));
                    };
                    each(message.offset(), entry)?;
                    if message.offset() + 1 >= end {
                        return Ok(());
                    }
                }
                // Behind the last record there are marks of transactions only; the end was stable before the start.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(fault(error)),
                Some(Err(error)) => tracing::debug!(%error, "read state"),
                None => {}
            }
            if deadline.has_passed() {
                return Err(format!("topic {:?}: nothing could be read for {STALL:?}", self.topic));
            }
        }
    }
}
