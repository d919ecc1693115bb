//! The `commands` table: appended to by the control room, read by position by the commands source.
//!
//! Opened beside the sink, after it (the sink creates the tables). Positions are committed with the epochs like those of
//! any source, so a command is applied exactly once; rows stay, as the record of who did what.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::model::time::Timestamp;
use crate::pipeline::command::Command;
use crate::pipeline::sink::sqlite::commit::{Fault, fault, from_sql, to_sql};
use crate::pipeline::sink::sqlite::schema::{self, OpenError};

/// A connection to the log of commands.
pub struct CommandLog {
    connection: Connection,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedCommand {
    /// Its position.
    pub position: u64,
    /// What it says, or why it could not be read.
    pub command: Result<Command, String>,
}

/// Why a command could not be written or the log not be read.
#[derive(Debug, thiserror::Error)]
pub enum CommandLogError {
    /// The store does not answer in time or has no room; the same call may succeed later.
    #[error("command log: {0}")]
    Unavailable(String),
    /// Cannot be mended by trying again.
    #[error("command log: {0}")]
    Broken(String),
}

impl CommandLogError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<rusqlite::Error> for CommandLogError {
    fn from(error: rusqlite::Error) -> Self {
        match fault(&error) {
            Fault::Busy | Fault::Transient => Self::Unavailable(error.to_string()),
            Fault::Fatal => Self::Broken(error.to_string()),
        }
    }
}

impl CommandLog {
    /// Opens the log in a state file that the sink has opened before.
    ///
    /// # Errors
    /// As for the sink; also when the file does not exist.
    pub fn open(file: &Path) -> Result<Self, OpenError> {
        schema::open_existing(file).map(|connection| Self { connection })
    }

    /// Appends a command; it is durable when this returns. Returns its position.
    ///
    /// # Errors
    /// When it could not be written; after an I/O error it may still turn up, so commands must bear being given twice.
    pub fn append(&self, command: &Command) -> Result<u64, CommandLogError> {
        let json = serde_json::to_string(command).map_err(|error| CommandLogError::Broken(error.to_string()))?;
        self.append_text(command.at, &json)
    }

    /// Appends a row whatever it says.
    pub(crate) fn append_text(&self, at: Timestamp, json: &str) -> Result<u64, CommandLogError> {
        let mut insert = self.connection.prepare_cached("INSERT INTO commands (at, json) VALUES (?1, ?2)")?;
        insert.insert(params![at.0, json]).map(from_sql).map_err(Into::into)
    }

    /// At most `limit` rows from position `next` on, in their order.
    ///
    /// # Errors
    /// When the table could not be read; a row that makes no sense is no error.
    pub fn read_from(&self, next: u64, limit: u32) -> Result<Vec<LoggedCommand>, CommandLogError> {
        let mut select = self
            .connection
            .prepare_cached("SELECT position, json FROM commands WHERE position >= ?1 ORDER BY position LIMIT ?2")?;
        let rows = select.query_map(params![to_sql(next), limit], |row| {
            let json: String = row.get(1)?;
            let command = serde_json::from_str(&json).map_err(|error| error.to_string());
            Ok(LoggedCommand { position: row.get(0).map(from_sql)?, command })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>().map_err(Into::into)
    }
}
