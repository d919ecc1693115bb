//! Three histories side by side: alerts, incident events, open incidents.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Sparkline};

use crate::cli::top::figures::{count, rate};
use crate::cli::top::numbers::{Numbers, events, levels, rates};
use crate::cli::top::state::Picture;
use crate::cli::top::theme::Theme;
use crate::model::time::Millis;

/// Time of a column: at one second each, the narrowest plot would be too short to see a storm come and go.
const COLUMN: Millis = Millis::seconds(2);
/// Plots count in whole numbers, rates do not.
const SCALE: f64 = 1_000.0;

struct Plot {
    title: &'static str,
    now: String,
    history: Vec<Option<f64>>,
    peak: fn(f64) -> String,
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let samples = &picture.samples;
    let numbers = Numbers::read(samples);
    let open = samples.last().map_or(0.0, |sample| sample.open_incidents);
    for (number, at) in areas.into_iter().enumerate() {
        let columns = usize::from(at.width.saturating_sub(2));
        let plot = match number {
            0 => Plot {
                title: "alerts",
                now: format!("{}/s", rate(numbers.received_per_second)),
                history: rates(samples, COLUMN, columns, |sample| sample.received),
                peak: rate,
            },
            1 => Plot {
                title: "incident events",
                now: format!("{}/s", rate(numbers.incident_events_per_second)),
                history: rates(samples, COLUMN, columns, events),
                peak: rate,
            },
            _ => Plot {
                title: "open incidents",
                now: count(open),
                history: levels(samples, COLUMN, columns, |sample| sample.open_incidents),
                peak: count,
            },
        };
        one(frame, at, number, &plot, theme);
    }
}

fn one(frame: &mut Frame<'_>, area: Rect, number: usize, plot: &Plot, theme: Theme) {
    let peak = plot.history.iter().flatten().fold(0.0, |peak: f64, value| peak.max(*value));
    let seconds = plot.history.len() as i64 * COLUMN.0 / 1_000;
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.dim())
        .title_top(Line::from(Span::styled(format!(" {} ", plot.title), theme.label())))
        .title_top(
            Line::from(Span::styled(format!(" {} ", plot.now), theme.bold().patch(theme.plot(number)))).right_aligned(),
        )
        .title_bottom(Line::from(Span::styled(format!(" {seconds} s ago "), theme.label())))
        .title_bottom(Line::from(Span::styled(format!(" peak {} ", (plot.peak)(peak)), theme.label())).right_aligned());
    let bar = |value: &Option<f64>| value.map(|value| (value * SCALE).round() as u64);
    let bars: Vec<Option<u64>> = plot.history.iter().map(bar).collect();
    // A plot of nothing has a height all the same.
    let top = ((peak * SCALE).round() as u64).max(1);
    let line = Sparkline::default().block(block).data(bars).max(top).style(theme.plot(number));
    frame.render_widget(line.absent_value_style(theme.dim()).absent_value_symbol(" "), area);
}
