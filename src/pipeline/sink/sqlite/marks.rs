//! The marks of dead letters that were put in again: written by the command line beside the running daemon.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::model::time::Timestamp;
use crate::pipeline::sink::sqlite::commit::to_sql;
use crate::pipeline::sink::sqlite::schema::{self, OpenError};

/// A connection that marks letters.
pub struct DeadLetterMarks {
    connection: Connection,
}

/// Why a mark could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mark the dead letter: {0}")]
pub struct MarkError(pub String);

impl DeadLetterMarks {
    /// Opens a state file that a daemon has created.
    ///
    /// # Errors
    /// As for the sink; also when the file does not exist.
    pub fn open(file: &Path) -> Result<Self, OpenError> {
        schema::open_existing(file).map(|connection| Self { connection })
    }

    /// Notes when and where to a letter was put in again; durable when this returns. `false`: retention has taken it away.
    ///
    /// # Errors
    /// When the store does not answer in time or has no room.
    pub fn mark(&self, id: u64, at: Timestamp, to: &str) -> Result<bool, MarkError> {
        let sql = "UPDATE dead_letters SET requeued_at = ?2, requeued_to = ?3 WHERE id = ?1";
        let marked = self.connection.execute(sql, params![to_sql(id), at.0, to]);
        marked.map(|n_rows| n_rows > 0).map_err(|error| MarkError(error.to_string()))
    }
}
