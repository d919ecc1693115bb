//! The engine on one thread: the same decoder, shards, builder as in the daemon, called one after the other.
//!
//! Behind `replay`, `tests`, benches and the simulation: no thread, no channel, no clock.

use std::sync::Arc;

use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Part, Seq, Step, StepKind};
use crate::pipeline::epoch::{Attached, Broken, EpochBuilder, ShardOutput};
use crate::pipeline::exchange::{Chunk, Exchange};
use crate::pipeline::options::Options;
use crate::pipeline::shard::Shard;
use crate::pipeline::shard::event::Out;
use crate::pipeline::sink::Epoch;
use crate::pipeline::source::{Batch, SourceIndex};
use crate::pipeline::start::Start;
use crate::pipeline::tap::{Stage, Tap, show_fates};

/// The engine.
pub struct Engine {
    options: Arc<Options>,
    tap: Arc<Tap>,
    exchange: Exchange,
    shards: Vec<(Shard, Out)>,
    builder: EpochBuilder,
    n_sources: usize,
    with_decisions: bool,
    next_chunk: u64,
    next_record: u64,
    /// The wall clock of the last chunk.
    wall: Timestamp,
}

impl Engine {
    /// An engine that goes on from a start. With decisions nothing is folded before the shards, so that every alert is
    /// accounted for by its place.
    #[must_use]
    pub fn new(start: Start, with_decisions: bool) -> Self {
        let n_sources = start.options.sources.len();
        let exchange = Exchange::new(start.options.clone(), start.key, start.placement, !with_decisions);
        let shards = start.shards.into_iter().map(|shard| (shard, Out::new(n_sources, with_decisions))).collect();
        let next_record = start.next_record;
        Self {
            options: start.options,
            tap: Arc::default(),
            exchange,
            shards,
            builder: start.builder,
            n_sources,
            with_decisions,
            next_chunk: 0,
            next_record,
            wall: Timestamp::MIN,
        }
    }

    /// The same, with a tap. Incident events are shown by whoever makes them durable.
    #[must_use]
    pub fn tapped(self, tap: Arc<Tap>) -> Self {
        Self { exchange: self.exchange.tapped(tap.clone()), tap, ..self }
    }

    /// Number of the next record.
    #[must_use]
    pub fn next_record(&self) -> u64 {
        self.next_record
    }

    /// Takes a batch of a source. Steps name their place by the number of the record they stand before.
    pub fn feed(&mut self, source: SourceIndex, batch: Batch, steps: Vec<Step>, wall: Timestamp) {
        let n_records = batch.records.len() as u64;
        let source = Some(source);
        for step in &steps {
            self.note(&step.kind);
        }
        let (number, first_record) = (self.next_chunk, self.next_record);
        let chunk = Chunk { number, source, first_record, batch, steps, wall, ..Chunk::default() };
        self.next_chunk += 1;
        self.next_record += n_records;
        self.feed_chunk(chunk);
    }

    /// Takes a chunk that a sequencer made; chunks must come in its order, and all from it.
    pub fn feed_chunk(&mut self, chunk: Chunk) {
        self.wall = chunk.wall;
        let routed = self.exchange.route(chunk);
        for ((shard, out), part) in self.shards.iter_mut().zip(&routed.parts) {
            apply(&self.tap, &self.options, shard, part, out);
        }
        self.builder.take_report(routed.report);
    }

    /// Something happens to time, or a person commands. Takes a number of its own in the sequence.
    pub fn step(&mut self, kind: StepKind) {
        if let StepKind::Clock { source, to } = &kind {
            self.builder.note_clock(*source, *to);
        }
        self.note(&kind);
        let step = Step { seq: Seq { record: self.next_record, index: 0 }, kind };
        self.next_record += 1;
        let part = Part { steps: vec![step], wall: self.wall, ..Part::default() };
        for (shard, out) in &mut self.shards {
            apply(&self.tap, &self.options, shard, &part, out);
        }
    }

    fn note(&mut self, kind: &StepKind) {
        if let StepKind::Pressure { pressure, .. } = kind {
            self.builder.note_pressure(pressure.clone());
        }
    }

    /// A sweep over the whole state starts with the next epoch, unless one runs.
    pub fn sweep_soon(&mut self) {
        self.builder.ask_for_sweep();
    }

    /// Ends the epoch.
    ///
    /// # Errors
    /// When the conservation law does not hold: a fault of this program.
    pub fn end_epoch(&mut self, now: Timestamp) -> Result<(Epoch, Attached), Broken> {
        let swept = self.builder.wants_sweep();
        let (n_sources, with_decisions) = (self.n_sources, self.with_decisions);
        let outputs = self.shards.iter_mut().map(|(shard, out)| ShardOutput {
            out: std::mem::replace(out, Out::new(n_sources, with_decisions)),
            saved: shard.save(swept),
            tally: shard.tally(),
        });
        let outputs = outputs.collect();
        self.builder.close(outputs, swept, now)
    }
}

/// Has a shard take its part. Those who listen to its stage are shown its decisions, whether or not they are asked for.
fn apply(tap: &Tap, options: &Options, shard: &mut Shard, part: &Part, out: &mut Out) {
    let Some(look) = tap.look(&[Stage::Shard], part.wall) else {
        return shard.apply(part, out);
    };
    let before = out.decisions.replace(Vec::new());
    shard.apply(part, out);
    let decisions = out.decisions.take().unwrap_or_default();
    show_fates(&look, options, shard, part, &decisions);
    out.decisions = before.map(|before| [before, decisions].concat());
}
