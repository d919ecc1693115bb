//! Following the state topic with a client of its own, while another instance is active.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::model::time::Stopwatch;
use crate::pipeline::sink::kafka::records::{OWNER_KEY, StateKey};
use crate::pipeline::sink::kafka::standby::{Shadow, Warm};
use crate::pipeline::snapshot::{Keeper, LocalCopy as _};
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::health::{Health, is_for_good};
use crate::pipeline::source::kafka::partitions::close;

/// Records read in one turn at most, so that whoever calls can look after something else.
const RECORDS: usize = 256;
/// After a state that could not be followed; it is read from its beginning then.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes that may wait in the client.
const PREFETCH_KIB: &str = "8192";

/// Where the state is.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to reach the cluster.
    pub connection: Connection,
    /// The consumer group, needed by the client library only.
    pub group: String,
    /// The topic; it has one partition.
    pub topic: String,
}

/// Keeps a copy of the state, and the local snapshot along with it.
pub struct Follower {
    options: Options,
    shadow: Shadow,
    copy: Option<Keeper>,
    consumer: Option<Arc<BaseConsumer<Health>>>,
    /// Since the last trouble.
    trouble: Option<Stopwatch>,
    /// What was told last of it, so that it is told once.
    told: String,
    /// The next offset.
    next: i64,
    /// Whether the snapshot's keeper knows with which epoch it goes on.
    has_begun: bool,
}

impl Follower {
    /// Begins with the local snapshot if there is one. Does not wait for a connection.
    #[must_use]
    pub fn new(options: Options, mut copy: Option<Keeper>) -> Self {
        let loaded = copy.as_mut().and_then(|copy| match copy.load() {
            Ok(loaded) => loaded,
            Err(refused) => {
                copy.note_refused();
                tracing::warn!("the local snapshot is not used, the state topic is read as a whole: {refused}");
                None
            }
        });
        let has_begun = loaded.is_some();
        let shadow = loaded.map(Shadow::of_snapshot).unwrap_or_default();
        let (consumer, trouble, told, next) = (None, None, String::new(), 0);
        Self { options, shadow, copy, consumer, trouble, told, next, has_begun }
    }

    /// Reads what is there, or waits for it, at most about that long.
    pub fn turn(&mut self, at_most: Duration) {
        if let Some(since) = &self.trouble {
            if since.elapsed() < PAUSE {
                return std::thread::sleep(at_most);
            }
            self.trouble = None;
        }
        if let Err(fault) = self.read(at_most) {
            self.begin_anew(&fault);
        }
    }

    /// The last whole epoch of the copy, 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shadow.epoch()
    }

    /// Live fingerprints in the copy.
    #[must_use]
    pub fn n_members(&self) -> usize {
        self.shadow.n_members()
    }

    /// Records of the topic that the copy has not yet; `None` while that is not known. Takes a request.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        let consumer = self.consumer.as_ref()?;
        // Isolation is `read_committed`, so this is the last stable offset.
        let (_, end) = consumer.fetch_watermarks(&self.options.topic, 0, REQUEST_TIMEOUT).ok()?;
        let position = consumer.position().ok()?;
        let next = position.find_partition(&self.options.topic, 0)?.offset().to_raw().filter(|at| *at >= 0);
        u64::try_from(end - next.unwrap_or(self.next)).ok()
    }

    /// The copy as it is, to take over with; `None` if it has nothing.
    #[must_use]
    pub fn into_warm(mut self) -> Option<Warm> {
        if let Some(consumer) = self.consumer.take() {
            close(consumer);
        }
        std::mem::take(&mut self.shadow).into_warm()
    }

    fn read(&mut self, at_most: Duration) -> Result<(), String> {
        let consumer = match &self.consumer {
            Some(consumer) => Arc::clone(consumer),
            None => self.connect()?,
        };
        let mut wait = at_most;
        for _ in 0..RECORDS {
            match consumer.poll(wait) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    self.next = message.offset() + 1;
                    self.take(message.offset(), message.key(), message.payload().unwrap_or_default())?;
                }
                Some(Err(error)) if was_deleted(&error) || is_for_good(&error) => return Err(error.to_string()),
                Some(Err(error)) => tracing::debug!(%error, "follow the state"),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<Arc<BaseConsumer<Health>>, String> {
        let mut config = self.options.connection.consumer("standby", &self.options.group);
        config.set("statistics.interval.ms", "0").set("queued.max.messages.kbytes", PREFETCH_KIB);
        let consumer = config.create_with_context::<_, BaseConsumer<Health>>(Health::default());
        let consumer = Arc::new(consumer.map_err(|error| error.to_string())?);
        let at = i64::try_from(self.shadow.begin_at()).ok().filter(|at| *at > 0);
        let mut list = TopicPartitionList::new();
        let start = at.map_or(Offset::Beginning, Offset::Offset);
        list.add_partition_offset(&self.options.topic, 0, start).map_err(|error| error.to_string())?;
        consumer.assign(&list).map_err(|error| error.to_string())?;
        self.next = at.unwrap_or(0);
        self.consumer = Some(Arc::clone(&consumer));
        Ok(consumer)
    }

    fn take(&mut self, offset: i64, key: Option<&[u8]>, block: &[u8]) -> Result<(), String> {
        let key = std::str::from_utf8(key.unwrap_or_default()).unwrap_or_default();
        if key == OWNER_KEY {
            return Ok(());
        }
        let key: StateKey =
            key.parse().map_err(|_| format!("the record at offset {offset} is not ours (key {key:?})"))?;
        let whole = self.shadow.take(offset, key.epoch, key.index, block).map_err(|error| error.0)?;
        self.told.clear();
        if let (Some(durable), Some(copy)) = (whole, &mut self.copy) {
            if !std::mem::replace(&mut self.has_begun, true) {
                copy.begin(durable.epoch);
            }
            copy.take_restored(durable);
        }
        Ok(())
    }

    /// The copy is of no use: it is made anew from the beginning of the topic.
    fn begin_anew(&mut self, fault: &str) {
        if self.told != fault {
            tracing::warn!("the state topic cannot be followed, it is read from its beginning: {fault}");
            fault.clone_into(&mut self.told);
        }
        self.trouble = Some(Stopwatch::start());
        if let Some(consumer) = self.consumer.take() {
            close(consumer);
        }
        self.shadow = Shadow::default();
        self.has_begun = false;
    }
}

/// Whether what is to be read next is not there any more.
fn was_deleted(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(Code::AutoOffsetReset)
}
