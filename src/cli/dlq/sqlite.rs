//! Dead letters from the embedded store, read beside a running daemon or without one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::cli::dlq::letter::{Letter, LetterId, Requeued};
use crate::cli::dlq::{Filter, HEAD_BYTES};
use crate::model::time::Timestamp;
use crate::pipeline::sink::sqlite::{DeadLetterMarks, open_read_only};

/// The store, open for reading.
pub(super) struct Store {
    connection: Connection,
    file: PathBuf,
}

impl Store {
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        Ok(Self { connection: open_read_only(file)?, file: file.to_owned() })
    }

    /// The newest letters that pass the filter, newest first; of their bytes only the head.
    pub(super) fn list(&self, filter: &Filter) -> anyhow::Result<Vec<Letter>> {
        let mut select = self.connection.prepare(
            "SELECT id, epoch, stored_at, source, partition, position, element, reason, at, original_len,
                    substr(bytes, 1, ?4), format, requeued_at, requeued_to
             FROM dead_letters
             WHERE (?1 IS NULL OR reason = ?1) AND (?2 IS NULL OR source = ?2)
             ORDER BY id DESC LIMIT ?3",
        )?;
        let rows = select.query_map(params![filter.reason, filter.source, filter.limit, HEAD_BYTES], letter)?;
        rows.collect::<rusqlite::Result<_>>().context("read dead letters")
    }

    /// Opens the store for marks too.
    pub(super) fn marker(&self) -> anyhow::Result<Marker> {
        Ok(Marker(DeadLetterMarks::open(&self.file)?))
    }

    /// The letter with that id, whole.
    pub(super) fn get(&self, id: u64) -> anyhow::Result<Option<Letter>> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        let mut select = self.connection.prepare(
            "SELECT id, epoch, stored_at, source, partition, position, element, reason, at, original_len, bytes,
                    format, requeued_at, requeued_to
             FROM dead_letters WHERE id = ?1",
        )?;
        select.query_row([id], letter).optional().context("read dead letter")
    }
}

/// Marks letters, beside a running daemon or without one.
pub(super) struct Marker(DeadLetterMarks);

impl Marker {
    /// Notes that a letter was put in again.
    pub(super) fn mark(&self, id: u64, requeued: &Requeued) -> anyhow::Result<()> {
        self.0.mark(id, requeued.at, &requeued.to)?; // One that retention has taken away meanwhile needs no mark.
        Ok(())
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    let number = |index: usize| row.get::<_, i64>(index).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(Letter {
        id: LetterId::Row(number(0)?),
        epoch: Some(number(1)?),
        stored_at: Timestamp(row.get(2)?),
        source: row.get(3)?,
        partition: row.get(4)?,
        position: number(5)?,
        element: row.get(6)?,
        reason: row.get(7)?,
        at: Timestamp(row.get(8)?),
        original_len: number(9)?,
        bytes: row.get(10)?,
        format: row.get::<_, Option<String>>(11)?.and_then(|name| name.parse().ok()),
        requeued: match row.get::<_, Option<i64>>(12)? {
            Some(at) => Some(Requeued { at: Timestamp(at), to: row.get::<_, Option<String>>(13)?.unwrap_or_default() }),
            None => None,
        },
    })
}
