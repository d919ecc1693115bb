//! The broker under test, and what tests need from it: topics, records written and read by plain clients.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
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

pub struct Cluster {
    folder: tempfile::TempDir,
    ports: [u16; 3],
    told: BTreeMap<String, String>,
    names: AtomicU32,
    /// Whether an authorizer denies what was not granted.
    is_guarded: bool,
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
    pub fn start() -> Result<Self, String> {
        Self::start_as(false)
    }

    /// A cluster on which the user of the secure listener may do nothing so far. Over the plain one everything is allowed.
    pub fn start_guarded() -> Result<Self, String> {
        Self::start_as(true)
    }

    fn start_as(is_guarded: bool) -> Result<Self, String> {
        let listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = std::array::from_fn(|index| listeners[index].local_addr().unwrap().port());
        drop(listeners);
        let mut cluster = Self {
            folder: tempfile::tempdir().unwrap(),
            ports,
            told: BTreeMap::new(),
            names: AtomicU32::new(0),
            is_guarded,
        };
        cluster.told = cluster.script("start", &[])?;
        Ok(cluster)
    }

    /// Runs the script over our folder and ports; what it printed as `name=value`.
    fn script(&self, verb: &str, more: &[&str]) -> Result<BTreeMap<String, String>, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/kafka.sh");
        let options: &[&str] = if self.is_guarded { &["--sasl-ssl", "--guarded"] } else { &["--sasl-ssl"] };
        let output = Command::new(script)
            .args([verb, &self.folder.path().to_string_lossy()])
            .args(if more.is_empty() { options } else { more })
            .env("KAFKA_PORT", self.ports[0].to_string())
            .env("KAFKA_CONTROLLER_PORT", self.ports[1].to_string())
            .env("KAFKA_SASL_PORT", self.ports[2].to_string())
            .env("KAFKA_OWNER", std::process::id().to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.code() == Some(77) {
            return Err(text.trim().trim_start_matches("skipped: ").to_owned());
        }
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    /// Stops the broker in order, as for maintenance.
    pub fn stop(&self) {
        self.script("stop", &[]).unwrap();
    }

    /// Starts it again over the same data.
    pub fn restart(&self) {
        self.script("start", &[]).unwrap();
    }

    /// Sends a signal to the broker's process: `STOP` and `CONT` make it silent for a while.
    pub fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        assert!(Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().unwrap().success());
    }

    /// Runs a `kafka-acls.sh` command as the administrator.
    pub fn grant(&self, command: &str) {
        let mut words: Vec<&str> = command.split(' ').skip(1).collect();
        for option in ["--bootstrap-server", "--command-config"] {
            let at = words.iter().position(|word| *word == option).unwrap();
            words.drain(at..at + 2);
        }
        self.script("acls", &words).unwrap();
    }

    pub fn connection(&self) -> Connection {
        Connection { brokers: vec![self.told["bootstrap"].clone()], ..Connection::default() }
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
        config.set("bootstrap.servers", &self.told["bootstrap"]);
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
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
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

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.script("stop", &[]);
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
