//! Reading a snapshot back. It is an accelerator, so anything that is not exactly as it should be makes it useless, and
//! the reader goes to the store instead.

use std::io::{BufReader, ErrorKind, Read as _};

use xxhash_rust::xxh3::xxh3_128;

use crate::pipeline::sink::RestoreError;
use crate::pipeline::snapshot::Refused;
use crate::pipeline::snapshot::disk::Disk;
use crate::pipeline::snapshot::index::{self, Index};
use crate::pipeline::snapshot::segment;
use crate::pipeline::state::block::epoch_of;
use crate::pipeline::state::{Assembly, Restored, Seam};

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// A snapshot that was read back in full.
#[derive(Debug)]
pub struct Loaded {
    /// The state at its last epoch.
    pub restored: Restored,
    /// Where the store goes on from.
    pub seam: Seam,
    /// What was read.
    pub index: Index,
}

/// The index of a snapshot; `None` if there is none.
///
/// # Errors
/// When there is one that cannot be used.
pub fn read_index(disk: &dyn Disk) -> Result<Option<Index>, Refused> {
    let unreadable = |error| Refused::Unreadable { file: index::FILE.to_owned(), error };
    let file = match disk.read(index::FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unreadable)?,
    };
    let mut bytes = Vec::new();
    file.take(index::BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Index::from_bytes(&bytes).map(Some)
}

/// Hands every block of a snapshot on, oldest first. What was handed on is void if this ends with an error.
///
/// # Errors
/// When a file is not as the index says.
pub fn read_blocks(
    disk: &dyn Disk,
    index: &Index,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut before = None;
    for part in &index.segments {
        let name = segment::name(part.number);
        if part.first > part.last || before.is_some_and(|last| part.first != last + 1) {
            let what = format!("epochs {} to {} do not follow what is before it", part.first, part.last);
            return Err(Refused::Damaged { file: name, what });
        }
        before = Some(part.last);
        let file = match disk.read(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Refused::Damaged { file: name, what: "is not there".to_owned() });
            }
            file => file.map_err(|error| Refused::Unreadable { file: name, error })?,
        };
        segment::read(BufReader::with_capacity(BUFFER, file), part, each)?;
    }
    if before != Some(index.epoch) {
        let what = format!("names epoch {} as the last, and its files end before it", index.epoch);
        return Err(Refused::Damaged { file: index::FILE.to_owned(), what });
    }
    Ok(())
}

/// Reads the snapshot of a namespace; `None` if there is none.
///
/// # Errors
/// When there is one that cannot be used.
pub fn load(disk: &dyn Disk, namespace: &str) -> Result<Option<Loaded>, Refused> {
    let Some(index) = read_index(disk)? else { return Ok(None) };
    if index.namespace != namespace {
        return Err(Refused::Foreign { found: index.namespace, expected: namespace.to_owned() });
    }
    let state = |error: RestoreError| Refused::State(error.0);
    let mut assembly = Assembly::new(Restored::default()).map_err(state)?;
    let mut last = Vec::new();
    read_blocks(disk, &index, &mut |block| {
        if epoch_of(block) == Some(index.epoch) {
            last.push(xxh3_128(block));
        }
        assembly.take_block(block).map_err(state)
    })?;
    let restored = assembly.finish().map_err(state)?;
    let meta = restored.meta.as_ref().filter(|meta| meta.epoch == index.epoch);
    let Some(meta) = meta.filter(|meta| xxh3_128(&meta.hash_key).to_le_bytes()[..] == index.hash_key) else {
        let what = "its epoch or its hash key is not that of the blocks".to_owned();
        return Err(Refused::Damaged { file: index::FILE.to_owned(), what });
    };
    let seam = Seam { epoch: index.epoch, place: index.place, blocks: last, hash_key: meta.hash_key.clone() };
    Ok(Some(Loaded { restored, seam, index }))
}
