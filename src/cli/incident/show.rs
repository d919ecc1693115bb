//! `tidegate incident show`: everything about one incident, on a sheet.

use std::io::{self, Write};

use anstyle::Style;
use serde::Serialize;

use crate::cli::incident::list::{labels, span};
use crate::cli::output::{self, Output};
use crate::cli::table::{self, Cell, Column};
use crate::cli::terminal::{self, Lines, excerpt, safe};
use crate::control::history::{Step, Steps};
use crate::model::incident::{LinkKind, Sample};
use crate::model::time::{Clock as _, SystemClock};
use crate::model::{IncidentEvent, Severity, Status, Timestamp};

/// Characters of one label, annotation or link: whole in nearly every case, and never a screen full.
const TEXT: usize = 1_000;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

#[derive(Serialize)]
struct Shown<'a> {
    incident: &'a IncidentEvent,
    #[serde(flatten)]
    steps: &'a Steps,
}

/// Writes the sheet, or its JSON: the newest event, and the steps with whether they are all.
pub(super) fn write(incident: &IncidentEvent, steps: &Steps, output: Output, out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Json => output::json(&Shown { incident, steps }, out),
        Output::Text => sheet(incident, steps, SystemClock.now(), terminal::width(), out),
    }
}

/// The sheet as of `now`.
pub(super) fn sheet(
    incident: &IncidentEvent,
    steps: &Steps,
    now: Timestamp,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    head(incident, now, out)?;
    timeline(steps, width, out)?;
    samples(incident, out)
}

fn head(incident: &IncidentEvent, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let ago = |at: Timestamp| format!("{at} ({} ago)", span(now - at));
    let (status, severity) = (incident.status, incident.severity_max);
    let status_style = terminal::status_style(status);
    let severity_style = terminal::severity_style(severity);
    field("incident", incident.incident_id, out)?;
    field("status", format_args!("{status_style}{}{status_style:#}", status.name()), out)?;
    if let Some(by) = &incident.resolved_by {
        field("resolved by", excerpt(by.as_bytes(), TEXT), out)?;
    }
    field("severity", format_args!("{severity_style}{}{severity_style:#}", severity.name()), out)?;
    field("labels", labels(incident), out)?;
    field("rule", excerpt(incident.rule.as_bytes(), TEXT), out)?;
    field("window", if incident.window_closed { "closed to new members" } else { "open" }, out)?;
    field("first seen", ago(incident.first_seen), out)?;
    field("last seen", ago(incident.last_seen), out)?;
    field("members", format_args!("{}, of which {} fire", incident.members, incident.firing), out)?;
    let counts = &incident.counts;
    let by_status = Status::ALL.iter().zip(counts.status).map(|(status, count)| (status.name(), count));
    let by_severity = Severity::ALL.iter().zip(counts.severity).rev().map(|(severity, count)| (severity.name(), count));
    field("alerts", format_args!("{}: {}", counts.alerts, counted(by_status)), out)?;
    field("by severity", counted(by_severity), out)?;
    for link in &incident.links {
        let name = match link.kind {
            LinkKind::Predecessor => "predecessor",
        };
        field(name, link.incident_id, out)?;
    }
    Ok(())
}

fn field(name: &str, value: impl std::fmt::Display, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{BOLD}{name:<12}{BOLD:#}{value}")
}

/// `3 critical, 1231 warning`; what there is none of is left out.
fn counted(counts: impl Iterator<Item = (&'static str, u64)>) -> String {
    let present: Vec<String> =
        counts.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    if present.is_empty() { "-".to_owned() } else { present.join(", ") }
}

fn timeline(steps: &Steps, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{BOLD}What happened{BOLD:#}")?;
    if !steps.complete {
        writeln!(out, "{DIM}  earlier steps are not remembered any more{DIM:#}")?;
    }
    let columns = [
        Column::Right("#"),
        Column::Left("WHEN"),
        Column::Left("WHAT"),
        Column::Left("SEVERITY"),
        Column::Right("FIRING"),
        Column::Right("ALERTS"),
        Column::Left("WHY"),
    ];
    let rows: Vec<[Cell; 7]> = steps.steps.iter().map(step).collect();
    table::write(columns, &rows, "  ", width, out)
}

fn step(step: &Step) -> [Cell; 7] {
    let why = match &step.resolved_by {
        Some(by) => format!("{}: {}", step.reason.words(), excerpt(by.as_bytes(), TEXT)),
        None => step.reason.words().to_owned(),
    };
    [
        Cell::plain(step.revision),
        Cell::plain(step.record_time),
        Cell::painted(step.event.name(), terminal::status_style(step.status)),
        Cell::painted(step.severity_max.name(), terminal::severity_style(step.severity_max)),
        Cell::plain(format!("{}/{}", step.firing, step.members)),
        Cell::plain(step.alerts),
        Cell::plain(why),
    ]
}

fn samples(incident: &IncidentEvent, out: &mut dyn Write) -> io::Result<()> {
    let (shown, members) = (incident.samples.len(), incident.members);
    let which = if shown as u64 == members { "all" } else { "the first" };
    writeln!(out, "\n{BOLD}Alerts{BOLD:#} {DIM}({which} {shown} of {members} members){DIM:#}")?;
    incident.samples.iter().try_for_each(|one| sample(one, out))
}

fn sample(sample: &Sample, out: &mut dyn Write) -> io::Result<()> {
    let style = terminal::severity_style(sample.severity);
    let labels = sample.labels.iter().map(|(name, value)| pair(name, value)).collect::<Vec<_>>().join(" ");
    writeln!(out, "  {style}{}{style:#} {labels}", sample.severity.name())?;
    let began = sample.starts_at.map(|at| format!(", began {at}")).unwrap_or_default();
    writeln!(out, "    {DIM}first seen {}{began}, fingerprint {}{DIM:#}", sample.first_seen, sample.fingerprint)?;
    for (name, text) in &sample.annotations {
        let text = safe(text.as_bytes(), Lines::Many).replace('\t', " ");
        let text: String = text.chars().take(TEXT).collect();
        writeln!(out, "    {}: {}", excerpt(name.as_bytes(), TEXT), text.trim_end().replace('\n', "\n      "))?;
    }
    match &sample.generator_url {
        Some(url) => writeln!(out, "    link: {}", excerpt(url.as_bytes(), TEXT)),
        None => Ok(()),
    }
}

fn pair(name: &str, value: &str) -> String {
    format!("{}={}", excerpt(name.as_bytes(), TEXT), excerpt(value.as_bytes(), TEXT))
}
