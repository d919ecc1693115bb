//! Where groups and entries lie: slots that are found, taken, noted as changed, and given back with the last that needs them.

use crate::model::fingerprint::MemberKey;
use crate::pipeline::options::WindowRule;
use crate::pipeline::shard::arena::ArenaRef;
use crate::pipeline::shard::dedup::Unsaved;
use crate::pipeline::shard::group::Group;
use crate::pipeline::shard::{MEMBER_BYTES, Shard, TOUCH_BYTES};

impl Shard {
    pub(super) fn group(&self, slot: u32) -> Option<&Group> {
        self.groups.get(slot as usize)?.as_deref()
    }

    pub(super) fn group_mut(&mut self, slot: u32) -> Option<&mut Group> {
        self.groups.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The rule of a group; `None` if it is gone from the configuration.
    pub(super) fn rule_of(&self, group: &Group) -> Option<&WindowRule> {
        self.rules.get(usize::from(group.rule?))
    }

    pub(super) fn add_group(&mut self, group: Group) -> u32 {
        let boxed = Some(Box::new(group));
        match self.free_groups.pop() {
            Some(slot) => {
                if let Some(place) = self.groups.get_mut(slot as usize) {
                    *place = boxed;
                }
                slot
            }
            None => {
                self.groups.push(boxed);
                (self.groups.len() - 1) as u32
            }
        }
    }

    /// The entry of a member, unless its group has left the state; then the entry leaves now.
    pub(super) fn live_entry(&mut self, key: MemberKey) -> Option<u32> {
        let slot = self.dedup.find(key)?;
        let group = self.dedup.get(slot)?.group;
        if self.group(group).is_some_and(|group| !group.retired) {
            return Some(slot);
        }
        self.drop_entry(slot);
        None
    }

    /// Removes an entry and, with the last entry of a group that left, the group's slot.
    pub(super) fn drop_entry(&mut self, slot: u32) {
        let Some((member, rest)) = self.dedup.remove(slot) else { return };
        if member.unsaved == Unsaved::Whole {
            self.changes.gone_members.push(member.key); // The state may have it under the group where it was before.
        }
        self.arena.release(rest.labels);
        self.leave_entry(member.group);
    }

    /// One entry less points to this group.
    pub(super) fn leave_entry(&mut self, group: u32) {
        let Some(left) = self.group_mut(group) else { return };
        left.entries -= 1;
        let (retired, empty) = (left.retired, left.entries == 0);
        if retired {
            self.dead_entries -= 1;
            if empty {
                self.free_group(group);
            }
        }
    }

    pub(super) fn free_group(&mut self, slot: u32) {
        if let Some(place) = self.groups.get_mut(slot as usize) {
            *place = None;
            self.free_groups.push(slot);
        }
    }

    /// Puts an encoded label set into the arena.
    pub(super) fn store_labels(&mut self, encoded: &[u8]) -> ArenaRef {
        self.changes.bytes += MEMBER_BYTES + encoded.len() as u64;
        self.scratch.clear();
        self.names.pack(encoded, &mut self.scratch);
        self.arena.store(&self.scratch)
    }

    pub(super) fn touch_member(&mut self, slot: u32, how: Unsaved) {
        if let Some(member) = self.dedup.get_mut(slot) {
            if member.unsaved == Unsaved::No {
                self.changes.members.push(slot);
                self.changes.bytes += TOUCH_BYTES;
            }
            member.unsaved = member.unsaved.max(how);
        }
    }

    pub(super) fn touch_group(&mut self, slot: u32) {
        if let Some(group) = self.groups.get_mut(slot as usize).and_then(Option::as_deref_mut)
            && group.unsaved == Unsaved::No
        {
            group.unsaved = Unsaved::Whole;
            self.changes.groups.push(slot);
        }
    }
}
