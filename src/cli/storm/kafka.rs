//! The way out into a Kafka topic: one record an alert, keyed by its group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use serde::Deserialize;

use crate::cli::storm::delivery::Delivery;
use crate::cli::storm::outlet::{Outlet, Parcel};
use crate::model::time::Stopwatch;

/// How often answers are taken while alerts go out.
const POLL_EVERY: u32 = 512;
/// How long a full queue is waited for at a time.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(20);
/// Records that may wait in the client, within its bound of 1 GiB: seconds of a paced flood. Then the generator waits;
/// what was due meanwhile keeps its due time.
const WAITING_MAX: &str = "1000000";

/// How long the client may take to connect before the first alert is due; then the flood begins without.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// How often it tells its state: by it readiness shows.
const REPORT_EVERY_MS: &str = "100";

/// Where and how to send.
pub(crate) struct KafkaOptions<'a> {
    /// As librdkafka takes them.
    pub(crate) brokers: &'a str,
    pub(crate) topic: &'a str,
    /// Win over the settings made here.
    pub(crate) settings: &'a [(String, String)],
    /// After this long a record is given up.
    pub(crate) patience: Duration,
    /// How long a record may wait for others to fill its batch.
    pub(crate) linger: Duration,
}

/// Sends records.
pub(crate) struct Producer {
    producer: BaseProducer<Answers>,
    topic: String,
    patience: Duration,
    unpolled: u32,
    delivery: Delivery,
}

/// Counts the broker's answers.
struct Answers {
    delivery: Delivery,
    /// The broker has given the client the number without which it sends nothing.
    is_ready: Arc<AtomicBool>,
}

/// What is read of the library's statistics.
#[derive(Deserialize)]
struct Report {
    eos: Option<Numbering>,
}

/// Of a client whose records are numbered.
#[derive(Deserialize)]
struct Numbering {
    idemp_state: String,
}

impl ClientContext for Answers {
    fn stats_raw(&self, json: &[u8]) {
        if !self.is_ready.load(Ordering::Relaxed) {
            let report = serde_json::from_slice::<Report>(json);
            let is_ready = report.is_ok_and(|report| report.eos.is_some_and(|eos| eos.idemp_state == "Assigned"));
            self.is_ready.store(is_ready, Ordering::Relaxed);
        }
    }
}

impl ProducerContext for Answers {
    /// When the record was due, microseconds; `usize::MAX` where nothing is.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, due: usize) {
        match result {
            Ok(_) => {
                let due = Some(due).filter(|due| *due != usize::MAX).map(|due| Duration::from_micros(due as u64));
                self.delivery.answered(due);
                self.delivery.sent(1);
            }
            Err((error, _)) => self.delivery.failed(1, error),
        }
    }
}

impl Producer {
    pub(crate) fn open(options: &KafkaOptions<'_>, delivery: &Delivery) -> Result<Self> {
        let KafkaOptions { brokers, topic, settings, patience, linger } = *options;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "tidegate-storm")
            .set("acks", "all")
            // A retry must neither double an alert nor overtake one of its group.
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", linger.as_millis().to_string())
            .set("statistics.interval.ms", REPORT_EVERY_MS)
            .set("queue.buffering.max.messages", WAITING_MAX)
            .set("message.timeout.ms", patience.as_millis().max(1).to_string());
        for (key, value) in settings {
            config.set(key, value);
        }
        let is_ready = Arc::new(AtomicBool::new(config.get("enable.idempotence") != Some("true")));
        let answers = Answers { delivery: delivery.clone(), is_ready: Arc::clone(&is_ready) };
        let producer = config.create_with_context(answers).context("prepare the Kafka producer")?;
        let sender = Self { producer, topic: topic.to_owned(), patience, unpolled: 0, delivery: delivery.clone() };
        sender.connect(&is_ready);
        Ok(sender)
    }

    /// Connects before the first alert is due. The client takes half a second for it, in which alerts would pile up that no
    /// receiver is to blame for. A broker that does not answer shows as records that fail.
    fn connect(&self, is_ready: &AtomicBool) {
        let watch = Stopwatch::start();
        let _ = self.producer.client().fetch_metadata(Some(&self.topic), READY_WITHIN);
        while !is_ready.load(Ordering::Relaxed) && watch.elapsed() < READY_WITHIN {
            self.producer.poll(FULL_QUEUE_PAUSE);
        }
    }

    fn take_answers(&mut self) -> Result<()> {
        self.unpolled = 0;
        self.producer.poll(Duration::ZERO);
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            bail!("the producer cannot go on: {code}: {reason}");
        }
        Ok(())
    }
}

impl Outlet for Producer {
    fn push(&mut self, parcel: Parcel<'_>) -> Result<()> {
        let due = parcel.due.map_or(usize::MAX, |due| due.as_micros() as usize);
        let mut record = BaseRecord::with_opaque_to(&self.topic, due).key(parcel.key).payload(parcel.json);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                // Records that wait too long fail by themselves, so this ends.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    self.producer.poll(FULL_QUEUE_PAUSE);
                    record = returned;
                }
                Err((error, _)) => {
                    self.delivery.failed(1, &error);
                    break;
                }
            }
        }
        self.unpolled += 1;
        if self.unpolled >= POLL_EVERY {
            self.take_answers()?;
        }
        Ok(())
    }

    /// The client sends by itself; only the answers have to be taken.
    fn flush(&mut self, _now: Duration) -> Result<()> {
        self.take_answers()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        // Every record is answered within its own time-out; the second is for the answers to be taken.
        self.producer.flush(self.patience + Duration::from_secs(1)).context("wait for the broker's last answers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_ready_when_its_records_are_numbered() {
        let answers = Answers { delivery: Delivery::default(), is_ready: Arc::default() };
        for (report, is_ready) in [
            ("{}", false),
            (r#"{"eos": {"idemp_state": "WaitTransport", "producer_id": -1}}"#, false),
            (r#"{"eos": {"idemp_state": "Assigned", "producer_id": 7}}"#, true),
            (r#"{"eos": {"idemp_state": "Init"}}"#, true), // It begins once.
        ] {
            answers.stats_raw(report.as_bytes());
            assert_eq!(answers.is_ready.load(Ordering::Relaxed), is_ready, "{report}");
        }
    }
}
