//! What makes two alerts the same, and two alerts of one group: keyed 128-bit hashes.
//!
//! The key is made at first start and kept in the state, so that nobody outside can craft an alert which hides in
//! another's incident, and a restart or a standby still recognises what it knew. `replay` uses `HashKey::FIXED`.
//! Hash: SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012), from the `siphasher` crate.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher as _};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// The secret of all stable hashes of one installation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub [u8; 16]);

impl HashKey {
    /// The key of `replay`, tests and benches: results can be compared between runs and machines.
    pub const FIXED: Self = Self(*b"tidegate replay!");

    fn hasher(self, purpose: u8) -> SipHasher24 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write_u8(purpose); // One key, several independent functions.
        hasher
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

const PURPOSE_LABEL: u8 = 1;
const PURPOSE_FINGERPRINT: u8 = 2;
const PURPOSE_GROUP: u8 = 3;
const PURPOSE_INCIDENT: u8 = 4;
const PURPOSE_ORIGIN: u8 = 5;
const PURPOSE_RECORD: u8 = 6;

/// 32 digits, as `{:032x}` writes them; events are full of them, and the general formatter costs several times as much.
fn hexadecimal(value: u128) -> [u8; 32] {
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(value.to_be_bytes()) {
        for (place, digit) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *place = if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
        }
    }
    text
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:032x})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(format!("{text:?} is not 32 hexadecimal digits"));
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|error| error.to_string())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(std::str::from_utf8(&hexadecimal(self.0)).expect("digits and letters"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

// A macro because the types differ in nothing but what must not be confused: their meaning.
hash_type! {
    /// Identity of an alert: equal for equal identity labels, whatever their order.
    Fingerprint
}
hash_type! {
    /// Identity of a group key: window rule and the values of its `group_by` labels.
    GroupHash
}
hash_type! {
    /// What a member is found by: its identity within the group key its labels lead to. Two groups may hold the same
    /// identity, where that leaves out what the groups go by; each of them has its own member then.
    MemberKey
}
hash_type! {
    /// Identity of an incident, computed from its opening record; shown as 32 hexadecimal digits.
    IncidentId
}

hash_type! {
    /// What the bytes of a record are known by, in a wire format.
    RecordHash
}

impl RecordHash {
    /// The hash of these bytes, sent in the format of that name.
    #[must_use]
    pub fn new(key: HashKey, format: &str, bytes: &[u8]) -> Self {
        let mut hasher = key.hasher(PURPOSE_RECORD);
        hasher.write_u64(format.len() as u64);
        hasher.write(format.as_bytes());
        hasher.write(bytes);
        Self(hasher.finish128().as_u128())
    }
}

impl MemberKey {
    /// The key of an identity under a group key. Both are keyed hashes, so their difference is as good as a hash.
    #[must_use]
    pub const fn new(fingerprint: Fingerprint, group: GroupHash) -> Self {
        Self(fingerprint.0 ^ group.0)
    }

    /// The group key, given the identity.
    #[must_use]
    pub const fn group(self, fingerprint: Fingerprint) -> GroupHash {
        GroupHash(self.0 ^ fingerprint.0)
    }
}

/// Adds up label by label, so that their order does not matter and nothing has to be sorted.
#[derive(Clone)]
pub struct FingerprintBuilder {
    key: HashKey,
    sum: u128,
    n_labels: u64,
    /// What is hashed of a label.
    bytes: Vec<u8>,
}

impl FingerprintBuilder {
    /// The empty label set under `key`.
    #[must_use]
    pub const fn new(key: HashKey) -> Self {
        Self { key, sum: 0, n_labels: 0, bytes: Vec::new() }
    }

    /// Adds one identity label.
    pub fn label(&mut self, name: &str, value: &str) {
        let hash = self.hash(name.as_bytes(), value.as_bytes());
        self.add(hash);
    }

    /// The hash of a label, for `add`.
    pub fn hash(&mut self, name: &[u8], value: &[u8]) -> u128 {
        self.bytes.clear();
        self.bytes.push(PURPOSE_LABEL);
        self.bytes.extend_from_slice(&(name.len() as u64).to_le_bytes()); // The border between name and value counts.
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        // In one piece: a piece at a time takes twice as long.
        SipHasher24::new_with_key(&self.key.0).hash(&self.bytes).as_u128()
    }

    /// Adds a label whose hash is known.
    pub const fn add(&mut self, hash: u128) {
        self.sum = self.sum.wrapping_add(hash);
        self.n_labels += 1;
    }

    /// The fingerprint of what was added.
    #[must_use]
    pub fn finish(self) -> Fingerprint {
        let mut hasher = self.key.hasher(PURPOSE_FINGERPRINT);
        hasher.write_u64(self.n_labels);
        hasher.write(&self.sum.to_le_bytes());
        Fingerprint(hasher.finish128().as_u128())
    }
}

/// The hash of a group key. `labels` in the order of the rule's `group_by`.
#[must_use]
pub fn group_hash<'a>(key: HashKey, rule: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> GroupHash {
    let mut hasher = key.hasher(PURPOSE_GROUP);
    let mut text = |part: &str| {
        hasher.write_u64(part.len() as u64);
        hasher.write(part.as_bytes());
    };
    text(rule);
    for (name, value) in labels {
        text(name);
        text(value);
    }
    GroupHash(hasher.finish128().as_u128())
}

/// Where a record came from, as a number: source name and partition name (empty where there are no partitions).
#[must_use]
pub fn origin(source: &str, partition: &str) -> u64 {
    let mut hasher = HashKey::FIXED.hasher(PURPOSE_ORIGIN); // Not a secret: it only keeps origins apart.
    hasher.write_u64(source.len() as u64);
    hasher.write(source.as_bytes());
    hasher.write(partition.as_bytes());
    hasher.finish128().as_u128() as u64
}

/// The id of the incident that the alert at this place opened: same record, same id, whatever happens in between.
#[must_use]
pub fn incident_id(key: HashKey, group: GroupHash, origin: u64, position: u64, index: u32) -> IncidentId {
    let mut hasher = key.hasher(PURPOSE_INCIDENT);
    hasher.write(&group.0.to_le_bytes());
    hasher.write_u64(origin);
    hasher.write_u64(position);
    hasher.write_u32(index);
    IncidentId(hasher.finish128().as_u128())
}

/// The fingerprint Alertmanager shows for the same label set: FNV-1a with 64 bits over name, 0xFF, value, 0xFF in the
/// order of names (Prometheus `model.LabelSet.Fingerprint`), as 16 hexadecimal digits.
#[must_use]
pub fn alertmanager_fingerprint<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut sorted: Vec<(&str, &str)> = labels.into_iter().collect();
    sorted.sort_unstable();
    let mut hash = OFFSET;
    for (name, value) in sorted {
        for byte in name.bytes().chain([0xFF]).chain(value.bytes()).chain([0xFF]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
    hash
}

/// A map keyed by one of the types above, which are keyed hashes already: their bits are used as they are.
pub type HashedMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Prehashed>>;

/// Passes on 64 bits of a value that is a keyed hash already. Not for anything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prehashed(u64);

impl std::hash::Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(key: HashKey, labels: &[(&str, &str)]) -> Fingerprint {
        let mut builder = FingerprintBuilder::new(key);
        labels.iter().for_each(|(name, value)| builder.label(name, value));
        builder.finish()
    }

    const LABELS: [(&str, &str); 3] = [("alertname", "HighLatency"), ("service", "checkout"), ("severity", "critical")];

    #[test]
    fn json_has_the_text_that_is_shown() {
        for value in [0, 1, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, u128::MAX] {
            let json = serde_json::to_string(&Fingerprint(value)).expect("a text");
            assert_eq!(json, format!("\"{}\"", Fingerprint(value)));
        }
    }

    #[test]
    fn golden_values() {
        // Stored in state and shown to users: a change here breaks every installation.
        assert_eq!(fingerprint(HashKey::FIXED, &LABELS).to_string(), "ac5b56d5497d4509a15b18877f9c75a0");
        assert_eq!(fingerprint(HashKey::FIXED, &[]).to_string(), "d1f64ebdedf8f5a6cc109e326e897a18");
        let group = group_hash(HashKey::FIXED, "default", [("cluster", "eu-1"), ("service", "checkout")]);
        assert_eq!(group.to_string(), "2b085381e41fb6fbfb254f8e351d13b4");
        let opening = incident_id(HashKey::FIXED, group, origin("kafka", "alerts/3"), 42, 7);
        assert_eq!(opening.to_string(), "adcc8fecfda74a741d7d7721d54bb89b");
        // Prometheus: model.LabelSet{}.Fingerprint() is the FNV offset basis.
        assert_eq!(format!("{:016x}", alertmanager_fingerprint([])), "cbf29ce484222325");
        assert_eq!(format!("{:016x}", alertmanager_fingerprint(LABELS)), "c75f68922c9ebc87");
    }

    #[test]
    fn order_does_not_matter_but_borders_and_keys_do() {
        let mut turned = LABELS;
        turned.reverse();
        let plain = fingerprint(HashKey::FIXED, &LABELS);
        assert_eq!(plain, fingerprint(HashKey::FIXED, &turned));
        assert_ne!(plain, fingerprint(HashKey([7; 16]), &LABELS));
        assert_ne!(fingerprint(HashKey::FIXED, &[("a", "bc")]), fingerprint(HashKey::FIXED, &[("ab", "c")]));
        assert_ne!(fingerprint(HashKey::FIXED, &[("a", "b"), ("a", "b")]), fingerprint(HashKey::FIXED, &[]));
    }

    /// Hash flooding: fingerprints, group keys and what is found by them go by a key that is drawn at the first start. Labels that
    /// are made to collide under a known key spread under any other as chance has it.
    #[test]
    fn a_hundred_thousand_labels_made_to_collide_spread_under_another_key() {
        const N: usize = 100_000;
        let of = |key, number: u64| fingerprint(key, &[("instance", number.to_string().as_str())]);
        let crafted: Vec<u64> = (0..).filter(|number| of(HashKey::FIXED, *number).0 & 0xf == 3).take(N).collect();
        let mut places = [0_usize; 16];
        for number in crafted {
            places[of(HashKey([7; 16]), number).0 as usize & 0xf] += 1;
        }
        // Five standard deviations of N draws out of 16.
        let (mean, deviation) = (N / 16, (N as f64 / 16.0 * 15.0 / 16.0).sqrt());
        assert!(places.iter().all(|n| n.abs_diff(mean) as f64 <= 5.0 * deviation), "{places:?}");
    }

    #[test]
    fn ids_read_what_they_write() {
        let id = IncidentId(0x00ff);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("00ff".parse::<IncidentId>().is_err());
        assert!("+0000000000000000000000000000000".parse::<IncidentId>().is_err());
    }
}
