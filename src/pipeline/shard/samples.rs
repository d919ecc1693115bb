//! The samples of a group: rendered once, when an alert joins, and handed on as that text ever after.

use std::sync::Arc;

use crate::model::fingerprint::Fingerprint;
use crate::model::samples::measure::{Measured, measure};
use crate::model::samples::{SampleTexts, Samples};

/// Texts of all samples of an incident, bytes. Even if JSON escaped every byte (sixfold), an event stays below the 1 MB
/// that a Kafka topic takes by default.
const SAMPLE_BYTES_MAX: usize = 128 << 10;

/// The first members of a group, bounded.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptSamples {
    /// The JSON array; nothing at all while it is empty. Shared with the events that tell of it.
    json: Arc<Vec<u8>>,
    each: Vec<Kept>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    fingerprint: Fingerprint,
    /// Where its object ends in the array.
    end: u32,
    /// Bytes of its texts.
    n_bytes: u32,
}

impl KeptSamples {
    pub(crate) fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        (self.json.capacity() + self.each.capacity() * size_of::<Kept>()) as u64
    }

    /// Keeps a sample while there is room: `n_max` of them, and `SAMPLE_BYTES_MAX` for all. Annotations give way first.
    /// Returns whether it was kept.
    pub(crate) fn add<'a>(&mut self, n_max: usize, sample: impl FnOnce() -> SampleTexts<'a>) -> bool {
        if self.each.len() >= n_max {
            return false;
        }
        let sample = sample();
        let fingerprint = sample.fingerprint;
        let mut sample = sample.ordered();
        let used: usize = self.each.iter().map(|kept| kept.n_bytes as usize).sum();
        let mut n_bytes = sample.n_bytes();
        if used + n_bytes > SAMPLE_BYTES_MAX {
            sample.shorten();
            n_bytes = sample.n_bytes();
        }
        if used + n_bytes > SAMPLE_BYTES_MAX {
            return false;
        }
        let end = self.push(n_bytes, |json| sample.render(json));
        self.each.push(Kept { fingerprint, end, n_bytes: n_bytes as u32 });
        true
    }

    /// Appends an object of about that many bytes; returns where it ends.
    fn push(&mut self, n_bytes: usize, render: impl FnOnce(&mut Vec<u8>)) -> u32 {
        if Arc::get_mut(&mut self.json).is_none() {
            // Events hold what was told: they keep it, and a copy goes on, with room for as much again.
            let mut copy = Vec::with_capacity(2 * (self.json.len() + n_bytes));
            copy.extend_from_slice(&self.json);
            self.json = Arc::new(copy);
        }
        let json = Arc::make_mut(&mut self.json);
        match json.last_mut() {
            Some(bracket) => *bracket = b',',
            None => json.push(b'['),
        }
        render(json);
        json.push(b']');
        json.len() as u32 - 1
    }

    /// Drops the sample of a fingerprint. Returns whether there was one.
    pub(crate) fn remove(&mut self, fingerprint: Fingerprint) -> bool {
        let before = std::mem::take(self);
        let mut start = 1;
        for kept in &before.each {
            let object = before.json.get(start..kept.end as usize).unwrap_or_default();
            start = kept.end as usize + 1;
            if kept.fingerprint != fingerprint {
                let end = self.push(object.len(), |json| json.extend_from_slice(object));
                self.each.push(Kept { end, ..*kept });
            }
        }
        self.each.len() < before.each.len()
    }

    /// The samples as a JSON array.
    pub(crate) fn json(&self) -> Arc<Vec<u8>> {
        if self.json.is_empty() { Arc::new(b"[]".to_vec()) } else { self.json.clone() }
    }

    /// The same, as a list.
    pub(crate) fn to_samples(&self) -> Samples {
        Samples::rendered(self.json())
    }

    /// Samples of a restored state, whose text is kept as it is; `None` if it is no list of samples.
    pub(crate) fn from_json(json: Vec<u8>) -> Option<Self> {
        let found = measure(&json)?;
        if found.is_empty() {
            return Some(Self::default());
        }
        let kept = |sample: Measured| Kept {
            fingerprint: sample.fingerprint,
            end: sample.end as u32,
            n_bytes: sample.n_bytes as u32,
        };
        Some(Self { json: Arc::new(json), each: found.into_iter().map(kept).collect() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::alert::Severity;
    use crate::model::incident::Sample;
    use crate::model::labels;
    use crate::model::time::Timestamp;

    fn add(samples: &mut KeptSamples, n: u128, value: &str) -> bool {
        let mut encoded = Vec::new();
        labels::encode([("instance", value)], &mut encoded);
        samples.add(3, || SampleTexts {
            fingerprint: Fingerprint(n),
            severity: Severity::Info,
            first_seen: Timestamp(n as i64),
            starts_at: None,
            labels: &encoded,
            annotations: &encoded,
            url: b"",
        })
    }

    fn read(samples: &mut KeptSamples) -> Vec<u128> {
        let list: Vec<Sample> = serde_json::from_slice(&samples.json()).unwrap();
        list.iter().map(|sample| sample.fingerprint.0).collect()
    }

    #[test]
    fn samples_come_and_go_and_survive_a_restore() {
        let mut samples = KeptSamples::default();
        assert_eq!(read(&mut samples), []);
        assert!((1..=3).all(|n| add(&mut samples, n, "a \"b\"")));
        assert!(!add(&mut samples, 4, "a"), "there is no room");
        assert!(samples.remove(Fingerprint(2)) && !samples.remove(Fingerprint(2)));
        assert_eq!(read(&mut samples), [1, 3]);
        let mut restored = KeptSamples::from_json(samples.json().to_vec()).unwrap();
        assert_eq!(restored.json(), samples.json());
        assert!(add(&mut restored, 5, "c") && restored.remove(Fingerprint(1)));
        assert_eq!(read(&mut restored), [3, 5]);
        assert!(KeptSamples::from_json(b"[{".to_vec()).is_none());
    }

    #[test]
    fn large_texts_give_way() {
        let mut samples = KeptSamples::default();
        let large = "x".repeat(65_000); // Twice: as a label and as an annotation.
        assert!(add(&mut samples, 1, &large) && add(&mut samples, 2, "small"));
        assert!(!add(&mut samples, 3, &large));
        assert!(add(&mut samples, 4, "small"));
        let mut roomy = KeptSamples::default();
        assert!(add(&mut roomy, 1, &"x".repeat(30_000)) && add(&mut roomy, 2, &"y".repeat(50_000)));
        let list: Vec<Sample> = serde_json::from_slice(&roomy.json()).unwrap();
        assert_eq!(list.iter().map(|sample| sample.annotations.len()).collect::<Vec<_>>(), [1, 0]);
    }
}
