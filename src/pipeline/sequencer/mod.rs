//! The one sequence of everything: numbers the records, commands and ticks of all sources, and keeps their clocks.
//!
//! Pure: it is told what sources say and what time it is, and answers with chunks. Threads and channels are in `run`.

mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::time::{Millis, Timestamp};
use crate::pipeline::chunk::{Seq, Step, StepKind};
use crate::pipeline::command::{Action, Command};
use crate::pipeline::exchange::{Chunk, Mark, Note};
use crate::pipeline::options::{Options, RecordTime, SourceOptions};
use crate::pipeline::pressure::Pressure;
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::sequencer::reading::{Reading, read_times};
use crate::pipeline::source::{Batch, PartitionName, Position, SourceEvent, SourceIndex};

/// How long the clock of a source that may be read again waits for its records: several times as long as the source waits
/// between two looks at its valve.
const RESUME_GRACE: Millis = Millis(100);

/// What stops the daemon from inside a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name:?}: {reason}")]
pub struct SourceFailed {
    /// Which source.
    pub source_name: String,
    /// Why.
    pub reason: String,
}

#[derive(Debug)]
struct Partition {
    clock: Timestamp,
    idle: bool,
    next: u64,
}

impl Partition {
    /// Its clock; the wall clock if everything in it is read.
    fn clock(&self, now: Timestamp) -> Timestamp {
        if self.idle { now } else { self.clock }
    }
}

#[derive(Debug)]
struct Source {
    options: SourceOptions,
    partitions: BTreeMap<PartitionName, Partition>,
    clock: Timestamp,
    /// Whether it has said anything since the start: until then there may be partitions that the state does not know.
    heard: bool,
    ended: bool,
    /// It is held back, or was until now: what it has not handed on may be older than the wall clock.
    stands_until: Timestamp,
}

impl Source {
    /// Whether its clock stands because it is held back: what is not read yet is no silence. A lossy source says by itself how
    /// long it refused.
    fn stands(&mut self, is_shut: bool, now: Timestamp) -> bool {
        if is_shut && !self.options.lossy_when_unread {
            self.stands_until = now + RESUME_GRACE;
        }
        now < self.stands_until
    }

    /// The slowest partition; an idle one is at the wall clock. MIN while one has said nothing yet.
    fn slowest(&self, now: Timestamp) -> Timestamp {
        if self.ended || self.options.lossy_when_unread {
            return now; // Nothing can come late: arrival is the record time.
        }
        if !self.heard {
            return Timestamp::MIN;
        }
        self.partitions.values().map(|partition| partition.clock(now)).min().unwrap_or(Timestamp::MIN)
    }
}

/// Numbers and clocks.
#[derive(Debug)]
pub struct Sequencer {
    sources: Vec<Source>,
    wall: Timestamp,
    next_chunk: u64,
    next_record: u64,
    /// Record times that lay in the future and were set to arrival.
    pub clamped: u64,
    /// Set by a lossy source while it refuses its senders: its clock stands still until `Unread` tells how long.
    pub refusing: Arc<AtomicBool>,
    /// Which sources are held back.
    pub valves: Arc<Valves>,
    /// What shards were told about memory.
    pressure: Pressure,
}

impl Sequencer {
    /// A sequencer that goes on from there.
    #[must_use]
    pub fn new(options: &Options, positions: &[Position], clocks: &[Timestamp], next_record: u64) -> Self {
        let source = |(index, options): (usize, &SourceOptions)| Source {
            options: options.clone(),
            partitions: BTreeMap::new(),
            clock: clocks.get(index).copied().unwrap_or(Timestamp::MIN),
            heard: false,
            ended: false,
            stands_until: Timestamp::MIN,
        };
        let mut sources: Vec<Source> = options.sources.iter().enumerate().map(source).collect();
        for position in positions {
            if let Some(source) = sources.iter_mut().find(|source| source.options.name == position.source) {
                let partition = Partition { clock: position.clock, idle: false, next: position.next };
                source.partitions.insert(position.partition.as_str().into(), partition);
            }
        }
        Self {
            sources,
            wall: Timestamp::MIN,
            next_chunk: 0,
            next_record,
            clamped: 0,
            refusing: Arc::default(),
            valves: Arc::default(),
            pressure: Pressure::default(),
        }
    }

    /// The same, with what the shards of a restored state were told about memory.
    #[must_use]
    pub fn under(self, pressure: Pressure) -> Self {
        Self { pressure, ..self }
    }

    /// Prepares for new threads: chunks are numbered from 0 again, options of the sources may have changed.
    pub fn restart(&mut self, options: &Options, refusing: Arc<AtomicBool>, valves: Arc<Valves>) {
        self.next_chunk = 0;
        self.refusing = refusing;
        self.valves = valves;
        for (source, options) in self.sources.iter_mut().zip(options.sources.iter()) {
            source.options = options.clone();
        }
    }

    /// Begins: what a lossy source could not hear since its last committed clock is no silence.
    pub fn begin(&mut self, now: Timestamp) -> Chunk {
        let unread: Vec<StepKind> = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| {
                source.options.lossy_when_unread && source.clock != Timestamp::MIN && source.clock < now
            })
            .map(|(index, source)| StepKind::Unread { source: SourceIndex(index as u8), by: now - source.clock })
            .collect();
        let mut chunk = self.tick(now);
        let seq = chunk.steps.first().map_or(Seq { record: self.next_record, index: 0 }, |step| step.seq);
        chunk.steps.splice(0..0, unread.into_iter().map(|kind| Step { seq, kind }));
        chunk
    }

    /// The wall clock moves on.
    pub fn tick(&mut self, now: Timestamp) -> Chunk {
        let mut chunk = self.chunk(None, now);
        self.pass_time(now, &mut chunk);
        self.next_record += u64::from(!chunk.steps.is_empty());
        chunk
    }

    /// Memory got shorter, or longer: told to all shards at one place of the sequence. `None` if they know.
    pub fn press(&mut self, pressure: &Pressure, now: Timestamp) -> Option<Chunk> {
        if *pressure == self.pressure {
            return None;
        }
        self.pressure = pressure.clone();
        let mut chunk = self.chunk(None, now);
        let seq = Seq { record: self.next_record, index: 0 };
        self.pass_time(now, &mut chunk);
        let kind = StepKind::Pressure { pressure: pressure.clone(), at: self.wall };
        chunk.steps.push(Step { seq, kind });
        chunk.notes.push(Note::Pressure(pressure.clone()));
        self.next_record += 1;
        Some(chunk)
    }

    /// What a source says becomes a chunk, if it moves anything.
    ///
    /// # Errors
    /// When the source cannot go on.
    pub fn take(
        &mut self,
        source: SourceIndex,
        event: SourceEvent,
        now: Timestamp,
    ) -> Result<Option<Chunk>, SourceFailed> {
        let at = usize::from(source.0);
        let Some(state) = self.sources.get_mut(at) else { return Ok(None) };
        state.heard = true;
        match event {
            SourceEvent::Records(batch) => return Ok(Some(self.records(source, batch, now))),
            SourceEvent::Assigned(partitions) => {
                // Whatever was known from the state and is not read now must not hold the clock back.
                state.partitions.retain(|name, _| partitions.contains(name));
                for name in partitions {
                    state.partitions.entry(name).or_insert(Partition { clock: Timestamp::MIN, idle: false, next: 0 });
                }
            }
            SourceEvent::Revoked(partitions) => state.partitions.retain(|name, _| !partitions.contains(name)),
            SourceEvent::Idle(name) => {
                let fresh = Partition { clock: Timestamp::MIN, idle: true, next: 0 };
                state.partitions.entry(name).or_insert(fresh).idle = true;
            }
            SourceEvent::SilentUntil(name, at) => {
                let fresh = Partition { clock: Timestamp::MIN, idle: false, next: 0 };
                let partition = state.partitions.entry(name).or_insert(fresh);
                partition.clock = partition.clock.max(at.min(now));
            }
            SourceEvent::Unsure(name) => {
                if let Some(partition) = state.partitions.get_mut(&name) {
                    partition.idle = false;
                }
            }
            SourceEvent::Unread { from, to } => {
                self.refusing.store(false, Ordering::Release);
                let mut chunk = self.chunk(None, now);
                let kind = StepKind::Unread { source, by: Millis((to - from).0.max(0)) };
                chunk.steps.push(Step { seq: Seq { record: self.next_record, index: 0 }, kind });
                self.pass_time(now, &mut chunk);
                self.next_record += 1;
                return Ok(Some(chunk));
            }
            SourceEvent::Command { command, next } => return Ok(Some(self.command(source, command, next, now))),
            SourceEvent::Ended => state.ended = true,
            SourceEvent::Failed(reason) => {
                return Err(SourceFailed { source_name: state.options.name.clone(), reason });
            }
        }
        Ok(None)
    }

    /// Ends the epoch with an empty chunk.
    pub fn mark(&mut self, mark: Mark, now: Timestamp) -> Chunk {
        let mut chunk = self.tick(now);
        chunk.mark = Some(mark);
        chunk
    }

    /// How far each source's clock lies behind, and whether it has one.
    pub fn clocks(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.sources.iter().map(|source| source.clock)
    }

    fn chunk(&mut self, source: Option<SourceIndex>, now: Timestamp) -> Chunk {
        self.wall = self.wall.max(now); // The wall clock of the engine never goes back, whatever NTP does.
        let chunk = Chunk {
            number: self.next_chunk,
            source,
            first_record: self.next_record,
            wall: self.wall,
            ..Chunk::default()
        };
        self.next_chunk += 1;
        chunk
    }

    /// The steps of time at the beginning of a chunk: the wall clock, and the clocks of idle sources.
    fn pass_time(&mut self, now: Timestamp, chunk: &mut Chunk) {
        let now = self.wall.max(now);
        let seq = Seq { record: self.next_record, index: 0 };
        chunk.steps.push(Step { seq, kind: StepKind::Wall { to: now } });
        let refusing = self.refusing.load(Ordering::Acquire);
        for (index, source) in self.sources.iter_mut().enumerate() {
            if refusing && source.options.lossy_when_unread
                || source.stands(self.valves.is_shut(SourceIndex(index as u8)), now)
            {
                continue;
            }
            let slowest = source.slowest(now);
            if slowest > source.clock {
                source.clock = slowest;
                let source = SourceIndex(index as u8);
                chunk.steps.push(Step { seq, kind: StepKind::Clock { source, to: slowest } });
                chunk.notes.push(Note::Clock(source, slowest));
            }
        }
    }

    fn records(&mut self, source: SourceIndex, mut batch: Batch, now: Timestamp) -> Chunk {
        let first = self.next_record;
        self.next_record += batch.records.len() as u64;
        let mut chunk = self.chunk(Some(source), now);
        chunk.first_record = first;
        let now = self.wall;
        chunk.steps.push(Step { seq: Seq { record: first, index: 0 }, kind: StepKind::Wall { to: now } });
        let Some(state) = self.sources.get_mut(usize::from(source.0)) else { return chunk };
        if state.options.time == RecordTime::Payload {
            // A payload's time is known only after decoding: the clock of such a source moves there.
            let mut read = Reading::begin(state, &batch, now);
            batch.records.iter().for_each(|record| read.note(record));
            read.end(state, &batch);
        } else {
            self.clamped += read_times(state, source, &mut batch, first, now, &mut chunk);
        }
        chunk.batch = batch;
        chunk
    }

    fn command(&mut self, source: SourceIndex, command: Command, next: u64, now: Timestamp) -> Chunk {
        let mut chunk = self.chunk(None, now);
        let seq = Seq { record: self.next_record, index: 0 };
        self.pass_time(now, &mut chunk);
        match command.action {
            Action::Resolve { incident_id } => {
                let kind = StepKind::Resolve { incident: incident_id, by: command.by };
                chunk.steps.push(Step { seq, kind });
            }
        }
        chunk.notes.push(Note::Position(source, PartitionName::from(""), next, self.wall));
        self.next_record += 1;
        chunk
    }
}

#[cfg(test)]
mod tests;
