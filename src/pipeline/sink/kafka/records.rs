//! An epoch as Kafka records: which topic, partition, key and headers each part of it gets.

use std::str::FromStr;

use rdkafka::message::{Header, OwnedHeaders};

use crate::model::fingerprint::GroupHash;
use crate::model::time::Timestamp;
use crate::pipeline::sink::kafka::Topics;
use crate::pipeline::sink::{DeadLetter, Epoch};

/// The tag of the record whose offset is wanted.
pub const REPORT_OFFSET: usize = 1;
/// The key of the records that say who owns the state.
pub const OWNER_KEY: &str = "owner";
/// Version of the headers of a dead letter.
const DEAD_LETTER_VERSION: &str = "1";
/// The largest original that is kept whole: with its headers it fits into a record of the broker's default limit.
const DEAD_LETTER_MAX: usize = 960 << 10;
/// What is kept of a larger one.
const DEAD_LETTER_CUT: usize = 64 << 10;

/// A record to be sent.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None` leaves the choice to the client library.
    pub partition: Option<i32>,
    /// The key; empty means none.
    pub key: String,
    /// The value.
    pub value: &'a [u8],
    /// The headers.
    pub headers: Option<OwnedHeaders>,
    /// The time to be noted with it.
    pub time: Timestamp,
    /// `REPORT_OFFSET` if its offset is wanted.
    pub tag: usize,
}

/// All records of an epoch: state first, so that its offset is the lowest of the epoch.
pub(super) fn of_epoch<'a>(
    epoch: &'a Epoch,
    topics: &'a Topics,
    n_incident_partitions: u32,
) -> impl Iterator<Item = Outgoing<'a>> {
    let time = epoch.committed_at;
    let blocks = epoch.blocks.iter().map(move |block| Outgoing {
        topic: &topics.state,
        partition: Some(0),
        key: StateKey { epoch: block.epoch, index: block.index }.to_string(),
        value: &block.bytes,
        headers: None,
        time,
        tag: if block.index == 0 { REPORT_OFFSET } else { 0 },
    });
    let incidents = epoch.incidents.iter().map(move |incident| Outgoing {
        topic: &topics.incidents,
        partition: Some(partition_of(incident.group, n_incident_partitions)),
        key: incident.event.incident_id.to_string(),
        value: &incident.json,
        headers: None,
        time,
        tag: 0,
    });
    let dead_letters = epoch.dead_letters.iter().map(move |letter| Outgoing {
        topic: &topics.dead_letters,
        partition: None,
        key: String::new(),
        value: kept(letter),
        headers: Some(headers(letter)),
        time,
        tag: 0,
    });
    blocks.chain(incidents).chain(dead_letters)
}

/// All events of a group go to one partition, so that readers see them in order.
pub(super) fn partition_of(group: GroupHash, n_partitions: u32) -> i32 {
    i32::try_from(group.0 % u128::from(n_partitions.max(1))).unwrap_or(0)
}

fn kept(letter: &DeadLetter) -> &[u8] {
    let len = if letter.bytes.len() > DEAD_LETTER_MAX { DEAD_LETTER_CUT } else { letter.bytes.len() };
    letter.bytes.get(..len).unwrap_or_default()
}

fn headers(letter: &DeadLetter) -> OwnedHeaders {
    let place = if letter.partition.is_empty() {
        letter.position.to_string()
    } else {
        format!("{}/{}", letter.partition, letter.position)
    };
    let mut headers = OwnedHeaders::new();
    let index = letter.index.map(|index| index.to_string());
    let len = letter.original_len.to_string();
    let at = letter.at.to_string();
    let fields = [
        ("dlq.version", Some(DEAD_LETTER_VERSION)),
        ("dlq.reason", Some(letter.reason.name())),
        ("dlq.format", Some(letter.format.name())),
        ("dlq.source", Some(place.as_str())),
        ("dlq.source_name", Some(letter.source.as_str())),
        ("dlq.index", index.as_deref()),
        ("dlq.at", Some(at.as_str())),
        ("dlq.original_len", Some(len.as_str())),
    ];
    for (key, value) in fields {
        if let Some(value) = value {
            headers = headers.insert(Header { key, value: Some(value) });
        }
    }
    headers
}

/// The key of a state block: `epoch/index`, as text because people look at topics too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateKey {
    /// Number of the epoch.
    pub epoch: u64,
    /// Number of the block within it, from 0.
    pub index: u32,
}

impl std::fmt::Display for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.epoch, self.index)
    }
}

impl FromStr for StateKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, index) = text.split_once('/').ok_or(())?;
        Ok(Self { epoch: epoch.parse().map_err(|_| ())?, index: index.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;
    use crate::model::alert::Format;
    use crate::pipeline::decode::Reject;

    fn letter(bytes: Vec<u8>) -> DeadLetter {
        DeadLetter {
            source: "kafka".to_owned(),
            partition: "alerts/3".to_owned(),
            position: 42,
            index: Some(7),
            reason: Reject::NoLabels,
            format: Format::AlertmanagerWebhook,
            at: Timestamp(0),
            original_len: bytes.len() as u64,
            bytes,
        }
    }

    #[test]
    fn a_dead_letter_says_what_and_where() {
        let headers = headers(&letter(b"{}".to_vec()));
        let found: Vec<(&str, String)> = headers
            .as_borrowed()
            .iter()
            .map(|header| (header.key, String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned()))
            .collect();
        let expected = [
            ("dlq.version", "1"),
            ("dlq.reason", "no_labels"),
            ("dlq.format", "alertmanager_webhook"),
            ("dlq.source", "alerts/3/42"),
            ("dlq.source_name", "kafka"),
            ("dlq.index", "7"),
            ("dlq.at", "1970-01-01T00:00:00.000Z"),
            ("dlq.original_len", "2"),
        ];
        assert_eq!(found, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn what_does_not_fit_into_a_record_is_cut() {
        assert_eq!(kept(&letter(vec![b'x'; DEAD_LETTER_MAX])).len(), DEAD_LETTER_MAX);
        assert_eq!(kept(&letter(vec![b'x'; DEAD_LETTER_MAX + 1])).len(), DEAD_LETTER_CUT);
    }

    #[test]
    fn keys_read_what_they_write() {
        let key = StateKey { epoch: 1_234, index: 5 };
        assert_eq!(key.to_string(), "1234/5");
        assert_eq!("1234/5".parse(), Ok(key));
        assert_eq!(OWNER_KEY.parse::<StateKey>(), Err(()));
    }

    proptest::proptest! {
        #[test]
        fn any_key_is_read(epoch: u64, index: u32, text in "\\PC{0,12}|[0-9/+-]{0,24}") {
            let key = StateKey { epoch, index };
            proptest::prop_assert_eq!(key.to_string().parse(), Ok(key));
            if let Ok(key) = text.parse::<StateKey>() {
                proptest::prop_assert_eq!(key.to_string().parse(), Ok(key));
            }
        }
    }

    #[test]
    fn a_group_stays_in_its_partition() {
        assert_eq!(partition_of(GroupHash(17), 6), 5);
        assert_eq!(partition_of(GroupHash(17), 0), 0);
    }
}
