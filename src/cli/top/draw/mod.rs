//! A state on a screen. Reads, never decides; whatever a sender wrote is made safe before it becomes a cell.

mod detail;
mod facts;
mod header;
mod help;
mod outcomes;
mod plots;
mod table;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::cli::top::state::{Drawn, State};
use crate::cli::top::theme::Theme;
use crate::model::Timestamp;

/// The smallest screen with room for everything.
const SIZE_MIN: (u16, u16) = (80, 24);
/// From this width on there is room for more columns.
const WIDE: u16 = 110;

/// Draws everything. `now`: by our clock.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, now: Timestamp, theme: Theme) -> Drawn {
    let area = frame.area();
    if area.width < SIZE_MIN.0 || area.height < SIZE_MIN.1 {
        too_small(frame, area);
        return Drawn::default();
    }
    let notice = header::notice(state, now, theme);
    let [top, notice_at, body, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::from(notice.is_some())),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    header::draw(frame, top, state, theme);
    if let Some((text, style)) = notice {
        frame.render_widget(Paragraph::new(text).style(style), notice_at);
    }
    let drawn = match &state.opened {
        Some(opened) => detail::draw(frame, body, opened, state.picture().status.now, theme),
        None => overview(frame, body, state, theme),
    };
    footer(frame, bottom, state, theme);
    if state.help {
        help::draw(frame, area, theme);
    }
    drawn
}

fn overview(frame: &mut Frame<'_>, area: Rect, state: &State, theme: Theme) -> Drawn {
    // A quarter of the screen for the plots, and a dozen rows for the groups on the smallest one.
    let plots = (area.height / 4).clamp(5, 11);
    let [plots_at, outcomes_at, facts_at, table_at] = Layout::vertical([
        Constraint::Length(plots),
        Constraint::Length(outcomes::HEIGHT),
        Constraint::Length(facts::HEIGHT),
        Constraint::Fill(1),
    ])
    .areas(area);
    plots::draw(frame, plots_at, state.picture(), theme);
    outcomes::draw(frame, outcomes_at, state.picture(), theme);
    facts::draw(frame, facts_at, state.picture(), theme);
    table::draw(frame, table_at, state, theme)
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = SIZE_MIN;
    let text = format!("{width}x{height} needed, this is {}x{}; q quits", area.width, area.height);
    frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
}

fn footer(frame: &mut Frame<'_>, area: Rect, state: &State, theme: Theme) {
    let sort = format!("sort: {}", state.sort.name());
    let line = if state.typing.is_some() {
        keys(
            &[("Enter", "keep"), ("Esc", "as before"), ("Ctrl-U", "clear"), ("", "a text, or labels: service=\"x\"")],
            theme,
        )
    } else if state.opened.is_some() {
        keys(&[("Esc", "back"), ("↑↓ PgUp PgDn", "scroll"), ("p", "pause"), ("?", "help"), ("q", "quit")], theme)
    } else {
        let pause = if state.frozen.is_some() { "go on" } else { "pause" };
        keys(
            &[
                ("↑↓", "select"),
                ("Enter", "detail"),
                ("/", "filter"),
                ("s", &sort),
                ("p", pause),
                ("?", "help"),
                ("q", "quit"),
            ],
            theme,
        )
    };
    frame.render_widget(line, area);
}

fn keys<'a>(pairs: &[(&'a str, &'a str)], theme: Theme) -> Line<'a> {
    let mut spans = vec![Span::raw(" ")];
    for (key, what) in pairs {
        spans.push(Span::styled(*key, theme.key()));
        spans.push(Span::styled(format!(" {what}   "), theme.label()));
    }
    Line::from(spans)
}

/// A name that stands back and the value that counts.
fn fact<'a>(name: &'a str, value: String, style: Style, theme: Theme) -> [Span<'a>; 3] {
    [Span::styled(name, theme.label()), Span::raw(" "), Span::styled(value, style)]
}
