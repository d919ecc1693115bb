//! Level 1: the only owner of its alerts and windows, and the only place with their control flow.
//!
//! `apply` takes a part of a chunk and walks through its steps and alerts in their one order; timers that are due fire
//! between records. No channel, no clock, no log, no configuration beyond the rules. The life of an alert is in
//! `place.rs`, of a threshold in `hold.rs`, what timers do in `due.rs`, what is told in `emit.rs`, what is written to
//! the state in `save.rs`; `describe.rs` names what the tap shows.

mod arena;
pub mod busiest;
mod clocks;
mod dedup;
mod describe;
mod due;
mod emit;
pub mod event;
mod group;
mod hold;
mod names;
pub mod overload;
mod place;
mod repeat;
mod samples;
pub mod save;
mod slots;
mod timers;

use std::sync::Arc;

use crate::model::alert::Status;
use crate::model::fingerprint::{GroupHash, HashKey, HashedMap, IncidentId, MemberKey, origin};
use crate::model::incident::{EventReason, IncidentEvent};
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Arrival, ENDS_BY_DEFAULT, Part, RESOLVE_TIMEOUT, Step, StepKind};
use crate::pipeline::decode::DetailReader;
use crate::pipeline::options::{Options, SourceOptions, WindowRule};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::pressure::Pressure;
use crate::pipeline::source::SourceIndex;
use crate::pipeline::trap;

use arena::Arena;
use clocks::{Clocks, Feed};
use dedup::Dedup;
use event::{Decision, LandmarkKind, Order, Out, Reason};
pub use group::EndCause;
use group::Group;
use names::Names;
use repeat::RUN;

/// What is happening, for everything that depends on when.
#[derive(Clone, Copy, Debug)]
struct Moment {
    order: Order,
    /// Record time, or due time of the timer.
    time: Timestamp,
    /// Emission time: arrival once caught up.
    emission: Timestamp,
}

/// State of a member that was heard again, and of a new one beside its labels, bytes: what `state::encode` makes of them.
const TOUCH_BYTES: u64 = 48;
const MEMBER_BYTES: u64 = 100;

/// A group without its samples: itself, its names and labels (three labels in one node of a map), its places in both indexes,
/// its revision at level 2.
const GROUP_BYTES: u64 = size_of::<Group>() as u64 + 1_000;
/// No alert is in hand.
const NOBODY: u32 = u32::MAX;

/// What the state sweep and the next epoch need to know of changes.
#[derive(Debug, Default)]
struct Changes {
    /// What they will be as state, about.
    bytes: u64,
    members: Vec<u32>,
    groups: Vec<u32>,
    gone_members: Vec<MemberKey>,
    gone_groups: Vec<IncidentId>,
    gone_held: Vec<GroupHash>,
}

/// A shard.
#[derive(Debug)]
pub struct Shard {
    rules: Arc<[WindowRule]>,
    sources: Arc<[SourceOptions]>,
    /// Hashes of the names of the sources, as the state names them.
    origins: Vec<u64>,
    key: HashKey,
    n_samples: usize,
    clocks: Clocks,
    dedup: Dedup,
    arena: Arena,
    names: Names,
    /// Labels on their way in or out of the arena.
    scratch: Vec<u8>,
    /// For samples.
    details: DetailReader,
    groups: Vec<Option<Box<Group>>>,
    free_groups: Vec<u32>,
    /// The newest group of each key.
    by_key: HashedMap<GroupHash, u32>,
    by_incident: HashedMap<IncidentId, u32>,
    /// Entries that point to groups which left the state.
    dead_entries: u64,
    changes: Changes,
    sweep: save::SweepCursor,
    tally: Tally,
    /// Groups that lost a firing member to a change of identity while loading, told with the first step.
    superseded: Vec<u32>,
    /// What is to be done because memory is short.
    pressure: Pressure,
    /// Sources of which an alert was folded away since they were to be.
    overflowing: Vec<SourceIndex>,
    /// Index in its part of the alert that `apply` turns to: for the moment after a panic.
    hand: u32,
}

/// Sizes, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Live fingerprints.
    pub fingerprints: u64,
    /// Windows that take alerts.
    pub open_windows: u64,
    /// Incidents that are not resolved.
    pub open_incidents: u64,
    /// Bytes of labels in the arena.
    pub arena_bytes: u64,
    /// Bytes of the tables of fingerprints and of the tickets of timers.
    pub table_bytes: u64,
    /// Bytes of groups without their samples, about.
    pub group_bytes: u64,
    /// Bytes of samples.
    pub sample_bytes: u64,
    /// Whether any deadline is open.
    pub has_deadlines: bool,
}

impl Tally {
    /// Adds the sizes of another shard.
    pub fn add(&mut self, other: &Self) {
        self.fingerprints += other.fingerprints;
        self.open_windows += other.open_windows;
        self.open_incidents += other.open_incidents;
        self.arena_bytes += other.arena_bytes;
        self.table_bytes += other.table_bytes;
        self.group_bytes += other.group_bytes;
        self.sample_bytes += other.sample_bytes;
        self.has_deadlines |= other.has_deadlines;
    }
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(options: &Options, key: HashKey) -> Self {
        Self {
            rules: options.rules.clone(),
            sources: options.sources.clone(),
            origins: options.sources.iter().map(|source| origin(&source.name, "")).collect(),
            key,
            n_samples: options.samples,
            clocks: Clocks::new(options.sources.len()),
            dedup: Dedup::new(),
            arena: Arena::default(),
            names: Names::default(),
            scratch: Vec::new(),
            details: DetailReader::default(),
            groups: Vec::new(),
            free_groups: Vec::new(),
            by_key: HashedMap::default(),
            by_incident: HashedMap::default(),
            dead_entries: 0,
            changes: Changes::default(),
            sweep: save::SweepCursor::default(),
            tally: Tally::default(),
            superseded: Vec::new(),
            pressure: Pressure::default(),
            overflowing: Vec::new(),
            hand: NOBODY,
        }
    }

    /// Takes its part of the next chunk. Parts must come in the order of their chunks.
    pub fn apply(&mut self, part: &Part, out: &mut Out) {
        let mut steps = part.steps.as_slice();
        let mut at = 0;
        for run in part.arrivals.chunks(RUN) {
            let slots = self.look_ahead(run);
            for (arrival, slot) in run.iter().zip(slots) {
                let n_before = steps.iter().take_while(|step| step.seq <= arrival.seq).count();
                if n_before > 0 {
                    self.hand = NOBODY; // What a timer does is no fault of the alert that comes after it.
                    let (before, after) = steps.split_at(n_before);
                    self.take_steps(before, out);
                    steps = after;
                }
                self.hand = at;
                at += 1;
                trap::step(trap::Stage::Shard, || part.bytes_in_hand(arrival));
                self.arrive(part, arrival, slot, out);
            }
            self.hand = NOBODY;
        }
        self.take_steps(steps, out);
    }

    /// Index of the alert that was in hand when `apply` panicked.
    pub(super) fn in_hand(&self) -> Option<usize> {
        (self.hand != NOBODY).then_some(self.hand as usize)
    }

    /// Clocks that move in one step of the sequence move together, and only then fires what is due: in the order of the
    /// due times, whichever clock made it so.
    fn take_steps(&mut self, steps: &[Step], out: &mut Out) {
        for same in steps.chunk_by(|one, next| one.seq == next.seq) {
            let mut moved = None;
            for step in same {
                if !step.kind.moves_clock()
                    && let Some(seq) = moved.take()
                {
                    self.run_due(seq, out);
                }
                if self.step(step, out) {
                    moved = Some(step.seq);
                }
            }
            if let Some(seq) = moved {
                self.run_due(seq, out);
            }
        }
    }

    /// Sets the clocks of a restored state, before anything is loaded.
    pub fn set_clocks(&mut self, sources: &[Timestamp], wall: Timestamp) {
        for (index, clock) in sources.iter().enumerate() {
            self.clocks.move_source(SourceIndex(index as u8), *clock);
        }
        self.clocks.move_wall(wall);
    }

    /// Every announced incident of the state as it stands, without what only level 2 knows.
    pub fn incidents(&self) -> impl Iterator<Item = IncidentEvent> + '_ {
        let announced =
            self.groups.iter().flatten().filter(|group| !group.retired && !group.is_held() && !group.is_unannounced());
        announced.map(|group| emit::standing_of(group))
    }

    /// Sizes now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            fingerprints: self.dedup.len() as u64 - self.dead_entries,
            arena_bytes: (self.arena.bytes() + self.names.bytes()) as u64,
            table_bytes: self.table_bytes(),
            group_bytes: (self.groups.len() - self.free_groups.len()) as u64 * GROUP_BYTES,
            has_deadlines: self.clocks.has_tickets(),
            ..self.tally
        }
    }

    /// About how much state the changes since the last `save` are, bytes.
    #[must_use]
    pub const fn unsaved_bytes(&self) -> u64 {
        self.changes.bytes
    }

    /// Bytes of the dedup table: entries, index, tickets of their timers. Labels lie in the arena (`Tally::arena_bytes`).
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        (self.dedup.bytes() + self.clocks.bytes()) as u64
    }

    /// Returns whether a clock moved.
    fn step(&mut self, step: &Step, out: &mut Out) -> bool {
        for slot in std::mem::take(&mut self.superseded) {
            let Some(group) = self.group(slot) else { continue };
            let (feed, time) = (group.feed, group.last_seen);
            let order = Order { seq: step.seq, by_alert: false, due: Timestamp::MIN }; // Before any timer.
            let moment = Moment { order, time, emission: self.emission(feed, time) };
            self.stop_firing(slot, EventReason::Superseded, moment, out);
        }
        match &step.kind {
            StepKind::Clock { source, to } => self.clocks.move_source(*source, *to),
            StepKind::Wall { to } => {
                self.tick_overflow(step.seq, *to, out);
                self.clocks.move_wall(*to)
            }
            StepKind::Unread { source, by } => {
                self.move_deadlines(*source, *by);
                false
            }
            StepKind::Resolve { incident, by } => {
                self.resolve_by_person(step.seq, *incident, by, out);
                false
            }
            StepKind::Pressure { pressure, at } => {
                self.press(pressure, step.seq, *at, out);
                false
            }
            StepKind::RunOut => {
                self.clocks.run_out();
                true
            }
        }
    }

    /// `slot`: where the entry was when it was looked ahead for; what came before may have moved it.
    fn arrive(&mut self, part: &Part, arrival: &Arrival, slot: Option<u32>, out: &mut Out) {
        let time = if arrival.time == Timestamp::MIN { self.clocks.now(arrival.source) } else { arrival.time };
        let ends_at = if arrival.ends_at == ENDS_BY_DEFAULT { time + RESOLVE_TIMEOUT } else { arrival.ends_at };
        let ended = ends_at != Timestamp::MIN && ends_at <= time;
        let told; // Most alerts say it all themselves, and need not be copied.
        let arrival = if time == arrival.time && ends_at == arrival.ends_at {
            arrival
        } else {
            told = Arrival { time, ends_at, ..*arrival };
            &told
        };
        let fires = arrival.status == Status::Firing && !ended;
        if fires && slot.is_some_and(|slot| self.repeat_plainly(slot, arrival, out)) {
            return;
        }
        let slot = self.live_entry(MemberKey::new(arrival.fingerprint, arrival.group));
        if !fires {
            self.resolve(slot, arrival, out);
        } else {
            self.fire(slot, part, arrival, out);
        }
    }

    /// The moment of an alert that goes to this group.
    fn moment(&mut self, group: u32, arrival: &Arrival, time: Timestamp) -> Moment {
        let feed = self.group(group).map_or(Feed::default(), |group| group.feed).with(arrival.source);
        let order = Order { seq: arrival.seq, by_alert: true, due: Timestamp::MIN };
        Moment { order, time, emission: self.emission(feed, time) }
    }

    /// The emission clock of a set of sources; the time of the record itself while some partition has said nothing yet.
    fn emission(&mut self, feed: Feed, time: Timestamp) -> Timestamp {
        let emission = self.clocks.feed(feed).emission;
        if emission == Timestamp::MIN { time } else { emission }
    }

    /// Counts the one outcome of `n` alerts.
    fn count(out: &mut Out, arrival: &Arrival, outcome: Outcome, reason: Reason, n: u64, incident: Option<IncidentId>) {
        let Arrival { seq, source, fingerprint, group, .. } = *arrival;
        Self::decide(out, Decision { seq, source, outcome, reason, alerts: n, incident, fingerprint, group });
    }

    fn decide(out: &mut Out, decision: Decision) {
        if let Some(counts) = out.counts.get_mut(usize::from(decision.source.0)) {
            counts.count(decision.outcome, decision.alerts);
        }
        if let Some(decisions) = &mut out.decisions {
            decisions.push(decision);
        }
    }

    /// Ends a window. What was counted since the last event is told now.
    fn close_window(&mut self, slot: u32, at: Timestamp, cause: EndCause, moment: Moment, out: &mut Out) {
        let Some(group) = self.group_mut(slot) else { return };
        if group.ended.is_some() {
            return;
        }
        group.ended = Some((at, cause));
        out.note(at, group.incident, LandmarkKind::WindowEnded(cause));
        self.tally.open_windows -= 1;
        self.touch_group(slot);
        self.tell_rest(slot, Moment { time: at, ..moment }, out);
        self.file_retire(slot);
    }
}
