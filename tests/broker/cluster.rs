//! The cluster under test, and what tests need from it: topics, records written and read by plain clients.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use secrecy::SecretString;
use tidegate::model::time::Stopwatch;
use tidegate::pipeline::source::kafka::connection::{Connection, Mechanism, Sasl, Tls};

use crate::node::{Kind, Node, Told};

pub struct Cluster {
    // Before the folder: the brokers are gone when it goes.
    nodes: Vec<Node>,
    _folder: tempfile::TempDir,
    kind: Kind,
    told: Told,
    names: AtomicU32,
}

/// A record as a plain client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: String,
    pub headers: BTreeMap<String, String>,
}

impl Cluster {
    /// Starts one. On `Kind::Guarded` the user of the secure listener may do nothing so far.
    ///
    /// # Errors
    /// Why this machine cannot run it.
    pub fn start(kind: Kind) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let nodes = Node::all(kind, folder.path());
        // Whatever comes of it: those that do run are stopped when this goes.
        let mut cluster = Self { nodes, _folder: folder, kind, told: Told::new(), names: AtomicU32::new(0) };
        cluster.told = Node::start_all(&cluster.nodes)?;
        Ok(cluster)
    }

    /// Its brokers; the number of each is its place, from 1.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Copies of everything.
    pub fn copies(&self) -> String {
        self.kind.size().to_string()
    }

    /// Runs a `kafka-acls.sh` command as the administrator.
    pub fn grant(&self, command: &str) {
        let mut words: Vec<&str> = command.split(' ').skip(1).collect();
        for option in ["--bootstrap-server", "--command-config"] {
            let at = words.iter().position(|word| *word == option).unwrap();
            words.drain(at..at + 2);
        }
        self.nodes[0].acls(&words);
    }

    /// The plain listeners, as clients take them.
    pub fn brokers(&self) -> String {
        self.nodes.iter().map(Node::address).collect::<Vec<_>>().join(",")
    }

    pub fn connection(&self) -> Connection {
        Connection { brokers: self.nodes.iter().map(Node::address).collect(), ..Connection::default() }
    }

    /// With TLS and SCRAM.
    pub fn secure_connection(&self, password: &str) -> Connection {
        Connection {
            brokers: vec![self.told["sasl_bootstrap"].clone()],
            tls: Some(Tls { ca: Some(PathBuf::from(&self.told["ca"])), ..Tls::default() }),
            sasl: Some(Sasl {
                mechanism: Mechanism::ScramSha512,
                user: self.told["user"].clone(),
                password: SecretString::from(password.to_owned()),
            }),
            ..Connection::default()
        }
    }

    pub fn password(&self) -> &str {
        &self.told["password"]
    }

    /// A name nobody used yet.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn plain(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.plain().create().unwrap()
    }

    /// Creates a topic under a fresh name.
    pub fn topic(&self, what: &str, partitions: i32) -> String {
        let name = self.name(what);
        self.create(&name, partitions);
        name
    }

    /// Creates a topic.
    pub fn create(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(self.kind.size() as i32));
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        block_on(self.admin().create_topics([&topic], &options)).unwrap()[0].as_ref().unwrap();
    }

    /// Deletes a topic.
    pub fn delete(&self, name: &str) {
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        block_on(self.admin().delete_topics(&[name], &options)).unwrap()[0].as_ref().unwrap();
    }

    pub fn producer(&self) -> BaseProducer {
        self.plain().set("linger.ms", "1").create().unwrap()
    }

    /// Writes `(partition, value, milliseconds)`.
    pub fn write(&self, topic: &str, records: &[(i32, &str, i64)]) {
        let producer = self.producer();
        for (partition, value, millis) in records {
            let record = BaseRecord::<(), _>::to(topic).partition(*partition).payload(*value).timestamp(*millis);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
    }

    /// Everything readers with this isolation see now.
    pub fn read(&self, topic: &str, isolation: &str) -> Vec<Seen> {
        let consumer: BaseConsumer = self
            .plain()
            .set("group.id", "test-reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
        let n_partitions = metadata.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..n_partitions {
            list.add_partition_offset(topic, partition as i32, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut seen = Vec::new();
        let mut ended = 0;
        let begun = Stopwatch::start();
        while ended < n_partitions {
            assert!(begun.elapsed() < Duration::from_secs(30), "topic {topic} cannot be read to its end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                    seen.push(Seen {
                        partition: message.partition(),
                        offset: message.offset(),
                        key: text(message.key()),
                        value: text(message.payload()),
                        headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
                    });
                }
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        seen
    }

    /// Where the partitions of a topic end.
    pub fn ends(&self, topic: &str, partitions: i32) -> Vec<i64> {
        let consumer: BaseConsumer = self.plain().set("group.id", "test-reader").create().unwrap();
        let end = |partition| consumer.fetch_watermarks(topic, partition, Duration::from_secs(10)).unwrap().1;
        (0..partitions).map(end).collect()
    }

    /// What the group committed: offset and metadata by partition.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<(Option<i64>, String)> {
        let consumer: BaseConsumer = self.plain().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let list = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
        list.elements()
            .iter()
            .map(|at| (at.offset().to_raw().filter(|raw| *raw >= 0), at.metadata().to_owned()))
            .collect()
    }
}

/// Waits for a future on this thread; the admin client is the only asynchronous one.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
