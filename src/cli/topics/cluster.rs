//! What the cluster says of topics, and making them.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::cli::topics::judge::{Found, Wanted};
use crate::pipeline::sink::kafka::trim::block_on;
use crate::pipeline::source::kafka::connection::Connection;

/// A person waits: long enough for a slow cluster, short enough to notice a wrong address.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

pub(in crate::cli) struct Cluster {
    admin: AdminClient<DefaultClientContext>,
    n_brokers: usize,
    brokers: String,
}

impl Cluster {
    pub(in crate::cli) fn connect(connection: &Connection) -> anyhow::Result<Self> {
        let admin: AdminClient<DefaultClientContext> =
            connection.client("topics").create().context("set the Kafka client up")?;
        let brokers = connection.brokers.join(", ");
        let metadata =
            admin.inner().fetch_metadata(None, REQUEST_TIMEOUT).map_err(|error| unanswered(&brokers, &error))?;
        let n_brokers = metadata.brokers().len();
        Ok(Self { admin, n_brokers, brokers })
    }

    /// Creates a topic. `false` if it was there.
    pub(in crate::cli) fn create(&self, wanted: &Wanted) -> anyhow::Result<bool> {
        if self.describe(&wanted.name)?.is_some() {
            return Ok(false);
        }
        if usize::try_from(wanted.replication).is_ok_and(|copies| copies > self.n_brokers) {
            bail!(
                "topic {}: {} copies need as many brokers, and the cluster at {} has {}; for a test cluster say \
                 --replication {}",
                wanted.name,
                wanted.replication,
                self.brokers,
                self.n_brokers,
                self.n_brokers
            );
        }
        let mut topic = NewTopic::new(&wanted.name, wanted.partitions, TopicReplication::Fixed(wanted.replication));
        for (name, value) in &wanted.settings {
            topic = topic.set(name, value);
        }
        let results = block_on(self.admin.create_topics([&topic], &options()))
            .with_context(|| format!("create topic {}", wanted.name))?;
        match results.into_iter().next() {
            Some(Ok(_)) => self.wait_for(&wanted.name).map(|()| true),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, error))) => Err(anyhow!("create topic {}: {error}", wanted.name)),
            None => Err(anyhow!("create topic {}: no answer", wanted.name)),
        }
    }

    /// What was created is known to every broker a moment later only.
    fn wait_for(&self, name: &str) -> anyhow::Result<()> {
        for _ in 0..100 {
            if self.describe(name)?.is_some_and(|found| found.partitions > 0 && found.replication > 0) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("topic {name} was created, but is not to be seen after 10 s")
    }

    /// How a topic is; `None` if it does not exist.
    pub(in crate::cli) fn describe(&self, name: &str) -> anyhow::Result<Option<Found>> {
        let context = || format!("describe topic {name}");
        let metadata = self.admin.inner().fetch_metadata(Some(name), REQUEST_TIMEOUT).with_context(context)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
        match topic.error().map(Code::from) {
            None | Some(Code::LeaderNotAvailable) => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
            Some(error) => bail!("describe topic {name}: {error}"),
        }
        let replication = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        let mut found = Found { partitions: topic.partitions().len(), replication, ..Found::default() };
        let described = block_on(self.admin.describe_configs([&ResourceSpecifier::Topic(name)], &options()));
        for resource in described.with_context(context)? {
            match resource {
                Ok(resource) => found
                    .settings
                    .extend(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)))),
                // Metadata is ahead of the rest of the cluster for a moment after a topic was made.
                Err(Code::UnknownTopicOrPartition) => return Ok(None),
                Err(error) => bail!("describe topic {name}: {error}"),
            }
        }
        Ok(Some(found))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

/// No broker said anything: what people can look at. The library's own words say the same thing twice.
pub(in crate::cli) fn unanswered(brokers: &str, error: &KafkaError) -> anyhow::Error {
    let code = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
    anyhow!(
        "{brokers}: no answer from the cluster within {} s ({code}); is it up, is kafka.brokers right, and do kafka.tls \
         and kafka.sasl fit it?",
        REQUEST_TIMEOUT.as_secs()
    )
}
