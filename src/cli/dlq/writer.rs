//! Single records into Kafka, each confirmed before the next: letters put in again, and their marks.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use crossbeam::channel::{Sender, bounded};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::control::config::Kafka;

/// How long the cluster may take to confirm a record.
const CONFIRM_MS: &str = "15000";
/// Longer than that, so that the client's own word comes first.
const FLUSH: Duration = Duration::from_secs(20);
/// Above every letter; what the topic takes is the broker's word.
const MESSAGE_BYTES_MAX: &str = "8388608";

/// Writes records.
pub(super) struct Writer(BaseProducer<Answers>);

impl Writer {
    /// Connects lazily: faults show with the first record.
    pub(super) fn open(kafka: &Kafka) -> anyhow::Result<Self> {
        let mut config = kafka.connection.client("dlq");
        config.set("enable.idempotence", "true").set("message.timeout.ms", CONFIRM_MS).set("linger.ms", "0");
        config.set("message.max.bytes", MESSAGE_BYTES_MAX);
        Ok(Self(config.create_with_context(Answers).context("set the Kafka client up")?))
    }

    /// Writes a record without a key and returns its offset once every in-sync replica has it.
    pub(super) fn write(
        &self,
        topic: &str,
        partition: i32,
        value: &[u8],
        headers: &[(&str, &str)],
    ) -> anyhow::Result<i64> {
        let (sender, answer) = bounded(1);
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let record = BaseRecord::<(), [u8], _>::with_opaque_to(topic, Box::new(sender))
            .partition(partition)
            .payload(value)
            .headers(headers);
        let place = || format!("write to {topic}/{partition}");
        self.0.send(record).map_err(|(error, _)| anyhow!(error)).with_context(place)?;
        self.0.flush(FLUSH).with_context(place)?;
        let answer = answer.try_recv().unwrap_or_else(|_| Err("no answer from the broker".to_owned()));
        answer.map_err(|fault| anyhow!("{}: {fault}", place()))
    }
}

/// Hands the broker's word to whoever waits for it.
struct Answers;

impl ClientContext for Answers {
    /// What matters comes back as an error of the record.
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<Sender<Result<i64, String>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sender: Self::DeliveryOpaque) {
        // Nobody waits any more: the caller has given up, which it told as an error.
        let _ = sender.send(result.as_ref().map(|message| message.offset()).map_err(|(error, _)| error.to_string()));
    }
}
