//! The original bytes of each element of a record, for dead letters and samples. Slow, for what is already bad.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::model::alert::Format;
use crate::pipeline::decode::decoder::without_mark;
use crate::pipeline::decode::lines::{self, Lines};

/// The elements of a record as `Decoder::decode` numbers them, each with the bytes that were sent.
///
/// A record with several bad elements is split once: splitting it again for each would take quadratic time.
#[derive(Clone, Debug, Default)]
pub struct SplitRecord<'a>(Vec<&'a [u8]>);

impl<'a> SplitRecord<'a> {
    /// Splits; a record that as a whole cannot be read has no elements.
    #[must_use]
    pub fn new(format: Format, record: &'a [u8]) -> Self {
        let text = without_mark(record);
        let elements = match format {
            Format::Native => split_native(text),
            Format::AlertmanagerV2 => split_array(text),
            Format::AlertmanagerWebhook => split_envelope(text),
        };
        Self(elements.unwrap_or_default())
    }

    /// The bytes of the element with this index.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&'a [u8]> {
        self.0.get(index as usize).copied()
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The original bytes of one element. For several elements of one record use `SplitRecord`.
#[must_use]
pub fn element_bytes(format: Format, record: &[u8], index: u32) -> Option<Vec<u8>> {
    SplitRecord::new(format, record).get(index).map(<[u8]>::to_vec)
}

fn split_native(text: &[u8]) -> Option<Vec<&[u8]>> {
    if lines::begins_with_lines(text) {
        return Some(Lines(text).collect());
    }
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) if text.trim_ascii_start().starts_with(b"[") => split_array(text),
        Ok(_) => Some(vec![text.trim_ascii()]),
        Err(_) if lines::has_object_line(text) => Some(Lines(text).collect()),
        Err(_) => None,
    }
}

fn split_array(text: &[u8]) -> Option<Vec<&[u8]>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(text).ok()?;
    Some(elements.into_iter().map(|element| element.get().as_bytes()).collect())
}

fn split_envelope(text: &[u8]) -> Option<Vec<&[u8]>> {
    // A map and not a struct, because of duplicates the last counts.
    let envelope: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(text).ok()?;
    split_array(envelope.get("alerts")?.get().as_bytes())
}
