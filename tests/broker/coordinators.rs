//! Who of three brokers coordinates our transactions and our group, and how it becomes another.

use std::time::Duration;

use rdkafka::producer::Producer as _;
use tidegate::model::time::Stopwatch;

use crate::cluster::Cluster;
use crate::node::Node;

/// Longer than a cluster needs for anything.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What is coordinated, each in a topic of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinated {
    /// Our transactional id.
    Transactions,
    /// Our group's offsets.
    Offsets,
}

impl Coordinated {
    const fn topic(self) -> &'static str {
        match self {
            Self::Transactions => "__transaction_state",
            Self::Offsets => "__consumer_offsets",
        }
    }
}

/// A partition of one of those topics: whoever leads it coordinates what hashes to it.
pub struct Coordinator<'a> {
    cluster: &'a Cluster,
    topic: &'static str,
    partition: i32,
}

impl<'a> Coordinator<'a> {
    /// Of a transactional id or a group.
    pub fn of(cluster: &'a Cluster, what: Coordinated, id: &str) -> Self {
        let topic = what.topic();
        let metadata = cluster.producer().client().fetch_metadata(Some(topic), REQUEST_TIMEOUT).unwrap();
        let n_partitions = metadata.topics()[0].partitions().len() as i32;
        Self { cluster, topic, partition: (java_hash(id) & i32::MAX) % n_partitions }
    }

    /// The number of the broker that it is now, and of all that could be it.
    fn look(&self) -> (i32, Vec<i32>) {
        let metadata = self.cluster.producer().client().fetch_metadata(Some(self.topic), REQUEST_TIMEOUT).unwrap();
        let mut partitions = metadata.topics()[0].partitions().iter();
        let partition = partitions.find(|partition| partition.id() == self.partition).unwrap();
        (partition.leader(), partition.replicas().to_vec())
    }

    /// The broker that it is now.
    pub fn node(&self) -> &'a Node {
        let (leader, _) = self.look();
        &self.cluster.nodes()[usize::try_from(leader - 1).unwrap()]
    }

    /// Makes another broker coordinate.
    pub fn move_on(&self) {
        let (leader, mut replicas) = self.look();
        replicas.sort_unstable();
        let at = replicas.iter().position(|replica| *replica == leader).unwrap();
        replicas.rotate_left((at + 1) % 3);
        self.cluster.nodes()[0].lead(self.topic, self.partition, &replicas);
        let watch = Stopwatch::start();
        while self.look().0 != replicas[0] {
            assert!(watch.elapsed() < PATIENCE, "{:?} instead of {replicas:?}", self.look());
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Waits until every broker has a copy of everything again: only then may another go away.
pub fn until_whole(cluster: &Cluster) {
    let (producer, watch) = (cluster.producer(), Stopwatch::start());
    loop {
        let metadata = producer.client().fetch_metadata(None, REQUEST_TIMEOUT);
        let is_whole = metadata.as_ref().is_ok_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            metadata.brokers().len() == cluster.nodes().len()
                && partitions.all(|partition| partition.isr().len() == partition.replicas().len())
        });
        if is_whole {
            return;
        }
        assert!(watch.elapsed() < PATIENCE, "copies are missing after {PATIENCE:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// `String.hashCode` of Java's standard library, by which brokers choose the partition.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}
