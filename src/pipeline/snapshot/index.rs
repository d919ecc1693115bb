//! The index of a snapshot: which files hold it, what must be in them, and for which state it stands. It is replaced as a
//! whole, so a snapshot is there in full or not at all.
//!
//! ```text
//! 0  4  magic "TGSI"
//! 4  2  version, little endian: 1
//! 6  2  zero
//! 8  4  length of the message, bytes
//! 12 16 XXH3-128 of the 12 bytes before and of the message, little endian
//! 28 .. the message `Index`, Protocol Buffers (proto3)
//! ```

use prost::Message;
use xxhash_rust::xxh3::Xxh3;

use crate::pipeline::snapshot::Refused;

/// Its file.
pub const FILE: &str = "index";
/// Its next version, until it is complete.
pub(super) const NEW: &str = "index.new";
/// The version this program writes, and the only one it reads.
pub const VERSION: u16 = 1;
/// A larger one is none of ours: a segment takes less than 80 bytes.
pub(super) const BYTES_MAX: u64 = 1 << 20;

const MAGIC: &[u8; 4] = b"TGSI";
const HEADER: usize = 28;

/// What the index says.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Index {
    /// Whose state it is: the prefix of our topics.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// XXH3-128 of the key of the state's stable hashes, little endian: which state, without telling the key.
    #[prost(bytes = "vec", tag = "2")]
    pub hash_key: Vec<u8>,
    /// The last epoch in it.
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    /// Offset of that epoch's first block in the state topic.
    #[prost(uint64, tag = "4")]
    pub place: u64,
    /// Its files, in the order of their epochs.
    #[prost(message, repeated, tag = "5")]
    pub segments: Vec<Segment>,
}

/// A file of blocks. What it holds beyond `bytes` was written later and is not part of the snapshot.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Segment {
    /// Number in its name.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// Bytes that count, its header included.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
    /// XXH3-128 of those bytes, little endian.
    #[prost(bytes = "vec", tag = "3")]
    pub checksum: Vec<u8>,
    /// First epoch in it.
    #[prost(uint64, tag = "4")]
    pub first: u64,
    /// Last epoch in it.
    #[prost(uint64, tag = "5")]
    pub last: u64,
    /// Blocks in it.
    #[prost(uint64, tag = "6")]
    pub blocks: u64,
}

impl Index {
    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let message = self.encode_to_vec();
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &[0, 0], &(message.len() as u32).to_le_bytes()].concat();
        let checksum = checksum(&bytes, &message);
        bytes.extend_from_slice(&checksum);
        bytes.extend_from_slice(&message);
        bytes
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// When they are not ours, of another version, cut or changed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refused> {
        let damaged = |what: String| Refused::Damaged { file: FILE.to_owned(), what };
        let short = || damaged("shorter than its header".to_owned());
        let (header, message) = bytes.split_at_checked(HEADER).ok_or_else(short)?;
        let (head, expected) = header.split_at_checked(12).ok_or_else(short)?;
        let (magic, rest) = head.split_at_checked(4).ok_or_else(short)?;
        let Some([low, high, 0, 0, length @ ..]) = rest.first_chunk::<8>().filter(|_| magic == MAGIC) else {
            return Err(damaged("not the index of a snapshot".to_owned()));
        };
        let found = u16::from_le_bytes([*low, *high]);
        if found != VERSION {
            return Err(Refused::Version { found });
        }
        let length = u32::from_le_bytes(*length);
        if message.len() as u64 != u64::from(length) {
            return Err(damaged(format!("{} bytes instead of {length} after its header", message.len())));
        }
        if checksum(head, message) != expected {
            return Err(damaged("the checksum does not match".to_owned()));
        }
        Self::decode(message).map_err(|error| damaged(format!("cannot be read: {error}")))
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Blocks in all its files.
    #[must_use]
    pub fn n_blocks(&self) -> u64 {
        self.segments.iter().map(|segment| segment.blocks).sum()
    }
}

fn checksum(head: &[u8], message: &[u8]) -> [u8; 16] {
    let mut hasher = Xxh3::new();
    hasher.update(head);
    hasher.update(message);
    hasher.digest128().to_le_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn index() -> Index {
        let segment = Segment { number: 3, bytes: 700, checksum: vec![9; 16], first: 4, last: 11, blocks: 12 };
        Index { namespace: "alerts".to_owned(), hash_key: vec![1; 16], epoch: 11, place: 42, segments: vec![segment] }
    }

    #[test]
    fn it_reads_what_it_writes_and_nothing_else() {
        let bytes = index().to_bytes();
        assert_eq!(Index::from_bytes(&bytes).unwrap(), index());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Index::from_bytes(&flipped).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Index::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(Index::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = index().to_bytes();
        bytes[4] = 2;
        let refused = Index::from_bytes(&bytes).unwrap_err();
        assert_eq!(refused.to_string(), "its index has version 2, and this program reads version 1");
        let refused = Index::from_bytes(b"once upon a time there was a file").unwrap_err();
        assert_eq!(refused.to_string(), "index: not the index of a snapshot");
    }
}
