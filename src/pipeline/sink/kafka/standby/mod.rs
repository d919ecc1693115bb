//! A warm standby: another instance that keeps a copy of the active one's state by reading the state topic, and takes over
//! when that one is gone.
//!
//! Who is active is decided by a consumer group on a topic of one partition: whoever has the partition *leads* (`leader`).
//! The group only elects; what protects the state is the producer's fence, taken at the take-over. So the order is fixed:
//! leadership, fence, high watermark, what the copy has not yet, first epoch. An instance that wakes after it was passed over
//! finds itself fenced or without the partition, and ends.
//!
//! The copy (`shadow`) is the state of whole epochs. At the take-over it is joined to the topic by the same check as a local
//! snapshot, so that one that does not fit costs time and nothing else.

pub mod follow;
pub mod leader;
pub mod shadow;

pub use follow::Follower;
pub use leader::{Leader, Rank};
pub use shadow::{Shadow, Warm};
