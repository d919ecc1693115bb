//! The product's view of a cluster, with the simulated broker behind it and requests that fail in every way they can.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};

use rdkafka::message::Headers as _;
use tidegate::pipeline::sink::kafka::cluster::{
    Bound, Cluster, Deadline, EachEntry, Entry, Hook, Producer, Stretch, Trouble,
};
use tidegate::pipeline::sink::kafka::records::{OWNER_KEY, Outgoing, REPORT_OFFSET, StateKey};

use crate::broker::{Fate, Late, Place, Record, Refused};
use crate::bug::Bug;
use crate::line::{Dead, Line};

pub(crate) const STATE: &str = "state";
pub(crate) const INCIDENTS: &str = "incidents";
pub(crate) const DEAD_LETTERS: &str = "dead-letters";
/// Longest time a late request is under way, milliseconds.
const LATE_MS: i64 = 60_000;

/// Offset, key and value of a record of the state.
type Found = (i64, String, Vec<u8>);

pub(crate) struct SimCluster {
    pub(crate) line: Arc<Line>,
    pub(crate) instance: String,
    /// A bug: what the state was before the fence.
    early: Mutex<Option<Vec<Found>>>,
}

pub(crate) struct SimProducer {
    line: Arc<Line>,
    epoch: Cell<u32>,
    waiting: RefCell<Vec<Waiting>>,
    offsets: RefCell<Vec<(Place, u64)>>,
    suspect: Cell<bool>,
    reported: Cell<i64>,
}

struct Waiting {
    place: Place,
    key: String,
    value: Vec<u8>,
    headers: Vec<(String, String)>,
    tag: usize,
}

fn killed(_: Dead) -> Trouble {
    Trouble::Unknown("killed".to_owned())
}

fn refused(refused: Refused) -> Trouble {
    Trouble::Unknown(format!("{refused:?}"))
}

impl SimCluster {
    pub(crate) fn new(line: Arc<Line>, instance: String) -> Self {
        Self { line, instance, early: Mutex::new(None) }
    }

    fn step(&self) -> Result<(), String> {
        self.line.step().map_err(|Dead| "killed".to_owned())
    }

    /// Waits until no open transaction hides anything of the state.
    fn wait_until_stable(&self) -> Result<usize, String> {
        loop {
            let (stable, end) = {
                let broker = self.line.broker();
                let state = broker.partition(STATE, 0);
                (state.stable_end(), state.records.len())
            };
            if stable == end {
                return Ok(end);
            }
            self.line.pass().map_err(|Dead| "killed".to_owned())?;
        }
    }

    /// What can be read of the state from an offset on, and where it ends.
    fn state(&self, from: i64, bound: Bound) -> Result<(Vec<Found>, Stretch), String> {
        let uncommitted = self.line.bug == Some(Bug::ReadsUncommitted);
        if bound == Bound::Everything && !uncommitted {
            self.wait_until_stable()?;
        }
        let broker = self.line.broker();
        let state = broker.partition(STATE, 0);
        let mut end = if uncommitted { state.records.len() } else { state.stable_end() };
        if from == 0 && self.line.shows(Bug::ShortRestore, 3) {
            let last = state.committed().filter(|(_, _, record)| record.key.ends_with("/0")).last();
            end = last.map_or(end, |(offset, ..)| offset);
        }
        let start = usize::try_from(from).unwrap_or(0).max(state.start);
        let readable =
            |record: &Record| matches!(record.fate, Fate::Committed(_)) || uncommitted && record.fate != Fate::Control;
        let records = state.records.iter().enumerate().take(end).skip(start).filter(|(_, record)| readable(record));
        let mut found: Vec<Found> =
            records.map(|(offset, record)| (offset as i64, record.key.clone(), record.value.clone())).collect();
        if end < state.records.len() && self.line.bug == Some(Bug::ShortRestore) {
            found.push((end as i64, OWNER_KEY.to_owned(), self.instance.clone().into_bytes()));
        }
        Ok((found, Stretch { begin: start as i64, end: end as i64 }))
    }
}

impl Cluster for SimCluster {
    type Producer = SimProducer;

    fn partitions_of(&self, topic: &str) -> Result<u32, String> {
        self.step()?;
        Ok(self.line.broker().topics.get(topic).map_or(0, |partitions| partitions.len() as u32))
    }

    fn open_producer(&self) -> Result<SimProducer, String> {
        self.step()?;
        let mut early = self.early.lock().unwrap();
        if self.line.bug == Some(Bug::LateFence) && early.is_none() {
            *early = Some(self.state(0, Bound::Settled)?.0);
            self.line.pass().map_err(|Dead| "killed".to_owned())?;
        }
        Ok(SimProducer {
            line: Arc::clone(&self.line),
            epoch: Cell::new(0),
            waiting: RefCell::default(),
            offsets: RefCell::default(),
            suspect: Cell::new(false),
            reported: Cell::new(-1),
        })
    }

    fn read_state(&self, from: i64, bound: Bound, each: &mut EachEntry<'_>) -> Result<Stretch, String> {
        self.step()?;
        if self.line.request_fails() && bound == Bound::Settled {
            return Err("no broker answers".to_owned());
        }
        let (mut records, read) = self.state(from, bound)?;
        self.line.tell(|| format!("reads the state from {from} ({bound:?}): {read:?}, {} records", records.len()));
        if from == 0
            && let Some(early) = self.early.lock().unwrap().as_mut()
        {
            records = std::mem::take(early);
            records.push((read.end, OWNER_KEY.to_owned(), self.instance.clone().into_bytes()));
        }
        for (offset, key, value) in records {
            if key != OWNER_KEY {
                let key: StateKey = key.parse().map_err(|()| format!("the record at {offset} is not ours"))?;
                each(offset, Entry::Block(key, &value))?;
                continue;
            }
            let owner = String::from_utf8(value).map_err(|error| error.to_string())?;
            if self.line.bug != Some(Bug::IgnoresOwner) || owner == self.instance {
                each(offset, Entry::Owner(&owner))?;
            }
        }
        Ok(read)
    }

    fn trim_state(&self, offset: i64) -> Result<(), String> {
        self.step()?;
        let mut broker = self.line.broker();
        let all = broker.partition(STATE, 0).committed().filter(|(_, _, record)| record.key.ends_with("/0")).last();
        let too_far = all.map(|(offset, ..)| offset).filter(|_| self.line.bug == Some(Bug::TrimsTooEarly));
        let state = broker.topics.get_mut(STATE).and_then(|topic| topic.first_mut()).ok_or("no state topic")?;
        state.start = state.start.max(too_far.unwrap_or(offset as usize));
        let start = state.start;
        drop(broker);
        self.line.tell(|| format!("deletes the state before {start}"));
        Ok(())
    }

    fn serve(&self) {}

    fn on_wait(&mut self, _: Hook) {}
}

impl SimProducer {
    fn step(&self) -> Result<(), Trouble> {
        self.line.step().map_err(killed)
    }

    fn write(&self, record: Waiting) -> Result<(), Trouble> {
        let is_reported = record.tag == REPORT_OFFSET;
        if self.line.bug == Some(Bug::IncidentsOutside) && record.place.0 == INCIDENTS {
            let (topic, partition) = record.place;
            self.line.broker().append(&topic, partition, record.value);
            return Ok(());
        }
        let Waiting { place, key, value, headers, .. } = record;
        let offset = self.line.broker().write(self.epoch.get(), place, key, value, headers).map_err(refused)?;
        if is_reported {
            self.reported.set(offset);
        }
        Ok(())
    }

    fn later(&self, request: Late) {
        let mut broker = self.line.broker();
        let at = broker.now + self.line.chance(|chance| chance.within(0, LATE_MS));
        broker.deliver_late(at, request);
    }

    fn end(&self, commit: bool) -> Result<(), Trouble> {
        let outcome = self.request_end(commit);
        self.line.tell(|| format!("{}: {outcome:?}", if commit { "commit" } else { "abort" }));
        outcome
    }

    /// The request that ends a transaction, which a network may lose, delay or double.
    fn request_end(&self, commit: bool) -> Result<(), Trouble> {
        self.step()?;
        let request = Late::End { epoch: self.epoch.get(), commit };
        let send = || self.line.broker().end(self.epoch.get(), commit).map_err(refused);
        if !self.line.request_fails() {
            send()?;
            return self.step();
        }
        let unknown = || Err(Trouble::Unknown("no answer".to_owned()));
        match self.line.chance(|chance| chance.below(6)) {
            0 => send().and_then(|()| unknown()),
            1 => unknown(),
            2 => {
                self.later(request);
                unknown()
            }
            3 => {
                // The library sent it twice after a time-out: one was answered, the other is still under way.
                self.later(request);
                self.suspect.set(true);
                send()
            }
            4 if commit => Err(Trouble::Abort("the commit was refused".to_owned())),
            _ => Err(Trouble::Again("the coordinator moves".to_owned())),
        }
    }
}

impl Producer for SimProducer {
    fn is_suspect(&self) -> bool {
        self.suspect.get() && self.line.bug != Some(Bug::KeepsSuspectProducer)
    }

    fn init(&self, _: &Deadline) -> Result<(), Trouble> {
        self.step()?;
        if self.line.request_fails() {
            return Err(Trouble::Again("the coordinator is loading".to_owned()));
        }
        let epoch = self.line.broker().init();
        self.line.tell(|| format!("takes over with producer epoch {epoch}"));
        self.epoch.set(epoch);
        self.step()
    }

    fn begin(&self, _: &Deadline) -> Result<(), Trouble> {
        self.waiting.borrow_mut().clear();
        self.offsets.borrow_mut().clear();
        self.reported.set(-1);
        self.step()
    }

    fn start_offsets(&self, offsets: &[(&str, i32, u64)], _: &str) -> Result<(), Trouble> {
        let offsets = offsets.iter().map(|(topic, partition, next)| (((*topic).to_owned(), *partition), *next));
        self.offsets.borrow_mut().extend(offsets);
        self.step()
    }

    fn finish_offsets(&self, _: &Deadline) -> Result<(), Trouble> {
        self.step()?;
        let offsets = std::mem::take(&mut *self.offsets.borrow_mut());
        if self.line.bug == Some(Bug::OffsetsOutside) {
            let mut broker = self.line.broker();
            offsets.into_iter().for_each(|(place, next)| broker.commit_offset(place, next));
            return Ok(());
        }
        let epoch = self.epoch.get();
        if self.line.request_fails() {
            match self.line.chance(|chance| chance.below(3)) {
                0 => return Err(Trouble::Unknown("no answer".to_owned())),
                1 => return Err(Trouble::Abort("the group moves".to_owned())),
                _ => {
                    self.later(Late::Offsets { epoch, offsets: offsets.clone() });
                    self.suspect.set(true);
                }
            }
        }
        self.line.broker().add_offsets(epoch, offsets).map_err(refused)?;
        self.step()
    }

    fn send(&self, record: &Outgoing<'_>, _: &Deadline) -> Result<(), Trouble> {
        if self.line.shows(Bug::DropsWhenFull, 40) {
            return Ok(());
        }
        let headers = record.headers.iter().flat_map(|headers| headers.iter());
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
        let place = (record.topic.to_owned(), record.partition.unwrap_or(0));
        let (key, value) = (record.key.clone(), record.value.to_vec());
        self.waiting.borrow_mut().push(Waiting { place, key, value, headers, tag: record.tag });
        Ok(())
    }

    fn flush(&self, _: &Deadline) -> Result<(), Trouble> {
        for record in std::mem::take(&mut *self.waiting.borrow_mut()) {
            self.step()?;
            if self.line.record_fails() {
                return Err(Trouble::Abort("a record was not delivered".to_owned()));
            }
            self.write(record)?;
        }
        Ok(())
    }

    fn reported_offset(&self) -> i64 {
        self.reported.get()
    }

    fn commit(&self, _: &Deadline) -> Result<(), Trouble> {
        self.end(true)
    }

    fn abort(&self, _: &Deadline) -> Result<(), Trouble> {
        self.end(false)
    }
}
