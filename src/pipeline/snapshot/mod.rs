//! A local copy of the state blocks that a restore from Kafka would read: an accelerator of starts, and nothing else.
//!
//! The state topic is the truth. A snapshot may be deleted at any time; one that is damaged, cut, of another version, of
//! another state, or that does not fit what the topic holds at its end (`state::seam`) is not used, and the whole topic is
//! read instead. A start that uses it reads only what the topic has behind it.
//!
//! It is nothing but the blocks of durable epochs, as they were committed, appended to *segments*; when the rolling sweep
//! has made old blocks needless, their segments go. The alternative, an image of the state of its own, would cost a second
//! encoding, a pause or a copy of the state to be consistent, and a second format to keep readable; and it would be as old
//! as its last writing, while here the newest epochs are added within seconds. What it costs is disk: as much as the topic
//! keeps, up to some three times the state, and one more segment.
//!
//! An *index* (`index`), replaced as a whole, names the segments with their lengths and checksums. What was written but is
//! not in an index does not count; so after a crash between any two operations the old or the new snapshot is there.
//! `record` decides what is written when, `read_back` what a start reads where; `keeper` writes on a thread of its own, to which the commit thread hands copies
//! without ever waiting: what it cannot take is left out, and the snapshot goes on from the next complete sweep. `disk` is
//! the edge to the file system.

pub mod disk;
pub mod index;
pub mod keeper;
pub mod load;
pub mod memory;
pub mod read_back;
pub mod record;
mod segment;
#[cfg(test)]
mod tests;

use std::io;

pub use disk::{Disk, Folder};
pub use keeper::Keeper;
pub use load::{Loaded, load};
pub use memory::{Crash, MemoryDisk};
pub use read_back::{LocalCopy, read_back, take_over};
pub use record::{Durable, Recorder};

/// The folder of the snapshot in the data folder.
pub const FOLDER: &str = "snapshot";

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A file is not as it was written.
    #[error("{file}: {what}")]
    Damaged {
        /// Which.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// Written by another version of this program.
    #[error("its index has version {found}, and this program reads version {}", index::VERSION)]
    Version {
        /// The version of the index.
        found: u16,
    },
    /// It belongs to somebody else.
    #[error("it is of the namespace {found:?}, and this is {expected:?}")]
    Foreign {
        /// Whose it is.
        found: String,
        /// Who we are.
        expected: String,
    },
    /// A block that is as it was written, and cannot be taken all the same.
    #[error("{0}")]
    State(String),
    /// The file system does not give it.
    #[error("{file}: {error}")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why.
        error: io::Error,
    },
}
