//! Judges the blocks of a state: each by itself, their order, what every epoch must have, and that the totals add up. Pure.

use serde::Serialize;

use crate::model::time::Timestamp;
use crate::pipeline::epoch::SOURCE_CLOCK;
use crate::pipeline::outcome::Outcome;
use crate::pipeline::state::entry::{Kind, MetaEntry, TotalsEntry};
use crate::pipeline::state::{Restored, check, read_block};

/// Faults that are told one by one.
const FAULTS_SHOWN: usize = 20;

/// What a state holds, and what is wrong with it.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Verified {
    /// Where it lies.
    pub(super) origin: String,
    /// What is wrong.
    pub(super) faults: Vec<String>,
    /// How many more faults there are.
    pub(super) more_faults: u64,
    /// Blocks that were read.
    pub(super) blocks: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// First and last epoch of them.
    pub(super) epochs: Option<(u64, u64)>,
    /// The epoch from which on blocks are needed.
    pub(super) safe_from: u64,
    /// When the last epoch was committed.
    pub(super) committed_at: Option<Timestamp>,
    /// Live fingerprints, and how many of them fire.
    pub(super) fingerprints: usize,
    /// See `fingerprints`.
    pub(super) firing: usize,
    /// Incidents in the state, and how many of them are not resolved.
    pub(super) incidents: usize,
    /// See `incidents`.
    pub(super) unresolved: usize,
    /// Groups below their threshold, and the alerts that they hold back.
    pub(super) held_groups: usize,
    /// See `held_groups`.
    pub(super) held_alerts: usize,
    /// Where each partition goes on.
    pub(super) positions: Vec<Place>,
    /// The totals of each source.
    pub(super) totals: Vec<Totals>,
}

/// Where a partition goes on.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Place {
    pub(super) source: String,
    pub(super) partition: String,
    pub(super) next: u64,
}

/// What became of the alerts of a source.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Totals {
    pub(super) source: String,
    pub(super) received: u64,
    /// By the names of the outcomes.
    pub(super) outcomes: Vec<(&'static str, u64)>,
    pub(super) held: i64,
    /// Whether outcomes and held add up to what was received.
    pub(super) adds_up: bool,
}

/// Takes the blocks one after the other.
#[derive(Debug, Default)]
pub(super) struct Checker {
    restored: Restored,
    verified: Verified,
    /// The epoch of the block before, and whether its last entry was a meta entry.
    before: Option<(u64, bool)>,
}

impl Checker {
    /// Takes the next block, oldest first.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.verified.blocks += 1;
        self.verified.bytes += bytes.len() as u64;
        let (mut meta_epoch, mut ends_with_meta) = (None, false);
        let read = read_block(bytes, &mut |kind| {
            ends_with_meta = matches!(kind, Kind::Meta(_));
            if let Kind::Meta(meta) = kind {
                meta_epoch = Some(meta.epoch);
            }
        });
        let epoch = match read {
            Ok(epoch) => epoch,
            Err(error) => {
                let number = self.verified.blocks;
                return self.fault(format!("block {number}: {error}"));
            }
        };
        if let Some((last, has_meta)) = self.before.filter(|(last, _)| *last != epoch) {
            if !has_meta {
                self.fault(format!("epoch {last} does not end with a meta entry"));
            }
            if epoch != last + 1 {
                self.fault(format!("epoch {epoch} follows epoch {last}: blocks in between are missing"));
                self.restored.meta = None; // What follows is taken all the same, to see what else there is.
            }
        }
        if meta_epoch.is_some_and(|named| named != epoch) {
            self.fault(format!("the meta entry of epoch {epoch} names another epoch"));
        }
        self.before = Some((epoch, ends_with_meta));
        let first = self.verified.epochs.map_or(epoch, |(first, _)| first);
        self.verified.epochs = Some((first, epoch));
        if let Err(error) = self.restored.take_block(bytes) {
            self.fault(error.to_string());
        }
    }

    /// What is to be said at the end. `unread`: why reading ended early.
    pub(super) fn finish(mut self, origin: &str, unread: Option<String>) -> Verified {
        self.verified.origin = origin.to_owned();
        if let Some(why) = unread {
            self.fault(why);
        }
        match (self.before, self.restored.meta.clone()) {
            (None, _) if self.verified.faults.is_empty() => self.fault("there is no block: no state yet".to_owned()),
            (None, _) => {}
            (Some((_, true)), Some(meta)) => self.look_at(&meta),
            (Some((last, _)), _) => self.fault(format!("epoch {last}, the last, does not end with a meta entry")),
        }
        let mut restored = std::mem::take(&mut self.restored);
        if self.verified.faults.is_empty() {
            check::all(&restored, &mut |fault| self.fault(fault));
        }
        restored.settle();
        let Self { mut verified, .. } = self;
        verified.fingerprints = restored.members.len();
        verified.firing = restored.members.values().filter(|member| member.touch.state == 0).count();
        verified.incidents = restored.groups.len();
        verified.unresolved = restored.groups.values().filter(|group| group.resolved_at.is_none()).count();
        verified.held_groups = restored.held.len();
        verified.held_alerts = restored.held.values().map(|group| group.held.len()).sum();
        verified
    }

    fn look_at(&mut self, meta: &MetaEntry) {
        if meta.hash_key.len() != 16 {
            self.fault("the hash key has not 16 bytes".to_owned());
        }
        if let Some((first, _)) = self.verified.epochs.filter(|(first, _)| *first > meta.safe_from) {
            let needed = meta.safe_from;
            self.fault(format!(
                "blocks from epoch {needed} on are needed, and the first there is, is of epoch {first}"
            ));
        }
        self.verified.safe_from = meta.safe_from;
        self.verified.committed_at = Some(Timestamp(meta.wall));
        let partitions = meta.positions.iter().filter(|position| position.partition != SOURCE_CLOCK);
        self.verified.positions = partitions
            .map(|position| Place {
                source: position.source.clone(),
                partition: position.partition.clone(),
                next: position.next,
            })
            .collect();
        self.verified.totals = meta.totals.iter().map(totals).collect();
        let broken: Vec<String> = self.verified.totals.iter().filter(|totals| !totals.adds_up).map(broken).collect();
        broken.into_iter().for_each(|fault| self.fault(fault));
    }

    fn fault(&mut self, fault: String) {
        if self.verified.faults.len() < FAULTS_SHOWN {
            self.verified.faults.push(fault);
        } else {
            self.verified.more_faults += 1;
        }
    }
}

fn totals(entry: &TotalsEntry) -> Totals {
    let outcomes: Vec<(&'static str, u64)> =
        Outcome::ALL.iter().map(|outcome| outcome.name()).zip(entry.outcomes.iter().copied()).collect();
    let accounted: i128 = outcomes.iter().map(|(_, count)| i128::from(*count)).sum::<i128>() + i128::from(entry.held);
    let adds_up = accounted == i128::from(entry.received);
    Totals { source: entry.source.clone(), received: entry.received, outcomes, held: entry.held, adds_up }
}

fn broken(totals: &Totals) -> String {
    let Totals { source, received, .. } = totals;
    format!("source {source:?} received {received} alerts, and its outcomes and held ones are not as many")
}
