//! One picture without a screen: text or JSON for scripts, SVG for documents.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde::Serialize;

use crate::cli::client::Client;
use crate::cli::output::{self, Output};
use crate::cli::terminal::{Lines, safe};
use crate::cli::top::draw::draw;
use crate::cli::top::feed::{self, DaemonStatus};
use crate::cli::top::figures::{bytes, count, percent, rate, seconds, span};
use crate::cli::top::numbers::Numbers;
use crate::cli::top::state::State;
use crate::cli::top::svg;
use crate::cli::top::theme::Theme;
use crate::control::busiest::GroupStanding;
use crate::control::pulse::Sample;
use crate::model::Timestamp;
use crate::pipeline::outcome::Outcome;

/// Between two looks: the first begins the watch of which the second tells.
const WATCHED: Duration = Duration::from_secs(2);
/// Cells of the picture for documents.
const PICTURE: (u16, u16) = (120, 36);

/// Everything, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    url: &'a str,
    now: Timestamp,
    status: &'a DaemonStatus,
    rates: &'a Numbers,
    sample: Option<&'a Sample>,
    /// Groups that the daemon has open or saw change.
    n_groups: usize,
    groups: Vec<&'a GroupStanding>,
}

/// Looks twice and prints what is there.
///
/// # Errors
/// When the daemon does not answer, or standard output cannot be written.
pub(super) fn print(client: &Client, mut state: State, output: Output, limit: usize) -> anyhow::Result<ExitCode> {
    look_twice(client, &mut state)?;
    let mut out = io::stdout().lock();
    let written = match output {
        Output::Json => json(&state, limit, &mut out),
        Output::Text => text(&state, limit, &mut out),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes the screen as it would look into a file.
///
/// # Errors
/// When the daemon does not answer, or the file cannot be written.
pub(super) fn picture(client: &Client, mut state: State, file: &Path) -> anyhow::Result<ExitCode> {
    look_twice(client, &mut state)?;
    let mut terminal = Terminal::new(TestBackend::new(PICTURE.0, PICTURE.1)).context("prepare the picture")?;
    let now = state.live.taken;
    terminal.draw(|frame| _ = draw(frame, &state, now, Theme::COLOURS)).context("draw")?;
    let svg = svg::render(terminal.backend().buffer());
    std::fs::write(file, svg).with_context(|| format!("write --svg {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn look_twice(client: &Client, state: &mut State) -> anyhow::Result<()> {
    feed::look(client, state.wanted(), None)?;
    std::thread::sleep(WATCHED);
    state.take(feed::look(client, state.wanted(), None)?);
    Ok(())
}

pub(super) fn json(state: &State, limit: usize, out: &mut dyn Write) -> io::Result<()> {
    let picture = state.picture();
    let shown = Shown {
        url: &state.url,
        now: picture.status.now,
        status: &picture.status,
        rates: &Numbers::read(&picture.samples),
        sample: picture.samples.last(),
        n_groups: picture.n_groups,
        groups: state.rows().into_iter().take(limit).collect(),
    };
    output::json(&shown, out)
}

pub(super) fn text(state: &State, limit: usize, out: &mut dyn Write) -> io::Result<()> {
    let picture = state.picture();
    let status = &picture.status;
    let line = |text: &str| safe(text.as_bytes(), Lines::One);
    let ready = if status.ready { "ready" } else { "not ready" };
    writeln!(
        out,
        "tidegate {} at {}: {}, {ready}, up {}, config {}",
        line(&status.version),
        line(&state.url),
        line(&status.phase),
        span(status.now - status.started_at),
        line(&status.config_hash),
    )?;
    for (word, reason) in [("trouble", &status.trouble), ("reload refused", &status.last_reload_fault)] {
        if let Some(reason) = reason {
            writeln!(out, "{word}: {}", line(reason))?;
        }
    }
    facts(&picture.samples, status, out)?;
    table(&state.rows(), limit, picture.n_groups, status.now, out)
}

fn facts(samples: &[Sample], status: &DaemonStatus, out: &mut dyn Write) -> io::Result<()> {
    let numbers = Numbers::read(samples);
    let sample = samples.last().cloned().unwrap_or_default();
    let whole: f64 = numbers.outcomes_per_second.values().sum();
    let shares = Outcome::ALL.iter().filter_map(|outcome| {
        let rate = numbers.outcomes_per_second.get(outcome.name()).copied().filter(|rate| *rate > 0.0)?;
        Some(format!("{} {}", outcome.name(), percent(rate, whole)))
    });
    let mut alerts =
        vec![format!("{}/s", rate(numbers.received_per_second)), format!("{} received", count(sample.received))];
    alerts.extend(shares);
    let clocks = status.sources.iter().map(|source| {
        let behind = if source.clock.is_some() { seconds(source.delay_seconds) } else { "-".to_owned() };
        format!("{} {behind} behind", safe(source.name.as_bytes(), Lines::One))
    });
    let mut input = vec![
        format!("lag {} records {}", count(sample.lag_records), seconds(sample.lag_seconds)),
        format!("refused {}/s", rate(numbers.refused_per_second)),
    ];
    input.extend(clocks);
    let events = format!("{} events/s", rate(numbers.incident_events_per_second));
    let lines = [
        ("alerts", alerts),
        ("incidents", vec![format!("{} open", count(sample.open_incidents)), events]),
        (
            "state",
            vec![
                format!("{} windows", count(sample.open_windows)),
                format!("{} fingerprints", count(sample.fingerprints)),
                format!("{} held", count(sample.held)),
                format!("memory {}", bytes(sample.resident_bytes)),
                format!("cpu {:.0}%", numbers.cpu_percent),
            ],
        ),
        ("input", input),
        (
            "epochs",
            vec![
                format!("{}/s", rate(numbers.epochs_per_second)),
                format!("commit {}", numbers.commit_seconds.map_or("-".to_owned(), seconds)),
                format!("{} troubled", count(sample.epochs_troubled)),
                format!("{} queued", count(sample.queued)),
                format!("blocked {:.0}%", numbers.blocked_percent),
                format!("{} dead letters", count(sample.dead_letters)),
            ],
        ),
    ];
    lines.iter().try_for_each(|(name, facts)| writeln!(out, "{name:<10}{}", facts.join(", ")))
}

fn table(
    rows: &[&GroupStanding],
    limit: usize,
    n_groups: usize,
    now: Timestamp,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "\ngroups: {} of {n_groups}", rows.len().min(limit))?;
    if rows.is_empty() {
        return Ok(());
    }
    let widths = [8, 8, 9, 11, 8, 7, 7];
    let cells = |cells: [&str; 7], group: &str, out: &mut dyn Write| {
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if at < 2 { write!(out, "{cell:<width$} ")? } else { write!(out, "{cell:>width$} ")? }
        }
        writeln!(out, " {group}")
    };
    cells(["STATUS", "SEVERITY", "ALERTS/S", "ALERTS", "MEMBERS", "FIRING", "AGE"], "GROUP", out)?;
    for group in rows.iter().take(limit) {
        let labels = group.group_labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        let named = format!("{} {}", group.rule, labels.join(" "));
        cells(
            [
                group.status.name(),
                group.severity_max.name(),
                &rate(group.alerts_per_second),
                &count(group.alerts as f64),
                &count(group.members as f64),
                &count(group.firing as f64),
                &span(now - group.first_seen),
            ],
            &safe(named.as_bytes(), Lines::One),
            out,
        )?;
    }
    Ok(())
}
