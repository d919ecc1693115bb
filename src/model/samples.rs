//! The samples of an incident: kept, stored and handed on as the JSON they become anyway, and taken apart only for whoever
//! looks at them. A flood makes samples by the thousand; hardly any is ever looked at.

pub mod measure;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::alert::Severity;
use crate::model::fingerprint::Fingerprint;
use crate::model::incident::Sample;
use crate::model::labels::BytePairs;
use crate::model::time::Timestamp;

/// A list of samples. To whoever reads it, it is a `Vec<Sample>`; cloning shares the text.
#[derive(Clone, Default)]
pub struct Samples {
    /// The list as a JSON array, as long as nobody has changed the list.
    json: Option<Arc<Vec<u8>>>,
    list: OnceLock<Vec<Sample>>,
}

impl Samples {
    /// The samples of a JSON array. What cannot be read as one is an empty list to whoever looks.
    #[must_use]
    pub fn rendered(json: Arc<Vec<u8>>) -> Self {
        Self { json: Some(json), list: OnceLock::new() }
    }

    /// The JSON array, if it is at hand.
    #[must_use]
    pub fn json(&self) -> Option<&[u8]> {
        self.json.as_deref().map(Vec::as_slice)
    }
}

impl Deref for Samples {
    type Target = Vec<Sample>;

    fn deref(&self) -> &Vec<Sample> {
        let read = || self.json.as_deref().and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
        self.list.get_or_init(read)
    }
}

impl DerefMut for Samples {
    fn deref_mut(&mut self) -> &mut Vec<Sample> {
        let _ = self.len(); // Taken apart now.
        self.json = None;
        self.list.get_mut().expect("it was taken apart in the line above")
    }
}

impl From<Vec<Sample>> for Samples {
    fn from(list: Vec<Sample>) -> Self {
        Self { json: None, list: list.into() }
    }
}

impl<'a> IntoIterator for &'a Samples {
    type Item = &'a Sample;
    type IntoIter = std::slice::Iter<'a, Sample>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Samples {
    type Item = &'a mut Sample;
    type IntoIter = std::slice::IterMut<'a, Sample>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Samples {}

impl Serialize for Samples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

/// An alert as it becomes a sample; texts are borrowed and in UTF-8, label sets in the encoding of `model::labels`.
#[derive(Clone, Copy, Debug)]
pub struct SampleTexts<'a> {
    /// The alert's identity.
    pub fingerprint: Fingerprint,
    /// Its severity.
    pub severity: Severity,
    /// Record time of its first alert in the incident.
    pub first_seen: Timestamp,
    /// When it began by the sender's word.
    pub starts_at: Option<Timestamp>,
    /// Labels.
    pub labels: &'a [u8],
    /// Annotations.
    pub annotations: &'a [u8],
    /// Link, empty if none.
    pub url: &'a [u8],
}

/// A sample whose pairs are in their order: what it takes to measure and to render it.
#[derive(Clone, Debug)]
pub struct Ordered<'a> {
    texts: SampleTexts<'a>,
    labels: Vec<BytePair<'a>>,
    annotations: Vec<BytePair<'a>>,
}

/// Name and value, in UTF-8.
type BytePair<'a> = (&'a [u8], &'a [u8]);

impl<'a> SampleTexts<'a> {
    /// Brings the pairs into the order of their names.
    #[must_use]
    pub fn ordered(self) -> Ordered<'a> {
        Ordered { texts: self, labels: sorted(self.labels), annotations: sorted(self.annotations) }
    }
}

impl Ordered<'_> {
    /// Bytes of all its texts.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.annotations);
        pairs.map(|(name, value)| name.len() + value.len()).sum::<usize>() + self.texts.url.len()
    }

    /// Drops what gives way first where room is short: annotations and link.
    pub fn shorten(&mut self) {
        self.annotations.clear();
        self.texts.url = &[];
    }

    /// Appends the JSON of the `Sample` that this is, byte for byte.
    pub fn render(&self, out: &mut Vec<u8>) {
        out.reserve(self.n_bytes() + ROOM_BESIDES + ROOM_PER_PAIR * (self.labels.len() + self.annotations.len()));
        out.extend_from_slice(b"{\"fingerprint\":");
        json(&self.texts.fingerprint, out);
        out.extend_from_slice(b",\"severity\":");
        json(&self.texts.severity, out);
        out.extend_from_slice(b",\"first_seen\":");
        json(&self.texts.first_seen, out);
        if let Some(starts_at) = self.texts.starts_at {
            out.extend_from_slice(b",\"starts_at\":");
            json(&starts_at, out);
        }
        out.extend_from_slice(b",\"labels\":");
        object(&self.labels, out);
        out.extend_from_slice(b",\"annotations\":");
        object(&self.annotations, out);
        if !self.texts.url.is_empty() {
            out.extend_from_slice(b",\"generator_url\":");
            text(self.texts.url, out);
        }
        out.push(b'}');
    }
}

/// Quotes, colon and comma of a pair; everything else of a sample.
const ROOM_PER_PAIR: usize = 6;
const ROOM_BESIDES: usize = 256;

/// The pairs of an encoded set by name; of equal names the last counts, as in a map.
fn sorted(encoded: &[u8]) -> Vec<BytePair<'_>> {
    let mut pairs: Vec<BytePair<'_>> = Vec::with_capacity(16);
    pairs.extend(BytePairs(encoded));
    if pairs.is_sorted_by(|(name, _), (next, _)| name < next) {
        return pairs; // As most senders write them.
    }
    pairs.sort_by_key(|(name, _)| *name); // By bytes, which in UTF-8 is by characters.
    pairs.dedup_by(|later, kept| {
        let is_same = later.0 == kept.0;
        if is_same {
            kept.1 = later.1;
        }
        is_same
    });
    pairs
}

fn object(pairs: &[BytePair<'_>], out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(name, out);
        out.push(b':');
        text(value, out);
    }
    out.push(b'}');
}

/// A JSON string. Looking through the whole text first is faster than by characters: hardly any has one to escape.
fn text(text: &[u8], out: &mut Vec<u8>) {
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if text.iter().fold(false, |any, byte| any | is_special(*byte)) {
        return json(&*String::from_utf8_lossy(text), out);
    }
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

fn json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and numbers have a form in JSON, and a Vec grows as needed");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::labels;
    use measure::{Measured, measure};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type TextPairs = Vec<(String, String)>;

    fn texts() -> impl Strategy<Value = TextPairs> {
        prop::collection::vec(("[a-cé\"\\\\]{0,3}", any::<String>()), 0..6)
    }

    fn encoded(pairs: &TextPairs) -> Vec<u8> {
        let mut bytes = Vec::new();
        labels::encode(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())), &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn the_json_is_that_of_the_sample(
            labels in texts(),
            annotations in texts(),
            url in any::<String>(),
            fingerprint in any::<u128>(),
            times in [-5_000_000_000_000_i64..5_000_000_000_000, 0_i64..5],
        ) {
            let sample = Sample {
                fingerprint: Fingerprint(fingerprint),
                severity: Severity::High,
                first_seen: Timestamp(times[0]),
                starts_at: (times[1] > 2).then_some(Timestamp(times[1])),
                labels: labels.iter().cloned().collect::<BTreeMap<_, _>>(),
                annotations: annotations.iter().cloned().collect(),
                generator_url: (!url.is_empty()).then(|| url.clone()),
            };
            let (labels, annotations) = (encoded(&labels), encoded(&annotations));
            let texts = SampleTexts {
                fingerprint: sample.fingerprint,
                severity: sample.severity,
                first_seen: sample.first_seen,
                starts_at: sample.starts_at,
                labels: &labels,
                annotations: &annotations,
                url: url.as_bytes(),
            };
            let mut json = b"[".to_vec();
            let texts = texts.ordered();
            texts.render(&mut json);
            json.push(b']');
            let list = vec![sample];
            prop_assert_eq!(String::from_utf8(json.clone()).unwrap(), serde_json::to_string(&list).unwrap());
            let pairs = list[0].labels.iter().chain(&list[0].annotations);
            let n_bytes: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
            prop_assert_eq!(texts.n_bytes(), n_bytes + url.len());
            let measured = Measured { fingerprint: Fingerprint(fingerprint), end: json.len() - 1, n_bytes: texts.n_bytes() };
            prop_assert_eq!(measure(&json), Some(vec![measured]));
            let mut samples = Samples::rendered(json.into());
            prop_assert_eq!(&samples, &Samples::from(list));
            samples.clear();
            prop_assert_eq!((samples.json(), serde_json::to_string(&samples).unwrap()), (None, "[]".to_owned()));
        }
    }
}
