//! What leaves the store by time or size, in slices, so that no transaction holds up the next epoch for long.
//!
//! An incident leaves as a whole, once it is over (its newest event says resolved or merged) and that event is older than
//! the retention: nobody is left with half a story, and open incidents stay however old they are.
//! Dead letters leave oldest first, by the time they were stored or when all together are too large.

use rusqlite::{Connection, Transaction, params};

use crate::model::time::Timestamp;
use crate::pipeline::sink::sqlite::SqliteOptions;
use crate::pipeline::sink::sqlite::commit::{begin, from_sql, meta, not_answered, not_written, set_meta, to_sql};
use crate::pipeline::sink::{CommitError, Removed};

/// Slices per kind and call. With one call a minute a backlog of millions is gone within the hour.
const SLICES: u32 = 32;

/// Events per slice: a few milliseconds of work.
const EVENTS_PER_SLICE: u64 = 2_000;

/// Dead letters per slice.
const LETTERS_PER_SLICE: u64 = 1_000;

/// A slice of dead letters ends after this many bytes; one letter may be up to 1 MiB.
const LETTER_BYTES_PER_SLICE: u64 = 16 << 20;

/// What dead letters have to keep to.
pub(super) struct Limits {
    /// Those stored before this time go.
    pub(super) stored_before: Timestamp,
    /// All together at most this many bytes.
    pub(super) bytes: u64,
    /// At most this many go now.
    pub(super) slice: u64,
}

/// Removes what is over its retention, as far as the slices of one call reach.
pub(super) fn tidy_up(
    connection: &Connection,
    options: &SqliteOptions,
    now: Timestamp,
    hook: &dyn Fn(),
) -> Result<Removed, CommitError> {
    let committed_before = now - options.incident_retention;
    let incident_events = in_slices(connection, hook, &|transaction| remove_incidents(transaction, committed_before))?;
    let limits = Limits {
        stored_before: now - options.dead_letter_retention,
        bytes: options.dead_letter_bytes,
        slice: LETTERS_PER_SLICE,
    };
    let dead_letters = in_slices(connection, hook, &|transaction| trim_dead_letters(transaction, &limits))?;
    Ok(Removed { incident_events, dead_letters })
}

/// Removes the oldest dead letters that are over a limit. Returns how many.
pub(super) fn trim_dead_letters(transaction: &Transaction<'_>, limits: &Limits) -> rusqlite::Result<u64> {
    let total = meta(transaction, "dead_letter_bytes")?;
    let mut excess = total.saturating_sub(limits.bytes);
    if excess == 0 && limits.stored_before == Timestamp::MIN {
        return Ok(0);
    }
    let mut oldest =
        transaction.prepare_cached("SELECT id, stored_at, length(bytes) FROM dead_letters ORDER BY id LIMIT ?1")?;
    let mut rows = oldest.query([to_sql(limits.slice)])?;
    let (mut last, mut n_removed, mut n_bytes) = (None, 0, 0);
    while let Some(row) = rows.next()? {
        let (id, stored_at, size): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let goes = Timestamp(stored_at) < limits.stored_before || excess > 0;
        if !goes || n_bytes >= LETTER_BYTES_PER_SLICE {
            break;
        }
        last = Some(id);
        n_removed += 1;
        n_bytes += from_sql(size);
        excess = excess.saturating_sub(from_sql(size));
    }
    drop(rows);
    if let Some(last) = last {
        transaction.prepare_cached("DELETE FROM dead_letters WHERE id <= ?1")?.execute([last])?;
        set_meta(transaction, "dead_letter_bytes", total.saturating_sub(n_bytes))?;
    }
    Ok(n_removed)
}

/// Removes events of incidents that are over, each incident oldest event first, so that its newest goes last.
const REMOVE_INCIDENTS: &str = "
    DELETE FROM incident_events WHERE position IN (
        SELECT position FROM incident_events WHERE incident_id IN (
            SELECT newest.incident_id FROM incident_events AS newest
            WHERE (status = 'resolved' OR event = 'merged') AND newest.committed_at < ?1
              AND NOT EXISTS (
                  SELECT 1 FROM incident_events AS later
                  WHERE later.incident_id = newest.incident_id AND later.position > newest.position)
            ORDER BY newest.committed_at LIMIT 200)
        ORDER BY incident_id, position LIMIT ?2)";

fn remove_incidents(transaction: &Transaction<'_>, committed_before: Timestamp) -> rusqlite::Result<u64> {
    let mut delete = transaction.prepare_cached(REMOVE_INCIDENTS)?;
    delete.execute(params![committed_before.0, to_sql(EVENTS_PER_SLICE)]).map(|n_rows| n_rows as u64)
}

fn in_slices(
    connection: &Connection,
    hook: &dyn Fn(),
    remove: &dyn Fn(&Transaction<'_>) -> rusqlite::Result<u64>,
) -> Result<u64, CommitError> {
    let mut total = 0;
    for _ in 0..SLICES {
        let transaction = begin(connection, hook)?;
        let n_removed = remove(&transaction).map_err(|error| not_written(&error))?;
        if n_removed == 0 {
            break; // Dropped, and with it rolled back: there is nothing to write.
        }
        transaction.commit().map_err(|error| not_answered(&error))?;
        total += n_removed;
        hook();
    }
    Ok(total)
}

#[cfg(test)]
mod tests;
