//! Remembers the hashes of labels: of the label sets that come for the first time nearly every label has come before.
//!
//! SipHash, which fingerprints are made with, takes some 40 ns for a label; finding it here takes 10.

use xxhash_rust::xxh3::xxh3_128_with_secret;

use crate::model::fingerprint::{Fingerprint, FingerprintBuilder, HashKey};
use crate::model::labels::BytePairs;
use crate::pipeline::identify::known::Secret;

/// Places, a power of two: 128 KiB. Labels that are the same for many sets are some hundreds.
const PLACES: usize = 1 << 12;

/// The hash of a label. `label` is the keyed hash of its encoding, by which it is found; zero: nothing is here.
#[derive(Clone, Copy, Default)]
struct Place {
    label: u128,
    hash: u128,
}

/// Bytes of the table.
pub(super) const BYTES: usize = PLACES * size_of::<Place>();

/// The table. It forgets: what shares a place pushes out what was there.
pub(super) struct LabelHashes {
    key: HashKey,
    places: Vec<Place>,
}

impl LabelHashes {
    pub(super) fn new(key: HashKey) -> Self {
        Self { key, places: vec![Place::default(); PLACES] }
    }

    /// Tells of every label without making a fingerprint of them, for identities that are more than the label sets.
    pub(super) fn each(&self, secret: &Secret, encoded: &[u8], mut each: impl FnMut(usize, &[u8], u64)) {
        for (place, (name, value)) in BytePairs(encoded).enumerate() {
            each(place, name, (xxh3_128_with_secret(value, secret) >> 64) as u64);
        }
    }

    /// The fingerprint of a whole label set, in the encoding of `model::labels`, under an identity that takes it as it is.
    /// `each` hears the place and the name of every label, and a hash of name and value.
    pub(super) fn fingerprint(
        &mut self,
        secret: &Secret,
        encoded: &[u8],
        mut each: impl FnMut(usize, &[u8], u64),
    ) -> Fingerprint {
        let mut builder = FingerprintBuilder::new(self.key);
        let mut pairs = BytePairs(encoded);
        for place in 0.. {
            let whole = pairs.0;
            let Some((name, value)) = pairs.next() else { return builder.finish() };
            let bytes = whole.get(..whole.len() - pairs.0.len()).unwrap_or_default();
            let label = xxh3_128_with_secret(bytes, secret).max(1);
            each(place, name, (label >> 64) as u64);
            let Some(place) = self.places.get_mut(label as usize % PLACES) else { return builder.finish() };
            if place.label != label {
                *place = Place { label, hash: builder.hash(name, value) };
            }
            builder.add(place.hash);
        }
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::encode;

    #[test]
    fn it_is_the_fingerprint_whatever_came_before() {
        let mut hashes = LabelHashes::new(HashKey::FIXED);
        let secret = [7; 192];
        let values: Vec<String> = (0..3 * PLACES).map(|n| format!("v{n}")).collect();
        for value in values.iter().chain(&values) {
            let labels = [("alertname", "A"), ("instance", value), ("größe", "")];
            let mut builder = FingerprintBuilder::new(HashKey::FIXED);
            labels.iter().for_each(|(name, value)| builder.label(name, value));
            let mut encoded = Vec::new();
            encode(labels, &mut encoded);
            assert_eq!(hashes.fingerprint(&secret, &encoded, |_, _, _| ()), builder.finish(), "{value}");
        }
    }
}
