//! The form of a block: a header that tells version, epoch and checksum, then entries, each with its length before it.
//!
//! ```text
//! 0  4  magic "TGST"
//! 4  2  version, little endian: 1
//! 6  2  zero
//! 8  8  epoch
//! 16 4  CRC-32 (IEEE) of the epoch and the entries
//! 20 4  length of the entries, bytes
//! 24 .. entries: length (varint), then the message `state::entry::Entry`
//! ```

use prost::Message;

use crate::pipeline::sink::{Block, RestoreError};
use crate::pipeline::state::encode::{self, MemberFields};
use crate::pipeline::state::entry::{Entry, Kind, TouchEntry, Wide};

const MAGIC: &[u8; 4] = b"TGST";
/// The version this program writes, and the only one it reads.
pub const VERSION: u16 = 1;
const HEADER: usize = 24;

/// A block stays below this, so that it fits a Kafka message of 1 MB with its overhead.
pub const BLOCK_BYTES_MAX: usize = 900_000;

/// Packs entries into blocks.
#[derive(Debug, Default)]
pub struct BlockWriter {
    /// Blocks, each with room for its header in front, which is written last.
    full: Vec<Vec<u8>>,
    /// The block that is being filled; empty, or with entries behind the room for its header.
    open: Vec<u8>,
    n_bytes: u64,
}

impl BlockWriter {
    /// Adds an entry. Entries are far smaller than a block, which the limits on labels and samples guarantee.
    pub fn push(&mut self, kind: Kind) {
        let entry = Entry { kind: Some(kind) };
        let len = entry.encoded_len();
        let open = self.room_for(len + 10);
        let before = open.len();
        entry.encode_length_delimited(open).expect("a Vec grows as needed");
        self.n_bytes += (self.open.len() - before) as u64;
    }

    /// `push` of a touch, written straight into the block.
    pub fn push_touch(&mut self, touch: &TouchEntry) {
        let len = encode::touch_len(touch);
        encode::touch(touch, self.room_for(len));
        self.n_bytes += len as u64;
    }

    /// `push` of a member in full, written straight into the block.
    pub fn push_member(&mut self, member: &MemberFields<'_>) {
        let len = encode::member_len(member);
        encode::member(member, self.room_for(len));
        self.n_bytes += len as u64;
    }

    /// `push` of the samples of an incident, written straight into the block.
    pub fn push_samples(&mut self, of: Wide, json: &[u8]) {
        let len = encode::samples_len(of, json);
        encode::samples(of, json, self.room_for(len));
        self.n_bytes += len as u64;
    }

    /// The block that has room for so many more bytes.
    fn room_for(&mut self, len: usize) -> &mut Vec<u8> {
        if !self.open.is_empty() && self.open.len() + len > BLOCK_BYTES_MAX {
            // The next one is full too, most probably.
            self.full.push(std::mem::replace(&mut self.open, Vec::with_capacity(BLOCK_BYTES_MAX)));
        }
        if self.open.is_empty() {
            self.open.extend_from_slice(&[0; HEADER]);
        }
        self.open.reserve(len);
        &mut self.open
    }

    /// Takes over the entries of another writer.
    pub fn append(&mut self, other: Self) {
        self.n_bytes += other.n_bytes;
        self.full.extend(other.full);
        if !other.open.is_empty() {
            let before = std::mem::replace(&mut self.open, other.open);
            if !before.is_empty() {
                self.full.push(before);
            }
        }
    }

    /// Bytes of all entries so far.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The blocks, numbered from 0.
    #[must_use]
    pub fn finish(mut self, epoch: u64) -> Vec<Block> {
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        let numbered = self.full.into_iter().enumerate();
        numbered.map(|(index, bytes)| Block { epoch, index: index as u32, bytes: seal(epoch, bytes) }).collect()
    }
}

/// Writes the header into the room in front of the entries.
fn seal(epoch: u64, mut bytes: Vec<u8>) -> Vec<u8> {
    let Some((header, entries)) = bytes.split_first_chunk_mut::<HEADER>() else { return bytes };
    let (crc, len) = (checksum(epoch, entries), entries.len() as u32);
    let fields: [&[u8]; 6] =
        [MAGIC, &VERSION.to_le_bytes(), &[0, 0], &epoch.to_le_bytes(), &crc.to_le_bytes(), &len.to_le_bytes()];
    header.iter_mut().zip(fields.concat()).for_each(|(place, byte)| *place = byte);
    bytes
}

fn checksum(epoch: u64, entries: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&epoch.to_le_bytes());
    hasher.update(entries);
    hasher.finalize()
}

/// The epoch that the header of a block names; `None` if it is no block of ours. Nothing else of it is looked at.
#[must_use]
pub fn epoch_of(bytes: &[u8]) -> Option<u64> {
    let rest = bytes.strip_prefix(MAGIC)?;
    Some(u64::from_le_bytes(*rest.get(4..)?.first_chunk()?))
}

/// A block that is known to be sound.
#[derive(Debug)]
pub struct Decoded {
    /// Its epoch.
    pub epoch: u64,
    /// Bytes of the block.
    pub n_bytes: u64,
    /// Its entries, in their order.
    pub entries: Vec<Kind>,
}

/// Reads a block.
///
/// # Errors
/// When the block is not ours, of a version this program does not know, cut, changed, or has an entry that cannot be read.
pub fn decode_block(bytes: &[u8]) -> Result<Decoded, RestoreError> {
    let fault = |what: &str| RestoreError(format!("state block: {what}"));
    let (header, entries) = bytes.split_at_checked(HEADER).ok_or_else(|| fault("shorter than its header"))?;
    let field = |from: usize, len: usize| header.get(from..from + len).unwrap_or_default();
    let number =
        |from: usize, len: usize| field(from, len).iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    if field(0, 4) != MAGIC || number(6, 2) != 0 {
        return Err(fault("not a state block of tidegate"));
    }
    if number(4, 2) != u64::from(VERSION) {
        let found = number(4, 2);
        return Err(fault(&format!(
            "version {found}, but this program reads version {VERSION}: run the version that wrote it"
        )));
    }
    let (epoch, crc, len) = (number(8, 8), number(16, 4), number(20, 4));
    if entries.len() as u64 != len {
        return Err(fault(&format!("epoch {epoch}: {} bytes of entries instead of {len}", entries.len())));
    }
    if u64::from(checksum(epoch, entries)) != crc {
        return Err(fault(&format!("epoch {epoch}: the checksum does not match")));
    }
    let mut rest = entries;
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let entry = Entry::decode_length_delimited(&mut rest)
            .map_err(|error| fault(&format!("epoch {epoch}: entry cannot be read: {error}")))?;
        kinds.push(
            entry
                .kind
                .ok_or_else(|| fault(&format!("epoch {epoch}: an entry of a kind this program does not know")))?,
        );
    }
    Ok(Decoded { epoch, n_bytes: bytes.len() as u64, entries: kinds })
}

/// Reads a block: its epoch, and each entry to `each`. Nothing is handed on before the whole block is known to be sound.
///
/// # Errors
/// As `decode_block`.
pub fn read_block(bytes: &[u8], each: &mut dyn FnMut(Kind)) -> Result<u64, RestoreError> {
    let Decoded { epoch, entries, .. } = decode_block(bytes)?;
    entries.into_iter().for_each(each);
    Ok(epoch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::pipeline::state::entry::IncidentEntry;

    fn writer(n: u64) -> BlockWriter {
        let mut writer = BlockWriter::default();
        for revision in 0..n {
            writer.push(Kind::Incident(IncidentEntry { incident: Wide::from(u128::from(revision) << 60), revision }));
        }
        writer
    }

    #[test]
    fn blocks_are_read_back_and_none_is_too_large() {
        let mut all = writer(60_000);
        all.append(writer(5));
        let blocks = all.finish(7);
        assert!(blocks.len() > 1 && blocks.iter().all(|block| block.bytes.len() <= BLOCK_BYTES_MAX));
        let mut n = 0;
        for block in &blocks {
            assert_eq!(read_block(&block.bytes, &mut |_| n += 1).unwrap(), 7);
            assert_eq!(epoch_of(&block.bytes), Some(7));
        }
        assert_eq!(n, 60_005);
    }

    #[test]
    fn a_damaged_block_is_refused_whole() {
        let bytes = writer(100).finish(7)[0].bytes.clone();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            let refused = read_block(&flipped, &mut |_| panic!("an entry of a damaged block")).is_err();
            assert!(refused, "byte {at} is not checked");
        }
        assert!(read_block(&bytes[..bytes.len() - 1], &mut |_| ()).is_err());
        assert_eq!((epoch_of(&bytes[..15]), epoch_of(b"no block, but long enough")), (None, None));
        let mut newer = bytes;
        newer[4] = 2;
        let message = read_block(&newer, &mut |_| ()).unwrap_err().to_string();
        assert_eq!(message, "state block: version 2, but this program reads version 1: run the version that wrote it");
    }
}
