//! A real cluster: the client library's consumer for metadata and high watermarks, its producers, its admin client.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::pipeline::sink::kafka::Options;
use crate::pipeline::sink::kafka::cluster::{Bound, Cluster, EachEntry, Hook, Stretch};
use crate::pipeline::sink::kafka::state_log::StateLog;
use crate::pipeline::sink::kafka::transactions::Transactions;
use crate::pipeline::sink::kafka::trim;
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::health::Health;
use crate::pipeline::source::kafka::partitions::close;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The brokers of a pipeline's cluster.
pub struct Brokers {
    connection: Connection,
    transactional_id: String,
    /// Asks for metadata and high watermarks, and lends its group to the transactions.
    lookout: Arc<BaseConsumer<Health>>,
    log: StateLog,
}

impl Brokers {
    /// Makes the clients; does not wait for a connection. `purpose` is part of the client's id.
    pub(super) fn new(options: &Options, purpose: &str) -> Result<Self, String> {
        let mut config = options.connection.consumer(purpose, &options.group);
        config.set("isolation.level", "read_uncommitted").set("statistics.interval.ms", "0");
        let lookout: BaseConsumer<Health> =
            config.create_with_context(Health::default()).map_err(|error| error.to_string())?;
        let log = StateLog {
            connection: options.connection.clone(),
            topic: options.topics.state.clone(),
            group: options.group.clone(),
            hook: Arc::new(|| {}),
        };
        let (connection, transactional_id) = (options.connection.clone(), options.transactional_id.clone());
        Ok(Self { connection, transactional_id, lookout: Arc::new(lookout), log })
    }
}

impl Cluster for Brokers {
    type Producer = Transactions;

    fn partitions_of(&self, topic: &str) -> Result<u32, String> {
        let metadata = self.lookout.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| format!("topic {topic:?}: {error}"))?;
        let described = metadata.topics().iter().find(|described| described.name() == topic);
        let described = described.ok_or_else(|| format!("topic {topic:?}: the broker says nothing of it"))?;
        match described.error().map(Code::from) {
            None => Ok(u32::try_from(described.partitions().len()).unwrap_or(u32::MAX)),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(0),
            Some(error) => Err(format!("topic {topic:?}: {error}")),
        }
    }

    fn open_producer(&self) -> Result<Transactions, String> {
        Transactions::open(&self.connection.producer("sink", &self.transactional_id), Arc::clone(&self.lookout))
    }

    fn read_state(&self, from: i64, bound: Bound, each: &mut EachEntry<'_>) -> Result<Stretch, String> {
        self.log.read(&self.lookout, from, bound, each)
    }

    fn trim_state(&self, offset: i64) -> Result<(), String> {
        trim::trim(&self.connection, &self.log.topic, offset)
    }

    fn serve(&self) {
        let _ = self.lookout.poll(Duration::ZERO); // This consumer reads nothing.
    }

    fn on_wait(&mut self, hook: Hook) {
        self.log.hook = hook;
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        close(Arc::clone(&self.lookout));
    }
}
