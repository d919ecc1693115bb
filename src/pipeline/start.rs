//! From restored state and configuration to shards, builder and routing: the same code for a first start, a restart, a
//! take-over and a reload (which is a restart without the reading).
//!
//! Under a changed configuration live fingerprints are re-keyed from their stored labels; open incidents keep their id
//! and members. A group and the keys its members now have must live in one shard, which the placement sees to.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::fingerprint::{Fingerprint, GroupHash, HashKey, HashedMap, IncidentId, MemberKey, origin};
use crate::model::incident::IncidentEvent;
use crate::model::time::Timestamp;
use crate::pipeline::correlate::Correlator;
use crate::pipeline::correlate::own::OwnIncidents;
use crate::pipeline::epoch::{Beginning, EpochBuilder, SOURCE_CLOCK, SourceTotals, Summary, counter};
use crate::pipeline::exchange::{Placement, shard_of};
use crate::pipeline::identify::Identifier;
use crate::pipeline::options::Options;
use crate::pipeline::pressure::{Level, Offender, Pressure};
use crate::pipeline::shard::Shard;
use crate::pipeline::shard::save::Returning;
use crate::pipeline::sink::RestoreError;
use crate::pipeline::source::{Position, SourceIndex};
use crate::pipeline::state::Restored;
use crate::pipeline::state::entry::{GroupEntry, MetaEntry};

/// Everything a run starts from.
pub struct Start {
    /// Options of the run.
    pub options: Arc<Options>,
    /// Key of the stable hashes.
    pub key: HashKey,
    /// Which shard owns which group, where that is not by hash.
    pub placement: Placement,
    /// The shards, loaded.
    pub shards: Vec<Shard>,
    /// The builder of epochs.
    pub builder: EpochBuilder,
    /// Where each partition goes on.
    pub positions: Vec<Position>,
    /// Clock of each source.
    pub clocks: Vec<Timestamp>,
    /// Wall clock of the last epoch; MIN at the first start.
    pub wall: Timestamp,
    /// Number of the next record.
    pub next_record: u64,
    /// What shards were told about memory.
    pub pressure: Pressure,
    /// The incidents of the state as they stand, for readers.
    pub seed: Vec<Arc<IncidentEvent>>,
}

impl Start {
    /// Builds everything. `fresh_key` is used at the first start only.
    ///
    /// # Errors
    /// When the state does not hold what it must.
    pub fn new(options: Arc<Options>, mut restored: Restored, fresh_key: HashKey) -> Result<Self, RestoreError> {
        let key = restored.hash_key()?.unwrap_or(fresh_key);
        restored.settle();
        let meta = restored.meta.take().unwrap_or_default();
        let rekeys = meta.epoch > 0 && meta.config_version != options.config_version;
        let (clocks, totals) = (clocks_of(&options, &meta), totals_of(&options, &meta));
        let wall = if meta.epoch > 0 { Timestamp(meta.wall) } else { Timestamp::MIN };
        let mut shards: Vec<Shard> = (0..options.shards).map(|_| Shard::new(&options, key)).collect();
        // The wall clock comes with the first step; until then record times are all there is.
        shards.iter_mut().for_each(|shard| shard.set_clocks(&clocks, Timestamp::MIN));
        let pressure = pressure_of(&options, &meta);
        shards.iter_mut().for_each(|shard| shard.set_pressure(pressure.clone()));
        let placement = load(&options, key, &mut restored, rekeys, &mut shards);
        let revisions = std::mem::take(&mut restored.revisions);
        let names: Vec<String> = options.sources.iter().map(|source| source.name.clone()).collect();
        let own = OwnIncidents::new(key, names.clone(), pressure.clone(), std::mem::take(&mut restored.own));
        let correlator = Correlator::new(revisions).with_own(own);
        let seed = seed_of(&shards, &correlator, wall);
        let positions = positions_of(&meta);
        let known = |name: &str| counter::ALL.into_iter().find(|known| *known == name);
        let counters: BTreeMap<&'static str, u64> =
            meta.counters.iter().filter_map(|entry| Some((known(&entry.name)?, entry.value))).collect();
        let beginning = Beginning {
            last_epoch: meta.epoch,
            next_record: meta.next_record,
            positions: positions.clone(),
            clocks: clocks.clone(),
            wall,
            totals,
            counters,
            pressure: pressure.clone(),
            safe_from: meta.safe_from,
            block_bytes: restored.n_bytes,
        };
        let builder = EpochBuilder::new(key, options.config_version, names, correlator, beginning);
        Ok(Self {
            options,
            key,
            placement,
            shards,
            builder,
            positions,
            clocks,
            wall,
            next_record: meta.next_record,
            pressure,
            seed,
        })
    }

    /// Totals and sizes as they were restored, for metrics to show before the first epoch.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = self.builder.summary();
        self.shards.iter().for_each(|shard| summary.tally.add(&shard.tally()));
        summary
    }
}

fn positions_of(meta: &MetaEntry) -> Vec<Position> {
    let partitions = meta.positions.iter().filter(|entry| entry.partition != SOURCE_CLOCK);
    let position = |entry: &crate::pipeline::state::entry::PositionEntry| Position {
        source: entry.source.clone(),
        partition: entry.partition.clone(),
        next: entry.next,
        clock: Timestamp(entry.clock),
    };
    partitions.map(position).collect()
}

/// What the shards were told. An offender that is gone from the configuration sends nothing any more.
fn pressure_of(options: &Options, meta: &MetaEntry) -> Pressure {
    let source = meta.pressure_source.as_ref();
    let source = source.and_then(|name| options.sources.iter().position(|source| source.name == *name));
    let label = meta.pressure_label.as_deref().map(Into::into);
    let offender = source.map(|source| Offender { source: SourceIndex(source as u8), label });
    Pressure { level: Level::from_number(meta.pressure_level), offender }
}

fn clocks_of(options: &Options, meta: &MetaEntry) -> Vec<Timestamp> {
    let clock = |name: &str| {
        let mut entries = meta.positions.iter().filter(|entry| entry.partition == SOURCE_CLOCK);
        entries.find(|entry| entry.source == name).map_or(Timestamp::MIN, |entry| Timestamp(entry.clock))
    };
    options.sources.iter().map(|source| clock(&source.name)).collect()
}

fn totals_of(options: &Options, meta: &MetaEntry) -> Vec<SourceTotals> {
    let totals = |name: &str| {
        let mut totals = SourceTotals::default();
        if let Some(entry) = meta.totals.iter().find(|entry| entry.source == name) {
            totals.counts.received = entry.received;
            totals.counts.held = entry.held;
            totals.counts.outcomes.iter_mut().zip(&entry.outcomes).for_each(|(count, saved)| *count = *saved);
            totals.rejects.iter_mut().zip(&entry.rejects).for_each(|(count, saved)| *count = *saved);
        }
        totals
    };
    options.sources.iter().map(|source| totals(&source.name)).collect()
}

/// Loads every group with its members into its shard.
fn load(options: &Options, key: HashKey, restored: &mut Restored, rekeys: bool, shards: &mut [Shard]) -> Placement {
    let mut by_group: HashedMap<IncidentId, Vec<Returning>> = HashedMap::default();
    let mut ties = Ties::default();
    let mut identifier = Identifier::new(options, key);
    let mut newest: HashedMap<MemberKey, (i64, MemberKey)> = HashedMap::default();
    for (old, entry) in std::mem::take(&mut restored.members) {
        let (mut key, mut fingerprint) = (old, Fingerprint(entry.fingerprint.into()));
        // Where its group is, where its repeats go, and where they went: all in one shard.
        let group = GroupHash(entry.group.into());
        ties.tie(group, key.group(fingerprint));
        if rekeys {
            let source = options.sources.iter().position(|source| origin(&source.name, "") == entry.source);
            let known = identifier.identify(SourceIndex(source.unwrap_or(0) as u8), &entry.labels);
            (key, fingerprint) = (MemberKey::new(known.fingerprint, known.group), known.fingerprint);
            ties.tie(group, known.group);
            let heard = newest.entry(key).or_insert((i64::MIN, old));
            *heard = (*heard).max((entry.touch.last, old));
        }
        let id = group_id(entry.incident.into(), entry.group.into());
        by_group.entry(id).or_default().push(Returning { key, fingerprint, entry, is_merged: false });
    }
    let placement: Placement = Arc::new(ties.placement(options.shards));
    let groups =
        std::mem::take(&mut restored.groups).into_values().chain(std::mem::take(&mut restored.held).into_values());
    let mut groups: Vec<Box<GroupEntry>> = groups.collect();
    groups.sort_unstable_by_key(|group| u128::from(group.incident)); // The order of slots must not depend on a hash map.
    for group in groups {
        let id = group_id(group.incident.into(), group.hash.into());
        let samples = restored.samples.remove(&id).unwrap_or_default();
        let mut members = by_group.remove(&id).unwrap_or_default();
        members.sort_unstable_by_key(|member| (member.key, u128::from(member.entry.touch.key)));
        for member in &mut members {
            // Of members that a new identity makes one, the one heard last stays.
            let stays = newest.get(&member.key).is_none_or(|(_, key)| key.0 == member.entry.touch.key.into());
            member.is_merged = !stays;
        }
        let home = shard_of(&placement, GroupHash(group.hash.into()), shards.len());
        let Some(shard) = shards.get_mut(home) else { continue };
        shard.load(&group, &samples, &members);
    }
    placement
}

fn group_id(incident: u128, hash: u128) -> IncidentId {
    IncidentId(if incident == 0 { hash } else { incident })
}

/// The open incidents as they stood at the last durable epoch, whose time is all that is known of when they were told.
fn seed_of(shards: &[Shard], correlator: &Correlator, wall: Timestamp) -> Vec<Arc<IncidentEvent>> {
    let mut seed: Vec<Arc<IncidentEvent>> = Vec::new();
    for shard in shards {
        seed.extend(shard.incidents().filter_map(|event| standing(event, correlator, wall)));
    }
    seed.extend(correlator.own().filter_map(|event| standing(event, correlator, wall)));
    seed
}

fn standing(mut event: IncidentEvent, correlator: &Correlator, wall: Timestamp) -> Option<Arc<IncidentEvent>> {
    event.revision = correlator.revision(event.incident_id);
    event.committed_at = wall;
    (event.revision > 0).then(|| Arc::new(event))
}

/// Group keys that must share a shard, as disjoint sets.
#[derive(Default)]
struct Ties(HashedMap<GroupHash, GroupHash>);

impl Ties {
    fn tie(&mut self, one: GroupHash, other: GroupHash) {
        if one == other {
            return;
        }
        let (a, b) = (self.root(one), self.root(other));
        let (low, high) = (a.min(b), a.max(b)); // The least key is the root, whatever the order of ties.
        self.0.insert(high, low);
        self.0.entry(low).or_insert(low);
    }

    fn root(&self, mut key: GroupHash) -> GroupHash {
        while let Some(parent) = self.0.get(&key).filter(|parent| **parent != key) {
            key = *parent;
        }
        key
    }

    fn placement(&self, n_shards: usize) -> HashedMap<GroupHash, u32> {
        let none = Placement::default();
        self.0.keys().map(|key| (*key, shard_of(&none, self.root(*key), n_shards) as u32)).collect()
    }
}
