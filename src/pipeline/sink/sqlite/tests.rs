//! Tests of the embedded store: atomicity, crashes, a full disk, a second daemon, damage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::ffi;

use super::*;
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

/// Puts a file there before the store is opened.
type Prepare<'a> = &'a dyn Fn(&Path);

#[test]
fn a_newer_or_foreign_or_damaged_file_is_refused_untouched() {
    let sql = |sql: &'static str| move |file: &Path| Connection::open(file).unwrap().execute_batch(sql).unwrap();
    let newer: &dyn Fn(&Path) = &|file| {
        drop(open(file.parent().unwrap()));
        sql("PRAGMA user_version = 99")(file);
    };
    let cases: [(Prepare<'_>, &str); 5] = [
        (newer, "written by a newer tidegate (its version is 99, this program knows up to 2)"),
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
    let page_bytes = usize::from(u16::from_be_bytes([bytes[16], bytes[17]])); // The first has the schema.
    bytes.iter_mut().skip(page_bytes).for_each(|byte| *byte ^= 0x5a);
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

#[test]
fn a_file_of_the_first_version_is_brought_up_to_date_and_keeps_its_letters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    let first = Connection::open(&file).unwrap();
    first.execute_batch(schema::FIRST_VERSION).unwrap();
    first
        .execute_batch(
            "PRAGMA application_id = 0x74696465; PRAGMA user_version = 1;
             INSERT INTO dead_letters (epoch, stored_at, source, partition, position, reason, at, original_len, bytes)
             VALUES (1, 2, 'in', 'alerts/0', 3, 'empty', 4, 0, x'');",
        )
        .unwrap();
    drop(first);
    let message = open_read_only(&file).unwrap_err().to_string();
    assert!(message.contains("start the daemon of this version once"), "{message}");
    let mut sink = open(folder.path());
    sink.commit(&samples::epoch(1)).unwrap();
    let connection = sink.connection.as_ref().unwrap();
    assert_eq!(number(connection, "SELECT count(*) FROM dead_letters WHERE format IS NULL"), 1);
    assert_eq!(number(connection, "SELECT count(*) FROM dead_letters WHERE format = 'native'"), 1);
}

#[test]
fn a_requeued_letter_is_marked_beside_the_running_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path());
    sink.commit(&samples::epoch(1)).unwrap();
    let marks = DeadLetterMarks::open(&folder.path().join(FILE_NAME)).unwrap();
    assert_eq!(marks.mark(1, crate::model::Timestamp(77), "somewhere"), Ok(true));
    assert_eq!(marks.mark(2, crate::model::Timestamp(77), "somewhere"), Ok(false), "there is no such letter");
    sink.commit(&samples::epoch(2)).unwrap();
    let connection = sink.connection.as_ref().unwrap();
    assert_eq!(number(connection, "SELECT requeued_at FROM dead_letters WHERE id = 1"), 77);
}
