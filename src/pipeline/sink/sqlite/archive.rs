//! Incidents as the embedded store remembers them: read beside the running daemon, or without one.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::model::{IncidentEvent, IncidentId};
use crate::pipeline::sink::sqlite::{OpenError, open_read_only};

/// The store's table of incident events, open for reading. For one thread at a time.
#[derive(Debug)]
pub struct IncidentArchive {
    connection: Connection,
}

/// Why the archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveReadError {
    /// SQLite refuses.
    #[error("read incidents: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A row holds what this program does not understand.
    #[error("read incidents: an event of the store is not readable: {0}")]
    Json(#[from] serde_json::Error),
}

impl IncidentArchive {
    /// Opens the store's file for reading.
    ///
    /// # Errors
    /// When there is no such store, or it is not one of ours.
    pub fn open(file: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: open_read_only(file)? })
    }

    /// Every event of an incident that retention has left, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(&self, id: IncidentId) -> Result<Vec<IncidentEvent>, ArchiveReadError> {
        let sql = "SELECT json FROM incident_events WHERE incident_id = ?1 ORDER BY revision";
        self.read(sql, [id.to_string()])
    }

    /// The newest event of an incident.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest(&self, id: IncidentId) -> Result<Option<IncidentEvent>, ArchiveReadError> {
        let sql = "SELECT json FROM incident_events WHERE incident_id = ?1 ORDER BY revision DESC LIMIT 1";
        let json: Option<String> = self.connection.query_row(sql, [id.to_string()], |row| row.get(0)).optional()?;
        Ok(json.map(|json| serde_json::from_str(&json)).transpose()?)
    }

    /// The events with which the newest incidents ended, newest first, at most that many. One that fires again is among
    /// them with its earlier end: whoever knows a later revision keeps that.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest_ends(&self, limit: usize) -> Result<Vec<IncidentEvent>, ArchiveReadError> {
        let sql = "SELECT json FROM incident_events WHERE status = 'resolved' OR event = 'merged'
                   ORDER BY committed_at DESC LIMIT ?1";
        self.read(sql, [i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    /// The newest event of each of the newest incidents, newest first, at most that many. Reads the whole table: for a
    /// person who asks, not for every start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest_of_each(&self, limit: usize) -> Result<Vec<IncidentEvent>, ArchiveReadError> {
        let sql = "SELECT json FROM incident_events WHERE position IN
                       (SELECT MAX(position) FROM incident_events GROUP BY incident_id)
                   ORDER BY position DESC LIMIT ?1";
        self.read(sql, [i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    fn read(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<IncidentEvent>, ArchiveReadError> {
        let mut select = self.connection.prepare_cached(sql)?;
        let rows = select.query_map(parameters, |row: &Row<'_>| row.get::<_, String>(0))?;
        rows.map(|json| Ok(serde_json::from_str(&json?)?)).collect()
    }
}
