//! Entries back to state: the last word on every fingerprint, group and incident, whatever order shards wrote them in.
//!
//! Any suffix of the blocks that begins at or before the last complete sweep gives the same result: what a missing block
//! said in full the sweep says again, and a touch of something unknown is of no effect.

use std::collections::BTreeMap;

use crate::model::fingerprint::{GroupHash, HashKey, HashedMap, IncidentId, MemberKey};
use crate::pipeline::sink::RestoreError;
use crate::pipeline::state::block::{Decoded, decode_block};
use crate::pipeline::state::entry::{GroupEntry, Kind, MemberEntry, MetaEntry, OwnEntry, TouchEntry};

/// State as it was at the end of the last durable epoch.
#[derive(Debug, Default)]
pub struct Restored {
    /// What concerns everything; `None` at the first start.
    pub meta: Option<Box<MetaEntry>>,
    /// Groups with an incident.
    pub groups: HashedMap<IncidentId, Box<GroupEntry>>,
    /// Groups that hold alerts back.
    pub held: HashedMap<GroupHash, Box<GroupEntry>>,
    /// Samples by incident, or by group key while held back.
    pub samples: HashedMap<IncidentId, Vec<u8>>,
    /// Live fingerprints.
    pub members: HashedMap<MemberKey, MemberEntry>,
    /// Revision of the last event of each incident.
    pub revisions: HashedMap<IncidentId, u64>,
    /// Incidents of tidegate itself, by the source they are about.
    pub own: BTreeMap<String, Box<OwnEntry>>,
    /// Groups that left, by incident or group key: their members left with them.
    pub gone: HashedMap<IncidentId, ()>,
    /// First and last epoch of the blocks read.
    pub epochs: Option<(u64, u64)>,
    /// Blocks read.
    pub n_blocks: u64,
    /// Bytes of those blocks.
    pub n_bytes: u64,
}

impl Restored {
    /// Takes the next block, oldest first.
    ///
    /// # Errors
    /// When the block is damaged or of an unknown version, or epochs are missing in between.
    pub fn take_block(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        self.take_decoded(decode_block(bytes)?)
    }

    /// As `take_block`, of a block that was decoded already.
    ///
    /// # Errors
    /// When epochs are missing in between.
    pub fn take_decoded(&mut self, block: Decoded) -> Result<(), RestoreError> {
        let Decoded { epoch, n_bytes, entries } = block;
        self.n_blocks += 1;
        self.n_bytes += n_bytes;
        if let Some(meta) = &self.meta
            && epoch != meta.epoch + 1
            && epoch != meta.epoch
        {
            let last = meta.epoch;
            return Err(RestoreError(format!(
                "state: epoch {epoch} follows epoch {last}: blocks in between are missing"
            )));
        }
        self.epochs = Some((self.epochs.map_or(epoch, |(first, _)| first), epoch));
        entries.into_iter().for_each(|kind| self.take(kind));
        Ok(())
    }

    fn take(&mut self, kind: Kind) {
        match kind {
            Kind::Member(member) => {
                self.members.insert(MemberKey(member.touch.key.into()), member);
            }
            Kind::Touch(touch) => self.touch(touch),
            Kind::MemberGone(key) => {
                self.members.remove(&MemberKey(key.into()));
            }
            Kind::Group(group) if u128::from(group.incident) == 0 => {
                self.held.insert(GroupHash(group.hash.into()), group);
            }
            Kind::Group(group) => {
                self.groups.insert(IncidentId(group.incident.into()), group);
            }
            Kind::GroupGone(incident) => {
                self.groups.remove(&IncidentId(incident.into()));
                self.gone.insert(IncidentId(incident.into()), ());
                self.samples.remove(&IncidentId(incident.into()));
            }
            Kind::HeldGone(group) => {
                self.held.remove(&GroupHash(group.into()));
                self.gone.insert(IncidentId(group.into()), ());
                self.samples.remove(&IncidentId(group.into()));
            }
            Kind::Samples(samples) => {
                self.samples.insert(IncidentId(samples.of.into()), samples.json);
            }
            Kind::Incident(incident) => {
                self.revisions.insert(IncidentId(incident.incident.into()), incident.revision);
            }
            Kind::IncidentGone(incident) => {
                self.revisions.remove(&IncidentId(incident.into()));
            }
            Kind::Own(own) => {
                self.own.insert(own.source.clone(), own);
            }
            Kind::OwnGone(source) => {
                self.own.remove(&source);
            }
            Kind::Meta(meta) => self.meta = Some(meta),
        }
    }

    fn touch(&mut self, touch: TouchEntry) {
        if let Some(member) = self.members.get_mut(&MemberKey(touch.key.into())) {
            member.touch = touch;
        }
    }

    /// The key of the stable hashes, if there is a state.
    ///
    /// # Errors
    /// When the state's key has not 16 bytes.
    pub fn hash_key(&self) -> Result<Option<HashKey>, RestoreError> {
        let Some(meta) = &self.meta else { return Ok(None) };
        let key = meta.hash_key.as_slice().try_into();
        key.map(|key| Some(HashKey(key))).map_err(|_| RestoreError("state: the hash key has not 16 bytes".to_owned()))
    }

    /// Drops fingerprints whose group is gone, once the last block was taken: they left with it.
    pub fn settle(&mut self) {
        let Self { members, groups, held, .. } = self;
        members.retain(|_, member| {
            let incident = u128::from(member.incident);
            if incident == 0 {
                held.contains_key(&GroupHash(member.group.into()))
            } else {
                groups.contains_key(&IncidentId(incident))
            }
        });
        self.gone.clear(); // No member refers to them any more.
    }
}
