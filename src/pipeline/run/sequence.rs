//! The sequencer's thread: takes from the sources in turn, ends epochs, ticks when nothing comes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::{Receiver, Select, Sender, TryRecvError};

use crate::model::time::{Clock, Millis, Stopwatch, Timestamp};
use crate::pipeline::crash::{self, Place};
use crate::pipeline::exchange::{Chunk, Mark};
use crate::pipeline::options::EpochOptions;
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::run::turns::FairTurns;
use crate::pipeline::run::{SEQUENCER_BEAT, Sequenced, Shared};
use crate::pipeline::sequencer::{Sequencer, SourceFailed};
use crate::pipeline::source::{SourceEvent, SourceIndex};

/// Time between two ticks of the wall clock: the resolution of timers when nothing comes.
const TICK: Millis = Millis(50);
/// A group event of the usual size, for the bound on an epoch's output.
const EVENT_BYTES: u64 = 4 << 10;
/// While other sources flood, epochs that end because a sender waits are at least this long: a hundred commits a second are
/// nothing to a store, and no sender notices.
const CROWDED: Millis = Millis(10);
/// For so long after a request beside a flood another is expected, and epochs stay small.
const CROWDED_FOR: Millis = Millis::seconds(1);
/// By how much: some three epochs are on their way to a store that is slower than the flood, and a sender waits for them all.
const CROWDED_PART: u64 = 8;
/// What a record costs beside its bytes, as bytes: reading 100 of them takes as long as the rest.
const RECORD_COST: u64 = 100;

pub(super) struct SequenceRunner {
    pub(super) sequencer: Sequencer,
    pub(super) inputs: Vec<Receiver<SourceEvent>>,
    pub(super) chunks: Sender<Chunk>,
    pub(super) woken: Receiver<()>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: EpochOptions,
    pub(super) valves: Arc<Valves>,
}

/// What taking an event costs its source: the bytes of its records, and something for each, because small ones cost too.
fn cost_of(event: &SourceEvent) -> u64 {
    match event {
        SourceEvent::Records(batch) => batch.bytes.len() as u64 + batch.records.len() as u64 * RECORD_COST,
        _ => RECORD_COST,
    }
}

/// The bit of a source; those beyond 63 share one.
const fn waiting_bit(at: usize) -> u64 {
    1 << if at < 63 { at } else { 63 }
}

/// The epoch that is being gathered.
#[derive(Default)]
struct Gathering {
    records: u64,
    /// Sources whose senders wait for an answer, a bit each.
    waiting: u64,
    /// When its first record or event came; `None` while it is empty.
    since: Option<Timestamp>,
    last_mark: Timestamp,
    last_tick: Timestamp,
    /// Until when somebody who waits for answers is thought to send beside a flood.
    crowded_until: Timestamp,
}

impl SequenceRunner {
    pub(super) fn run(mut self) -> Result<Sequenced, SourceFailed> {
        let now = self.clock.now();
        let never = Timestamp::MIN;
        let mut gathering = Gathering { last_mark: now, last_tick: now, crowded_until: never, ..Gathering::default() };
        let chunk = self.sequencer.begin(now);
        let mut alive = self.send(chunk);
        let (mut turn, mut pressed) = (FairTurns::new(self.inputs.len()), 0);
        while alive && !self.shared.stop.load(Ordering::Relaxed) {
            self.shared.beat(SEQUENCER_BEAT);
            alive = self.press(&mut pressed, &mut gathering);
            let taken = self.next_event(&mut turn, &gathering);
            let now = self.clock.now();
            let mut chunk = None;
            if let Some((source, event)) = taken {
                turn.charge(usize::from(source.0), cost_of(&event));
                chunk = self.take(source, event, now, &mut gathering)?;
            } else if now - gathering.last_tick >= TICK {
                gathering.last_tick = now;
                chunk = Some(self.sequencer.tick(now));
            }
            for (shown, clock) in self.shared.clocks.iter().zip(self.sequencer.clocks()) {
                shown.store(clock.0, Ordering::Relaxed);
            }
            if self.epoch_ends(&mut gathering, now) {
                alive = self.end_epoch(&mut gathering, chunk, now);
            } else if let Some(chunk) = chunk {
                alive = self.send(chunk);
            }
        }
        let now = self.clock.now();
        let chunk = self.sequencer.mark(Mark { start_sweep: false }, now);
        self.send(chunk);
        Ok((self.sequencer, self.inputs))
    }

    /// Tells the shards how short memory is, if that has changed.
    fn press(&mut self, seen: &mut u64, gathering: &mut Gathering) -> bool {
        let Some(pressure) = self.shared.pressure_since(seen) else { return true };
        let now = self.clock.now();
        let Some(chunk) = self.sequencer.press(&pressure, now) else { return true };
        gathering.since.get_or_insert(now); // It shall be durable soon, though nothing may be read any more.
        self.send(chunk)
    }

    fn sink_is_free(&self) -> bool {
        !self.shared.is_committing()
    }

    /// The next event of any source, in turn; waits for a tick at most.
    fn next_event(&mut self, turn: &mut FairTurns, gathering: &Gathering) -> Option<(SourceIndex, SourceEvent)> {
        while let Some(at) = turn.next(|at| self.has_something(at)) {
            match self.inputs.get(at).map(Receiver::try_recv) {
                Some(Ok(event)) => return Some((SourceIndex(at as u8), event)),
                Some(Err(TryRecvError::Disconnected)) => self.hang_up(at),
                Some(Err(TryRecvError::Empty)) | None => break, // Nobody else takes from it.
            }
        }
        if gathering.waiting > 0 && self.sink_is_free() {
            return None; // Nothing more is there, and somebody waits for an answer: the epoch ends now.
        }
        let mut select = Select::new();
        for input in &self.inputs {
            select.recv(input);
        }
        select.recv(&self.woken);
        let ready = select.ready_timeout(self.patience(gathering, self.clock.now())).ok()?;
        if ready >= self.inputs.len() {
            let _ = self.woken.try_recv();
            return None;
        }
        match self.inputs.get(ready).map(Receiver::try_recv) {
            Some(Ok(event)) => Some((SourceIndex(ready as u8), event)),
            Some(Err(TryRecvError::Disconnected)) => {
                self.hang_up(ready);
                None
            }
            Some(Err(TryRecvError::Empty)) | None => None,
        }
    }

    fn has_something(&self, at: usize) -> bool {
        self.inputs.get(at).is_some_and(|input| !input.is_empty())
    }

    /// A source whose thread is gone says nothing any more. Its place is kept: positions and clocks go by it.
    fn hang_up(&mut self, at: usize) {
        if let Some(input) = self.inputs.get_mut(at) {
            *input = crossbeam::channel::never();
        }
    }

    /// Whether the time that an epoch takes has passed since then.
    fn has_passed(&self, since: Timestamp, now: Timestamp) -> bool {
        now - since >= self.options.interval
    }

    /// Until the epoch's time is over, at most a tick. When it is over the epoch waits for the sink, which wakes us.
    fn patience(&self, gathering: &Gathering, now: Timestamp) -> Duration {
        let Some(since) = gathering.since else { return TICK.to_duration() };
        let ends = [gathering.last_mark, since].map(|from| from + self.options.interval - now);
        ends.into_iter().filter(|left| *left > Millis(0)).fold(TICK, Millis::min).to_duration()
    }

    fn take(
        &mut self,
        source: SourceIndex,
        event: SourceEvent,
        now: Timestamp,
        gathering: &mut Gathering,
    ) -> Result<Option<Chunk>, SourceFailed> {
        if let SourceEvent::Records(batch) = &event {
            gathering.records += batch.records.len() as u64;
            gathering.waiting |= if batch.replies.is_empty() { 0 } else { waiting_bit(usize::from(source.0)) };
            let mut others = self.inputs.iter().enumerate().filter(|(at, _)| *at != usize::from(source.0));
            if !batch.replies.is_empty() && others.any(|(_, input)| !input.is_empty()) {
                gathering.crowded_until = now + CROWDED_FOR;
            }
            self.shared.bytes_on_the_way.fetch_add(batch.bytes.len() as i64, Ordering::Relaxed);
        }
        let chunk = self.sequencer.take(source, event, now)?;
        self.shared.clamped.store(self.sequencer.clamped, Ordering::Relaxed);
        if chunk.is_some() {
            gathering.since.get_or_insert(now);
        }
        Ok(chunk)
    }

    fn epoch_ends(&self, gathering: &mut Gathering, now: Timestamp) -> bool {
        let events = self.shared.pending_events.load(Ordering::Relaxed);
        if events > 0 {
            gathering.since.get_or_insert(now);
        }
        let state = self.shared.pending_state.load(Ordering::Relaxed);
        let clock_is_old = self.shared.has_deadlines.load(Ordering::Relaxed)
            && now - gathering.last_mark >= self.options.clock_interval;
        let Some(since) = gathering.since else { return clock_is_old };
        let nothing_ready = || self.inputs.iter().all(Receiver::is_empty);
        // What comes after a silence need not wait for company: there is still but one epoch in that time.
        let may_end = self.has_passed(gathering.last_mark, now);
        let part = if now < gathering.crowded_until { CROWDED_PART } else { 1 };
        let bound = |usual: u64| self.valves.bound(usual) / part;
        gathering.records >= bound(self.options.max_records).max(1)
            || events.saturating_mul(EVENT_BYTES).saturating_add(state) >= bound(self.options.max_output_bytes)
            || clock_is_old
            // While the epoch before is on its way, a closed one could only queue behind it: a backlog would come in small
            // pieces, as many as the store takes commits.
            || self.sink_is_free()
                && (self.has_passed(since, now)
                    || (gathering.waiting > 0 || may_end) && nothing_ready()
                    || now - gathering.last_mark >= CROWDED && self.has_answers_due(gathering.waiting))
    }

    /// Whether all that wait for an answer, and whoever is about to, are in this epoch: it need not be held up by sources that
    /// flood but wait for nothing.
    fn has_answers_due(&self, waiting: u64) -> bool {
        let mut askers = self.inputs.iter().enumerate().filter(|(at, _)| waiting & waiting_bit(*at) != 0);
        waiting > 0 && askers.all(|(_, input)| input.is_empty())
    }

    /// Ends the epoch with the chunk that is about to go, which saves every thread behind a second message; or with one of its
    /// own, which moves the clocks, as a tick would: under load no other comes.
    fn end_epoch(&mut self, gathering: &mut Gathering, last: Option<Chunk>, now: Timestamp) -> bool {
        let mark = Mark { start_sweep: self.shared.wants_sweep.swap(false, Ordering::Relaxed) };
        self.shared.sealed.fetch_add(1, Ordering::Relaxed);
        // What shards add from now on counts for the next epoch, although some of it is of chunks before the mark.
        self.shared.pending_events.store(0, Ordering::Relaxed);
        self.shared.pending_state.store(0, Ordering::Relaxed);
        let (ticked, crowded_until) = (gathering.last_tick, gathering.crowded_until);
        crash::at(Place::EpochEnded);
        *gathering = Gathering { last_mark: now, last_tick: ticked, crowded_until, ..Gathering::default() };
        match last {
            Some(chunk) if now - ticked < TICK => self.send(Chunk { mark: Some(mark), ..chunk }),
            last => {
                gathering.last_tick = now;
                last.is_none_or(|chunk| self.send(chunk)) && {
                    let chunk = self.sequencer.mark(mark, now);
                    self.send(chunk)
                }
            }
        }
    }

    /// Hands a chunk to the decoders; false if they are gone, which ends the run.
    fn send(&self, chunk: Chunk) -> bool {
        self.shared.queued_chunks.store(self.chunks.len() as u64, Ordering::Relaxed);
        match self.chunks.try_send(chunk) {
            Ok(()) => true,
            Err(crossbeam::channel::TrySendError::Disconnected(_)) => false,
            Err(crossbeam::channel::TrySendError::Full(chunk)) => {
                let blocked = Stopwatch::start();
                let sent = self.chunks.send(chunk).is_ok();
                self.shared.blocked_ms.fetch_add(blocked.elapsed().as_millis() as u64, Ordering::Relaxed);
                sent
            }
        }
    }
}
