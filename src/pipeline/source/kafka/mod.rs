//! Records from Kafka topics: one consumer on one plain thread, every partition with a queue of its own.
//!
//! Partitions are taken by `assign`: one process owns them all, there is no group protocol that could take them away,
//! and the thread may block on a full channel for as long as it must. What was fetched then stays in the bounded queues
//! of the client library, which stops fetching when they are full: back-pressure reaches the broker as lag.
//!
//! Where to start is said by the restored state alone; the group's offsets are for people and their tools.

pub mod batch;
pub mod commands;
pub mod connection;
mod gauges;
pub(crate) mod health;
mod lane;
pub(crate) mod partitions;
mod reader;

use std::io;
use std::sync::Arc;

use crossbeam::channel::Sender;

use crate::metrics::Metrics;
use crate::model::alert::Format;
use crate::model::time::{Clock, Millis};
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::gauges::Gauges;
use crate::pipeline::source::kafka::reader::{Reader, Stop};
use crate::pipeline::source::thread::SourceThread;
use crate::pipeline::source::{Position, SourceEvent};

/// What a Kafka source is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the source, as in positions.
    pub name: String,
    /// How to reach the cluster.
    pub connection: Connection,
    /// The consumer group under which offsets are committed.
    pub group: String,
    /// What is read.
    pub topics: Vec<Topic>,
    /// What to do when the records to go on from are gone.
    pub on_offset_lost: OnOffsetLost,
    /// In a backlog no partition runs further ahead of the slowest than this, record time.
    pub ahead: Millis,
    /// How often to look for new partitions.
    pub metadata_interval: Millis,
    /// Records per batch at most.
    pub batch_records: usize,
    /// Bytes per batch at most, but for its last record.
    pub batch_bytes: usize,
    /// Memory for what was fetched and not yet taken, over all partitions.
    pub prefetch_bytes: usize,
}

impl Options {
    /// A source with every default.
    #[must_use]
    pub fn new(name: &str, connection: Connection, group: &str, topics: Vec<Topic>) -> Self {
        Self {
            name: name.to_owned(),
            connection,
            group: group.to_owned(),
            topics,
            on_offset_lost: OnOffsetLost::Stop,
            ahead: Millis::seconds(10),
            metadata_interval: Millis::seconds(30),
            // Hand-over costs under 1 % of the work from 256 records on; more only makes the steps coarser.
            batch_records: 1_000,
            batch_bytes: 256 << 10,
            // 12 ms at a million alerts a second, longer than a broker nearby takes to send more. Memory is twice that: what is
            // fetched at once comes on top, and each record has some 300 bytes of the client library around it.
            prefetch_bytes: 8 << 20,
        }
    }
}

/// A topic and the wire format of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// What its records are.
    pub format: Format,
}

/// What to do when the records to go on from are gone: expired, or the topic was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOffsetLost {
    /// Stop and say so: a person decides what the loss means.
    Stop,
    /// Go on with the oldest record there is.
    Earliest,
}

/// Starts a thread `source-NAME`.
///
/// `positions` is the restored state; positions of other sources are passed over. A partition without one starts at its
/// beginning, be it new or the first start. Faults are told as `SourceEvent::Failed`.
///
/// # Errors
/// When the system refuses a thread.
pub fn spawn(
    options: Options,
    positions: Vec<Position>,
    clock: Arc<dyn Clock + Sync>,
    metrics: Metrics,
    events: Sender<SourceEvent>,
) -> io::Result<SourceThread> {
    SourceThread::spawn(&format!("source-{}", options.name), events, move |outlet| {
        let gauges = Gauges::new(metrics, &options.name);
        let reader = Reader::open(&options, &positions, &*clock, gauges, outlet);
        match reader.and_then(Reader::read) {
            Ok(()) | Err(Stop::Asked) => Ok(()),
            Err(Stop::Failed(fault)) => outlet.send(SourceEvent::Failed(fault)),
        }
    })
}
