//! Tests of retention: what leaves, what stays, and at what price.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;
use crate::model::alert::Status;
use crate::model::time::Millis;
use crate::pipeline::sink::sqlite::{FILE_NAME, SqliteSink, commit};
use crate::pipeline::sink::{Epoch, EpochSink as _, samples};

fn open(folder: &Path) -> SqliteSink {
    SqliteSink::open(SqliteOptions::new(folder.join(FILE_NAME))).unwrap()
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

const DAY: Millis = Millis::hours(24);

fn at_day(day: i64) -> Timestamp {
    Timestamp(DAY.0 * day)
}

/// Commits the incident events as one epoch of that day.
fn commit_events(sink: &mut SqliteSink, number: u64, day: i64, events: &[(u128, u64, Status)]) {
    let incidents = events.iter().map(|(id, revision, status)| samples::incident(*id, *revision, *status)).collect();
    let epoch = Epoch { incidents, dead_letters: vec![], committed_at: at_day(day), ..samples::epoch(number) };
    sink.commit(&epoch).unwrap();
}

fn incidents(sink: &SqliteSink) -> Vec<(u64, u64)> {
    let connection = sink.connection.as_ref().unwrap();
    let mut select = connection.prepare("SELECT incident_id, revision FROM incident_events ORDER BY position").unwrap();
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
    rows.map(|row| row.unwrap()).map(|(id, n)| (u64::from_str_radix(&id, 16).unwrap(), n as u64)).collect()
}

#[test]
fn incidents_leave_whole_once_they_are_over() {
    use Status::{Firing, Resolved};
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    commit_events(&mut sink, 1, 0, &[(1, 1, Firing), (2, 1, Firing), (3, 1, Firing), (4, 1, Firing)]);
    commit_events(&mut sink, 2, 1, &[(1, 2, Resolved), (2, 2, Resolved)]);
    commit_events(&mut sink, 3, 2, &[(2, 3, Firing)]);
    commit_events(&mut sink, 4, 20, &[(4, 2, Resolved)]);
    assert_eq!(sink.tidy_up(at_day(31)).unwrap(), Removed::default(), "on the day, not before");
    let removed = sink.tidy_up(at_day(31) + Millis(1)).unwrap();
    assert_eq!(removed, Removed { incident_events: 2, dead_letters: 0 });
    assert_eq!(incidents(&sink), [(2, 1), (3, 1), (4, 1), (2, 2), (2, 3), (4, 2)]);
    assert_eq!(sink.tidy_up(at_day(3_000)).unwrap().incident_events, 2);
    assert_eq!(incidents(&sink), [(2, 1), (3, 1), (2, 2), (2, 3)], "open incidents stay");
}

#[test]
fn a_position_is_never_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    commit_events(&mut sink, 1, 0, &[(1, 1, Status::Firing), (1, 2, Status::Resolved)]);
    assert_eq!(sink.tidy_up(at_day(100)).unwrap().incident_events, 2);
    commit_events(&mut sink, 2, 100, &[(2, 1, Status::Firing)]);
    let connection = sink.connection.as_ref().unwrap();
    assert_eq!(number(connection, "SELECT position FROM incident_events"), 3);
}

#[test]
fn many_incidents_leave_in_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    let events: Vec<_> = (0..1_000).flat_map(|id| [(id, 1, Status::Firing), (id, 2, Status::Resolved)]).collect();
    commit_events(&mut sink, 1, 0, &events);
    let long: Vec<_> = (1..=5_000)
        .map(|revision| (7_000, revision, if revision == 5_000 { Status::Resolved } else { Status::Firing }))
        .collect();
    commit_events(&mut sink, 2, 0, &long);
    assert_eq!(sink.tidy_up(at_day(31)).unwrap().incident_events, 7_000);
    assert_eq!(incidents(&sink), []);
}

#[test]
fn finding_what_is_over_uses_the_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let sink = open(folder.path());
    let connection = sink.connection.as_ref().unwrap();
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", REMOVE_INCIDENTS)).unwrap();
    let rows = explain.query_map([0, 1], |row| row.get::<_, String>(3)).unwrap();
    let plan: Vec<String> = rows.map(|row| row.unwrap()).collect();
    assert!(plan.iter().any(|step| step.contains("newest USING INDEX incident_events_over")), "{plan:#?}");
    assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:#?}");
}

fn letters(n: u64, bytes: usize, day: i64, number: u64) -> Epoch {
    let dead_letters = (0..n).map(|position| samples::dead_letter(position, &vec![b'x'; bytes])).collect();
    Epoch { incidents: vec![], dead_letters, committed_at: at_day(day), ..samples::epoch(number) }
}

#[test]
fn dead_letters_leave_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.commit(&letters(2_500, 10, 0, 1)).unwrap();
    sink.commit(&letters(3, 10, 5, 2)).unwrap();
    assert_eq!(sink.tidy_up(at_day(30)).unwrap(), Removed::default());
    let removed = sink.tidy_up(at_day(31)).unwrap();
    assert_eq!(removed, Removed { incident_events: 0, dead_letters: 2_500 });
    assert_eq!(commit::meta(sink.connection.as_ref().unwrap(), "dead_letter_bytes"), Ok(30));
    assert_eq!(sink.tidy_up(at_day(36)).unwrap().dead_letters, 3);
    assert_eq!(commit::meta(sink.connection.as_ref().unwrap(), "dead_letter_bytes"), Ok(0));
}

#[test]
fn dead_letters_stay_within_their_bytes_with_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(folder.path().join(FILE_NAME));
    options.dead_letter_bytes = 1_000;
    let mut sink = SqliteSink::open(options).unwrap();
    for epoch in 1..=20 {
        sink.commit(&letters(30, 10, 0, epoch)).unwrap();
        let connection = sink.connection.as_ref().unwrap();
        let stored = number(connection, "SELECT coalesce(sum(length(bytes)), 0) FROM dead_letters");
        assert_eq!(commit::meta(connection, "dead_letter_bytes"), Ok(stored as u64));
        assert!(stored <= 1_000, "{stored}");
    }
    assert_eq!(number(sink.connection.as_ref().unwrap(), "SELECT min(id) FROM dead_letters"), 501);
    assert_eq!(sink.tidy_up(at_day(0)).unwrap().dead_letters, 500, "commits count theirs");
    assert_eq!(sink.tidy_up(at_day(0)).unwrap(), Removed::default());
}

#[test]
fn smaller_bounds_take_hold_of_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.commit(&letters(40, 1 << 20, 0, 1)).unwrap();
    sink.options.dead_letter_bytes = 3 << 20;
    assert_eq!(sink.tidy_up(at_day(0)).unwrap().dead_letters, 37);
    assert_eq!(number(sink.connection.as_ref().unwrap(), "SELECT count(*) FROM dead_letters"), 3);
}
