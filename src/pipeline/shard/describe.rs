//! Names for what a decision is about, looked up after the fact: for the tap, never for a decision.

use std::collections::BTreeMap;

use crate::model::fingerprint::{Fingerprint, GroupHash, MemberKey};
use crate::pipeline::shard::Shard;

impl Shard {
    /// The encoded labels of a member; `None` once it has left the state.
    #[must_use]
    pub fn labels_of(&self, fingerprint: Fingerprint, group: GroupHash) -> Option<Vec<u8>> {
        let slot = self.dedup.find(MemberKey::new(fingerprint, group))?;
        let mut encoded = Vec::new();
        self.names.unpack(self.arena.get(self.dedup.rest(slot)?.labels), &mut encoded);
        Some(encoded)
    }

    /// The window rule and the labels of the newest group of a key; `None` once it has left the state.
    #[must_use]
    pub fn group_of(&self, group: GroupHash) -> Option<(&str, &BTreeMap<String, String>)> {
        let group = self.group(*self.by_key.get(&group)?)?;
        Some((&group.rule_name, &group.labels))
    }
}
