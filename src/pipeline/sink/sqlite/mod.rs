//! Epochs in one SQLite file, `state.db`: the embedded store. No broker, no second process, one SQL transaction an epoch.
//!
//! The file may be read by anybody at any time (`incident_events` by position, `dead_letters`); only one daemon writes,
//! which a lock on the file beside it makes sure. Second writers of single rows are `CommandLog` and `DeadLetterMarks`.

mod archive;
mod command_log;
mod commit;
mod marks;
mod retention;
mod schema;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use crate::model::time::{Millis, Timestamp};
use crate::pipeline::sink::{CommitError, Committed, Epoch, EpochSink, Removed, RestoreError};

pub use archive::{ArchiveReadError, IncidentArchive};
pub use command_log::{CommandLog, CommandLogError, LoggedCommand};
pub use marks::{DeadLetterMarks, MarkError};
pub use schema::{OpenError, lock_file, open_read_only};

/// Name of the state file in the data directory.
pub const FILE_NAME: &str = "state.db";

/// Where the store is and how long it keeps what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The state file.
    pub file: PathBuf,
    /// How long an incident is kept after it is over.
    pub incident_retention: Millis,
    /// How long a dead letter is kept.
    pub dead_letter_retention: Millis,
    /// How many bytes of dead letters are kept; the oldest go first.
    pub dead_letter_bytes: u64,
}

impl SqliteOptions {
    /// Every default, for that file. 30 days cover a month's review; 1 GiB is what a small disk can spare.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            incident_retention: Millis::hours(30 * 24),
            dead_letter_retention: Millis::hours(30 * 24),
            dead_letter_bytes: 1 << 30,
        }
    }
}

/// The store of one daemon.
pub struct SqliteSink {
    options: SqliteOptions,
    /// `None` only after a reconnect failed.
    connection: Option<Connection>,
    /// Removed by commits, to be reported by the next `tidy_up`.
    dead_letters_removed: u64,
    hook: Arc<dyn Fn() + Send + Sync>,
    /// Held, never used: keeps a second daemon out. Declared after the connection, so that it is released last.
    _lock: File,
}

impl SqliteSink {
    /// Locks and opens the store; creates it, folder included, where there is none.
    ///
    /// # Errors
    /// When another daemon works on it, or the file is damaged, newer than this program, or not one of ours.
    pub fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let lock = schema::lock(&options.file)?;
        let connection = schema::open(&options.file)?;
        let hook: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
        Ok(Self { options, connection: Some(connection), dead_letters_removed: 0, hook, _lock: lock })
    }

    fn connection(&mut self) -> Result<&Connection, CommitError> {
        if self.connection.is_none() {
            let reopened = schema::open(&self.options.file).map_err(|error| match error {
                OpenError::Unusable { .. } | OpenError::InUse { .. } => CommitError::Unknown(error.to_string()),
                _ => CommitError::Fatal(error.to_string()),
            })?;
            self.connection = Some(reopened);
        }
        Ok(self.connection.as_ref().expect("it was opened above"))
    }
}

impl EpochSink for SqliteSink {
    fn restore(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError> {
        let connection = self.connection().map_err(|error| RestoreError(error.to_string()))?;
        let failed = |error: rusqlite::Error| RestoreError(format!("state file: {error}"));
        let last_epoch = commit::meta(connection, "last_epoch").map_err(failed)?;
        let safe_from = commit::meta(connection, "safe_from").map_err(failed)?;
        let mut select = connection
            .prepare("SELECT epoch, bytes FROM blocks WHERE epoch >= ?1 ORDER BY epoch, idx")
            .map_err(failed)?;
        let mut rows = select.query([commit::to_sql(safe_from)]).map_err(failed)?;
        let (mut newest, mut n_blocks, mut n_bytes) = (0, 0_u64, 0_u64);
        while let Some(row) = rows.next().map_err(failed)? {
            newest = row.get(0).map(commit::from_sql).map_err(failed)?;
            let bytes = row.get_ref(1).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
            each(bytes)?;
            n_blocks += 1;
            n_bytes += bytes.len() as u64;
        }
        if newest != last_epoch {
            let message = format!("state file: the last epoch is {last_epoch}, but its newest block is of {newest}");
            return Err(RestoreError(message));
        }
        tracing::info!(last_epoch, safe_from, n_blocks, n_bytes, "state file: state read");
        crate::pipeline::crash::at(crate::pipeline::crash::Place::StateRead);
        Ok(last_epoch)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError> {
        let hook = Arc::clone(&self.hook);
        let dead_letter_bytes = self.options.dead_letter_bytes;
        self.dead_letters_removed += commit::commit(self.connection()?, epoch, dead_letter_bytes, &*hook)?;
        Ok(Committed { epoch: epoch.number })
    }

    fn recover(&mut self) -> Result<u64, CommitError> {
        // A new descriptor reads the file, not what the old one believes.
        self.connection = None;
        let last_epoch = commit::meta(self.connection()?, "last_epoch");
        last_epoch.map_err(|error| commit::not_answered(&error))
    }

    fn tidy_up(&mut self, now: Timestamp) -> Result<Removed, CommitError> {
        let hook = Arc::clone(&self.hook);
        let options = self.options.clone();
        let mut removed = retention::tidy_up(self.connection()?, &options, now, &*hook)?;
        removed.dead_letters += std::mem::take(&mut self.dead_letters_removed);
        Ok(removed)
    }

    fn on_retry(&mut self, hook: Arc<dyn Fn() + Send + Sync>) {
        self.hook = hook;
    }
}
