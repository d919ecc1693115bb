//! What every page shows of the daemon itself: whether it takes alerts and how far its sources are; and the numbers of the
//! last minutes with the sum that must add up.

use std::sync::Arc;

use askama::Template;

use crate::control::pages::part::Part;
use crate::control::pages::plot::{Plot, Shape, peaks, rates};
use crate::control::pages::words::{Mark, decimal, number, shown, span};
use crate::control::pulse::{SAMPLES_MAX, Sample};
use crate::control::routes::Control;
use crate::control::status::{Phase, Status};
use crate::model::time::Millis;
use crate::model::{Severity, Timestamp};
use crate::pipeline::outcome::Outcome;

/// A source that is at most this far behind is called live; the engine's own measure of having caught up.
const CAUGHT_UP: f64 = 5.0;
/// The log of what people command is a source too, but none of alerts.
const COMMAND_LOG: &str = "commands";
/// Values in a plot.
const COLUMNS: usize = 90;
/// The newest samples that make "now".
const NOW_SAMPLES: usize = 10;
/// Longest text of a trouble or a fault.
const TEXT_MAX: usize = 2_000;

#[derive(Template)]
#[template(path = "status.html", config = "src/control/pages/askama.toml")]
struct StatusView {
    state: &'static str,
    word: &'static str,
    trouble: Option<String>,
    reload_fault: Option<String>,
    sources: Vec<SourceView>,
    catching_up: Vec<String>,
}

struct SourceView {
    name: String,
    delay: String,
    is_behind: bool,
}

#[derive(Template)]
#[template(path = "numbers.html", config = "src/control/pages/askama.toml")]
struct NumbersView {
    range: String,
    open: String,
    open_by_severity: Vec<(Mark, String)>,
    received: Tile,
    opened: Tile,
    behind: Tile,
    law: Option<Law>,
}

struct Tile {
    value: String,
    note: String,
    plot: Plot,
}

struct Law {
    received: String,
    terms: Vec<(&'static str, String)>,
    adds_up: bool,
}

/// Whether the daemon takes alerts, and how far its sources are.
pub(crate) fn status(control: &Control) -> Part {
    let status = control.board.read();
    let view = StatusView::of(&status);
    let sources = view.sources.iter().map(|source| format!("{}={}", source.name, source.delay));
    let key =
        format!("{} {:?} {:?} {}", view.word, view.trouble, view.reload_fault, sources.collect::<Vec<_>>().join(" "));
    Part::new("status", key, &view)
}

/// The numbers of the last minutes.
pub(crate) fn numbers(control: &Control) -> Part {
    let samples = control.pulse.last(SAMPLES_MAX);
    let by_severity = control.index.open_by_severity();
    let at = samples.last().map_or(0, |sample| sample.at.0);
    let key = format!("{at} {by_severity:?}");
    Part::new("numbers", key, &NumbersView::of(&samples, by_severity, control.clock.now()))
}

impl StatusView {
    fn of(status: &Arc<Status>) -> Self {
        let (state, word) = match status.phase {
            Phase::Running if status.trouble.is_some() => ("bad", "in trouble"),
            Phase::Running => ("good", "running"),
            phase => ("wait", phase.name()),
        };
        let alerts = status.sources.iter().filter(|source| source.name != COMMAND_LOG);
        let sources: Vec<SourceView> = alerts
            .map(|source| {
                let is_behind = source.delay_seconds > CAUGHT_UP;
                let delay = match source.clock {
                    None => "nothing read yet".to_owned(),
                    // Steady words: a source that is live does not flicker between 0 and 1 second.
                    Some(_) if !is_behind => "live".to_owned(),
                    Some(_) => format!("{} behind", span(Millis((source.delay_seconds * 1_000.0) as i64))),
                };
                SourceView { name: shown(&source.name, 60), delay, is_behind }
            })
            .collect();
        let catching_up = sources.iter().filter(|source| source.is_behind);
        Self {
            state,
            word,
            trouble: status.trouble.as_deref().map(|text| shown(text, TEXT_MAX)),
            reload_fault: status.last_reload_fault.as_deref().map(|text| shown(text, TEXT_MAX)),
            catching_up: catching_up.map(|source| format!("{} is {}", source.name, source.delay)).collect(),
            sources,
        }
    }
}

impl NumbersView {
    fn of(samples: &[Sample], open: [usize; 6], now: Timestamp) -> Self {
        let first_at = samples.first().map_or(now, |sample| sample.at);
        let last_at = samples.last().map_or(now, |sample| sample.at);
        // A daemon that has just started has no past to speak of.
        let range = if samples.len() < 3 { "the last seconds".to_owned() } else { span(last_at - first_at) };
        let open_by_severity = Severity::ALL.into_iter().zip(open).rev().filter(|(_, n)| *n > 0);
        Self {
            open: number(open.iter().sum::<usize>() as u64),
            open_by_severity: open_by_severity.map(|(severity, n)| (Mark(severity), number(n as u64))).collect(),
            received: received(samples, &range),
            opened: opened(samples, &range),
            behind: behind(samples, &range),
            law: samples.last().map(Law::of),
            range,
        }
    }
}

impl Law {
    fn of(sample: &Sample) -> Self {
        let outcome = |outcome: Outcome| sample.outcomes.get(outcome.name()).copied().unwrap_or(0.0);
        let mut terms: Vec<(&'static str, f64)> =
            Outcome::ALL.into_iter().map(|kind| (kind.name(), outcome(kind))).collect();
        terms.push(("held", sample.held));
        let sum: f64 = terms.iter().map(|(_, n)| n).sum();
        Self {
            received: number(sample.received as u64),
            adds_up: sum == sample.received,
            terms: terms.into_iter().map(|(name, n)| (name, number(n as u64))).collect(),
        }
    }
}

fn seconds(sample: &Sample) -> f64 {
    sample.at.0 as f64 / 1_000.0
}

fn series(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    samples.iter().map(|sample| (seconds(sample), value(sample))).collect()
}

/// What a total grew by per second over the newest samples.
fn rate_now(totals: &[(f64, f64)]) -> f64 {
    let newest = totals.get(totals.len().saturating_sub(NOW_SAMPLES)..).unwrap_or_default();
    match (newest.first(), newest.last()) {
        (Some(first), Some(last)) if last.0 > first.0 => ((last.1 - first.1) / (last.0 - first.0)).max(0.0),
        _ => 0.0,
    }
}

/// A delay in seconds; what a look every tenth of a second makes of nothing is nothing.
fn delay(seconds: f64) -> String {
    if seconds < 0.5 { "0".to_owned() } else { decimal(seconds) }
}

fn growth(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    match (samples.first(), samples.last()) {
        (Some(first), Some(last)) => (value(last) - value(first)).max(0.0),
        _ => 0.0,
    }
}

fn largest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

fn received(samples: &[Sample], range: &str) -> Tile {
    let totals = series(samples, |sample| sample.received);
    let points = rates(&totals, COLUMNS);
    let now = decimal(rate_now(&totals));
    let folded = growth(samples, |sample| sample.outcomes.get("folded").copied().unwrap_or(0.0));
    let all = growth(samples, |sample| sample.received);
    let peak = decimal(largest(&points));
    let note = if all > 0.0 {
        format!("peak {peak}/s, {:.1} % were repeats", folded / all * 100.0)
    } else {
        format!("none in {range}")
    };
    let label = format!("Alerts received per second over {range}: now {now}, at most {peak}");
    Tile { value: now, note, plot: Plot::new(&points, Shape::Line, 1.0, label) }
}

fn opened(samples: &[Sample], range: &str) -> Tile {
    let event = |sample: &Sample, name: &str| sample.events.get(name).copied().unwrap_or(0.0);
    let totals = series(samples, |sample| event(sample, "opened") + event(sample, "reopened"));
    let points: Vec<(f64, f64)> = rates(&totals, COLUMNS).into_iter().map(|(at, rate)| (at, rate * 60.0)).collect();
    let opened = growth(samples, |sample| event(sample, "opened") + event(sample, "reopened"));
    let alerts = growth(samples, |sample| sample.received);
    let value = number(opened as u64);
    let note = if opened > 0.0 { format!("1 for {} alerts", decimal(alerts / opened)) } else { "none".to_owned() };
    let label = format!(
        "Incidents opened per minute over {range}: {value} in all, at most {} a minute",
        decimal(largest(&points))
    );
    Tile { value, note, plot: Plot::new(&points, Shape::Line, 1.0, label) }
}

fn behind(samples: &[Sample], range: &str) -> Tile {
    let delays = series(samples, |sample| sample.clock_delay_seconds.max(sample.lag_seconds));
    let points = peaks(&delays, COLUMNS);
    let newest = samples.last().map_or(0.0, |sample| sample.clock_delay_seconds.max(sample.lag_seconds));
    let records = samples.last().map_or(0.0, |sample| sample.lag_records);
    let note = match records {
        records if records > 0.0 => format!("{} records unread", number(records as u64)),
        _ => format!("at most {} s in {range}", delay(largest(&points))),
    };
    let label = format!("Seconds behind over {range}: now {}, at most {}", delay(newest), delay(largest(&points)));
    Tile { value: delay(newest), note, plot: Plot::new(&points, Shape::Line, CAUGHT_UP, label) }
}
