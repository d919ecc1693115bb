//! The busiest groups.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use crate::cli::terminal::{Lines, excerpt, safe};
use crate::cli::top::draw::WIDE;
use crate::cli::top::figures::{count, rate, span};
use crate::cli::top::state::{Drawn, State};
use crate::cli::top::theme::{Theme, mark};
use crate::control::api::groups::Sort;
use crate::control::busiest::GroupStanding;
use crate::model::Timestamp;

/// Characters of the labels that are looked at; the rest is in the detail.
const LABELS_MAX: usize = 200;
/// Characters of a rule's name.
const RULE_WIDTH: u16 = 14;
/// Cells of the bar that compares rates.
const BAR_WIDTH: u16 = 10;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: Theme) -> Drawn {
    let rows = state.rows();
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(theme.dim())
        .title_top(title(state, theme))
        .title_top(tally(state, rows.len(), theme).right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let page = usize::from(inner.height.saturating_sub(1));
    if rows.is_empty() {
        let text = if state.filter.is_on() { "no group passes the filter" } else { "no open incident, and no alerts" };
        let at = Rect { y: inner.y + inner.height / 2, height: 1, ..inner };
        frame.render_widget(Paragraph::new(text).style(theme.label()).alignment(Alignment::Center), at);
        return Drawn { page, scroll_max: 0 };
    }
    let selected = state.selected();
    let first = (selected + 1).saturating_sub(page);
    let wide = area.width >= WIDE;
    let fastest = rows.iter().map(|group| group.alerts_per_second).fold(0.0, f64::max);
    let now = state.picture().status.now;
    let shown = rows.iter().enumerate().skip(first).take(page).map(|(at, group)| {
        let is_selected = at == selected;
        let cells = cells(group, Looks { now, wide, fastest, is_selected }, theme);
        Row::new(cells).style(if is_selected { theme.selected() } else { Style::new() })
    });
    let table = Table::new(shown, columns(wide)).header(header(state.sort, wide, theme)).column_spacing(1);
    frame.render_widget(table, inner);
    Drawn { page, scroll_max: 0 }
}

/// What the cells of a row depend on beside the group.
#[derive(Clone, Copy)]
struct Looks {
    now: Timestamp,
    wide: bool,
    fastest: f64,
    is_selected: bool,
}

fn title(state: &State, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::styled(" busiest groups ", theme.title())];
    if state.typing.is_some() || state.filter.is_on() {
        let typed = excerpt(state.filter.text().as_bytes(), 60);
        spans.push(Span::styled(format!("/{typed}"), theme.accent()));
        if state.typing.is_some() {
            spans.push(Span::styled("▏", theme.accent()));
        }
        spans.push(Span::styled(format!(" ({}) ", state.filter.how()), theme.label()));
    }
    Line::from(spans)
}

fn tally(state: &State, n_rows: usize, theme: Theme) -> Line<'static> {
    let all = state.picture().n_groups;
    let text = if n_rows == all { format!(" {all} ") } else { format!(" {n_rows} of {all} ") };
    Line::from(Span::styled(text, theme.label()))
}

fn columns(wide: bool) -> Vec<Constraint> {
    let mut columns = [2, 8, 9, 9, 7, 6, 6].map(Constraint::Length).to_vec();
    if wide {
        columns.insert(3, Constraint::Length(BAR_WIDTH));
        columns.push(Constraint::Length(RULE_WIDTH));
    }
    columns.push(Constraint::Fill(1));
    columns
}

fn header(sort: Sort, wide: bool, theme: Theme) -> Row<'static> {
    let name = |text: &str, of: Option<Sort>| {
        let is_order = of == Some(sort);
        let text = if is_order { format!("{text}▾") } else { text.to_owned() };
        Line::from(Span::styled(text, if is_order { theme.bold().patch(theme.accent()) } else { theme.label() }))
    };
    let mut cells = vec![
        name("", None),
        name("severity", Some(Sort::Severity)),
        name("alerts/s", Some(Sort::Rate)).right_aligned(),
        name("alerts", Some(Sort::Alerts)).right_aligned(),
        name("members", Some(Sort::Members)).right_aligned(),
        name("firing", None).right_aligned(),
        name("age", None).right_aligned(),
    ];
    if wide {
        cells.insert(3, name("", None));
        cells.push(name("rule", None));
    }
    cells.push(name("group", None));
    Row::new(cells.into_iter().map(Cell::from))
}

fn cells<'a>(group: &GroupStanding, looks: Looks, theme: Theme) -> Vec<Text<'a>> {
    // On the ground of the selected row most colours are hard to read.
    let tint = |style: Style| if looks.is_selected { Style::new() } else { style };
    let right = |text: String, style: Style| Text::from(Span::styled(text, style)).right_aligned();
    let plain = Style::new();
    let busy = group.alerts_per_second >= 0.05;
    let mut cells = vec![
        Text::from(Span::styled(format!(" {}", mark(group.status)), tint(theme.status(group.status)))),
        Text::from(Span::styled(group.severity_max.name(), tint(theme.severity(group.severity_max)))),
        right(rate(group.alerts_per_second), if busy { theme.bold() } else { tint(theme.dim()) }),
        right(count(group.alerts as f64), plain),
        right(count(group.members as f64), plain),
        right(count(group.firing as f64), plain),
        right(span(looks.now - group.first_seen), plain),
    ];
    if looks.wide {
        cells.insert(3, Text::from(Span::styled(bar(group.alerts_per_second, looks.fastest), theme.plot(0))));
        let rule = excerpt(group.rule.as_bytes(), usize::from(RULE_WIDTH));
        cells.push(Text::from(Span::styled(rule, tint(theme.label()))));
    }
    cells.push(Text::from(labels(group, looks.wide, tint(theme.label()))));
    cells
}

/// The values stand out; the names tell what they are, where there is room for them.
fn labels<'a>(group: &GroupStanding, with_names: bool, name_style: Style) -> Line<'a> {
    let mut spans = Vec::new();
    let mut left = LABELS_MAX;
    for (name, value) in group.group_labels.iter().filter(|(_, value)| !value.is_empty()) {
        let (name, value) = (safe(name.as_bytes(), Lines::One), excerpt(value.as_bytes(), left.max(2)));
        left = left.saturating_sub(name.len() + value.len());
        if with_names {
            spans.push(Span::styled(format!("{name}="), name_style));
        } else if !spans.is_empty() {
            spans.push(Span::styled("/ ", name_style));
        }
        spans.push(Span::raw(format!("{value} ")));
        if left == 0 {
            break;
        }
    }
    if spans.is_empty() {
        spans.push(Span::styled("(no labels)", name_style));
    }
    Line::from(spans)
}

/// A bar as long as the rate compared with the fastest, in eighths of a cell.
fn bar(rate: f64, fastest: f64) -> String {
    let eighths = if fastest > 0.0 { (rate / fastest * f64::from(BAR_WIDTH) * 8.0).round() as usize } else { 0 };
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied().unwrap_or_default();
    "█".repeat(eighths / 8) + part
}
