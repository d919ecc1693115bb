//! `tidegate incident resolve`: a person's word that an incident is over, and the wait until the daemon has acted on it.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::incident::place::newest_of_daemon;
use crate::cli::output::{self, Output};
use crate::cli::terminal::{Lines, safe};
use crate::model::time::Stopwatch;
use crate::model::{IncidentEvent, IncidentId, Status};

/// A command is in force with one of the next epochs, some tenths of a second later; a store in trouble takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of the word.
#[derive(Debug, Serialize)]
pub(super) struct Resolved {
    incident_id: IncidentId,
    by: String,
    /// Position in the command log.
    command: u64,
    /// Whether the daemon was seen to have acted on it.
    resolved: bool,
}

#[derive(Deserialize)]
struct Accepted {
    command: u64,
}

/// Gives the word; with `wait`, until it is in force.
pub(super) fn run(client: &Client, incident: &IncidentEvent, by: &str, wait: bool) -> anyhow::Result<Resolved> {
    let id = incident.incident_id;
    let body = json!({ "by": by }).to_string().into_bytes();
    let accepted: Accepted = client.post(&format!("/api/v1/incidents/{id}/resolve"), "application/json", body)?;
    let mut resolved = Resolved { incident_id: id, by: by.to_owned(), command: accepted.command, resolved: false };
    let watch = Stopwatch::start();
    while wait && !resolved.resolved {
        if watch.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            bail!("{id}: the command is written, but after {seconds} s the incident still fires; see the daemon's log");
        }
        let newest = newest_of_daemon(client, id)?;
        // One that fires again by now was resolved meanwhile: its revisions tell.
        resolved.resolved =
            newest.is_none_or(|newest| newest.status == Status::Resolved || newest.resolved_by.as_deref() == Some(by));
        if !resolved.resolved {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(resolved)
}

/// Tells it.
pub(super) fn write(
    incident: &IncidentEvent,
    resolved: &Resolved,
    output: Output,
    out: &mut dyn Write,
) -> io::Result<()> {
    if output == Output::Json {
        return output::json(resolved, out);
    }
    let (id, by) = (incident.incident_id, safe(resolved.by.as_bytes(), Lines::One));
    if resolved.resolved {
        writeln!(out, "{id}: resolved by {by}")
    } else {
        writeln!(out, "{id}: the word of {by} is written; the incident is resolved with one of the next epochs")
    }
}
