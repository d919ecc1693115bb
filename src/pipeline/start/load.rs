//! Groups and their members into shards, each shard on a thread of its own.
//!
//! Under a changed configuration live fingerprints are re-keyed from their stored labels; open incidents keep their id
//! and members. A group and the keys its members now have must live in one shard, which the placement sees to. So a shard can
//! be loaded without a look at the others; and what it is given comes in an order that no hash map and no thread decides.

use std::sync::Arc;

use crate::model::fingerprint::{Fingerprint, GroupHash, HashKey, HashedMap, IncidentId, MemberKey, origin};
use crate::model::incident::IncidentEvent;
use crate::model::time::Timestamp;
use crate::pipeline::exchange::{Placement, shard_of};
use crate::pipeline::identify::Identifier;
use crate::pipeline::options::Options;
use crate::pipeline::shard::Shard;
use crate::pipeline::shard::save::Returning;
use crate::pipeline::sink::RestoreError;
use crate::pipeline::source::SourceIndex;
use crate::pipeline::state::entry::{GroupEntry, MemberEntry};
use crate::pipeline::state::{Restored, check};

/// What tells readers of the incidents of a state: revisions, and when it was durable.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) revisions: &'a HashedMap<IncidentId, u64>,
    pub(super) wall: Timestamp,
}

impl Told<'_> {
    /// An incident as it stood at the last durable epoch, whose time is all that is known of when it was told; `None` if it
    /// has not been told of.
    pub(super) fn standing(self, mut event: IncidentEvent) -> Option<Arc<IncidentEvent>> {
        event.revision = self.revisions.get(&event.incident_id).copied().unwrap_or(0);
        event.committed_at = self.wall;
        (event.revision > 0).then(|| Arc::new(event))
    }
}

/// A group on its way into its shard.
struct Loading {
    entry: Box<GroupEntry>,
    samples: Vec<u8>,
    members: Vec<Place>,
}

/// Where a member is among all of them. It is these small ones that are put in order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: MemberKey,
    old: MemberKey,
    at: u32,
}

/// Loads every group with its members into its shard. Returns where groups live whose place is not by hash, and the events
/// for readers. Members without a group are left out: they left with it.
pub(super) fn load(
    options: &Options,
    key: HashKey,
    mut restored: Restored,
    rekeys: bool,
    shards: &mut [Shard],
    told: Told<'_>,
) -> Result<(Placement, Vec<Arc<IncidentEvent>>), RestoreError> {
    let mut groups = groups_of(&mut restored);
    let mut keying = Keying::new(options, key, rekeys);
    let members = place_members(&mut restored, &mut groups, &mut keying)?;
    let placement: Placement = Arc::new(keying.ties.placement(options.shards));
    let mut homes: Vec<Vec<Loading>> = shards.iter().map(|_| Vec::new()).collect();
    for group in groups {
        let home = shard_of(&placement, GroupHash(group.entry.hash.into()), shards.len());
        if let Some(home) = homes.get_mut(home) {
            home.push(group);
        }
    }
    let mut seed = Vec::new();
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for (shard, groups) in shards.iter_mut().zip(homes) {
            let members = &members;
            let thread = std::thread::Builder::new().name("restore".to_owned());
            let worker = thread.spawn_scoped(scope, move || load_shard(shard, groups, members, told));
            workers.push(worker.map_err(|error| RestoreError(format!("start thread: {error}")))?);
        }
        for worker in workers {
            let loaded = worker.join().map_err(|_| RestoreError("the state could not be loaded".to_owned()))?;
            seed.extend(loaded?);
        }
        Ok((placement, seed))
    })
}

/// All groups in the order of their ids, those that hold alerts back first.
fn groups_of(restored: &mut Restored) -> Vec<Loading> {
    let held = std::mem::take(&mut restored.held).into_values();
    let groups = std::mem::take(&mut restored.groups).into_values().chain(held);
    let samples = &mut restored.samples;
    let loading = |entry: Box<GroupEntry>| {
        let samples = samples.remove(&group_id(entry.incident.into(), entry.hash.into())).unwrap_or_default();
        Loading { entry, samples, members: Vec::new() }
    };
    let mut groups: Vec<Loading> = groups.map(loading).collect();
    groups.sort_unstable_by_key(|group| (u128::from(group.entry.incident), u128::from(group.entry.hash)));
    groups
}

/// Gives every member its key, and every group the places of its members.
fn place_members(
    restored: &mut Restored,
    groups: &mut [Loading],
    keying: &mut Keying<'_>,
) -> Result<Vec<Returning>, RestoreError> {
    let members = std::mem::take(&mut restored.members);
    let mut numbers: HashedMap<IncidentId, u32> = HashedMap::default();
    for (number, group) in (0..).zip(groups.iter()) {
        numbers.insert(group_id(group.entry.incident.into(), group.entry.hash.into()), number);
    }
    let mut all = Vec::with_capacity(members.len());
    for (old, entry) in members {
        let id = group_id(entry.incident.into(), entry.group.into());
        let number = numbers.get(&id).map(|number| *number as usize);
        let Some(group) = number.and_then(|number| groups.get_mut(number)) else {
            check::lost(restored, &entry).map_err(refused)?;
            continue;
        };
        let (key, fingerprint) = keying.key_of(old, &entry);
        group.members.push(Place { key, old, at: all.len() as u32 });
        all.push(Returning { key, fingerprint, entry, is_merged: false });
    }
    if keying.rekeys {
        // Of members that a new identity makes one, the one heard last stays.
        let stays = |member: &Returning| {
            let newest = keying.newest.get(&member.key);
            newest.is_none_or(|(_, old)| old.0 == member.entry.touch.key.into())
        };
        all.iter_mut().for_each(|member| member.is_merged = !stays(member));
    }
    Ok(all)
}

fn load_shard(
    shard: &mut Shard,
    groups: Vec<Loading>,
    all: &[Returning],
    told: Told<'_>,
) -> Result<Vec<Arc<IncidentEvent>>, RestoreError> {
    for Loading { entry, samples, members: mut places } in groups {
        places.sort_unstable();
        let members: Vec<&Returning> = places.iter().filter_map(|place| all.get(place.at as usize)).collect();
        let revision = told.revisions.get(&IncidentId(entry.incident.into())).copied();
        check::group(&entry, members.iter().map(|member| &member.entry), revision).map_err(refused)?;
        if !shard.load(&entry, samples, &members) {
            return Err(refused(format!("{}: its samples cannot be read", check::name_of(&entry))));
        }
    }
    Ok(shard.incidents().filter_map(|event| told.standing(event)).collect())
}

fn refused(what: String) -> RestoreError {
    RestoreError(format!("state: {what}"))
}

fn group_id(incident: u128, hash: u128) -> IncidentId {
    IncidentId(if incident == 0 { hash } else { incident })
}

/// Which key each member has now.
struct Keying<'a> {
    options: &'a Options,
    identifier: Identifier,
    rekeys: bool,
    ties: Ties,
    /// When the members of a key were heard last, and which of them that was; only when keys change.
    newest: HashedMap<MemberKey, (i64, MemberKey)>,
}

impl<'a> Keying<'a> {
    fn new(options: &'a Options, key: HashKey, rekeys: bool) -> Self {
        let identifier = Identifier::new(options, key);
        Self { options, identifier, rekeys, ties: Ties::default(), newest: HashedMap::default() }
    }

    fn key_of(&mut self, old: MemberKey, entry: &MemberEntry) -> (MemberKey, Fingerprint) {
        let fingerprint = Fingerprint(entry.fingerprint.into());
        // Where its group is, where its repeats go, and where they went: all in one shard.
        let group = GroupHash(entry.group.into());
        self.ties.tie(group, old.group(fingerprint));
        if !self.rekeys {
            return (old, fingerprint);
        }
        let sources = &self.options.sources;
        let source = sources.iter().position(|source| origin(&source.name, "") == entry.source);
        let known = self.identifier.identify(SourceIndex(source.unwrap_or(0) as u8), &entry.labels);
        let key = MemberKey::new(known.fingerprint, known.group);
        self.ties.tie(group, known.group);
        let heard = self.newest.entry(key).or_insert((i64::MIN, old));
        *heard = (*heard).max((entry.touch.last, old));
        (key, known.fingerprint)
    }
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
