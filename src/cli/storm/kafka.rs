//! The way out into a Kafka topic: one record an alert, keyed by its group.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::cli::storm::outlet::{Delivery, Outlet, Parcel};

/// How often answers are taken while alerts go out.
const POLL_EVERY: u32 = 512;
/// How long a full queue is waited for at a time.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(20);

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
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.delivery.sent(1),
            Err((error, _)) => self.delivery.failed(1, error),
        }
    }
}

impl Producer {
    /// `options` win over the settings made here.
    pub(crate) fn open(
        brokers: &str,
        topic: &str,
        options: &[(String, String)],
        patience: Duration,
        delivery: &Delivery,
    ) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "tidegate-storm")
            .set("acks", "all")
            // A retry must neither double an alert nor overtake one of its group.
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .set("message.timeout.ms", patience.as_millis().max(1).to_string());
        for (key, value) in options {
            config.set(key, value);
        }
        let answers = Answers { delivery: delivery.clone() };
        let producer = config.create_with_context(answers).context("prepare the Kafka producer")?;
        Ok(Self { producer, topic: topic.to_owned(), patience, unpolled: 0, delivery: delivery.clone() })
    }
}

impl Outlet for Producer {
    fn push(&mut self, parcel: Parcel<'_>) -> Result<()> {
        let mut record = BaseRecord::to(&self.topic).key(parcel.key).payload(parcel.json);
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
            self.flush()?;
        }
        Ok(())
    }

    /// The client sends by itself; only the answers have to be taken.
    fn flush(&mut self) -> Result<()> {
        self.unpolled = 0;
        self.producer.poll(Duration::ZERO);
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            bail!("the producer cannot go on: {code}: {reason}");
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        // Every record is answered within its own time-out; the second is for the answers to be taken.
        self.producer.flush(self.patience + Duration::from_secs(1)).context("wait for the broker's last answers")
    }
}
