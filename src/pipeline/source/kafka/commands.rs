//! The commands topic as a source: one partition, one command a record, read in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Sender;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::pipeline::command::Command;
use crate::pipeline::source::SourceEvent;
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::health::Health;
use crate::pipeline::source::kafka::partitions::close;
use crate::pipeline::source::thread::{Outlet, SourceThread};

/// How long one poll waits.
const TURN: Duration = Duration::from_millis(100);

/// Where commands are read from and written to.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to reach the cluster.
    pub connection: Connection,
    /// The consumer group, needed by the client library only.
    pub group: String,
    /// The topic; only its partition 0 is used.
    pub topic: String,
}

/// Starts the thread `source-commands`, which hands on every command from position `from` on.
///
/// A record that is no command is skipped with a warning: a person gave it and sees that nothing happens.
///
/// # Errors
/// When the system refuses a thread. Faults of the topic are told as `SourceEvent::Failed`.
pub fn spawn(options: Options, from: u64, events: Sender<SourceEvent>) -> io::Result<SourceThread> {
    SourceThread::spawn("source-commands", events, move |outlet| match read(&options, from, outlet) {
        Ok(()) => Ok(()),
        Err(fault) => outlet.send(SourceEvent::Failed(format!("topic {:?}: {fault}", options.topic))),
    })
}

fn read(options: &Options, next: u64, outlet: &Outlet) -> Result<(), KafkaError> {
    let config = options.connection.consumer("commands", &options.group);
    let consumer = Arc::new(config.create_with_context::<_, BaseConsumer<Health>>(Health::default())?);
    let start = i64::try_from(next).ok().filter(|offset| *offset > 0).map_or(Offset::Beginning, Offset::Offset);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&options.topic, 0, start)?;
    consumer.assign(&list)?;
    let result = follow(&consumer, options, next, outlet);
    close(consumer);
    result
}

fn follow(
    consumer: &BaseConsumer<Health>,
    options: &Options,
    mut next: u64,
    outlet: &Outlet,
) -> Result<(), KafkaError> {
    while outlet.check().is_ok() {
        let message = match consumer.poll(TURN) {
            None => continue,
            Some(Ok(message)) => message,
            Some(Err(error)) if error.rdkafka_error_code() == Some(Code::AutoOffsetReset) => {
                // Expired commands were orders for a past that nobody can act on any more.
                tracing::error!(
                    topic = options.topic,
                    next,
                    "commands of {} expired before they were read",
                    options.topic
                );
                next = 0;
                consumer.seek(&options.topic, 0, Offset::Beginning, Duration::from_secs(5))?;
                continue;
            }
            Some(Err(error)) if is_for_good(&error) => return Err(error),
            Some(Err(error)) => {
                tracing::debug!(topic = options.topic, %error, "Kafka consumer");
                continue;
            }
        };
        let Ok(offset) = u64::try_from(message.offset()) else { continue };
        if offset < next {
            continue;
        }
        next = offset + 1;
        match serde_json::from_slice::<Command>(message.payload().unwrap_or_default()) {
            Ok(command) => {
                if outlet.send(SourceEvent::Command { command, next }).is_err() {
                    return Ok(());
                }
            }
            Err(error) => tracing::warn!(
                topic = options.topic,
                offset,
                "record {offset} of {} is no command: {error}",
                options.topic
            ),
        }
    }
    Ok(())
}

fn is_for_good(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition)
        )
}

/// Writes commands for whoever owns the pipeline, be it another process. Every call blocks until it is durable.
pub struct CommandWriter {
    producer: BaseProducer<Answers>,
    topic: String,
}

impl CommandWriter {
    /// Connects lazily: faults show with the first command.
    ///
    /// # Errors
    /// When the settings are not accepted.
    pub fn new(options: &Options) -> Result<Self, KafkaError> {
        let mut config = options.connection.client("commands");
        config.set("enable.idempotence", "true");
        config.set("message.timeout.ms", "10000");
        config.set("linger.ms", "0");
        Ok(Self { producer: config.create_with_context(Answers)?, topic: options.topic.clone() })
    }

    /// Appends a command and returns its position.
    ///
    /// # Errors
    /// When it was not confirmed in time; it may or may not have been written.
    pub fn append(&self, command: &Command) -> Result<u64, String> {
        let json = serde_json::to_vec(command).map_err(|error| error.to_string())?;
        let (sender, answer) = crossbeam::channel::bounded(1);
        let record =
            BaseRecord::<(), [u8], _>::with_opaque_to(&self.topic, Box::new(sender)).partition(0).payload(&json);
        self.producer.send(record).map_err(|(error, _)| error.to_string())?;
        self.producer.flush(Duration::from_secs(15)).map_err(|error| error.to_string())?;
        answer.try_recv().unwrap_or_else(|_| Err("no answer from the broker".to_owned()))
    }
}

/// Hands delivery reports to whoever waits for them.
struct Answers;

impl rdkafka::ClientContext for Answers {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        crate::pipeline::source::kafka::health::log(level, facility, message);
    }
}

impl rdkafka::producer::ProducerContext for Answers {
    type DeliveryOpaque = Box<crossbeam::channel::Sender<Result<u64, String>>>;

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, sender: Self::DeliveryOpaque) {
        // Nobody waits any more: the caller has given up, which it told as an error.
        let position = |message: &rdkafka::message::BorrowedMessage<'_>| u64::try_from(message.offset()).unwrap_or(0);
        let _ = sender.send(result.as_ref().map(position).map_err(|(error, _)| error.to_string()));
    }
}
