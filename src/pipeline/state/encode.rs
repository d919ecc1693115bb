//! The entries that floods are made of, written straight into a block: the same bytes as `prost` writes for `TouchEntry`,
//! `MemberEntry` and `SamplesEntry` (a test compares them), without a message, a vector of labels and three passes for lengths in between.
//!
//! Wire format: Protocol Buffers, "Encoding"; of proto3, a scalar of value 0 is left out, a required message is not.

use crate::pipeline::state::entry::{TouchEntry, Wide};

/// The number of an entry's kind in `entry::Entry`.
const MEMBER: u8 = 1;
const TOUCH: u8 = 2;
const SAMPLES: u8 = 7;

/// Wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LEN: u8 = 2;

/// `entry::MemberEntry` with borrowed labels.
#[derive(Clone, Copy, Debug)]
pub struct MemberFields<'a> {
    /// See `MemberEntry`, as all others.
    pub fingerprint: Wide,
    /// Its incident.
    pub incident: Wide,
    /// The key of its group.
    pub group: Wide,
    /// Encoded labels.
    pub labels: &'a [u8],
    /// Record time of its first alert.
    pub first: i64,
    /// What changes with every alert.
    pub touch: TouchEntry,
    /// Hash of the source's name.
    pub source: u64,
}

/// Bytes of an entry that is a touch, its length before it included.
pub(super) fn touch_len(touch: &TouchEntry) -> usize {
    delimited(field_len(touch_body(touch)))
}

/// Appends it.
pub(super) fn touch(touch: &TouchEntry, out: &mut Vec<u8>) {
    let body = touch_body(touch);
    varint(field_len(body) as u64, out);
    head(TOUCH, body, out);
    write_touch(touch, out);
}

/// Bytes of an entry that is a member in full, its length before it included.
pub(super) fn member_len(member: &MemberFields<'_>) -> usize {
    delimited(field_len(member_body(member)))
}

/// Appends it.
pub(super) fn member(member: &MemberFields<'_>, out: &mut Vec<u8>) {
    let body = member_body(member);
    varint(field_len(body) as u64, out);
    head(MEMBER, body, out);
    wide(1, member.fingerprint, out);
    wide(2, member.incident, out);
    wide(3, member.group, out);
    if !member.labels.is_empty() {
        head(4, member.labels.len(), out);
        out.extend_from_slice(member.labels);
    }
    fixed(5, member.first as u64, out);
    head(6, touch_body(&member.touch), out);
    write_touch(&member.touch, out);
    fixed(7, member.source, out);
}

/// Bytes of an entry that is the samples of an incident or a group key, its length before it included.
pub(super) fn samples_len(of: Wide, json: &[u8]) -> usize {
    delimited(field_len(samples_body(of, json)))
}

/// Appends it.
pub(super) fn samples(of: Wide, json: &[u8], out: &mut Vec<u8>) {
    let body = samples_body(of, json);
    varint(field_len(body) as u64, out);
    head(SAMPLES, body, out);
    wide(1, of, out);
    if !json.is_empty() {
        head(2, json.len(), out);
        out.extend_from_slice(json);
    }
}

fn samples_body(of: Wide, json: &[u8]) -> usize {
    field_len(wide_body(of)) + if json.is_empty() { 0 } else { field_len(json.len()) }
}

fn member_body(member: &MemberFields<'_>) -> usize {
    let MemberFields { fingerprint, incident, group, labels, first, touch, source } = member;
    let wides = field_len(wide_body(*fingerprint)) + field_len(wide_body(*incident)) + field_len(wide_body(*group));
    let labels = if labels.is_empty() { 0 } else { field_len(labels.len()) };
    wides + labels + fixed_len(*first as u64) + field_len(touch_body(touch)) + fixed_len(*source)
}

fn write_touch(touch: &TouchEntry, out: &mut Vec<u8>) {
    wide(1, touch.key, out);
    fixed(2, touch.last as u64, out);
    fixed(3, touch.starts_at as u64, out);
    fixed(4, touch.ends_at as u64, out);
    number(5, touch.count, out);
    number(6, u64::from(touch.severity), out);
    number(7, u64::from(touch.state), out);
}

fn touch_body(touch: &TouchEntry) -> usize {
    let TouchEntry { key, last, starts_at, ends_at, count, severity, state } = *touch;
    let times = fixed_len(last as u64) + fixed_len(starts_at as u64) + fixed_len(ends_at as u64);
    let numbers = number_len(count) + number_len(u64::from(severity)) + number_len(u64::from(state));
    field_len(wide_body(key)) + times + numbers
}

fn wide(tag: u8, value: Wide, out: &mut Vec<u8>) {
    head(tag, wide_body(value), out);
    fixed(1, value.high, out);
    fixed(2, value.low, out);
}

fn wide_body(value: Wide) -> usize {
    fixed_len(value.high) + fixed_len(value.low)
}

/// Tag and length of a field of `body` bytes.
fn head(tag: u8, body: usize, out: &mut Vec<u8>) {
    out.push(tag << 3 | LEN);
    varint(body as u64, out);
}

fn fixed(tag: u8, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        out.extend_from_slice(&[tag << 3 | FIXED64, a, b, c, d, e, f, g, h]);
    }
}

fn fixed_len(value: u64) -> usize {
    if value == 0 { 0 } else { 9 }
}

fn number(tag: u8, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        out.push(tag << 3 | VARINT);
        varint(value, out);
    }
}

fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_len(value) }
}

/// Bytes of a field with a length: tag, length, body.
fn field_len(body: usize) -> usize {
    1 + delimited(body)
}

fn delimited(body: usize) -> usize {
    varint_len(body as u64) + body
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::state::entry::{Entry, Kind, MemberEntry, SamplesEntry};
    use proptest::prelude::*;
    use prost::Message as _;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 1..200_u64, any::<u64>()]
    }

    fn wide() -> impl Strategy<Value = Wide> {
        (number(), number()).prop_map(|(high, low)| Wide { high, low })
    }

    fn a_touch() -> impl Strategy<Value = TouchEntry> {
        (wide(), [number(), number(), number()], number(), 0..6_u32, 0..4_u32).prop_map(
            |(key, [last, starts_at, ends_at], count, severity, state)| TouchEntry {
                key,
                last: last as i64,
                starts_at: starts_at as i64,
                ends_at: ends_at as i64,
                count,
                severity,
                state,
            },
        )
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_messages(
            entry in a_touch(),
            [fingerprint, incident, group] in [wide(), wide(), wide()],
            labels in prop_oneof![Just(0), 0..400_usize, Just(20_000)].prop_map(|len| vec![7_u8; len]),
            first in number(),
            source in number(),
        ) {
            let message = Entry { kind: Some(Kind::Touch(entry)) };
            let mut bytes = Vec::new();
            touch(&entry, &mut bytes);
            prop_assert_eq!(&bytes, &message.encode_length_delimited_to_vec());
            prop_assert_eq!(bytes.len(), touch_len(&entry));
            let first = first as i64;
            let fields =
                MemberFields { fingerprint, incident, group, labels: &labels, first, touch: entry, source };
            let message = MemberEntry { fingerprint, incident, group, labels: labels.clone(), first, touch: entry, source };
            bytes.clear();
            member(&fields, &mut bytes);
            let message = Entry { kind: Some(Kind::Member(message)) };
            prop_assert_eq!(&bytes, &message.encode_length_delimited_to_vec());
            prop_assert_eq!(bytes.len(), member_len(&fields));
            bytes.clear();
            samples(group, &labels, &mut bytes);
            let message = Entry { kind: Some(Kind::Samples(SamplesEntry { of: group, json: labels.clone() })) };
            prop_assert_eq!(&bytes, &message.encode_length_delimited_to_vec());
            prop_assert_eq!(bytes.len(), samples_len(group, &labels));
        }
    }
}
