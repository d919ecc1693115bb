//! The records of one batch on their way through the sequencer: their times, and the clocks they move.

use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Seq, Step, StepKind};
use crate::pipeline::exchange::{Chunk, Note};
use crate::pipeline::sequencer::{Partition, Source};
use crate::pipeline::source::{Batch, PartitionName, RecordRef, SourceIndex};

/// Sets the record times of a batch, and moves the clocks of its partitions and of their source with them. Returns how
/// many lay in the future.
pub(super) fn read_times(
    state: &mut Source,
    source: SourceIndex,
    batch: &mut Batch,
    first: u64,
    now: Timestamp,
    chunk: &mut Chunk,
) -> u64 {
    let mut read = Reading::begin(state, batch, now);
    let mut clamped = 0;
    for (number, record) in (first..).zip(&mut batch.records) {
        if record.time > now {
            clamped += 1;
            record.time = now;
        } else if record.time == Timestamp::MIN {
            record.time = now; // Arrival.
        }
        if let Some(slowest) = read.note_time(record)
            && slowest > state.clock
        {
            state.clock = slowest;
            let seq = Seq { record: number, index: 0 };
            chunk.steps.push(Step { seq, kind: StepKind::Clock { source, to: slowest } });
        }
    }
    chunk.notes.push(Note::Clock(source, state.clock));
    let touched = read.partitions.iter().zip(&batch.partitions).filter(|(partition, _)| partition.is_touched);
    chunk.notes.extend(
        touched.map(|(Lane { partition, .. }, name)| {
            Note::Position(source, name.clone(), partition.next, partition.clock)
        }),
    );
    read.end(state, batch);
    clamped
}

/// The partitions of one batch, taken out of their source, so that a record costs no search.
pub(super) struct Reading {
    /// By their index in the batch.
    partitions: Vec<Lane>,
    /// The slowest of the partitions that are not in the batch; `None` where partitions do not count.
    others: Option<Timestamp>,
    /// The slowest of those that are.
    slowest: Timestamp,
    now: Timestamp,
}

struct Lane {
    partition: Partition,
    /// The source did not know it before this batch.
    is_new: bool,
    /// A record of the batch is from it.
    is_touched: bool,
}

impl Lane {
    fn clock(&self, now: Timestamp) -> Timestamp {
        self.partition.clock(now)
    }
}

impl Reading {
    pub(super) fn begin(state: &mut Source, batch: &Batch, now: Timestamp) -> Self {
        let mut taken = |name: &PartitionName| {
            let known = state.partitions.remove(name);
            let is_new = known.is_none();
            // Idle until its first record: one that is only named counts for nothing.
            let partition = known.unwrap_or(Partition { clock: Timestamp::MIN, idle: true, next: 0 });
            Lane { partition, is_new, is_touched: false }
        };
        let partitions = batch.partitions.iter().map(&mut taken).collect();
        let counts = !(state.ended || state.options.lossy_when_unread);
        let others = state.partitions.values().map(|partition| partition.clock(now)).min().unwrap_or(Timestamp::MAX);
        let mut reading = Self { partitions, others: counts.then_some(others), slowest: Timestamp::MAX, now };
        reading.find_slowest();
        reading
    }

    fn find_slowest(&mut self) {
        let now = self.now;
        self.slowest = self.partitions.iter().map(|lane| lane.clock(now)).min().unwrap_or(Timestamp::MAX);
    }

    /// Notes a record without a time of its own.
    pub(super) fn note(&mut self, record: &RecordRef) {
        if let Some(lane) = self.partitions.get_mut(usize::from(record.partition)) {
            lane.is_touched = true;
            lane.partition.idle = false;
            lane.partition.next = record.next;
        }
    }

    /// Notes a record and its time; answers with the clock of the source.
    #[inline]
    fn note_time(&mut self, record: &RecordRef) -> Option<Timestamp> {
        let lane = self.partitions.get_mut(usize::from(record.partition))?;
        let before = lane.clock(self.now);
        lane.is_touched = true;
        lane.partition.idle = false;
        lane.partition.next = record.next;
        lane.partition.clock = lane.partition.clock.max(record.time);
        let after = lane.partition.clock;
        if before > self.slowest || after <= before {
            self.slowest = self.slowest.min(after);
        } else {
            self.find_slowest(); // It was the slowest and has moved on.
        }
        Some(self.others.map_or(self.now, |others| others.min(self.slowest)))
    }

    /// Gives the partitions back.
    pub(super) fn end(self, state: &mut Source, batch: &Batch) {
        let named = self.partitions.into_iter().zip(&batch.partitions);
        for (lane, name) in named.filter(|(lane, _)| lane.is_touched || !lane.is_new) {
            state.partitions.insert(name.clone(), lane.partition);
        }
    }
}
