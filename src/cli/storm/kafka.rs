//! The way out into a Kafka topic: one record an alert, keyed by its group.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::cli::storm::delivery::Delivery;
use crate::cli::storm::outlet::{Outlet, Parcel};

/// How often answers are taken while alerts go out.
const POLL_EVERY: u32 = 512;
/// How long a full queue is waited for at a time.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(20);
/// Records that may wait in the client, within its bound of 1 GiB: seconds of a paced flood. Then the generator waits;
/// what was due meanwhile keeps its due time.
const WAITING_MAX: &str = "1000000";

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
}

impl ClientContext for Answers {}

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
            .set("queue.buffering.max.messages", WAITING_MAX)
            .set("message.timeout.ms", patience.as_millis().max(1).to_string());
        for (key, value) in settings {
            config.set(key, value);
        }
        let answers = Answers { delivery: delivery.clone() };
        let producer = config.create_with_context(answers).context("prepare the Kafka producer")?;
        Ok(Self { producer, topic: topic.to_owned(), patience, unpolled: 0, delivery: delivery.clone() })
    }
}

impl Producer {
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
