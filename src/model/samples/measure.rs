//! How large the samples of a stored list are and where each ends: what it takes to go on with the text as it stands, without
//! making maps of it and text of those again. A start with a hundred thousand incidents has samples by the million.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::fingerprint::Fingerprint;

/// A sample in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The alert's identity.
    pub fingerprint: Fingerprint,
    /// Where its object ends in the text.
    pub end: usize,
    /// Bytes of its texts.
    pub n_bytes: usize,
}

/// The samples of a JSON array, in their order; `None` if it is no list of samples. No text is none.
#[must_use]
pub fn measure(json: &[u8]) -> Option<Vec<Measured>> {
    let mut found = Vec::new();
    if json.is_empty() || json == b"[]" {
        return Some(found);
    }
    let mut start = json.starts_with(b"[").then_some(1)?;
    loop {
        let mut objects = serde_json::Deserializer::from_slice(json.get(start..)?).into_iter::<Sizes<'_>>();
        let Sizes { fingerprint, labels, annotations, generator_url } = objects.next()?.ok()?;
        let end = start + objects.byte_offset();
        let n_bytes = labels.0 + annotations.0 + generator_url.as_deref().map_or(0, str::len);
        found.push(Measured { fingerprint, end, n_bytes });
        match json.get(end)? {
            b',' => start = end + 1,
            b']' if end + 1 == json.len() => return Some(found),
            _ => return None,
        }
    }
}

/// `Sample`, as far as it counts.
#[derive(Deserialize)]
struct Sizes<'a> {
    fingerprint: Fingerprint,
    labels: PairBytes,
    annotations: PairBytes,
    #[serde(borrow, default)]
    generator_url: Option<Text<'a>>,
}

/// A text that is borrowed unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Bytes of the names and values of an object of texts.
struct PairBytes(usize);

impl<'de> Deserialize<'de> for PairBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sum;

        impl<'de> Visitor<'de> for Sum {
            type Value = PairBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<PairBytes, A::Error> {
                let mut sum = 0;
                while let Some((name, value)) = pairs.next_entry::<Text<'_>, Text<'_>>()? {
                    sum += name.len() + value.len();
                }
                Ok(PairBytes(sum))
            }
        }

        deserializer.deserialize_map(Sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_measured_and_nothing_else_is_one() {
        let one = r#"{"fingerprint":"000000000000000000000000000000ff","severity":"high","first_seen":"9223372036854775807","labels":{"a":"\u00e9","b":"]},"},"annotations":{}}"#;
        let two = r#"{"fingerprint":"00000000000000000000000000000001","labels":{},"annotations":{"s":"\"t\""},"generator_url":"http://x"}"#;
        let list = format!("[{one},{two}]");
        let sample = |fingerprint, end, n_bytes| Measured { fingerprint: Fingerprint(fingerprint), end, n_bytes };
        let expected = vec![sample(0xff, 1 + one.len(), 7), sample(1, 2 + one.len() + two.len(), 12)];
        assert_eq!(measure(list.as_bytes()), Some(expected));
        assert_eq!((measure(b""), measure(b"[]")), (Some(Vec::new()), Some(Vec::new())));
        for bad in ["{}", "[{", "[1]", "[{}]", &format!("[{one}"), &format!("[{one},]"), &format!("[{one}] ")] {
            assert_eq!(measure(bad.as_bytes()), None, "{bad}");
        }
    }
}
