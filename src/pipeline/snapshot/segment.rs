//! A file of blocks, as they were committed, one after the other.
//!
//! ```text
//! 0  4  magic "TGSB"
//! 4  2  version, little endian: 1
//! 6  2  zero
//! 8  .. blocks: length (4 bytes, little endian), then the block (`state::block`, with a checksum of its own)
//! ```

use std::io::{ErrorKind, Read};

use xxhash_rust::xxh3::Xxh3;

use crate::pipeline::snapshot::Refused;
use crate::pipeline::snapshot::index::Segment;

/// The first bytes of every segment.
pub(super) const HEADER: &[u8; 8] = b"TGSB\x01\0\0\0";
const PREFIX: &str = "blocks-";
/// No block is larger: it has to fit a Kafka message.
const BLOCK_MAX: u32 = 16 << 20;

/// The name of a segment's file.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:08}")
}

/// The number in a name; `None` if it is not that of a segment.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Appends a block to what will be written.
pub(super) fn frame(block: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(block.len() as u32).to_le_bytes());
    out.extend_from_slice(block);
}

/// Hands every block on. What was handed on is void if this ends with an error: only the end tells whether the whole was
/// as it should be.
pub(super) fn read(
    file: impl Read,
    segment: &Segment,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let name = name(segment.number);
    let damaged = |what: &str| Refused::Damaged { file: name.clone(), what: what.to_owned() };
    let mut source = Hashed { file: file.take(segment.bytes), hasher: Xxh3::new(), name: &name };
    let mut header = [0; HEADER.len()];
    source.fill(&mut header)?;
    if header != *HEADER {
        return Err(damaged("not a file of blocks that this program knows"));
    }
    let mut block = Vec::new();
    let mut n_blocks = 0;
    while source.file.limit() > 0 {
        let mut length = [0; 4];
        source.fill(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > BLOCK_MAX || u64::from(length) > source.file.limit() {
            return Err(damaged("a block is longer than it can be"));
        }
        block.resize(length as usize, 0);
        source.fill(&mut block)?;
        each(&block)?;
        n_blocks += 1;
    }
    if source.hasher.digest128().to_le_bytes()[..] != segment.checksum || n_blocks != segment.blocks {
        return Err(damaged("the checksum does not match"));
    }
    Ok(())
}

/// Hashes what is read.
struct Hashed<'a, R> {
    file: std::io::Take<R>,
    hasher: Xxh3,
    name: &'a str,
}

impl<R: Read> Hashed<'_, R> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Refused> {
        self.file.read_exact(buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                Refused::Damaged { file: self.name.to_owned(), what: "shorter than the index says".to_owned() }
            }
            _ => Refused::Unreadable { file: self.name.to_owned(), error },
        })?;
        self.hasher.update(buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn written(blocks: &[&[u8]]) -> (Vec<u8>, Segment) {
        let mut bytes = HEADER.to_vec();
        blocks.iter().for_each(|block| frame(block, &mut bytes));
        let checksum = xxhash_rust::xxh3::xxh3_128(&bytes).to_le_bytes().to_vec();
        let n_bytes = bytes.len() as u64;
        (bytes, Segment { number: 5, bytes: n_bytes, checksum, first: 1, last: 1, blocks: blocks.len() as u64 })
    }

    fn blocks_of(bytes: &[u8], segment: &Segment) -> Result<Vec<Vec<u8>>, String> {
        let mut blocks = Vec::new();
        let read = read(bytes, segment, &mut |block| {
            blocks.push(block.to_vec());
            Ok(())
        });
        read.map(|()| blocks).map_err(|refused| refused.to_string())
    }

    #[test]
    fn blocks_come_back_and_what_follows_the_end_does_not_count() {
        let (mut bytes, segment) = written(&[b"one", b"", b"three"]);
        bytes.extend_from_slice(b"written later");
        assert_eq!(blocks_of(&bytes, &segment).unwrap(), [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let (bytes, segment) = written(&[b"one", b"", b"three"]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(blocks_of(&flipped, &segment).is_err(), "byte {at}, bit {bit}");
            }
            assert_eq!(blocks_of(&bytes[..at], &segment).unwrap_err(), "blocks-00000005: shorter than the index says");
        }
        let other = Segment { blocks: 2, ..segment };
        assert_eq!(blocks_of(&bytes, &other).unwrap_err(), "blocks-00000005: the checksum does not match");
    }

    #[test]
    fn names_tell_their_number() {
        assert_eq!((name(7).as_str(), number_of("blocks-00000007")), ("blocks-00000007", Some(7)));
        assert_eq!((number_of("index"), number_of("blocks-x")), (None, None));
    }
}
