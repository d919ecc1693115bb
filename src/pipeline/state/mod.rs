//! State entries to blocks and back: versioned, checked, the same bytes in Kafka and SQLite; and when all of them are
//! written anew. No I/O.

pub mod assembly;
pub mod block;
pub mod check;
pub mod encode;
pub mod entry;
pub mod restore;
pub mod seam;
pub mod sweep;

pub use assembly::Assembly;
pub use block::{BlockWriter, read_block};
pub use restore::Restored;
pub use seam::{Seam, SeamCheck};
