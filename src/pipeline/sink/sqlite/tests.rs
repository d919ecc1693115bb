//! Tests of the embedded store: atomicity, crashes, a full disk, a second daemon, damage.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::ffi;

use super::*;
use crate::model::alert::Status;
use crate::pipeline::sink::{Block, samples};

fn open(folder: &Path) -> SqliteSink {
    SqliteSink::open(SqliteOptions::new(folder.join(FILE_NAME))).unwrap()
}

fn restored(sink: &mut SqliteSink) -> (u64, Vec<String>) {
    let mut blocks = Vec::new();
    let last = sink.restore(&mut |bytes| {
        blocks.push(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(())
    });
    (last.unwrap(), blocks)
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn count(sink: &SqliteSink, table: &str) -> i64 {
    number(sink.connection.as_ref().unwrap(), &format!("SELECT count(*) FROM {table}"))
}

#[test]
fn an_epoch_is_durable_with_all_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    assert_eq!(restored(&mut sink), (0, vec![]));
    for n in 1..=3 {
        assert_eq!(sink.commit(&samples::epoch(n)), Ok(Committed { epoch: n }));
    }
    drop(sink);
    let mut sink = open(folder.path());
    assert_eq!(restored(&mut sink), (3, ["1", "2", "3"].map(|n| format!("block {n}.0")).to_vec()));
    let counts = ["incident_events", "dead_letters", "positions"].map(|table| count(&sink, table));
    assert_eq!(counts, [3, 3, 1]);
    let connection = sink.connection.as_ref().unwrap();
    assert_eq!(number(connection, "SELECT next FROM positions"), 30);
    assert_eq!(number(connection, "SELECT max(position) FROM incident_events WHERE epoch = 3"), 3);
    assert_eq!(number(connection, "SELECT json ->> 'revision' FROM incident_events LIMIT 1"), 1);
    assert_eq!(number(connection, "PRAGMA synchronous"), 2);
    assert_eq!(sink.commit(&samples::epoch(4)), Ok(Committed { epoch: 4 }));
}

#[test]
fn only_the_next_number_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.commit(&samples::epoch(1)).unwrap();
    for given in [0, 1, 3] {
        let Err(CommitError::Fatal(message)) = sink.commit(&samples::epoch(given)) else { panic!("{given}") };
        assert!(message.contains(&format!("another epoch was expected: 2 with blocks, not {given}")), "{message}");
    }
    let empty = Epoch { blocks: vec![], ..samples::epoch(2) };
    assert!(matches!(sink.commit(&empty), Err(CommitError::Fatal(_))));
    sink.commit(&samples::epoch(2)).unwrap();
}

#[test]
fn a_crash_in_the_middle_of_an_epoch_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.commit(&samples::epoch(1)).unwrap();
    let connection = sink.connection.as_ref().unwrap();
    // A cache of a few pages makes SQLite write to its log before the commit, as an epoch larger than the cache does.
    connection.execute_batch("PRAGMA cache_size = 4; BEGIN IMMEDIATE").unwrap();
    for n in 0..50 {
        connection.execute("INSERT INTO blocks VALUES (2, ?1, zeroblob(100000))", [n]).unwrap();
    }
    connection.execute("UPDATE meta SET value = 2 WHERE key = 'last_epoch'", []).unwrap();
    let crashed = tempfile::tempdir().unwrap();
    for name in ["state.db", "state.db-wal"] {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    assert!(std::fs::metadata(crashed.path().join("state.db-wal")).unwrap().len() > 1_000_000);
    drop(sink);
    for folder in [folder.path(), crashed.path()] {
        let mut sink = open(folder);
        assert_eq!(restored(&mut sink), (1, vec!["block 1.0".to_owned()]));
        sink.commit(&samples::epoch(2)).unwrap();
    }
}

#[test]
fn a_kill_after_the_answer_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    for n in 1..=20 {
        sink.commit(&samples::epoch(n)).unwrap();
        // What a killed process leaves: the file and its log, without the shared index and without a goodbye.
        let crashed = tempfile::tempdir().unwrap();
        for name in ["state.db", "state.db-wal"] {
            std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
        }
        let mut other = open(crashed.path());
        assert_eq!(restored(&mut other).0, n);
        assert_eq!(count(&other, "incident_events"), n as i64);
    }
}

#[test]
fn a_full_disk_aborts_and_the_same_epoch_goes_in_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.commit(&samples::epoch(1)).unwrap();
    let pages = number(sink.connection.as_ref().unwrap(), "PRAGMA page_count");
    let limit = |sink: &SqliteSink, pages: i64| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        assert_eq!(number(sink.connection.as_ref().unwrap(), &sql), pages);
    };
    limit(&sink, pages + 2);
    let blocks = (0..5).map(|index| Block { epoch: 2, index, bytes: vec![7; 100_000] }).collect();
    let epoch = Epoch { blocks, ..samples::epoch(2) };
    for _ in 0..3 {
        let Err(CommitError::Aborted(message)) = sink.commit(&epoch) else { panic!("not aborted") };
        assert!(message.contains("full"), "{message}");
        assert_eq!(restored(&mut sink).0, 1);
        assert_eq!(count(&sink, "incident_events"), 1);
    }
    limit(&sink, pages + 1_000);
    assert_eq!(sink.commit(&epoch), Ok(Committed { epoch: 2 }));
    assert_eq!(count(&sink, "incident_events"), 2);
}

#[test]
fn a_busy_store_is_retried_and_the_watchdog_fed() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.connection.as_ref().unwrap().busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = Connection::open(folder.path().join(FILE_NAME)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let retries = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&retries);
    sink.on_retry(Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    assert!(matches!(sink.commit(&samples::epoch(1)), Err(CommitError::Aborted(_))));
    assert_eq!(retries.load(Ordering::Relaxed), 10);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(sink.commit(&samples::epoch(1)), Ok(Committed { epoch: 1 }));
}

#[test]
fn recover_reads_what_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    assert_eq!(sink.recover(), Ok(0));
    sink.commit(&samples::epoch(1)).unwrap();
    sink.connection.as_ref().unwrap().execute_batch("BEGIN IMMEDIATE; DELETE FROM meta").unwrap();
    assert_eq!(sink.recover(), Ok(1));
    sink.commit(&samples::epoch(2)).unwrap();
}

#[test]
fn errors_are_judged_by_what_can_be_done() {
    let judge = |code: i32| {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        (commit::not_written(&error), commit::not_answered(&error))
    };
    for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_BUSY, ffi::SQLITE_NOMEM] {
        assert!(matches!(judge(code), (CommitError::Aborted(_), CommitError::Unknown(_))), "{code}");
    }
    for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC, ffi::SQLITE_CORRUPT, ffi::SQLITE_READONLY] {
        assert!(matches!(judge(code), (CommitError::Fatal(_), CommitError::Fatal(_))), "{code}");
    }
}

#[test]
fn old_blocks_leave_in_slices_and_are_never_handed_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    let blocks = (0..200).map(|index| Block { epoch: 1, index, bytes: b"old".to_vec() }).collect();
    sink.commit(&Epoch { blocks, ..samples::epoch(1) }).unwrap();
    sink.commit(&Epoch { safe_from: 2, ..samples::epoch(2) }).unwrap();
    assert_eq!(count(&sink, "blocks"), 200 - 64 + 1);
    assert_eq!(restored(&mut sink), (2, vec!["block 2.0".to_owned()]));
    for n in 3..=5 {
        sink.commit(&Epoch { safe_from: 2, ..samples::epoch(n) }).unwrap();
    }
    assert_eq!(count(&sink, "blocks"), 4);
    let behind = Epoch { safe_from: 0, ..samples::epoch(6) };
    sink.commit(&behind).unwrap();
    assert_eq!(restored(&mut sink).1.len(), 5);
}

#[test]
fn a_refused_block_ends_the_restore() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.commit(&samples::epoch(1)).unwrap();
    let refused = sink.restore(&mut |_| Err(RestoreError("checksum".to_owned())));
    assert_eq!(refused.unwrap_err().to_string(), "checksum");
    sink.connection.as_ref().unwrap().execute("DELETE FROM blocks", []).unwrap();
    let message = sink.restore(&mut |_| Ok(())).unwrap_err().to_string();
    assert_eq!(message, "state file: the last epoch is 1, but its newest block is of 0");
}

#[test]
fn a_second_daemon_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let options = SqliteOptions::new(folder.path().join(FILE_NAME));
    let error = SqliteSink::open(options.clone()).err().unwrap();
    assert!(matches!(&error, OpenError::InUse { .. }) && error.is_retryable(), "{error}");
    assert!(error.to_string().contains("another tidegate works on this file"), "{error}");
    drop(first);
    SqliteSink::open(options).unwrap();
}

#[test]
fn a_newer_or_foreign_or_damaged_file_is_refused_untouched() {
    let sql = |sql: &'static str| move |file: &Path| Connection::open(file).unwrap().execute_batch(sql).unwrap();
    let newer: &dyn Fn(&Path) = &|file| {
        drop(open(file.parent().unwrap()));
        sql("PRAGMA user_version = 99")(file);
    };
    let cases: [(&dyn Fn(&Path), &str); 5] = [
        (newer, "written by a newer tidegate (its version is 99, this program knows up to 1)"),
        (&sql("CREATE TABLE theirs (x)"), "not one of tidegate"),
        (&sql("PRAGMA application_id = 7; CREATE TABLE theirs (x)"), "not one of tidegate"),
        (&|file| std::fs::write(file, "once upon a time ".repeat(1_000)).unwrap(), "damaged or not an SQLite file"),
        (&|file| std::fs::create_dir(file).unwrap(), "unable to open"),
    ];
    for (prepare, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        prepare(&file);
        let before = std::fs::read(&file).ok();
        let message = SqliteSink::open(SqliteOptions::new(&file)).err().unwrap().to_string();
        assert!(message.contains(expected) && message.starts_with(&file.display().to_string()), "{message}");
        assert_eq!(std::fs::read(&file).ok(), before, "{expected}");
    }
}

#[test]
fn damage_inside_the_file_stops_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    for n in 1..=3 {
        let blocks = vec![Block { epoch: n, index: 0, bytes: vec![1; 20_000] }];
        sink.commit(&Epoch { blocks, ..samples::epoch(n) }).unwrap();
    }
    drop(sink);
    let file = folder.path().join(FILE_NAME);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.iter_mut().skip(4_096).for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&file, bytes).unwrap();
    let mut sink = open(folder.path());
    let message = sink.restore(&mut |_| Ok(())).unwrap_err().to_string();
    assert!(message.contains("malformed"), "{message}");
    assert!(matches!(sink.commit(&samples::epoch(4)), Err(CommitError::Fatal(_))));
}

#[test]
fn the_file_is_for_its_owner_only_and_its_folder_is_made() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    let mut sink = open(&inner);
    sink.commit(&samples::epoch(1)).unwrap();
    for name in ["state.db", "state.db-wal", "state.db.lock"] {
        assert_eq!(std::fs::metadata(inner.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn readers_and_the_command_log_need_a_prepared_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    assert!(open_read_only(&file).is_err());
    assert!(CommandLog::open(&file).is_err());
    assert!(!file.exists());
    let mut sink = open(folder.path());
    sink.commit(&samples::epoch(1)).unwrap();
    let reader = open_read_only(&file).unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM blocks"), 1);
    assert!(reader.execute("DELETE FROM blocks", []).is_err());
    sink.commit(&samples::epoch(2)).unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM blocks"), 2);
}

mod retention_tests {
    use super::*;

    const DAY: Millis = Millis::hours(24);

    fn at_day(day: i64) -> Timestamp {
        Timestamp(DAY.0 * day)
    }

    /// Commits the incident events as one epoch of that day.
    fn commit_events(sink: &mut SqliteSink, number: u64, day: i64, events: &[(u128, u64, Status)]) {
        let incidents =
            events.iter().map(|(id, revision, status)| samples::incident(*id, *revision, *status)).collect();
        let epoch = Epoch { incidents, dead_letters: vec![], committed_at: at_day(day), ..samples::epoch(number) };
        sink.commit(&epoch).unwrap();
    }

    fn incidents(sink: &SqliteSink) -> Vec<(u64, u64)> {
        let connection = sink.connection.as_ref().unwrap();
        let mut select =
            connection.prepare("SELECT incident_id, revision FROM incident_events ORDER BY position").unwrap();
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
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", retention::REMOVE_INCIDENTS)).unwrap();
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
        for number in 1..=20 {
            sink.commit(&letters(30, 10, 0, number)).unwrap();
            let connection = sink.connection.as_ref().unwrap();
            let stored = super::number(connection, "SELECT coalesce(sum(length(bytes)), 0) FROM dead_letters");
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
        assert_eq!(count(&sink, "dead_letters"), 3);
    }
}
