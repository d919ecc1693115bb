//! A dead letter as the subcommand shows it, wherever it was kept, and the id by which people ask for it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::model::alert::Format;
use crate::model::time::Timestamp;

/// A dead letter, wherever it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(super) id: LetterId,
    /// The epoch that wrote it; a topic does not tell.
    pub(super) epoch: Option<u64>,
    pub(super) stored_at: Timestamp,
    pub(super) source: String,
    pub(super) partition: String,
    pub(super) position: u64,
    pub(super) element: Option<u32>,
    pub(super) reason: String,
    pub(super) at: Timestamp,
    pub(super) original_len: u64,
    /// The wire format as which it was read; letters of the first version do not tell.
    pub(super) format: Option<Format>,
    /// The last time it was put in again.
    pub(super) requeued: Option<Requeued>,
    /// For the list only as many as it shows.
    pub(super) bytes: Vec<u8>,
}

/// That a letter was put in again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Requeued {
    pub(super) at: Timestamp,
    /// Address or place in a topic.
    pub(super) to: String,
}

impl Letter {
    /// Whether all of the original was kept; a list holds only the beginnings.
    pub(super) fn is_whole(&self) -> bool {
        self.original_len <= self.bytes.len() as u64
    }
}

/// Where a letter is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LetterId {
    /// A row of the embedded store.
    Row(u64),
    /// A record of the topic, written as `partition:offset`.
    Record {
        /// Partition of the topic of dead letters.
        partition: i32,
        /// Offset in it.
        offset: i64,
    },
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(id) => write!(f, "{id}"),
            Self::Record { partition, offset } => write!(f, "{partition}:{offset}"),
        }
    }
}

impl FromStr for LetterId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.split_once(':') {
            None => text.parse().ok().map(Self::Row),
            Some((partition, offset)) => partition
                .parse()
                .ok()
                .zip(offset.parse().ok())
                .map(|(partition, offset)| Self::Record { partition, offset }),
        };
        parsed.ok_or("an id is a number, or partition:offset where dead letters are in a topic")
    }
}

impl Serialize for LetterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Row(id) => serializer.serialize_u64(*id),
            Self::Record { .. } => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_what_they_show() {
        let record = LetterId::Record { partition: 3, offset: 1_234 };
        for (text, id) in [("7", LetterId::Row(7)), ("3:1234", record)] {
            assert_eq!((text.parse(), id.to_string().as_str()), (Ok(id), text));
        }
        for text in ["", "x", "3:", ":4", "3:4:5", "-1"] {
            assert!(text.parse::<LetterId>().is_err(), "{text}");
        }
    }
}
