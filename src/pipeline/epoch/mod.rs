//! Gathers what decoders and shards made of the chunks of an epoch, calls level 2, checks the conservation law, and
//! materialises the epoch in full before anything is sent.

mod account;

use std::collections::BTreeMap;

use crate::model::fingerprint::HashKey;
use crate::model::time::Timestamp;
use crate::pipeline::correlate::Correlator;
use crate::pipeline::exchange::{ChunkReport, Note};
use crate::pipeline::outcome::{Outcome, SourceCounts};
use crate::pipeline::pressure::Pressure;
use crate::pipeline::shard::Tally;
use crate::pipeline::shard::event::Out;
use crate::pipeline::shard::overload::Share;
use crate::pipeline::shard::save::Saved;
use crate::pipeline::sink::{DeadLetter, Epoch};
use crate::pipeline::source::{Position, SourceIndex};
use crate::pipeline::state::BlockWriter;
use crate::pipeline::state::entry::{CounterEntry, Kind, MetaEntry, PositionEntry, TotalsEntry};
use crate::pipeline::state::sweep::{Slice, Sweep};

pub use account::{Attached, Broken, SourceTotals, Summary, counter};

/// What a shard hands over at the end of an epoch.
#[derive(Debug, Default)]
pub struct ShardOutput {
    /// Events, counts, decisions.
    pub out: Out,
    /// State entries.
    pub saved: Saved,
    /// Sizes.
    pub tally: Tally,
}

/// Builds epochs, one after the other.
#[derive(Debug)]
pub struct EpochBuilder {
    key: HashKey,
    config_version: u64,
    source_names: Vec<String>,
    correlator: Correlator,
    /// Number of the last epoch built.
    last: u64,
    next_record: u64,
    positions: BTreeMap<(usize, String), (u64, Timestamp)>,
    clocks: Vec<Timestamp>,
    wall: Timestamp,
    totals: Vec<SourceTotals>,
    counters: BTreeMap<&'static str, u64>,
    pressure: Pressure,
    safe_from: u64,
    sweep: Sweep,
    gathered: Gathered,
}

#[derive(Debug, Default)]
struct Gathered {
    received: Vec<SourceCounts>,
    dead_letters: Vec<DeadLetter>,
    attached: Attached,
    n_records: u64,
    n_bytes: u64,
}

/// What a builder starts from.
#[derive(Debug, Default)]
pub struct Beginning {
    /// The last durable epoch.
    pub last_epoch: u64,
    /// Number of the next record.
    pub next_record: u64,
    /// Positions and partition clocks.
    pub positions: Vec<Position>,
    /// Clock of each source.
    pub clocks: Vec<Timestamp>,
    /// Wall clock of the last epoch.
    pub wall: Timestamp,
    /// Totals by source.
    pub totals: Vec<SourceTotals>,
    /// Counters by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// What the shards are told about memory.
    pub pressure: Pressure,
    /// Blocks before this epoch are not needed.
    pub safe_from: u64,
    /// Bytes of blocks that were read.
    pub block_bytes: u64,
}

impl EpochBuilder {
    /// A builder that goes on from there. Positions of sources that are gone from the configuration are forgotten.
    #[must_use]
    pub fn new(
        key: HashKey,
        config_version: u64,
        source_names: Vec<String>,
        correlator: Correlator,
        from: Beginning,
    ) -> Self {
        let n = source_names.len();
        let mut positions = BTreeMap::new();
        for position in from.positions {
            if let Some(source) = source_names.iter().position(|name| *name == position.source) {
                positions.insert((source, position.partition), (position.next, position.clock));
            }
        }
        let mut totals = from.totals;
        totals.resize(n, SourceTotals::default());
        let mut clocks = from.clocks;
        clocks.resize(n, Timestamp::MIN);
        let gathered = Gathered { received: vec![SourceCounts::default(); n], ..Gathered::default() };
        Self {
            key,
            config_version,
            source_names,
            correlator,
            last: from.last_epoch,
            next_record: from.next_record,
            positions,
            clocks,
            wall: from.wall,
            totals,
            counters: from.counters,
            pressure: from.pressure,
            safe_from: from.safe_from.max(1),
            sweep: Sweep::after_restore(from.block_bytes),
            gathered,
        }
    }

    /// Whether the shards should start a sweep with the next epoch.
    #[must_use]
    pub fn wants_sweep(&self) -> bool {
        self.sweep.is_due()
    }

    /// Asks for a sweep with the next epoch, however little has changed; one that runs goes on instead.
    pub fn ask_for_sweep(&mut self) {
        self.sweep.ask();
    }

    /// Whether anything was gathered that must become durable.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.gathered.n_records > 0 || !self.gathered.attached.replies.is_empty()
    }

    /// Takes the report of a chunk, in the order of the chunks.
    pub fn take_report(&mut self, report: ChunkReport) {
        self.next_record = self.next_record.max(report.next_record);
        let notes = report.notes;
        let Some(source) = report.source else { return self.take_notes(notes) };
        let index = usize::from(source.0);
        if let Some(counts) = self.gathered.received.get_mut(index) {
            counts.received += report.received;
            counts.count(Outcome::Rejected, report.rejects.iter().sum());
        }
        if let Some(totals) = self.totals.get_mut(index) {
            totals.rejects.iter_mut().zip(report.rejects).for_each(|(total, n)| *total += n);
        }
        if let Some(clock) = self.clocks.get_mut(index) {
            *clock = (*clock).max(report.payload_clock);
        }
        let clock = report.payload_clock;
        for consumed in report.positions {
            let name = consumed.partition.to_string();
            let known = self.positions.entry((index, name)).or_insert((consumed.next, Timestamp::MIN));
            *known = (consumed.next, known.1.max(clock)); // A record source's clock comes as a note.
            self.gathered.attached.consumed.push((source, consumed));
        }
        self.count(counter::UNUSABLE_TIMES, report.unusable_times);
        self.count(counter::FALLBACKS, report.fallbacks);
        self.count(counter::RECORDS, report.n_records);
        self.count(counter::BYTES, report.n_bytes);
        self.gathered.dead_letters.extend(report.dead_letters);
        self.gathered.attached.replies.extend(report.replies);
        self.gathered.attached.unreadable.extend(report.unreadable);
        self.gathered.n_records += report.n_records;
        self.gathered.n_bytes += report.n_bytes;
        self.take_notes(notes);
    }

    fn take_notes(&mut self, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Clock(source, clock) => self.note_clock(source, clock),
                Note::Position(source, partition, next, clock) => self.note_position(source, &partition, next, clock),
                Note::Pressure(pressure) => self.note_pressure(pressure),
            }
        }
    }

    /// Notes what the shards are told about memory from here on.
    pub fn note_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
    }

    /// Notes the clock of a source.
    pub fn note_clock(&mut self, source: SourceIndex, clock: Timestamp) {
        if let Some(known) = self.clocks.get_mut(usize::from(source.0)) {
            *known = (*known).max(clock);
        }
    }

    /// Notes the position of a source that has no records to show for it (commands), or a partition's clock.
    pub fn note_position(&mut self, source: SourceIndex, partition: &str, next: u64, clock: Timestamp) {
        self.positions.insert((usize::from(source.0), partition.to_owned()), (next, clock));
    }

    fn count(&mut self, name: &'static str, n: u64) {
        *self.counters.entry(name).or_insert(0) += n;
    }

    /// Materialises the epoch from the output of every shard. `swept`: the shards were told to start a sweep with it.
    ///
    /// # Errors
    /// When received and accounted alerts differ for a source.
    pub fn close(
        &mut self,
        outputs: Vec<ShardOutput>,
        swept: bool,
        now: Timestamp,
    ) -> Result<(Epoch, Attached), Broken> {
        let number = self.last + 1;
        self.wall = self.wall.max(now);
        let fresh = vec![SourceCounts::default(); self.source_names.len()];
        let mut counts = std::mem::replace(&mut self.gathered.received, fresh);
        let mut gathered = std::mem::take(&mut self.gathered);
        self.gathered.received = vec![SourceCounts::default(); self.source_names.len()];
        let mut events = Vec::new();
        let mut entries = BlockWriter::default();
        let (mut sweep_bytes, mut sweep_done, mut tally) = (0, true, Tally::default());
        let (mut own, mut shares) = (Vec::new(), Vec::new());
        for ShardOutput { out, saved, tally: sizes } in outputs {
            counts.iter_mut().zip(&out.counts).for_each(|(sum, count)| sum.add(count));
            self.count(counter::LATE, out.late);
            self.count(counter::EXPIRED, out.expired);
            self.count(counter::OVERFLOWED, out.overflowed);
            self.count(counter::SAMPLES_SHED, out.samples_shed);
            self.count(counter::EVICTED, out.evicted);
            own.extend(out.own);
            shares.extend(shares_of(out.shares));
            events.extend(out.events);
            gathered.attached.decisions.extend(out.decisions.unwrap_or_default());
            gathered.attached.busiest.extend(out.busiest);
            gathered.attached.landmarks.extend(out.landmarks);
            entries.append(saved.entries);
            sweep_bytes += saved.sweep_bytes;
            sweep_done &= saved.sweep_done;
            tally.add(&sizes);
        }
        self.check_law(number, &counts)?;
        for (total, count) in self.totals.iter_mut().zip(&counts) {
            total.counts.add(count);
        }
        let mut incidents = self.correlator.fold(events, number, now);
        incidents.extend(self.correlator.fold_own(own, shares, number, now));
        self.correlator.save(swept, &mut entries);
        let delta_bytes = entries.n_bytes() - sweep_bytes;
        let slice = Slice { epoch: number, starts: swept, done: sweep_done, sweep_bytes, delta_bytes };
        let safe_from = self.sweep.advance(slice);
        self.safe_from = safe_from.unwrap_or(self.safe_from);
        entries.push(Kind::Meta(Box::new(self.meta(number))));
        let blocks = entries.finish(number);
        let n_bytes = blocks.iter().map(|block| block.bytes.len() as u64).sum();
        self.sweep.note_blocks(n_bytes, slice, safe_from.map(|_| now));
        self.last = number;
        gathered.attached.summary = Summary {
            tally,
            n_records: gathered.n_records,
            n_bytes: gathered.n_bytes,
            state_delta_bytes: delta_bytes,
            ..self.summary()
        };
        let epoch = Epoch {
            number,
            positions: self.positions(),
            blocks,
            incidents,
            dead_letters: gathered.dead_letters,
            safe_from: self.safe_from,
            committed_at: now,
        };
        Ok((epoch, gathered.attached))
    }

    /// Totals as of the last epoch; sizes are those of its shards and not known here.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            totals: self.totals.clone(),
            counters: self.counters.clone(),
            clocks: self.clocks.clone(),
            state_bytes: self.sweep.state_bytes(),
            state_log_bytes: self.sweep.log_bytes(),
            swept_at: self.sweep.ended_at(),
            ..Summary::default()
        }
    }

    fn check_law(&self, epoch: u64, counts: &[SourceCounts]) -> Result<(), Broken> {
        let Some((index, broken)) = counts.iter().enumerate().find(|(_, counts)| !counts.is_conserved()) else {
            return Ok(());
        };
        let outcomes: i128 = broken.outcomes.iter().map(|count| i128::from(*count)).sum();
        Err(Broken {
            epoch,
            source_name: self.source_names.get(index).cloned().unwrap_or_default(),
            received: broken.received,
            accounted: outcomes + i128::from(broken.held),
        })
    }

    /// Every partition ever read and where to go on.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        let position = |((source, partition), (next, clock)): (&(usize, String), &(u64, Timestamp))| Position {
            source: self.source_names.get(*source).cloned().unwrap_or_default(),
            partition: partition.clone(),
            next: *next,
            clock: *clock,
        };
        self.positions.iter().map(position).collect()
    }

    fn meta(&self, epoch: u64) -> MetaEntry {
        let totals = self.source_names.iter().zip(&self.totals).map(|(name, totals)| TotalsEntry {
            source: name.clone(),
            received: totals.counts.received,
            outcomes: totals.counts.outcomes.to_vec(),
            held: totals.counts.held,
            rejects: totals.rejects.to_vec(),
        });
        let partition = |position: Position| PositionEntry {
            source: position.source,
            partition: position.partition,
            next: position.next,
            clock: position.clock.0,
        };
        let clock = |(name, clock): (&String, &Timestamp)| PositionEntry {
            source: name.clone(),
            partition: SOURCE_CLOCK.to_owned(),
            next: 0,
            clock: clock.0,
        };
        let partitions = self.positions().into_iter().map(partition);
        let clocks = self.source_names.iter().zip(&self.clocks).map(clock);
        let offender = self.pressure.offender.as_ref();
        let source = offender.and_then(|offender| self.source_names.get(usize::from(offender.source.0)));
        let counters =
            self.counters.iter().map(|(name, value)| CounterEntry { name: (*name).to_owned(), value: *value });
        MetaEntry {
            epoch,
            hash_key: self.key.0.to_vec(),
            config_version: self.config_version,
            next_record: self.next_record,
            safe_from: self.safe_from,
            positions: partitions.chain(clocks).collect(),
            totals: totals.collect(),
            wall: self.wall.0,
            counters: counters.collect(),
            pressure_level: self.pressure.level as u32,
            pressure_source: source.cloned(),
            pressure_label: offender.and_then(|offender| offender.label.as_deref()).map(str::to_owned),
        }
    }
}

/// What a shard has folded away and not said yet.
fn shares_of(shares: Vec<Option<Box<Share>>>) -> impl Iterator<Item = (SourceIndex, Share)> {
    (0_u8..).map(SourceIndex).zip(shares).filter_map(|(source, share)| Some((source, *share?)))
}

/// In the meta entry, the partition name under which the clock of a whole source is kept. No real partition has it.
pub const SOURCE_CLOCK: &str = "\u{0}clock";
