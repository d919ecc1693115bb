//! One group in full: labels, counts, the steps of its incident, its first alerts.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

use crate::cli::terminal::{Lines, excerpt, safe};
use crate::cli::top::feed::Detail;
use crate::cli::top::figures::{clock, count, rate, span};
use crate::cli::top::state::{Drawn, Opened};
use crate::cli::top::theme::{Theme, mark};
use crate::control::busiest::{GroupStanding, GroupStatus};
use crate::control::history::Step;
use crate::model::incident::Sample;
use crate::model::{IncidentEvent, Severity, Timestamp};

/// Steps shown, the newest ones.
const STEPS_MAX: usize = 30;
/// Characters of a label's value or an annotation.
const TEXT_MAX: usize = 4_096;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, opened: &Opened, now: Timestamp, theme: Theme) -> Drawn {
    let group = &opened.group;
    let id = group.incident_id.map_or("no incident yet".to_owned(), |id| format!("incident {id}"));
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.dim())
        .title_top(Line::from(vec![
            Span::styled(format!(" {} ", mark(group.status)), theme.status(group.status)),
            Span::styled(format!("{} ", group.status.name()), theme.title()),
            Span::styled(format!("{} ", group.severity_max.name()), theme.severity(group.severity_max)),
        ]))
        .title_top(Line::from(Span::styled(format!(" {id} "), theme.label())).right_aligned());
    let inner = block.inner(area);
    let lines = lines(opened, now, usize::from(inner.width), theme);
    let page = usize::from(inner.height);
    let scroll_max = lines.len().saturating_sub(page);
    let first = opened.scroll.min(scroll_max);
    let block = if scroll_max > 0 {
        let place = format!(" {}-{} of {} ", first + 1, (first + page).min(lines.len()), lines.len());
        block.title_bottom(Line::from(Span::styled(place, theme.label())).right_aligned())
    } else {
        block
    };
    let shown: Vec<Line<'_>> = lines.into_iter().skip(first).take(page).collect();
    frame.render_widget(Paragraph::new(shown).block(block), area);
    Drawn { page, scroll_max }
}

fn lines(opened: &Opened, now: Timestamp, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let group = &opened.group;
    let mut lines = vec![heading("group", theme)];
    lines.extend(pair("rule", &group.rule, Style::new(), width, theme));
    for (name, value) in &group.group_labels {
        lines.extend(pair(name, value, Style::new(), width, theme));
    }
    lines.extend([Line::default(), heading("counts", theme)]);
    let event = opened.incident.as_ref().and_then(|detail| detail.event.as_ref());
    lines.extend(counts(group, event, now, width, theme));
    match (&opened.incident, group.incident_id) {
        (_, None) => {
            lines.extend(note("It is below its threshold: there is no incident before that is reached.", theme))
        }
        (None, Some(_)) => lines.extend(note("The steps of its incident are being asked for.", theme)),
        (Some(detail), Some(_)) => incident(&mut lines, detail, group.status, now, width, theme),
    }
    lines
}

fn incident(
    lines: &mut Vec<Line<'static>>,
    detail: &Detail,
    status: GroupStatus,
    now: Timestamp,
    width: usize,
    theme: Theme,
) {
    let Some(event) = &detail.event else {
        let text = match status {
            GroupStatus::Waiting => "Its incident is not announced yet: it waits for companions.",
            _ => "The daemon does not know its incident any more.",
        };
        return lines.extend(note(text, theme));
    };
    let steps = &detail.steps.steps;
    let title = match (detail.steps.complete, steps.len()) {
        (true, n) if n <= STEPS_MAX => "steps, newest first".to_owned(),
        _ => "the last steps, newest first".to_owned(),
    };
    lines.extend([Line::default(), heading(&title, theme), steps_header(theme)]);
    lines.extend(steps.iter().rev().take(STEPS_MAX).map(|step| step_line(step, now, theme)));
    lines.extend([Line::default(), heading("its first alerts", theme)]);
    for sample in &event.samples {
        lines.extend(sample_lines(sample, now, width, theme));
    }
}

fn heading(text: &str, theme: Theme) -> Line<'static> {
    Line::from(Span::styled(format!(" {text}"), theme.bold().patch(theme.accent())))
}

fn note(text: &str, theme: Theme) -> [Line<'static>; 2] {
    [Line::default(), Line::from(Span::styled(format!("   {text}"), theme.label()))]
}

/// A name and a text of unknown origin, folded into as many lines as it needs.
fn pair(name: &str, text: &str, style: Style, width: usize, theme: Theme) -> Vec<Line<'static>> {
    const NAME: usize = 18;
    let name = excerpt(name.as_bytes(), NAME);
    let text = excerpt(text.as_bytes(), TEXT_MAX);
    let folded = fold(&text, width.saturating_sub(NAME + 5));
    let line = |(row, part): (usize, String)| {
        let name = if row == 0 { name.as_str() } else { "" };
        Line::from(vec![Span::styled(format!("   {name:<NAME$} "), theme.label()), Span::styled(part, style)])
    };
    folded.into_iter().enumerate().map(line).collect()
}

/// Cuts a safe text into parts of that many cells, between words where there are any.
fn fold(text: &str, width: usize) -> Vec<String> {
    let cells = |text: &str| Span::raw(text.to_owned()).width();
    let mut parts = Vec::new();
    let (mut part, mut used) = (String::new(), 0);
    for character in text.chars() {
        let size = cells(character.encode_utf8(&mut [0; 4]));
        if used + size > width.max(2) {
            // What stands behind the last space begins the next part, unless that would be the whole part.
            let word = part.rfind(' ').map_or(String::new(), |at| part.split_off(at + 1));
            parts.push(std::mem::replace(&mut part, word));
            used = cells(&part);
        }
        used += size;
        part.push(character);
    }
    parts.push(part);
    parts
}

fn counts(
    group: &GroupStanding,
    event: Option<&IncidentEvent>,
    now: Timestamp,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let plain = Style::new();
    let mut lines = Vec::new();
    let alerts = format!("{}, {} a second", count(group.alerts as f64), rate(group.alerts_per_second));
    lines.extend(pair("alerts", &alerts, theme.bold(), width, theme));
    let members = format!("{}, {} of them fire", count(group.members as f64), count(group.firing as f64));
    lines.extend(pair("members", &members, plain, width, theme));
    let (first, last) = (clock(group.first_seen, now), clock(group.last_seen, now));
    let seen = format!("{first} to {last} UTC, {}", span(group.last_seen - group.first_seen));
    lines.extend(pair("seen", &seen, plain, width, theme));
    let Some(event) = event else { return lines };
    let by_severity = Severity::ALL.iter().zip(event.counts.severity).rev().filter(|(_, n)| *n > 0);
    let by_severity: Vec<String> = by_severity.map(|(name, n)| format!("{name} {}", count(n as f64))).collect();
    let [firing, resolved] = event.counts.status.map(|n| count(n as f64));
    let told = format!("{}; {firing} firing, {resolved} resolved", by_severity.join(", "));
    lines.extend(pair("of these", &format!("{told} (as of its last event)"), plain, width, theme));
    if let Some(by) = &event.resolved_by {
        lines.extend(pair("resolved by", by, plain, width, theme));
    }
    for link in &event.links {
        lines.extend(pair("after incident", &link.incident_id.to_string(), plain, width, theme));
    }
    lines
}

fn steps_header(theme: Theme) -> Line<'static> {
    let text = format!(
        "   {:>4}  {:<8}  {:<9} {:<16} {:>9} {:>8} {:>7}",
        "", "time", "event", "reason", "alerts", "members", "firing"
    );
    Line::from(Span::styled(text, theme.label()))
}

fn step_line(step: &Step, now: Timestamp, theme: Theme) -> Line<'static> {
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(|word| word.replace('_', " "))).unwrap_or_default()
    };
    let (event, reason) = (step.event.name(), word(serde_json::to_value(step.reason)));
    let by = step.resolved_by.as_ref().map_or(String::new(), |by| format!("  by {}", excerpt(by.as_bytes(), 30)));
    let style = match event {
        "opened" | "reopened" => theme.severity(step.severity_max),
        "resolved" => theme.good(),
        _ => Style::new(),
    };
    Line::from(vec![
        Span::styled(format!("   {:>4}  ", step.revision), theme.label()),
        Span::raw(format!("{:<8}  ", clock(step.committed_at, now))),
        Span::styled(format!("{event:<9} "), style),
        Span::raw(format!(
            "{reason:<16} {:>9} {:>8} {:>7}{by}",
            count(step.alerts as f64),
            count(step.members as f64),
            count(step.firing as f64)
        )),
    ])
}

fn sample_lines(sample: &Sample, now: Timestamp, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let labels = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let labels = safe(labels.as_bytes(), Lines::One);
    let head = format!("{} {}", clock(sample.first_seen, now), sample.severity.name());
    let mut lines = pair(&head, &labels, Style::new(), width, theme);
    for (name, value) in &sample.annotations {
        lines.extend(pair(name, value, theme.label(), width, theme));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_folded_by_cells() {
        assert_eq!(fold("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(fold("日本語", 4), ["日本", "語"]);
        assert_eq!(fold("", 4), [""]);
        assert_eq!(fold("one two three", 9), ["one two ", "three"]);
        assert_eq!(fold("ab", 0), ["ab"]);
    }
}
