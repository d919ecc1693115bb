//! From restored state and configuration to shards, builder and routing: the same code for a first start, a restart, a
//! take-over and a reload (which is a restart without the reading).
//!
//! `load` brings groups and members into the shards.

mod load;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::fingerprint::HashKey;
use crate::model::incident::IncidentEvent;
use crate::model::time::Timestamp;
use crate::pipeline::correlate::Correlator;
use crate::pipeline::correlate::own::OwnIncidents;
use crate::pipeline::epoch::{Beginning, EpochBuilder, SOURCE_CLOCK, SourceTotals, Summary, counter};
use crate::pipeline::exchange::Placement;
use crate::pipeline::options::Options;
use crate::pipeline::pressure::{Level, Offender, Pressure};
use crate::pipeline::shard::Shard;
use crate::pipeline::sink::RestoreError;
use crate::pipeline::source::{Position, SourceIndex};
use crate::pipeline::state::entry::MetaEntry;
use crate::pipeline::state::{Restored, check};

use load::{Told, load};

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
        check::whole(&restored).map_err(|what| RestoreError(format!("state: {what}")))?;
        let key = restored.hash_key()?.unwrap_or(fresh_key);
        let meta = restored.meta.take().unwrap_or_default();
        let rekeys = meta.epoch > 0 && meta.config_version != options.config_version;
        let (clocks, totals) = (clocks_of(&options, &meta), totals_of(&options, &meta));
        let wall = if meta.epoch > 0 { Timestamp(meta.wall) } else { Timestamp::MIN };
        let mut shards: Vec<Shard> = (0..options.shards).map(|_| Shard::new(&options, key)).collect();
        // The wall clock comes with the first step; until then record times are all there is.
        shards.iter_mut().for_each(|shard| shard.set_clocks(&clocks, Timestamp::MIN));
        let pressure = pressure_of(&options, &meta);
        shards.iter_mut().for_each(|shard| shard.set_pressure(pressure.clone()));
        let revisions = std::mem::take(&mut restored.revisions);
        let block_bytes = restored.n_bytes;
        let own = std::mem::take(&mut restored.own);
        let told = Told { revisions: &revisions, wall };
        let (placement, mut seed) = load(&options, key, restored, rekeys, &mut shards, told)?;
        let names: Vec<String> = options.sources.iter().map(|source| source.name.clone()).collect();
        let own = OwnIncidents::new(key, names.clone(), pressure.clone(), own);
        seed.extend(own.standing().filter_map(|event| told.standing(event)));
        let correlator = Correlator::new(revisions).with_own(own);
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
            block_bytes,
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
