//! Label sets as bytes: how a shard stores them and how they travel in a chunk.
//!
//! Encoding: for each pair the length of the name and of the value (u16, little endian), then both texts.
//! Limits of `decode::Limits` (names 256 B, values 4 KiB) keep every length below 65,536.

use std::collections::BTreeMap;

/// Appends the pairs to `out`; texts beyond 65,535 bytes are cut at a character border.
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    for (name, value) in pairs {
        let (name, value) = (fit(name), fit(value));
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value.as_bytes());
    }
}

fn fit(text: &str) -> &str {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Walks over the pairs of an encoded set; stops at the first byte that does not fit the encoding.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a>(pub &'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = BytePairs(self.0);
        let (name, value) = bytes.next()?;
        self.0 = bytes.0;
        Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
    }
}

/// The same for who does not look into the texts: UTF-8, as they were encoded.
#[derive(Clone, Copy, Debug)]
pub struct BytePairs<'a>(pub &'a [u8]);

impl<'a> Iterator for BytePairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([a, b, c, d], rest) = self.0.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*a, *b])))?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*c, *d])))?;
        self.0 = rest;
        Some((name, value))
    }
}

/// Whether all of it is pairs of texts.
#[must_use]
pub fn is_whole(encoded: &[u8]) -> bool {
    let mut pairs = BytePairs(encoded);
    // Lengths are parts of it, too: of a set that is ASCII as a whole, every text is.
    let is_ascii = encoded.is_ascii();
    let is_text = |text: &[u8]| is_ascii || simdutf8::basic::from_utf8(text).is_ok();
    pairs.by_ref().all(|(name, value)| is_text(name) && is_text(value)) && pairs.0.is_empty()
}

/// The value of the first label with that name in an encoded set.
#[must_use]
pub fn get<'a>(encoded: &'a [u8], name: &str) -> Option<&'a str> {
    Pairs(encoded).find_map(|(key, value)| (key == name).then_some(value))
}

/// The encoded set as an owned, sorted map.
#[must_use]
pub fn to_map(encoded: &[u8]) -> BTreeMap<String, String> {
    Pairs(encoded).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let pairs = [("alertname", "DiskFull"), ("empty", ""), ("größe", "1 µs")];
        let mut bytes = Vec::new();
        encode(pairs, &mut bytes);
        assert_eq!(Pairs(&bytes).collect::<Vec<_>>(), pairs);
        assert_eq!(get(&bytes, "größe"), Some("1 µs"));
        assert_eq!(get(&bytes, "absent"), None);
        assert!(is_whole(&bytes) && is_whole(&[]));
        let no_text: Vec<u8> = bytes.iter().map(|byte| if *byte == 0xc3 { 0xff } else { *byte }).collect();
        assert!(!is_whole(&no_text));
        bytes.truncate(bytes.len() - 1);
        assert_eq!(Pairs(&bytes).count(), 2, "a torn pair ends the walk");
        assert!(!is_whole(&bytes));
    }
}
