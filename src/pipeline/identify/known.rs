//! What is known of label texts: a table that forgets, found by a keyed hash of the text.
//!
//! The secret is drawn per process, so that nobody outside can aim at one place, or make one text pass for another: with
//! 128 bits under a secret that is never shown, equal hashes mean equal texts. A text that was pushed out only costs the
//! computation. Hash: XXH3 with 128 bits and a secret of its own (xxHash, "XXH3 ... withSecret"), a third of SipHash's time
//! for the 200 to 300 bytes of a label set.

use std::hash::{BuildHasher as _, Hasher as _};

use xxhash_rust::xxh3::xxh3_128_with_secret;

use crate::pipeline::identify::Known;
use crate::pipeline::source::SourceIndex;

/// Pairs of places, a power of two. 8 MiB; several times the label texts that are hot at one time.
const PAIRS: usize = 1 << 16;

/// Bytes of the secret, as XXH3's own has (`XXH3_SECRET_DEFAULT_SIZE`).
const SECRET_BYTES: usize = 192;

/// The secret.
pub(super) type Secret = [u8; SECRET_BYTES];

/// How a label set is written: the same set has another text in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The JSON object as it came.
    Json,
    /// The encoding of `model::labels`.
    Encoded,
}

/// The hash of a label text of one source in one form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextHash(u128);

/// A text and what is known of it: one line of the processor's cache.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Place {
    /// Zero: nothing is here.
    text: TextHash,
    known: Known,
}

/// Two places for the texts that would share one: the newer first.
#[derive(Clone, Copy, Default)]
struct Pair([Place; 2]);

const _: () = assert!(size_of::<Place>() == 64, "a place is one cache line");

/// Bytes of the table.
pub(super) const BYTES: usize = PAIRS * size_of::<Pair>();

/// The table.
pub(super) struct KnownTexts {
    pub(super) secret: Secret,
    pairs: Vec<Pair>,
}

impl KnownTexts {
    pub(super) fn new() -> Self {
        let mut secret = [0; SECRET_BYTES];
        for word in secret.as_chunks_mut::<8>().0 {
            *word = std::hash::RandomState::new().build_hasher().finish().to_le_bytes();
        }
        Self { secret, pairs: vec![Pair::default(); PAIRS] }
    }

    #[inline]
    pub(super) fn hash(&self, source: SourceIndex, form: Form, text: &[u8]) -> TextHash {
        // The same text is another one in each form and source: they may differ in what counts as identity.
        let of = u128::from(source.0) << 1 | form as u128;
        let hash = xxh3_128_with_secret(text, &self.secret) ^ of << 64;
        TextHash(hash.max(1))
    }

    #[inline]
    pub(super) fn get(&self, text: TextHash) -> Option<Known> {
        let Pair(places) = self.pairs.get(text.0 as usize % PAIRS)?;
        places.iter().find(|place| place.text == text).map(|place| place.known)
    }

    pub(super) fn put(&mut self, text: TextHash, known: Known) {
        if let Some(Pair([newer, older])) = self.pairs.get_mut(text.0 as usize % PAIRS) {
            *older = std::mem::replace(newer, Place { text, known });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    /// Texts that all fall onto one place in 256 of a table without a secret.
    fn crafted(n: usize) -> Vec<String> {
        let texts = (0_u64..).map(|number| format!(r#"{{"a":"{number}"}}"#));
        texts.filter(|text| xxh3_128(text.as_bytes()) & 0xff == 7).take(n).collect()
    }

    /// Hash flooding: who knows the hash but not the secret cannot crowd the table, for the secret is drawn per process.
    #[test]
    fn a_hundred_thousand_texts_made_to_collide_spread_as_any_others_do() {
        const N: usize = 100_000;
        let texts = crafted(N);
        let pairs = |hash: &dyn Fn(&str) -> u128| {
            texts.iter().map(|text| hash(text) as usize % PAIRS).collect::<BTreeSet<_>>().len()
        };
        assert!(pairs(&|text| xxh3_128(text.as_bytes())) <= PAIRS / 256, "they are made for this");
        let (one, other) = (KnownTexts::new(), KnownTexts::new());
        assert_ne!(one.secret, other.secret);
        // What throwing so many balls into so many boxes at random leaves empty: a share of 1/e^(N / PAIRS).
        let expected = PAIRS as f64 * (1.0 - (-(N as f64) / PAIRS as f64).exp());
        for table in [one, other] {
            let found = pairs(&|text| table.hash(SourceIndex(0), Form::Json, text.as_bytes()).0) as f64;
            assert!((found / expected - 1.0).abs() < 0.02, "{found} pairs, {expected} expected");
        }
    }
}
