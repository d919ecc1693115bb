//! The loop of a Kafka source: serve the client library, take what the lanes allow, hand it on in batches.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};

use crate::model::time::{Clock, Stopwatch, Timestamp};
use crate::pipeline::source::buffer::Home;
use crate::pipeline::source::kafka::batch::Record;
use crate::pipeline::source::kafka::gauges::Gauges;
use crate::pipeline::source::kafka::health::{Health, Snapshot, is_for_good};
use crate::pipeline::source::kafka::lane::{self, Change, Lane};
use crate::pipeline::source::kafka::partitions::{LaneQueue, close};
use crate::pipeline::source::kafka::{OnOffsetLost, Options};
use crate::pipeline::source::thread::{Closed, Outlet};
use crate::pipeline::source::{Batch, Position, RecordRef, SourceEvent};

/// How long the thread waits at most before it looks around again: for new records, for room in the channel.
const TURN: Duration = Duration::from_millis(100);
/// Idle buffers kept: as many batches as usually wait for decoders and shards.
const BUFFERS: usize = 16;
/// Room for the last record of a batch, which may pass the bound; larger ones are rare.
const RECORD_ROOM: usize = 16 << 10;

/// Why reading ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody said so, or nobody listens.
    Asked,
    /// It cannot go on.
    Failed(String),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Asked
    }
}

pub(super) struct Reader<'a> {
    pub(super) options: &'a Options,
    pub(super) positions: &'a [Position],
    clock: &'a dyn Clock,
    pub(super) outlet: &'a Outlet,
    pub(super) gauges: Gauges,
    /// Dropped before the consumer, to which they belong.
    pub(super) queues: Vec<LaneQueue>,
    pub(super) lanes: Vec<Lane>,
    consumer: Option<Arc<BaseConsumer<Health>>>,
    pub(super) bell: (Sender<()>, Receiver<()>),
    batch: Batch,
    /// Where the bytes of batches come from and go to.
    home: Home,
    /// The lane to begin the next round with, so that none is preferred.
    first: usize,
    since_metadata: Stopwatch,
}

impl<'a> Reader<'a> {
    /// Connects and takes all partitions; waits for as long as no broker answers.
    pub(super) fn open(
        options: &'a Options,
        positions: &'a [Position],
        clock: &'a dyn Clock,
        gauges: Gauges,
        outlet: &'a Outlet,
    ) -> Result<Self, Stop> {
        let mut reader = Self {
            options,
            positions,
            clock,
            outlet,
            gauges,
            queues: Vec::new(),
            lanes: Vec::new(),
            consumer: None,
            bell: bounded(1),
            batch: Batch::default(),
            home: Home::new(BUFFERS, options.batch_bytes + RECORD_ROOM),
            first: 0,
            since_metadata: Stopwatch::start(),
        };
        // The bound of a queue holds for each partition, so their number must be known before.
        let probe = reader.connect(1)?;
        let partitions = loop {
            match reader.look_for_partitions(&probe)? {
                Some(partitions) => break partitions,
                None => {
                    tracing::warn!(source = options.name, "source {}: no broker answers, trying again", options.name)
                }
            }
        };
        close(probe);
        let consumer = reader.connect(partitions.len())?;
        reader.consumer = Some(Arc::clone(&consumer));
        reader.take_partitions(&consumer, &partitions)?;
        Ok(reader)
    }

    /// Reads until the end.
    pub(super) fn read(mut self) -> Result<(), Stop> {
        let consumer = self.consumer.clone().ok_or(Stop::Asked)?;
        loop {
            self.outlet.check()?;
            self.serve(&consumer)?;
            if self.since_metadata.elapsed() >= self.options.metadata_interval.to_duration() {
                self.since_metadata = Stopwatch::start();
                self.take_new_partitions(&consumer)?;
            }
            let report = consumer.context().take();
            self.gather(&consumer)?;
            if let Some(report) = report {
                self.judge(&report)?;
            }
            if self.batch.records.is_empty() {
                // A bell that rings too often costs a round, one that does not ring costs a turn: nothing is lost.
                let _ = self.bell.1.recv_timeout(TURN);
            } else {
                self.flush()?;
            }
        }
    }

    /// Tells which partitions are idle, and counts where they stand.
    fn judge(&mut self, report: &Snapshot) -> Result<(), Stop> {
        self.flush()?;
        let now = self.clock.now();
        let limit = lane::limit(&self.lanes, self.options.ahead);
        self.gauges.waiting(self.lanes.iter().filter(|lane| !lane.may_go_on(limit)).count());
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(index) else { continue };
            let change = lane.judge(report.is_at_end(&lane.topic, lane.partition));
            self.gauges.stands(index, lane, report.end(&lane.topic, lane.partition), now);
            let name = Arc::clone(&lane.name);
            match change {
                Some(Change::Idle) => self.send(SourceEvent::Idle(name))?,
                Some(Change::Unsure) => self.send(SourceEvent::Unsure(name))?,
                None => {}
            }
        }
        Ok(())
    }

    /// Serves logs, statistics and errors. Records come this way only where a partition was just taken anew.
    fn serve(&mut self, consumer: &BaseConsumer<Health>) -> Result<(), Stop> {
        while let Some(result) = consumer.poll(Duration::ZERO) {
            self.take_from_main_queue(result)?;
        }
        Ok(())
    }

    pub(super) fn take_from_main_queue(&mut self, result: Result<BorrowedMessage<'_>, KafkaError>) -> Result<(), Stop> {
        match result {
            Ok(message) => {
                let found = self
                    .lanes
                    .iter()
                    .position(|lane| lane.partition == message.partition() && lane.topic == message.topic());
                if let Some(index) = found {
                    let now = self.clock.now();
                    self.take(index, Record::of(&message), now);
                }
                Ok(())
            }
            Err(error) => self.fault("", &error),
        }
    }

    /// One round over the lanes, repeated while there is something to take and room for it.
    fn gather(&mut self, consumer: &Arc<BaseConsumer<Health>>) -> Result<(), Stop> {
        let now = self.clock.now();
        self.lanes.iter_mut().for_each(|lane| lane.dry = false);
        let share = (self.options.batch_records / self.lanes.len().max(1)).max(16);
        loop {
            let limit = lane::limit(&self.lanes, self.options.ahead);
            let mut taken = 0;
            for step in 0..self.lanes.len() {
                let index = (self.first + step) % self.lanes.len();
                taken += self.take_up_to(share, index, limit, now, consumer)?;
                if self.is_full() {
                    self.first = index + 1;
                    return Ok(());
                }
            }
            if taken == 0 {
                return Ok(());
            }
        }
    }

    fn take_up_to(
        &mut self,
        share: usize,
        index: usize,
        limit: Timestamp,
        now: Timestamp,
        consumer: &Arc<BaseConsumer<Health>>,
    ) -> Result<usize, Stop> {
        let mut taken = 0;
        // Out of its place while it is read from, because taking a record needs the rest of the reader.
        let Some(mut queue) = (index < self.queues.len()).then(|| self.queues.swap_remove(index)) else {
            return Ok(0);
        };
        let mut fault = None;
        while taken < share && !self.is_full() {
            let Some(lane) = self.lanes.get_mut(index).filter(|lane| lane.may_go_on(limit)) else { break };
            match queue.fetched.next_record() {
                Some(Ok(record)) => taken += usize::from(self.take(index, record, now)),
                Some(Err(error)) => {
                    fault = Some(error);
                    break;
                }
                None => {
                    lane.dry = true;
                    break;
                }
            }
        }
        let last = self.queues.len();
        self.queues.push(queue);
        self.queues.swap(index, last);
        fault.map_or(Ok(()), |error| self.lane_fault(index, &error, consumer))?;
        Ok(taken)
    }

    fn is_full(&self) -> bool {
        self.batch.records.len() >= self.outlet.bound(self.options.batch_records)
            || self.batch.bytes.len() >= self.outlet.bound(self.options.batch_bytes)
    }

    /// Puts a record into the batch, unless it was seen before.
    fn take(&mut self, index: usize, record: Record<'_>, now: Timestamp) -> bool {
        let (Some(lane), Ok(offset)) = (self.lanes.get_mut(index), u64::try_from(record.offset)) else {
            return false;
        };
        let time = lane::record_time(record.time, now);
        if !lane.advance(offset, time) {
            tracing::warn!(
                partition = &*lane.name,
                offset,
                "record {offset} of {} came twice and was dropped",
                lane.name
            );
            return false;
        }
        let at = RecordRef {
            start: 0,
            len: 0,
            partition: u16::try_from(index).unwrap_or(u16::MAX),
            position: offset,
            next: offset + 1,
            time,
            format: lane.format,
        };
        self.batch.push(record.payload, at);
        true
    }

    fn lane_fault(
        &mut self,
        index: usize,
        error: &KafkaError,
        consumer: &Arc<BaseConsumer<Health>>,
    ) -> Result<(), Stop> {
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        if error.rdkafka_error_code() != Some(Code::AutoOffsetReset) {
            let name = Arc::clone(&lane.name);
            return self.fault(&name, error);
        }
        match self.options.on_offset_lost {
            OnOffsetLost::Stop => Err(Stop::Failed(format!(
                "partition {}: offset {}, to go on from, is not there any more: its records expired, or the topic was \
                 made anew; what was lost cannot be told. To go on with the oldest record there is, set \
                 on_offset_lost: earliest",
                lane.name, lane.next
            ))),
            OnOffsetLost::Earliest => {
                tracing::error!(
                    partition = &*lane.name,
                    offset = lane.next,
                    "{}: the records from {} on are gone, going on with the oldest as configured",
                    lane.name,
                    lane.next
                );
                lane.next = 0;
                self.gauges.lost_offset();
                self.begin_anew(index, consumer)
            }
        }
    }

    /// Most faults are mended by the client library itself; these are not.
    fn fault(&self, partition: &str, error: &KafkaError) -> Result<(), Stop> {
        if is_for_good(error) {
            let place = if partition.is_empty() { String::new() } else { format!("partition {partition}: ") };
            return Err(Stop::Failed(format!("{place}{error}")));
        }
        tracing::debug!(source = self.options.name, partition, %error, "Kafka consumer");
        Ok(())
    }

    /// Hands the batch on.
    fn flush(&mut self) -> Result<(), Stop> {
        if self.batch.records.is_empty() {
            return Ok(());
        }
        let records = Vec::with_capacity(self.options.batch_records);
        let next = Batch { bytes: self.home.take(), records, ..Batch::default() };
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.partitions = self.lanes.iter().map(|lane| Arc::clone(&lane.name)).collect();
        self.send(SourceEvent::Records(batch))
    }

    /// Waits for room; what the library reports is served meanwhile, or it would pile up.
    pub(super) fn send(&mut self, mut event: SourceEvent) -> Result<(), Stop> {
        while let Some(unsent) = self.outlet.offer(event)? {
            event = unsent;
            if let Some(consumer) = self.consumer.clone() {
                self.serve(&consumer)?;
            }
        }
        Ok(())
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.queues.clear();
        if let Some(consumer) = self.consumer.take() {
            close(consumer);
        }
    }
}
