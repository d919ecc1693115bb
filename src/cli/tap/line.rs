//! A line of the daemon, read and shown. Nothing of it reaches the terminal unescaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use ratatui::text::Span;
use serde::Deserialize;

use crate::cli::terminal::{Lines, safe};

/// A line that is not cut is at most this wide: a record of 2 KiB whose bytes are all escaped.
const WIDTH_MAX: usize = 16 << 10;

/// What the daemon says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line {
    /// Something passed.
    Sample(Box<Shown>),
    /// The stream lives.
    Beat(Count),
    /// Nothing more comes.
    End(End),
}

/// What was not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Count {
    pub(super) over_rate: u64,
    pub(super) dropped: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct End {
    pub(super) reason: String,
    #[serde(flatten)]
    pub(super) count: Count,
}

/// A sample of any stage: what a stage does not have is absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    stage: String,
    at: String,
    decision: String,
    reason: String,
    source: String,
    partition: String,
    position: Option<u64>,
    index: Option<u32>,
    format: String,
    bytes: Option<u64>,
    text: String,
    status: String,
    severity: String,
    rule: String,
    alerts: Option<u64>,
    members: Option<u64>,
    firing: Option<u64>,
    revision: Option<u64>,
    incident_id: String,
    group_labels: BTreeMap<String, String>,
    labels: Option<BTreeMap<String, String>>,
}

impl Line {
    pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }
}

/// How wide a line may be: the terminal, or no bound that matters.
pub(super) fn width(is_terminal: bool) -> usize {
    let columns = is_terminal.then(|| ratatui::crossterm::terminal::size().ok()).flatten();
    columns.map_or(WIDTH_MAX, |(columns, _)| usize::from(columns).max(40))
}

/// A line of the daemon as it came, but for characters that could steer a terminal: those as JSON escapes, so that it
/// stays the same JSON.
pub(super) fn json_line(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).trim_end().chars() {
        let mut buffer = [0; 4];
        let text = character.encode_utf8(&mut buffer);
        if safe(text.as_bytes(), Lines::One) == *text {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}"); // Writing to a `String` cannot fail.
            }
        }
    }
    out.push('\n');
    out
}

/// A sample as one coloured line of that width: time, stage, decision, reason, where, what.
pub(super) fn text_line(sample: &Shown, width: usize) -> String {
    let decision = if sample.decision.is_empty() { "taken" } else { &sample.decision };
    let reason = if sample.reason.is_empty() { "-" } else { &sample.reason };
    let time = sample.at.get(11..23).unwrap_or(&sample.at);
    let head = clean(&format!("{time} {:<8} ", sample.stage));
    let word = clean(&format!("{decision:<8}"));
    let rest = clean(&format!(" {reason:<15} {}", what(sample)));
    let style = style_of(decision);
    let mut room = width;
    let [head, word, rest] = [head, word, rest].map(|text| fit(text, &mut room));
    format!("{head}{style}{word}{style:#}{rest}")
}

fn clean(text: &str) -> String {
    safe(text.as_bytes(), Lines::One)
}

/// Cuts a text to the room that is left on the line, with `…` at the end.
fn fit(text: String, room: &mut usize) -> String {
    let wide = Span::raw(text.as_str()).width();
    if wide <= *room {
        *room -= wide;
        return text;
    }
    let mut cut = String::new();
    let mut left = std::mem::take(room);
    for character in text.chars() {
        let mut buffer = [0; 4];
        let wide = Span::raw(&*character.encode_utf8(&mut buffer)).width();
        if left <= wide {
            break;
        }
        left -= wide;
        cut.push(character);
    }
    if left > 0 { cut + "…" } else { cut }
}

/// Where it belongs and what it says, by stage.
fn what(sample: &Shown) -> String {
    let number = |number: Option<u64>| number.unwrap_or_default();
    match sample.stage.as_str() {
        "record" => format!("{} {} {} B  {}", place(sample), sample.format, number(sample.bytes), sample.text),
        "decode" if sample.labels.is_none() => format!("{}  {}", place(sample), sample.text),
        "decode" => format!("{} {} {}  {}", place(sample), sample.status, sample.severity, labels_of(sample)),
        "incident" => format!(
            "{} {} #{} r{} {} {} of {} firing, {} alerts",
            sample.rule,
            pairs(&sample.group_labels),
            short(&sample.incident_id),
            number(sample.revision),
            sample.severity,
            number(sample.firing),
            number(sample.members),
            number(sample.alerts)
        ),
        _ => {
            let times = sample.alerts.filter(|alerts| *alerts > 1).map(|alerts| format!(" ×{alerts}"));
            let id = if sample.incident_id.is_empty() { "-" } else { short(&sample.incident_id) };
            format!("{} #{id}{} {}", sample.rule, times.unwrap_or_default(), labels_of(sample))
        }
    }
}

/// `kafka alerts/3@17[2]`.
fn place(sample: &Shown) -> String {
    let mut place = sample.source.clone();
    if !sample.partition.is_empty() {
        let _ = write!(place, " {}", sample.partition); // Writing to a `String` cannot fail.
    }
    if let Some(position) = sample.position {
        let _ = write!(place, "@{position}");
    }
    if let Some(index) = sample.index {
        let _ = write!(place, "[{index}]");
    }
    place
}

/// The labels of the alert; of its group where those of the alert are gone.
fn labels_of(sample: &Shown) -> String {
    pairs(sample.labels.as_ref().unwrap_or(&sample.group_labels))
}

/// As matchers are written, so that what is seen can be copied into a filter.
fn pairs(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Enough of an incident's id to tell it from its neighbours.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
}

fn style_of(decision: &str) -> Style {
    match decision {
        "opened" | "reopened" => colour(AnsiColor::Red).bold(),
        "joined" | "updated" | "merged" => colour(AnsiColor::Yellow),
        "resolved" => colour(AnsiColor::Green),
        "reject" => colour(AnsiColor::Magenta),
        "held" | "suppressed" => colour(AnsiColor::Cyan),
        "folded" => Style::new().dimmed(),
        _ => Style::new(),
    }
}
