//! Incident events as they become durable, for readers that stay: the newest ones in order, and a bell.
//!
//! Filled by the commit thread, which never waits here. Readers are called by the bell and read on from the place they have
//! reached; whoever fell behind by more than is kept is told so instead of missing something silently.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::model::IncidentEvent;
use crate::pipeline::sink::IncidentRecord;

/// Events kept for readers that come back: minutes of a storm, hours of a quiet day.
const EVENTS_MAX: usize = 4_096;
/// Their size as JSON: an event with large samples has some hundred kilobytes.
const BYTES_MAX: usize = 16 << 20;
/// Streams open at once. A page or program that stays takes one; each page costs a walk over the incidents per update.
const STREAMS_MAX: usize = 100;

/// The place of an event in the order of the log: its epoch, and its number in that, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    epoch: u64,
    index: u32,
}

/// The newest events.
#[derive(Debug)]
pub struct Feed {
    ring: Mutex<Ring>,
    bell: watch::Sender<Bell>,
    places: Arc<Semaphore>,
}

/// What comes after a place.
#[derive(Debug)]
pub(crate) enum News {
    /// These, oldest first; none if there is nothing new.
    Events(Vec<(Place, Arc<IncidentEvent>)>),
    /// Some of them are not kept any more, or the place is none of this log; read on from this one.
    Lost(Place),
}

/// A reader that stays; holds one of the places for streams until it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    bell: watch::Receiver<Bell>,
    _place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bell {
    rung: u64,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<(Place, usize, Arc<IncidentEvent>)>,
    bytes: usize,
    /// Where this process began; absent before the first epoch.
    first: Option<Place>,
    /// Every event after this one is kept.
    after: Place,
    newest: Place,
}

impl Default for Feed {
    fn default() -> Self {
        Self { ring: Mutex::default(), bell: watch::Sender::default(), places: Arc::new(Semaphore::new(STREAMS_MAX)) }
    }
}

impl Feed {
    /// Takes the events of a durable epoch. To be called for every epoch in order, also for those without events.
    pub fn publish(&self, epoch: u64, records: &[IncidentRecord]) {
        self.ring().push(epoch, records);
        if !records.is_empty() {
            self.bell.send_modify(|bell| bell.rung += 1);
        }
    }

    /// Ends every stream: the daemon stops.
    pub fn close(&self) {
        self.bell.send_modify(|bell| bell.is_closed = true);
    }

    /// A reader, if a place is free.
    pub(crate) fn reader(&self) -> Option<Reader> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Reader { bell: self.bell.subscribe(), _place: place })
    }

    /// The place of the newest event; absent before the first epoch of this process.
    pub(crate) fn newest(&self) -> Option<Place> {
        let ring = self.ring();
        ring.first.map(|_| ring.newest)
    }

    /// At most `limit` events after a place; with `None` after the beginning of this process.
    pub(crate) fn after(&self, place: Option<Place>, limit: usize) -> News {
        let ring = self.ring();
        let Some(place) = place.or(ring.first).filter(|_| ring.first.is_some()) else {
            return News::Events(Vec::new());
        };
        if place < ring.after || place > ring.newest {
            return News::Lost(ring.newest);
        }
        let from = ring.events.partition_point(|(known, _, _)| *known <= place);
        let events = ring.events.iter().skip(from).take(limit);
        News::Events(events.map(|(place, _, event)| (*place, Arc::clone(event))).collect())
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, epoch: u64, records: &[IncidentRecord]) {
        let start = Place { epoch, index: 0 };
        self.newest = start;
        if self.first.is_none() {
            (self.first, self.after) = (Some(start), start);
        }
        for (record, index) in records.iter().zip(1..) {
            let place = Place { epoch, index };
            self.events.push_back((place, record.json.len(), Arc::clone(&record.event)));
            self.bytes += record.json.len();
            self.newest = place;
        }
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some((place, bytes, _)) = self.events.pop_front() else { break };
            self.bytes -= bytes;
            self.after = place;
        }
    }
}

impl Reader {
    /// Waits for news that came since the last time; `false` when the stream has to end.
    pub(crate) async fn listen(&mut self) -> bool {
        !self.is_over() && self.bell.changed().await.is_ok() && !self.is_over()
    }

    /// Whether the stream has to end.
    pub(crate) fn is_over(&self) -> bool {
        self.bell.borrow().is_closed
    }

    /// Waits until the stream has to end; news that come meanwhile stay news.
    pub(crate) async fn end(&self) {
        // The daemon that rings is gone: an end as well.
        let _ = self.bell.clone().wait_for(|bell| bell.is_closed).await;
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.index)
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is no id of an event, such as 17.1");
        let (epoch, index) = text.split_once('.').ok_or_else(fault)?;
        Ok(Self { epoch: epoch.parse().map_err(|_| fault())?, index: index.parse().map_err(|_| fault())? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::control::example::event;
    use crate::model::Status;

    fn records(ids: &[u32], bytes: usize) -> Vec<IncidentRecord> {
        let record = |id: &u32| {
            let event = event(*id, 1, Status::Firing);
            IncidentRecord { group: event.group, event, json: vec![0; bytes] }
        };
        ids.iter().map(record).collect()
    }

    /// The ids of the events after a place, or the place to go on from.
    fn read(feed: &Feed, place: Option<&str>) -> Result<Vec<String>, String> {
        match feed.after(place.map(|place| place.parse().unwrap()), 10) {
            News::Events(events) => Ok(events.iter().map(|(place, _)| place.to_string()).collect()),
            News::Lost(place) => Err(place.to_string()),
        }
    }

    #[test]
    fn readers_go_on_from_their_place() {
        let feed = Feed::default();
        assert_eq!(read(&feed, None), Ok(vec![]));
        assert_eq!(read(&feed, Some("3.1")), Ok(vec![]), "nothing is known yet: wait for the first epoch");
        feed.publish(7, &records(&[1, 2], 10));
        feed.publish(8, &[]);
        feed.publish(9, &records(&[3], 10));
        let all = ["7.1", "7.2", "9.1"];
        for (place, expected) in
            [(None, &all[..]), (Some("7.0"), &all), (Some("7.1"), &all[1..]), (Some("8.0"), &all[2..])]
        {
            assert_eq!(read(&feed, place), Ok(expected.iter().map(|&id| id.to_owned()).collect()), "{place:?}");
        }
        assert_eq!(read(&feed, Some("9.1")), Ok(vec![]));
        assert_eq!(feed.newest().unwrap().to_string(), "9.1");
    }

    #[test]
    fn whoever_missed_something_is_told() {
        let feed = Feed::default();
        feed.publish(7, &records(&[1], 10));
        for place in ["6.4", "7.2", "8.0"] {
            assert_eq!(read(&feed, Some(place)), Err("7.1".to_owned()), "{place}");
        }
        feed.publish(8, &records(&[2, 3], BYTES_MAX / 2));
        assert_eq!(read(&feed, Some("7.0")), Err("8.2".to_owned()), "the first event went for lack of room");
        assert_eq!(read(&feed, Some("7.1")), Ok(vec!["8.1".to_owned(), "8.2".to_owned()]));
        feed.publish(9, &records(&vec![1; EVENTS_MAX], 0));
        assert_eq!(feed.ring().events.len(), EVENTS_MAX);
        for fault in ["", "7", "7.", "x.1", "7.1.1"] {
            assert!(fault.parse::<Place>().is_err(), "{fault}");
        }
    }

    #[tokio::test]
    async fn the_bell_wakes_and_ends_and_places_are_bounded() {
        let feed = Feed::default();
        let mut readers: Vec<Reader> = (0..STREAMS_MAX).map(|_| feed.reader().unwrap()).collect();
        assert!(feed.reader().is_none(), "one too many");
        let mut reader = readers.pop().unwrap();
        feed.publish(1, &records(&[1], 10));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, reader.end()).await.is_err());
        assert!(reader.listen().await, "waiting for the end does not take the news away");
        feed.close();
        assert!(!reader.listen().await && reader.is_over());
        reader.end().await;
        drop(reader);
        assert!(feed.reader().is_some());
    }
}
