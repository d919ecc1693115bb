//! The order of blocks, and how long the sink waits for what, on a cluster that does what it is told.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use super::*;
use crate::pipeline::sink::kafka::cluster::{EachEntry, Producer, Stretch};
use crate::pipeline::source::Position;

/// How long the offsets of each transaction were given, and how many of them will not be answered.
#[derive(Default)]
struct Offsets {
    given: Vec<Duration>,
    n_silent: usize,
}

/// A cluster in which nothing happens but what concerns offsets.
struct Still(Arc<Mutex<Offsets>>);

impl Cluster for Still {
    type Producer = Self;

    fn partitions_of(&self, _: &str) -> Result<u32, String> {
        Ok(1)
    }

    fn open_producer(&self) -> Result<Self, String> {
        Ok(Self(Arc::clone(&self.0)))
    }

    fn read_state(&self, from: i64, _: Bound, _: &mut EachEntry<'_>) -> Result<Stretch, String> {
        Ok(Stretch { begin: from, end: from })
    }

    fn trim_state(&self, _: i64) -> Result<(), String> {
        Ok(())
    }

    fn serve(&self) {}

    fn on_wait(&mut self, _: Hook) {}
}

impl Producer for Still {
    fn is_suspect(&self) -> bool {
        false
    }

    fn init(&self, _: &Deadline) -> Result<(), Trouble> {
        Ok(())
    }

    fn begin(&self, _: &Deadline) -> Result<(), Trouble> {
        Ok(())
    }

    fn start_offsets(&self, _: &[(&str, i32, u64)], _: &str) -> Result<(), Trouble> {
        Ok(())
    }

    fn finish_offsets(&self, deadline: &Deadline) -> Result<(), Trouble> {
        let mut offsets = self.0.lock().unwrap();
        offsets.given.push(deadline.limit());
        let is_silent = offsets.n_silent > 0;
        offsets.n_silent = offsets.n_silent.saturating_sub(1);
        if is_silent { Err(Trouble::Unknown("no answer".to_owned())) } else { Ok(()) }
    }

    fn send(&self, _: &Outgoing<'_>, _: &Deadline) -> Result<(), Trouble> {
        Ok(())
    }

    fn flush(&self, _: &Deadline) -> Result<(), Trouble> {
        Ok(())
    }

    fn reported_offset(&self) -> i64 {
        -1
    }

    fn commit(&self, _: &Deadline) -> Result<(), Trouble> {
        Ok(())
    }

    fn abort(&self, _: &Deadline) -> Result<(), Trouble> {
        Ok(())
    }
}

/// With offsets that are not answered so many times, then always. How long each epoch was given.
#[track_caller]
fn check(commit_timeout: u64, n_silent: usize, expected: &[u64]) {
    let offsets = Arc::new(Mutex::new(Offsets { given: Vec::new(), n_silent }));
    let topics =
        Topics { incidents: "incidents".to_owned(), state: "state".to_owned(), dead_letters: "letters".to_owned() };
    let options = Options {
        offsets_of: BTreeMap::from([("in".to_owned(), vec!["alerts".to_owned()])]),
        commit_timeout: Duration::from_secs(commit_timeout),
        ..Options::new(Connection::default(), "id", topics, "group")
    };
    let mut sink = TransactionalSink::on(Still(Arc::clone(&offsets)), options, "instance".to_owned(), Metrics::new());
    let (mut number, mut next) = (1, 0);
    assert!(matches!(sink.recover(), Ok(0)));
    for _ in expected {
        next += 1;
        let (source, partition) = ("in".to_owned(), "alerts/0".to_owned());
        let positions = vec![Position { source, partition, next, clock: Timestamp(0) }];
        match sink.commit(&Epoch { number, positions, ..Epoch::default() }) {
            Ok(_) => number += 1,
            Err(CommitError::Unknown(_)) => assert_eq!(sink.recover().unwrap(), number - 1),
            Err(error) => panic!("{error}"),
        }
    }
    let given: Vec<u64> = offsets.lock().unwrap().given.iter().map(Duration::as_secs).collect();
    assert_eq!(given, expected);
}

#[test]
fn offsets_that_are_not_answered_cost_seconds_and_then_a_producer() {
    check(45, 0, &[10, 10]);
    check(45, 1, &[10, 20, 10]);
    // A coordinator that stays away costs ever fewer producers.
    check(45, 4, &[10, 20, 40, 45, 45, 10]);
    check(4, 1, &[4, 4, 4]);
}

#[track_caller]
fn check_fits(last: Option<(u64, u32)>, key: (u64, u32), fits: bool) {
    let key_of = |(epoch, index)| StateKey { epoch, index };
    assert_eq!(check_order(last.map(key_of), key_of(key)).is_ok(), fits, "{last:?} {key:?}");
}

#[test]
fn a_gap_in_the_state_is_a_torn_transaction() {
    check_fits(None, (7, 0), true);
    check_fits(None, (7, 1), false);
    check_fits(Some((7, 0)), (7, 1), true);
    check_fits(Some((7, 1)), (8, 0), true);
    check_fits(Some((7, 1)), (9, 0), false);
    check_fits(Some((7, 1)), (8, 1), false);
    check_fits(Some((7, 1)), (7, 1), false);
}
