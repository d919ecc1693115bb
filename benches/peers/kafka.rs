//! Topics of the comparison: making, deleting, reading them.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A broker on the same machine answers at once, or is busy with a flood.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub(crate) struct CreateArgs {
    /// `host:port` of a broker
    #[arg(long)]
    bootstrap: String,
    /// Its name
    #[arg(long)]
    topic: String,
    /// Its partitions
    #[arg(long, default_value_t = 6)]
    partitions: i32,
}

#[derive(clap::Args)]
pub(crate) struct DeleteArgs {
    /// `host:port` of a broker
    #[arg(long)]
    bootstrap: String,
    /// Every topic whose name begins like this
    #[arg(long)]
    prefix: String,
}

#[derive(clap::Args)]
pub(crate) struct ReadArgs {
    /// `host:port` of a broker
    #[arg(long)]
    bootstrap: String,
    /// The topic
    #[arg(long)]
    topic: String,
}

fn admin(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", bootstrap).create()?)
}

/// Waits for an answer of the cluster; the client has a thread of its own that brings it.
fn wait<T>(answer: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(answer))
}

pub(crate) fn create(args: &CreateArgs) -> Result<()> {
    let topic = NewTopic::new(&args.topic, args.partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let answers = wait(admin(&args.bootstrap)?.create_topics([&topic], &options))??;
    answers.into_iter().try_for_each(|answer| answer.map(drop).map_err(|(name, code)| anyhow!("create {name}: {code}")))
}

pub(crate) fn delete(args: &DeleteArgs) -> Result<()> {
    let admin = admin(&args.bootstrap)?;
    let metadata = admin.inner().fetch_metadata(None, TIMEOUT)?;
    let names: Vec<&str> =
        metadata.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(&args.prefix)).collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    if !names.is_empty() {
        wait(admin.delete_topics(&names, &options))??;
    }
    Ok(())
}

/// A consumer that reads what is committed and commits nothing.
pub(crate) fn consumer(bootstrap: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", group).set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false").set("isolation.level", "read_committed");
    config
}

/// Where each partition of the topic ends now.
pub(crate) fn ends(consumer: &BaseConsumer, topic: &str) -> Result<Vec<(i32, i64)>> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let topic = metadata.topics().first().context("a topic that was asked for is in the answer")?;
    let end = |id: i32| Ok((id, consumer.fetch_watermarks(topic.name(), id, TIMEOUT)?.1));
    topic.partitions().iter().map(|partition| end(partition.id())).collect()
}

/// All of its partitions from their beginnings, and how many offsets they have together.
pub(crate) fn all_from_start(consumer: &BaseConsumer, topic: &str) -> Result<(TopicPartitionList, u64)> {
    let (mut list, mut total) = (TopicPartitionList::new(), 0);
    for (id, end) in ends(consumer, topic)? {
        list.add_partition_offset(topic, id, Offset::Beginning)?;
        total += u64::try_from(end)?;
    }
    Ok((list, total))
}

/// Writes every committed value, one a line, until each partition ends.
pub(crate) fn read(args: &ReadArgs) -> Result<()> {
    let mut config = consumer(&args.bootstrap, "peers-read");
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create()?;
    let (list, _) = all_from_start(&consumer, &args.topic)?;
    consumer.assign(&list)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut open = list.count();
    while open > 0 {
        match consumer.poll(TIMEOUT).context("the broker is silent")? {
            Ok(message) => {
                out.write_all(message.payload().unwrap_or_default())?;
                out.write_all(b"\n")?;
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => open -= 1,
            Err(error) => return Err(error.into()),
        }
    }
    out.flush()?;
    Ok(())
}
