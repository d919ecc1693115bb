//! The incident log in the embedded store, looked at when the daemon has stopped: revisions must run from 1 without a
//! gap up to the one that the API showed. The API gives only the newest event of an incident, so this is not its matter.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::Row;

use crate::model::IncidentEvent;
use crate::pipeline::sink::sqlite::open_read_only;

/// The revisions of every incident.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<String, Revisions>);

#[derive(Debug, PartialEq, Eq)]
struct Revisions {
    events: u64,
    distinct: u64,
    first: u64,
    last: u64,
}

impl History {
    /// Reads the log of a store.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let store = open_read_only(file)?;
        let mut select = store.prepare(
            "SELECT incident_id, count(*), count(DISTINCT revision), min(revision), max(revision)
             FROM incident_events GROUP BY incident_id",
        )?;
        let rows = select.query_map([], revisions)?;
        rows.collect::<rusqlite::Result<_>>().map(Self).context("read the incident log")
    }

    /// Whether the log leads from revision 1 to this event, each once, and ends there.
    pub(super) fn leads_to(&self, newest: &IncidentEvent) -> bool {
        let n = newest.revision;
        let expected = Revisions { events: n, distinct: n, first: 1, last: n };
        self.0.get(&newest.incident_id.to_string()) == Some(&expected)
    }
}

fn revisions(row: &Row<'_>) -> rusqlite::Result<(String, Revisions)> {
    let number = |index: usize| row.get::<_, i64>(index).map(|number| u64::try_from(number).unwrap_or(0));
    Ok((row.get(0)?, Revisions { events: number(1)?, distinct: number(2)?, first: number(3)?, last: number(4)? }))
}
