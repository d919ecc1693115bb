//! `tidegate incident list`: one line an incident.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use crate::cli::incident::place::{Place, Wanted};
use crate::cli::output::{self, Output};
use crate::cli::table::{self, Cell, Column};
use crate::cli::terminal::{self, excerpt};
use crate::control::config::duration;
use crate::model::time::{Clock as _, SystemClock};
use crate::model::{IncidentEvent, Matcher, Millis, Severity, Status, Timestamp};

/// Digits of an id in the table: with 10,000 incidents two share them once in twenty thousand lists.
const SHORT_ID: usize = 10;
/// Characters of a rule's name, and of a label's value, in the table.
const RULE: usize = 20;
const VALUE: usize = 60;

/// Which incidents to list.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those that stand like this.
    #[arg(long, value_parser = PossibleValuesParser::new(Status::ALL.map(Status::name)).map(|name| status(&name)))]
    status: Option<Status>,
    /// Only those whose worst severity is this or worse.
    #[arg(long, value_parser = PossibleValuesParser::new(Severity::ALL.map(Severity::name)).map(|name| severity(&name)))]
    severity: Option<Severity>,
    /// Only those whose group labels match, such as `service="db"` or `cluster=~"eu-.*"`; may be given again.
    #[arg(long, value_name = "MATCHERS", value_parser = matchers)]
    filter: Vec<String>,
    /// Only those to which something happened since: a time such as 2026-01-31T08:00:00Z, or a while ago, such as 2h.
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    since: Option<Timestamp>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Serialize)]
struct Shown<'a> {
    incidents: &'a [Arc<IncidentEvent>],
    more: bool,
}

/// Lists.
pub(super) fn run(place: &Place, args: &ListArgs, output: Output, out: &mut dyn Write) -> anyhow::Result<()> {
    let wanted = Wanted {
        status: args.status,
        severity: args.severity,
        filters: args.filter.clone(),
        since: args.since,
        id: None,
        limit: args.limit as usize,
    };
    let listing = place.list(&wanted)?;
    if output == Output::Json {
        return Ok(output::json(&Shown { incidents: &listing.incidents, more: listing.more }, out)?);
    }
    if listing.incidents.is_empty() {
        writeln!(out, "no incidents")?;
        return Ok(());
    }
    table(&listing.incidents, SystemClock.now(), terminal::width(), out)?;
    if listing.more {
        writeln!(out, "and older ones: --limit N")?;
    }
    Ok(())
}

/// The incidents that an ambiguous id may mean, with their whole ids.
pub(super) fn candidates(incidents: &[Arc<IncidentEvent>], more: bool, out: &mut dyn Write) -> io::Result<()> {
    for incident in incidents {
        let labels = excerpt(labels(incident).as_bytes(), VALUE);
        writeln!(out, "  {}  {:<8}  {labels}", incident.incident_id, incident.status.name())?;
    }
    if more { writeln!(out, "  and others") } else { Ok(()) }
}

/// One line each.
pub(super) fn table(
    incidents: &[Arc<IncidentEvent>],
    now: Timestamp,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let columns = [
        Column::Left("ID"),
        Column::Left("STATUS"),
        Column::Left("SEVERITY"),
        Column::Right("AGE"),
        Column::Right("FIRING"),
        Column::Right("ALERTS"),
        Column::Left("RULE"),
        Column::Left("LABELS"),
    ];
    let rows: Vec<[Cell; 8]> = incidents
        .iter()
        .map(|incident| {
            [
                Cell::plain(incident.incident_id.to_string().get(..SHORT_ID).unwrap_or_default()),
                Cell::painted(incident.status.name(), terminal::status_style(incident.status)),
                Cell::painted(incident.severity_max.name(), terminal::severity_style(incident.severity_max)),
                Cell::plain(span(now - incident.first_seen)),
                Cell::plain(format!("{}/{}", incident.firing, incident.members)),
                Cell::plain(incident.counts.alerts),
                Cell::plain(excerpt(incident.rule.as_bytes(), RULE)),
                Cell::plain(labels(incident)),
            ]
        })
        .collect();
    table::write(columns, &rows, "", width, out)
}

/// `cluster=eu service=db`, safe to show; an absent label is left out.
pub(super) fn labels(incident: &IncidentEvent) -> String {
    let given = incident.group_labels.iter().filter(|(_, value)| !value.is_empty());
    let pairs =
        given.map(|(name, value)| format!("{}={}", excerpt(name.as_bytes(), VALUE), excerpt(value.as_bytes(), VALUE)));
    let text = pairs.collect::<Vec<_>>().join(" ");
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A span in its two largest units: `3h12m`, `2d4h`, `41s`.
pub(super) fn span(span: Millis) -> String {
    let seconds = span.0.max(0) / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

fn status(name: &str) -> Status {
    Status::ALL.into_iter().find(|status| status.name() == name).unwrap_or(Status::Firing)
}

fn severity(name: &str) -> Severity {
    Severity::ALL.into_iter().find(|severity| severity.name() == name).unwrap_or(Severity::Unknown)
}

fn matchers(text: &str) -> Result<String, String> {
    match Matcher::parse_all(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("at byte {}: {}", error.at, error.what)),
    }
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Some(time) = Timestamp::parse(text) {
        return Ok(time);
    }
    let ago = duration::parse(text);
    ago.map(|ago| SystemClock.now() - ago)
        .map_err(|_| "must be a time such as 2026-01-31T08:00:00Z, or a duration such as 2h or 30m".to_owned())
}
