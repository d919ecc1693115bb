//! One epoch, one SQL transaction; and what an SQLite error means for it.

use rusqlite::{CachedStatement, Connection, ErrorCode, Transaction, TransactionBehavior, ffi, params};

use crate::model::alert::Status;
use crate::model::time::Timestamp;
use crate::pipeline::crash::{self, Place};
use crate::pipeline::sink::sqlite::retention;
use crate::pipeline::sink::{CommitError, Epoch};

/// Attempts of a second each to become the writer, before the epoch is handed back as aborted.
const BUSY_ATTEMPTS: u32 = 10;

/// Old blocks deleted per commit at least. A sweep leaves hundreds of MB behind, which at once would stop the flow.
const OLD_BLOCKS_PER_COMMIT: u64 = 64;

/// What an SQLite error means before `COMMIT` was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Somebody else writes: wait and try again.
    Busy,
    /// The disk is full or did not answer: nothing was written, it may be mended outside.
    Transient,
    /// Damaged, not writable, a sync that failed, or a fault of ours.
    Fatal,
}

/// Writes the epoch. Returns how many dead letters had to go to stay within `dead_letter_bytes`.
pub(super) fn commit(
    connection: &Connection,
    epoch: &Epoch,
    dead_letter_bytes: u64,
    hook: &dyn Fn(),
) -> Result<u64, CommitError> {
    let transaction = begin(connection, hook)?;
    let expected = meta(&transaction, "last_epoch").map_err(|error| not_written(&error))? + 1;
    if epoch.number != expected || epoch.blocks.is_empty() {
        let (n_blocks, given) = (epoch.blocks.len(), epoch.number);
        let message = format!("another epoch was expected: {expected} with blocks, not {given} with {n_blocks}");
        return Err(CommitError::Fatal(message));
    }
    crash::at(Place::SqlBegun);
    let removed = write(&transaction, epoch, dead_letter_bytes).map_err(|error| not_written(&error))?;
    crash::at(Place::SqlWritten);
    transaction.commit().map_err(|error| not_answered(&error))?;
    crash::at(Place::SqlCommitted);
    Ok(removed)
}

/// Becomes the only writer, or says why not.
pub(super) fn begin<'a>(connection: &'a Connection, hook: &dyn Fn()) -> Result<Transaction<'a>, CommitError> {
    let mut attempts = 0;
    loop {
        match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
            Ok(transaction) => return Ok(transaction),
            Err(error) if fault(&error) == Fault::Busy && attempts < BUSY_ATTEMPTS => {
                attempts += 1;
                hook();
                tracing::debug!(attempts, "state file: another writer is at work, waiting");
            }
            Err(error) => return Err(not_written(&error)),
        }
    }
}

/// A failed statement: the transaction is rolled back when it is dropped.
pub(super) fn not_written(error: &rusqlite::Error) -> CommitError {
    let message = format!("state file: {error}");
    match fault(error) {
        Fault::Busy | Fault::Transient => CommitError::Aborted(message),
        Fault::Fatal => CommitError::Fatal(message),
    }
}

/// A failed `COMMIT`. The commit record may already be in the log file, so only reading tells what holds; after a failed
/// sync not even that, because the kernel may have forgotten the pages: then only a restart does.
pub(super) fn not_answered(error: &rusqlite::Error) -> CommitError {
    let message = format!("state file: commit: {error}");
    match fault(error) {
        Fault::Busy | Fault::Transient => CommitError::Unknown(message),
        Fault::Fatal => CommitError::Fatal(message),
    }
}

/// Judges an error.
pub(super) fn fault(error: &rusqlite::Error) -> Fault {
    let Some(code) = error.sqlite_error() else { return Fault::Fatal };
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Fault::Busy,
        ErrorCode::SystemIoFailure => match code.extended_code {
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC | ffi::SQLITE_IOERR_CORRUPTFS => Fault::Fatal,
            _ => Fault::Transient,
        },
        ErrorCode::DiskFull | ErrorCode::OutOfMemory | ErrorCode::CannotOpen => Fault::Transient,
        _ => Fault::Fatal,
    }
}

/// A number from `meta`.
pub(super) fn meta(connection: &Connection, key: &str) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    statement.query_row([key], |row| row.get::<_, i64>(0)).map(from_sql)
}

/// Sets a number in `meta`.
pub(super) fn set_meta(connection: &Connection, key: &str, value: u64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?;
    statement.execute(params![key, to_sql(value)]).map(drop)
}

/// SQLite's integers are signed; no number of ours comes near the border.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The way back; a negative number can only come from a foreign hand.
pub(super) fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn write(transaction: &Transaction<'_>, epoch: &Epoch, dead_letter_bytes: u64) -> rusqlite::Result<u64> {
    write_blocks(transaction, epoch)?;
    write_incidents(transaction, epoch)?;
    write_positions(transaction, epoch)?;
    set_meta(transaction, "last_epoch", epoch.number)?;
    if epoch.dead_letters.is_empty() {
        return Ok(0);
    }
    write_dead_letters(transaction, epoch)?;
    // Twice as many as came: so the store stays within its bounds however fast they come, at a bounded price.
    let limits = retention::Limits {
        stored_before: Timestamp::MIN,
        bytes: dead_letter_bytes,
        slice: epoch.dead_letters.len() as u64 * 2,
    };
    retention::trim_dead_letters(transaction, &limits)
}

fn write_blocks(transaction: &Transaction<'_>, epoch: &Epoch) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached("INSERT INTO blocks (epoch, idx, bytes) VALUES (?1, ?2, ?3)")?;
    for block in &epoch.blocks {
        insert.execute(params![to_sql(block.epoch), block.index, block.bytes])?;
    }
    let safe_from = meta(transaction, "safe_from")?.max(epoch.safe_from);
    set_meta(transaction, "safe_from", safe_from)?;
    let slice = OLD_BLOCKS_PER_COMMIT.max(epoch.blocks.len() as u64 * 2);
    let mut delete = transaction.prepare_cached(
        "DELETE FROM blocks WHERE rowid IN (SELECT rowid FROM blocks WHERE epoch < ?1 ORDER BY epoch, idx LIMIT ?2)",
    )?;
    delete.execute(params![to_sql(safe_from), to_sql(slice)]).map(drop)
}

fn write_incidents(transaction: &Transaction<'_>, epoch: &Epoch) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO incident_events
         (epoch, incident_id, revision, event, status, group_hash, record_time, committed_at, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for record in &epoch.incidents {
        let event = &record.event;
        insert.execute(params![
            to_sql(epoch.number),
            event.incident_id.to_string(),
            to_sql(event.revision),
            event.event.name(),
            status_word(event.status),
            record.group.to_string(),
            event.record_time.0,
            epoch.committed_at.0,
            text(&record.json)?,
        ])?;
    }
    Ok(())
}

fn write_dead_letters(transaction: &Transaction<'_>, epoch: &Epoch) -> rusqlite::Result<()> {
    let mut insert: CachedStatement<'_> = transaction.prepare_cached(
        "INSERT INTO dead_letters
         (epoch, stored_at, source, partition, position, element, reason, at, original_len, bytes, format)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let mut n_bytes = meta(transaction, "dead_letter_bytes")?;
    for letter in &epoch.dead_letters {
        n_bytes += letter.bytes.len() as u64;
        insert.execute(params![
            to_sql(epoch.number),
            epoch.committed_at.0,
            letter.source,
            letter.partition,
            to_sql(letter.position),
            letter.index,
            letter.reason.name(),
            letter.at.0,
            to_sql(letter.original_len),
            letter.bytes,
            letter.format.name(),
        ])?;
    }
    set_meta(transaction, "dead_letter_bytes", n_bytes)
}

fn write_positions(transaction: &Transaction<'_>, epoch: &Epoch) -> rusqlite::Result<()> {
    // Every partition is listed in every epoch, most of them unchanged: those are not written.
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO positions (source, partition, next, clock) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (source, partition) DO UPDATE SET next = excluded.next, clock = excluded.clock
         WHERE next <> excluded.next OR clock <> excluded.clock",
    )?;
    for position in &epoch.positions {
        upsert.execute(params![position.source, position.partition, to_sql(position.next), position.clock.0])?;
    }
    Ok(())
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    }
}

fn text(json: &[u8]) -> rusqlite::Result<&str> {
    std::str::from_utf8(json).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
