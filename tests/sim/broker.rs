//! A Kafka broker as far as delivery depends on it: partitions with offsets, transactions with control records, producer
//! epochs that fence, consumer offsets inside transactions, requests that arrive late.
//!
//! What it does follows KIP-98 (transactions), KIP-447 (offsets in them) and, for what a late request may hit, KIP-890.

use std::collections::BTreeMap;

/// How long a transaction may stay open, milliseconds (`transaction.timeout.ms` of the product).
const TRANSACTION_TIMEOUT: i64 = 30_000;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Open(u64),
    Committed(u64),
    Aborted,
    /// The mark at the end of a transaction.
    Control,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) time: i64,
    pub(crate) fate: Fate,
}

#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) records: Vec<Record>,
    /// Records before this offset were deleted.
    pub(crate) start: usize,
}

impl Partition {
    /// The first offset that is not settled: where a committed read ends.
    pub(crate) fn stable_end(&self) -> usize {
        self.records.iter().position(|record| matches!(record.fate, Fate::Open(_))).unwrap_or(self.records.len())
    }

    /// Committed records with their offsets, from the start to the stable end.
    pub(crate) fn committed(&self) -> impl Iterator<Item = (usize, u64, &Record)> {
        let end = self.stable_end();
        self.records.iter().enumerate().take(end).skip(self.start).filter_map(|(offset, record)| match record.fate {
            Fate::Committed(transaction) => Some((offset, transaction, record)),
            _ => None,
        })
    }
}

/// Where something is: topic and partition.
pub(crate) type Place = (String, i32);

#[derive(Debug)]
struct Transaction {
    number: u64,
    begun_at: i64,
    places: Vec<(Place, usize)>,
    offsets: Vec<(Place, u64)>,
}

#[derive(Debug, Default)]
struct Owner {
    epoch: u32,
    open: Option<Transaction>,
}

/// A request that is still under way when its sender has given up.
#[derive(Clone, Debug)]
pub(crate) enum Late {
    End { epoch: u32, commit: bool },
    Offsets { epoch: u32, offsets: Vec<(Place, u64)> },
}

/// The producer is older than another that took its id over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Fenced,
    NoTransaction,
}

/// One broker, one transactional id.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    pub(crate) topics: BTreeMap<String, Vec<Partition>>,
    pub(crate) group: BTreeMap<Place, u64>,
    /// Every way in which an invariant was seen broken as it happened.
    pub(crate) violations: Vec<String>,
    pub(crate) now: i64,
    owner: Owner,
    late: Vec<(i64, Late)>,
    transactions: u64,
    /// A bug: taking over fences nobody.
    pub(crate) never_fences: bool,
}

impl Broker {
    pub(crate) fn create(&mut self, topic: &str, partitions: usize) {
        self.topics.insert(topic.to_owned(), (0..partitions).map(|_| Partition::default()).collect());
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> &Partition {
        &self.topics[topic][partition as usize]
    }

    fn partition_mut(&mut self, place: &Place) -> &mut Partition {
        let partitions = self.topics.get_mut(&place.0).expect("topics are created first");
        &mut partitions[place.1 as usize]
    }

    /// A record outside of any transaction, as alerts come.
    pub(crate) fn append(&mut self, topic: &str, partition: i32, value: Vec<u8>) {
        self.transactions += 1;
        let fate = Fate::Committed(self.transactions);
        let record = Record { key: String::new(), value, headers: Vec::new(), time: self.now, fate };
        self.partition_mut(&(topic.to_owned(), partition)).records.push(record);
    }

    /// Time moves on: late requests arrive, old transactions are ended.
    pub(crate) fn advance(&mut self, to: i64) {
        self.now = to;
        let late = std::mem::take(&mut self.late);
        let (due, waiting): (Vec<_>, Vec<_>) = late.into_iter().partition(|(at, _)| *at <= to);
        self.late = waiting;
        for (_, request) in due {
            // Whoever sent it does not hear the answer.
            let _ = match request {
                Late::End { epoch, commit } => self.end(epoch, commit),
                Late::Offsets { epoch, offsets } => self.add_offsets(epoch, offsets),
            };
        }
        if self.owner.open.as_ref().is_some_and(|open| open.begun_at + TRANSACTION_TIMEOUT < to) {
            self.finish(false);
            self.owner.epoch += 1; // As the coordinator does, so that the owner cannot go on unaware.
        }
    }

    pub(crate) fn deliver_late(&mut self, at: i64, request: Late) {
        self.late.push((at, request));
    }

    /// Takes the transactional id over; what was open is aborted.
    pub(crate) fn init(&mut self) -> u32 {
        if self.never_fences {
            return self.owner.epoch;
        }
        self.finish(false);
        self.owner.epoch += 1;
        self.owner.epoch
    }

    fn check(&self, epoch: u32) -> Result<(), Refused> {
        if epoch == self.owner.epoch { Ok(()) } else { Err(Refused::Fenced) }
    }

    fn transaction(&mut self) -> &mut Transaction {
        let now = self.now;
        let transactions = &mut self.transactions;
        self.owner.open.get_or_insert_with(|| {
            *transactions += 1;
            Transaction { number: *transactions, begun_at: now, places: Vec::new(), offsets: Vec::new() }
        })
    }

    /// Writes a record in the open transaction, which its first record opens. Returns its offset.
    pub(crate) fn write(
        &mut self,
        epoch: u32,
        place: Place,
        key: String,
        value: Vec<u8>,
        headers: Vec<(String, String)>,
    ) -> Result<i64, Refused> {
        self.check(epoch)?;
        let number = self.transaction().number;
        let time = self.now;
        let partition = self.partition_mut(&place);
        let offset = partition.records.len();
        partition.records.push(Record { key, value, headers, time, fate: Fate::Open(number) });
        self.transaction().places.push((place, offset));
        Ok(offset as i64)
    }

    pub(crate) fn add_offsets(&mut self, epoch: u32, offsets: Vec<(Place, u64)>) -> Result<(), Refused> {
        self.check(epoch)?;
        self.transaction().offsets.extend(offsets);
        Ok(())
    }

    /// Ends whatever transaction is open under this epoch, whichever was meant.
    pub(crate) fn end(&mut self, epoch: u32, commit: bool) -> Result<(), Refused> {
        self.check(epoch)?;
        if self.owner.open.is_none() {
            return Err(Refused::NoTransaction);
        }
        self.finish(commit);
        Ok(())
    }

    fn finish(&mut self, commit: bool) {
        let Some(open) = self.owner.open.take() else { return };
        let mut marked: Vec<Place> = Vec::new();
        for (place, offset) in open.places {
            let fate = if commit { Fate::Committed(open.number) } else { Fate::Aborted };
            self.partition_mut(&place).records[offset].fate = fate;
            if !marked.contains(&place) {
                marked.push(place);
            }
        }
        let time = self.now;
        for place in marked {
            let fate = Fate::Control;
            let record = Record { key: String::new(), value: Vec::new(), headers: Vec::new(), time, fate };
            self.partition_mut(&place).records.push(record);
        }
        if commit {
            for (place, next) in open.offsets {
                self.commit_offset(place, next);
            }
        }
    }

    /// Notes a committed offset; one that moves back, or beyond the log, breaks a rule (I5).
    pub(crate) fn commit_offset(&mut self, place: Place, next: u64) {
        let end = self.partition(&place.0, place.1).records.len() as u64;
        let before = self.group.insert(place.clone(), next).unwrap_or(0);
        if next < before || next > end {
            self.violations.push(format!("I5: the offset of {place:?} went from {before} to {next}, its end is {end}"));
        }
    }
}
