//! Taking partitions: finding them, starting each where it must, giving each a queue of its own.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::bounded;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use crate::model::time::Timestamp;
use crate::pipeline::source::SourceEvent;
use crate::pipeline::source::kafka::batch::Fetched;
use crate::pipeline::source::kafka::health::Health;
use crate::pipeline::source::kafka::lane::Lane;
use crate::pipeline::source::kafka::reader::{Reader, Stop};

/// How long one request for metadata may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the library gets to let go of its connections; after that it is left behind.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the broker may hold an answer back until there is something in it. All partitions of a broker share one request,
/// made of those whose queues have room: where a partition that is read to its end is the only one, the backlog of the others
/// waits as long. Their queues hold about as much; an idle source asks fifty times a second, which costs 0.2 % of a core.
const FETCH_WAIT: &str = "20";
/// Least and most that is fetched of a partition at once, bytes as stored. Compressed records grow about sixfold.
const FETCH_BYTES: (usize, usize) = (128 << 10, 1 << 20);
/// Least and most that the queue of a partition may hold, KiB of records. With many partitions the least of each adds up to
/// more than was meant; below it a fetch would not fit.
const QUEUE_KIB: (usize, usize) = (256, 65_536);

/// The queue of a partition of its own.
pub(super) struct LaneQueue {
    pub(super) fetched: Fetched<Health>,
    /// Keeps it apart from the main queue, and rings when something comes.
    _bell: PartitionQueue<Health>,
}

impl Reader<'_> {
    pub(super) fn connect(&self, n_partitions: usize) -> Result<Arc<BaseConsumer<Health>>, Stop> {
        let mut config = self.options.connection.consumer("source", &self.options.group);
        let given = &self.options.connection.options;
        for (name, value) in prefetch(self.options.prefetch_bytes, n_partitions) {
            if !given.contains_key(name) {
                config.set(name, value.to_string());
            }
        }
        config.set("fetch.wait.max.ms", FETCH_WAIT);
        let consumer = config.create_with_context::<_, BaseConsumer<Health>>(Health::default());
        consumer.map(Arc::new).map_err(|error| Stop::Failed(error.to_string()))
    }

    /// Takes a partition again from its beginning. A seek would not do: the library has stopped fetching it.
    pub(super) fn begin_anew(&mut self, index: usize, consumer: &Arc<BaseConsumer<Health>>) -> Result<(), Stop> {
        let Some(lane) = self.lanes.get(index) else { return Ok(()) };
        let failed = |error: KafkaError| Stop::Failed(format!("partition {}: {error}", lane.name));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&lane.topic, lane.partition, Offset::Beginning).map_err(failed)?;
        consumer.incremental_unassign(&list).map_err(failed)?;
        consumer.incremental_assign(&list).map_err(failed)?;
        if index < self.queues.len() {
            // The old handle first: it takes the bell off the queue when it goes, which is the new one's queue, too.
            drop(self.queues.remove(index));
            let queue = self.queue_for(lane, consumer)?;
            self.queues.insert(index, queue);
        }
        self.drain_main_queue(consumer)
    }

    pub(super) fn take_new_partitions(&mut self, consumer: &Arc<BaseConsumer<Health>>) -> Result<(), Stop> {
        let Some(mut partitions) = self.look_for_partitions(consumer)? else { return Ok(()) };
        partitions.retain(|(topic, partition)| {
            let known = |lane: &Lane| lane.partition == *partition && lane.topic == *topic;
            !self.lanes.iter().any(known)
        });
        if partitions.is_empty() { Ok(()) } else { self.take_partitions(consumer, &partitions) }
    }

    /// All partitions of our topics; `None` if no broker answers in time.
    pub(super) fn look_for_partitions(
        &self,
        consumer: &BaseConsumer<Health>,
    ) -> Result<Option<Vec<(String, i32)>>, Stop> {
        let mut found = Vec::new();
        for topic in &self.options.topics {
            self.outlet.check()?;
            let metadata = match consumer.fetch_metadata(Some(&topic.name), REQUEST_TIMEOUT) {
                Ok(metadata) => metadata,
                Err(error) => {
                    tracing::warn!(
                        source = self.options.name,
                        topic = topic.name,
                        "metadata of {} cannot be read: {error}",
                        topic.name
                    );
                    return Ok(None);
                }
            };
            let Some(described) = metadata.topics().iter().find(|described| described.name() == topic.name) else {
                return Ok(None);
            };
            match described.error().map(Code::from) {
                None => {}
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                    return Err(Stop::Failed(format!(
                        "topic {:?} does not exist; `tidegate topics create` creates what is missing",
                        topic.name
                    )));
                }
                Some(Code::TopicAuthorizationFailed) => {
                    return Err(Stop::Failed(format!("topic {:?}: not allowed to read it", topic.name)));
                }
                Some(_) => return Ok(None), // No leader yet and the like: passes.
            }
            found.extend(described.partitions().iter().map(|partition| (topic.name.clone(), partition.id())));
        }
        found.sort();
        Ok(Some(found))
    }

    pub(super) fn take_partitions(
        &mut self,
        consumer: &Arc<BaseConsumer<Health>>,
        partitions: &[(String, i32)],
    ) -> Result<(), Stop> {
        let failed = |error: KafkaError| Stop::Failed(format!("take partitions: {error}"));
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut lanes = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            let format = self.options.topics.iter().find(|known| known.name == *topic).map(|known| known.format);
            let Some(format) = format else { continue };
            let mut lane = Lane::new(topic, *partition, format, 0, None);
            let known = self.positions.iter().find(|at| at.source == self.options.name && at.partition == *lane.name);
            let start = match known {
                Some(position) => {
                    lane.next = position.next;
                    lane.clock = Some(position.clock).filter(|clock| *clock > Timestamp::MIN);
                    Offset::Offset(i64::try_from(position.next).unwrap_or(i64::MAX))
                }
                None => Offset::Beginning,
            };
            list.add_partition_offset(topic, *partition, start).map_err(failed)?;
            lanes.push(lane);
        }
        // A client that does not know the leaders yet looks for offsets again only after half a second.
        for topic in &self.options.topics {
            let _ = consumer.fetch_metadata(Some(&topic.name), REQUEST_TIMEOUT); // Without it: later, not never.
        }
        // Before anything is fetched, so that no record goes to the main queue.
        for lane in &lanes {
            self.queues.push(self.queue_for(lane, consumer)?);
        }
        let first = self.lanes.is_empty();
        if first { consumer.assign(&list) } else { consumer.incremental_assign(&list) }.map_err(failed)?;
        self.take_lanes(lanes)
    }

    /// Reads from new lanes, whose queues are there, and tells the sequencer.
    fn take_lanes(&mut self, lanes: Vec<Lane>) -> Result<(), Stop> {
        let (source, partitions) = (&self.options.name, lanes.len());
        tracing::info!(source, partitions, "source {source} reads {partitions} partitions");
        for lane in lanes {
            self.gauges.add(&lane);
            self.lanes.push(lane);
        }
        // All of them, the old ones too: what is not named is taken for no longer read.
        self.gauges.reassigned();
        let names = self.lanes.iter().map(|lane| Arc::clone(&lane.name)).collect();
        self.send(SourceEvent::Assigned(names))
    }

    fn queue_for(&self, lane: &Lane, consumer: &Arc<BaseConsumer<Health>>) -> Result<LaneQueue, Stop> {
        let none = || Stop::Failed(format!("partition {}: no queue of its own", lane.name));
        let mut queue = consumer.split_partition_queue(&lane.topic, lane.partition).ok_or_else(none)?;
        let bell = self.bell.0.clone();
        queue.set_nonempty_callback(move || {
            let _ = bell.try_send(()); // Full means that it rings already.
        });
        let fetched = Fetched::of(consumer, &lane.topic, lane.partition).ok_or_else(none)?;
        Ok(LaneQueue { fetched, _bell: queue })
    }

    /// What was fetched between taking a partition anew and the split lies in the main queue, and comes before all else.
    fn drain_main_queue(&mut self, consumer: &BaseConsumer<Health>) -> Result<(), Stop> {
        for _ in 0..2 {
            while let Some(result) = consumer.poll(Duration::from_millis(20)) {
                self.take_from_main_queue(result)?;
            }
        }
        Ok(())
    }
}

/// The client's bounds for each of so many partitions that share `bytes`.
fn prefetch(bytes: usize, n_partitions: usize) -> [(&'static str, usize); 2] {
    let share = bytes / n_partitions.max(1);
    [
        ("queued.max.messages.kbytes", (share >> 10).clamp(QUEUE_KIB.0, QUEUE_KIB.1)),
        // What is asked for comes on top of what the queue holds when it has room.
        ("max.partition.fetch.bytes", (share / 8).clamp(FETCH_BYTES.0, FETCH_BYTES.1)),
    ]
}

/// Lets go of a consumer on a thread of its own: the library waits without limit when a broker does not answer.
pub(crate) fn close<C: rdkafka::consumer::ConsumerContext + 'static>(consumer: Arc<BaseConsumer<C>>) {
    let (done, closed) = bounded::<()>(1);
    let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        drop(consumer);
        drop(done);
    });
    if spawned.is_ok() {
        let _ = closed.recv_timeout(CLOSE_TIMEOUT); // Disconnected means done.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: usize, n_partitions: usize, queue_kib: usize, fetch_kib: usize) {
        let expected = [("queued.max.messages.kbytes", queue_kib), ("max.partition.fetch.bytes", fetch_kib << 10)];
        assert_eq!(prefetch(bytes, n_partitions), expected, "{bytes} bytes for {n_partitions} partitions");
    }

    #[test]
    fn partitions_share_what_may_be_fetched_ahead() {
        check(8 << 20, 1, 8_192, 1_024);
        check(8 << 20, 4, 2_048, 256);
        check(8 << 20, 64, 256, 128); // Here the bounds of each begin to count.
        check(1 << 30, 0, 65_536, 1_024);
    }
}
