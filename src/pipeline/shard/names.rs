//! Label sets as the arena holds them: names are few and the same for millions, so each is kept once and stands as a number.
//!
//! Packed: for each pair the number of the name plus one (or 0, then its length and text), the length of the value, the
//! value. Numbers are varints of seven bits. A third of a typical set is names and lengths.

use std::collections::BTreeMap;

use crate::model::labels::BytePairs;

/// Names kept, each of at most 256 bytes (a limit of the decoder). Whoever sends more names than that gets them in full.
const NAMES_MAX: usize = 4_096;

/// The names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: Vec<Box<[u8]>>,
    numbers: BTreeMap<Box<[u8]>, u32>,
    /// The number at each place of the last set: most sets have the same names in the same order.
    last: Vec<u32>,
}

impl Names {
    /// Appends the packed form of an encoded set (`model::labels`). Texts are bytes here: they come back as they went.
    pub(crate) fn pack(&mut self, encoded: &[u8], out: &mut Vec<u8>) {
        out.reserve(encoded.len());
        for (place, (name, value)) in BytePairs(encoded).enumerate() {
            match self.number_of(place, name) {
                Some(number) => put(number + 1, out),
                None => {
                    put(0, out);
                    put(name.len() as u32, out);
                    out.extend_from_slice(name);
                }
            }
            put(value.len() as u32, out);
            out.extend_from_slice(value);
        }
    }

    /// Appends the encoded set of a packed one.
    pub(crate) fn unpack(&self, mut packed: &[u8], out: &mut Vec<u8>) {
        out.reserve(2 * packed.len());
        while let Some(number) = take(&mut packed) {
            let name = match number.checked_sub(1) {
                Some(number) => self.texts.get(number as usize).map(|text| &**text),
                None => text(&mut packed),
            };
            let (Some(name), Some(value)) = (name, text(&mut packed)) else { return };
            let ([a, b], [c, d]) = ((name.len() as u16).to_le_bytes(), (value.len() as u16).to_le_bytes());
            out.extend_from_slice(&[a, b, c, d]);
            out.extend_from_slice(name);
            out.extend_from_slice(value);
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| 2 * text.len()).sum();
        texts + self.texts.capacity() * 2 * size_of::<Box<[u8]>>()
    }

    fn number_of(&mut self, place: usize, name: &[u8]) -> Option<u32> {
        let guess = self.last.get(place).copied();
        if let Some(guess) = guess
            && self.texts.get(guess as usize).is_some_and(|text| **text == *name)
        {
            return Some(guess);
        }
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None if self.texts.len() >= NAMES_MAX => return None,
            None => {
                let number = self.texts.len() as u32;
                self.texts.push(name.into());
                self.numbers.insert(name.into(), number);
                number
            }
        };
        match self.last.get_mut(place) {
            Some(last) => *last = number,
            None => self.last.push(number),
        }
        Some(number)
    }
}

fn put(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(packed: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = packed.split_first()?;
        *packed = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn text<'a>(packed: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take(packed)? as usize;
    let (text, rest) = packed.split_at_checked(len)?;
    *packed = rest;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            sets in prop::collection::vec(prop::collection::vec(("[a-e]{0,2}", any::<String>()), 0..8), 1..20),
        ) {
            let mut names = Names::default();
            let mut packed = Vec::new();
            for set in &sets {
                let (mut encoded, mut bytes) = (Vec::new(), Vec::new());
                labels::encode(set.iter().map(|(name, value)| (name.as_str(), value.as_str())), &mut encoded);
                names.pack(&encoded, &mut bytes);
                prop_assert!(bytes.len() <= encoded.len() + set.len());
                packed.push((encoded, bytes));
            }
            for (encoded, bytes) in packed {
                let mut unpacked = Vec::new();
                names.unpack(&bytes, &mut unpacked);
                prop_assert_eq!(unpacked, encoded);
            }
        }
    }

    #[test]
    fn names_beyond_the_bound_are_kept_in_full() {
        let mut names = Names::default();
        for round in 0..2 {
            for number in 0..NAMES_MAX + 10 {
                let (mut encoded, mut packed, mut unpacked) = (Vec::new(), Vec::new(), Vec::new());
                labels::encode([(format!("name_{number}").as_str(), "value")], &mut encoded);
                names.pack(&encoded, &mut packed);
                names.unpack(&packed, &mut unpacked);
                assert_eq!(unpacked, encoded, "{number} in round {round}");
            }
        }
        assert_eq!(names.texts.len(), NAMES_MAX);
        assert!(names.bytes() < 1 << 20);
    }
}
