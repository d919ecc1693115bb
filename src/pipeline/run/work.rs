//! Decoder and shard threads: take, do, pass on, until the input hangs up.
//!
//! A panic is caught only to note the record that was in hand (`suspect`), and goes on: it ends the thread and with it the run.
//! Nothing is looked at after it but the index of that record and bytes that only change at the end of the work.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::{Receiver, Sender};

use crate::pipeline::chunk::Part;
use crate::pipeline::epoch::ShardOutput;
use crate::pipeline::exchange::{Chunk, ChunkReport, Exchange, Mark};
use crate::pipeline::options::Options;
use crate::pipeline::run::{FIRST_SHARD_BEAT, Shared};
use crate::pipeline::shard::Shard;
use crate::pipeline::shard::event::Out;
use crate::pipeline::suspect::Suspicion;
use crate::pipeline::tap::{Stage, show_fates};

/// A shard's part with the number of its chunk.
pub(super) struct NumberedPart {
    number: u64,
    part: Part,
    mark: Option<Mark>,
}

pub(super) struct DecodeWorker {
    pub(super) exchange: Exchange,
    pub(super) chunks: Receiver<Chunk>,
    pub(super) to_shards: Vec<Sender<NumberedPart>>,
    pub(super) reports: Sender<ChunkReport>,
    pub(super) suspicion: Suspicion,
}

impl DecodeWorker {
    pub(super) fn run(mut self) {
        for mut chunk in &self.chunks {
            let routed = catch_unwind(AssertUnwindSafe(|| self.exchange.route_chunk(&mut chunk)));
            let routed = routed.unwrap_or_else(|panic| {
                self.suspicion.note(self.exchange.in_hand(&chunk), &*panic);
                resume_unwind(panic)
            });
            let (number, mark) = (routed.report.number, routed.report.mark);
            for (shard, part) in self.to_shards.iter().zip(routed.parts) {
                if shard.send(NumberedPart { number, part, mark }).is_err() {
                    return; // The shard is gone: the run is over.
                }
            }
            // Last, so that whoever has the report knows that every shard has its part.
            if self.reports.send(routed.report).is_err() {
                return;
            }
        }
    }
}

pub(super) struct ShardWorker {
    pub(super) index: usize,
    pub(super) options: Arc<Options>,
    pub(super) shard: Shard,
    pub(super) parts: Receiver<NumberedPart>,
    pub(super) output: Sender<ShardOutput>,
    pub(super) shared: Arc<Shared>,
    /// Whether somebody watches the busiest groups.
    pub(super) watched: Arc<AtomicBool>,
    pub(super) suspicion: Suspicion,
}

impl ShardWorker {
    pub(super) fn run(mut self) {
        let n_sources = self.options.sources.len();
        let mut out = Out::new(n_sources, false);
        // Several decoders finish in any order; chunks in flight are bounded by the channels before.
        let mut early: BTreeMap<u64, NumberedPart> = BTreeMap::new();
        let mut next = 0;
        while let Ok(part) = self.parts.recv() {
            early.insert(part.number, part);
            while let Some(NumberedPart { part, mark, .. }) = early.remove(&next) {
                next += 1;
                let (events, state) = (out.events.len(), self.shard.unsaved_bytes());
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.apply(&part, &mut out))) {
                    let in_hand = self.shard.in_hand().and_then(|at| part.in_hand(at, &self.options.sources));
                    self.suspicion.note(in_hand, &*panic);
                    resume_unwind(panic);
                }
                self.shared.pending_events.fetch_add((out.events.len() - events) as u64, Ordering::Relaxed);
                self.shared.pending_state.fetch_add(self.shard.unsaved_bytes() - state, Ordering::Relaxed);
                self.shared.beat(FIRST_SHARD_BEAT + self.index);
                let Some(mark) = mark else { continue };
                if self.watched.load(Ordering::Relaxed) {
                    out.busiest = self.shard.busiest();
                }
                let out = std::mem::replace(&mut out, Out::new(n_sources, false));
                let output = ShardOutput { out, saved: self.shard.save(mark.start_sweep), tally: self.shard.tally() };
                if self.output.send(output).is_err() {
                    return;
                }
            }
        }
    }

    /// Decisions are gathered only while somebody listens to them.
    fn apply(&mut self, part: &Part, out: &mut Out) {
        let Some(look) = self.shared.tap.look(&[Stage::Shard], part.wall) else {
            return self.shard.apply(part, out);
        };
        out.decisions = Some(Vec::new());
        self.shard.apply(part, out);
        let decisions = out.decisions.take().unwrap_or_default();
        show_fates(&look, &self.options, &self.shard, part, &decisions);
    }
}
