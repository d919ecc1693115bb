//! Records under suspicion: what a thread had in hand when it panicked. The next start passes them to the dead letters as
//! `panic`, before they are decoded; all other records are taken as if nothing had happened.
//!
//! A panic is a fault of this program, and while it is not mended the same record would end every run. Who has a record in
//! hand is known without cost: a decoder and a shard store its index before they turn to it, and read it back only after a
//! panic (`run/work.rs`). Where a stretch of records is looked at together (`exchange/ahead.rs`) the index moves with the
//! look, so that it is always one record and not the stretch. What is in hand of nobody (a timer, the end of an epoch,
//! correlation) accuses no record: such a run ends, and that is all.
//!
//! **What a suspect is known by.** Where a source keeps what was sent (Kafka, files, standard input), by its place *and* its
//! bytes. The place alone could accuse the innocent: topics are made anew, files exchanged. The bytes alone could, too: most of
//! a flood is the same text again and again, and a panic that only a rare state of a shard led to would reject an alert for
//! ever. Over HTTP the numbers of requests that were not committed are given again, so there the bytes have to do. And where
//! the same bytes were in hand twice at different places, it is the bytes: from then on they alone accuse, wherever they stand, or
//! each repeat of a bad alert would cost a restart.
//!
//! **The hash** is SipHash-2-4 with 128 bits under a key, not a faster one without: otherwise somebody who knows one record that
//! panics could write another with an innocent's hash. The key is drawn for the first suspect and noted with it, not that of
//! the fingerprints: a panic in the first epoch of an installation ends the run before that one is durable. Speed does not
//! count: without suspects nothing is hashed, and with them only records that are as long as one of them.
//!
//! A suspicion holds for the version of the program that panicked: another may have mended it, and if not, one more panic says so.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::alert::Format;
use crate::model::fingerprint::{HashKey, RecordHash};
use crate::pipeline::options::SourceOptions;
use crate::pipeline::source::RecordRef;

/// The version whose suspicions hold.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Suspects that are kept, the newest: each is a restart, so that a thousand are years or a fault of another kind.
pub const SUSPECTS_MAX: usize = 1_000;

/// Characters that are kept of what a panic said.
const MESSAGE_CHARS: usize = 200;

/// A record that some thread had in hand when it panicked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// Version of the program.
    pub version: String,
    /// Name of the source.
    pub source: String,
    /// Name of the partition.
    pub partition: String,
    /// Its place, where the source keeps what was sent; else its bytes are all it is known by.
    pub position: Option<u64>,
    /// Length, bytes.
    pub len: u64,
    /// The key of the hash.
    pub key: [u8; 16],
    /// Of its bytes and its wire format.
    pub hash: RecordHash,
    /// The thread that panicked.
    pub thread: String,
    /// What the panic said, at most 200 characters.
    pub panic: String,
}

/// The record that a thread turns to.
#[derive(Clone, Copy, Debug)]
pub struct InHand<'a> {
    source: &'a str,
    partition: &'a str,
    /// `None` where positions may be given again.
    position: Option<u64>,
    format: Format,
    bytes: &'a [u8],
}

impl<'a> InHand<'a> {
    /// This record of that source.
    #[must_use]
    pub fn new(source: &'a SourceOptions, partition: &'a str, record: &RecordRef, bytes: &'a [u8]) -> Self {
        let position = (!source.lossy_when_unread).then_some(record.position);
        Self { source: &source.name, partition, position, format: record.format, bytes }
    }

    fn hash(&self, key: HashKey) -> RecordHash {
        RecordHash::new(key, self.format.name(), self.bytes)
    }
}

/// Who is told of a new suspect; what it does with it must be durable when it returns, for the process ends.
pub type Notary = Arc<dyn Fn(&Suspect) + Send + Sync>;

/// The suspects of earlier runs, and who is told of a new one.
#[derive(Clone)]
pub struct Suspicion {
    known: Arc<Suspects>,
    notary: Notary,
}

impl Default for Suspicion {
    /// Nobody is suspected, and nobody is told.
    fn default() -> Self {
        Self::new(Suspects::new(Vec::new(), HashKey::FIXED), Arc::new(|_| {}))
    }
}

impl Suspicion {
    /// These suspects, and who is told of a new one.
    #[must_use]
    pub fn new(known: Suspects, notary: Notary) -> Self {
        Self { known: Arc::new(known), notary }
    }

    /// The suspects of earlier runs; none if there is none, so that asking costs nothing.
    #[must_use]
    pub fn known(&self) -> Option<Arc<Suspects>> {
        (!self.known.is_empty()).then(|| self.known.clone())
    }

    /// This thread has panicked with that record in hand.
    pub fn note(&self, in_hand: Option<InHand<'_>>, panic: &(dyn Any + Send)) {
        let Some(in_hand) = in_hand else { return };
        (self.notary)(&Suspect {
            version: VERSION.to_owned(),
            source: in_hand.source.to_owned(),
            partition: in_hand.partition.to_owned(),
            position: in_hand.position,
            len: in_hand.bytes.len() as u64,
            key: self.known.key.0,
            hash: in_hand.hash(self.known.key),
            thread: std::thread::current().name().unwrap_or_default().to_owned(),
            panic: message(panic).chars().take(MESSAGE_CHARS).collect(),
        });
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// What accuses a record of a certain length.
#[derive(Debug, PartialEq, Eq)]
struct Charge {
    source: String,
    key: HashKey,
    hash: RecordHash,
    /// `None`: wherever it stands.
    place: Option<(String, u64)>,
}

/// The suspects of earlier runs.
#[derive(Debug)]
pub struct Suspects {
    /// For the next one.
    key: HashKey,
    /// By length, which tells nearly all innocents apart.
    charges: BTreeMap<u64, Vec<Charge>>,
}

impl Suspects {
    /// What those suspects are accused by. Those of other versions of the program are let go. `fresh_key` is for the hash of the
    /// next one, if there is none whose key could be used, so that equal bytes have equal hashes.
    #[must_use]
    pub fn new(noted: Vec<Suspect>, fresh_key: HashKey) -> Self {
        let last = noted.iter().rfind(|suspect| suspect.version == VERSION).map(|suspect| HashKey(suspect.key));
        let mut charges: BTreeMap<u64, Vec<Charge>> = BTreeMap::new();
        for Suspect { source, partition, position, len, key, hash, .. } in
            noted.into_iter().filter(|suspect| suspect.version == VERSION)
        {
            let place = position.map(|position| (partition, position));
            let charges = charges.entry(len).or_default();
            let key = HashKey(key);
            let is_known = |known: &&mut Charge| known.source == source && known.key == key && known.hash == hash;
            match charges.iter_mut().find(is_known) {
                Some(known) if known.place != place => known.place = None,
                Some(_) => {}
                None => charges.push(Charge { source, key, hash, place }),
            }
        }
        Self { key: last.unwrap_or(fresh_key), charges }
    }

    /// Whether nobody is suspected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.charges.is_empty()
    }

    /// How many records are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.charges.values().map(Vec::len).sum()
    }

    /// Whether this record is one of them.
    #[must_use]
    pub fn accuse(&self, record: &InHand<'_>) -> bool {
        let Some(charges) = self.charges.get(&(record.bytes.len() as u64)) else { return false };
        let is_at =
            |(partition, position): &(String, u64)| record.partition == partition && record.position == Some(*position);
        let mut possible =
            charges.iter().filter(|charge| charge.source == record.source && charge.place.as_ref().is_none_or(is_at));
        possible.any(|charge| record.hash(charge.key) == charge.hash)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use super::*;
    use crate::model::time::Timestamp;

    fn source(name: &str, is_kept: bool) -> SourceOptions {
        SourceOptions { lossy_when_unread: !is_kept, ..SourceOptions::named(name) }
    }

    fn record(position: u64) -> RecordRef {
        let (time, format) = (Timestamp::MIN, Format::Native);
        RecordRef { start: 0, len: 0, partition: 0, position, next: position + 1, time, format }
    }

    /// What is noted of a record, as the next run reads it.
    fn noted(source: &SourceOptions, partition: &str, position: u64, bytes: &[u8]) -> Suspect {
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = told.clone();
        let notary: Notary = Arc::new(move |suspect: &Suspect| teller.lock().unwrap().push(suspect.clone()));
        let suspicion = Suspicion::new(Suspects::new(Vec::new(), HashKey::FIXED), notary);
        suspicion.note(Some(InHand::new(source, partition, &record(position), bytes)), &"it broke");
        suspicion.note(None, &"a timer");
        let suspect = told.lock().unwrap().pop().unwrap();
        assert_eq!((suspect.panic.as_str(), suspect.len), ("it broke", bytes.len() as u64));
        assert!(told.lock().unwrap().is_empty(), "what is in hand of nobody accuses nobody");
        serde_json::from_str(&serde_json::to_string(&suspect).unwrap()).unwrap()
    }

    #[track_caller]
    fn check(suspects: &Suspects, at: (&SourceOptions, &str, u64, &[u8]), expected: bool) {
        let (source, partition, position, bytes) = at;
        let accused = suspects.accuse(&InHand::new(source, partition, &record(position), bytes));
        assert_eq!(accused, expected, "{} {partition} {position} {}", source.name, bytes.escape_ascii());
    }

    #[test]
    fn a_record_that_is_kept_is_known_by_its_place_and_its_bytes() {
        let (kafka, other) = (source("kafka", true), source("other", true));
        let suspects = Suspects::new(vec![noted(&kafka, "alerts/3", 17, b"bad")], HashKey::FIXED);
        assert_eq!(suspects.len(), 1);
        check(&suspects, (&kafka, "alerts/3", 17, b"bad"), true);
        check(&suspects, (&kafka, "alerts/3", 18, b"bad"), false);
        check(&suspects, (&kafka, "alerts/2", 17, b"bad"), false);
        check(&suspects, (&other, "alerts/3", 17, b"bad"), false);
        check(&suspects, (&kafka, "alerts/3", 17, b"dab"), false);
        check(&suspects, (&kafka, "alerts/3", 17, b"bad "), false);
    }

    #[test]
    fn bytes_that_were_in_hand_at_two_places_are_known_everywhere() {
        let kafka = source("kafka", true);
        let twice = [17, 17, 40].map(|position| noted(&kafka, "alerts/3", position, b"bad"));
        let [first, same, second] = twice;
        let once = Suspects::new(vec![first.clone(), same], HashKey::FIXED);
        check(&once, (&kafka, "alerts/3", 99, b"bad"), false);
        let suspects = Suspects::new(vec![first, second], HashKey::FIXED);
        assert_eq!(suspects.len(), 1);
        check(&suspects, (&kafka, "alerts/0", 99, b"bad"), true);
        check(&suspects, (&kafka, "alerts/3", 17, b"dab"), false);
    }

    #[test]
    fn a_request_is_known_by_its_bytes_and_its_format() {
        let http = source("http", false);
        let suspects = Suspects::new(vec![noted(&http, "", 5, b"bad")], HashKey::FIXED);
        check(&suspects, (&http, "", 5, b"bad"), true);
        check(&suspects, (&http, "", 80, b"bad"), true);
        check(&suspects, (&http, "", 5, b"bad\n"), false);
        let elsewhere = RecordRef { format: Format::AlertmanagerV2, ..record(5) };
        assert!(!suspects.accuse(&InHand::new(&http, "", &elsewhere, b"bad")));
    }

    #[test]
    fn a_suspicion_does_not_depend_on_the_key_of_the_next_run() {
        let http = source("http", false);
        let first = noted(&http, "", 5, b"bad");
        let suspects = Suspects::new(vec![first.clone()], HashKey([7; 16]));
        check(&suspects, (&http, "", 6, b"bad"), true);
        assert_eq!(suspects.key, HashKey(first.key), "the next one goes by the same key");
    }

    #[test]
    fn another_version_accuses_nobody() {
        let http = source("http", false);
        let before = Suspect { version: "0.0.1".to_owned(), ..noted(&http, "", 5, b"bad") };
        assert!(Suspects::new(vec![before], HashKey::FIXED).is_empty());
        assert!(Suspicion::default().known().is_none());
    }

    #[test]
    fn a_panic_may_say_anything() {
        assert_eq!(message(&"text"), "text");
        assert_eq!(message(&"owned".to_owned()), "owned");
        assert_eq!(message(&17_u8), "no message");
    }
}
