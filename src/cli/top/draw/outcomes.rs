//! What became of the alerts of the last seconds: a bar, and what its parts are.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cli::top::figures::percent;
use crate::cli::top::numbers::Numbers;
use crate::cli::top::state::Picture;
use crate::cli::top::theme::Theme;
use crate::pipeline::outcome::Outcome;

pub(super) const HEIGHT: u16 = 2;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let numbers = Numbers::read(&picture.samples);
    let shares = Outcome::ALL.map(|outcome| {
        let name = outcome.name();
        (name, numbers.outcomes_per_second.get(name).copied().unwrap_or(0.0))
    });
    let whole: f64 = shares.iter().map(|(_, rate)| rate).sum();
    let [bar_at, legend_at] =
        [0, 1].map(|row| Rect { x: area.x + 1, y: area.y + row, width: area.width - 2, height: 1 });
    if whole <= 0.0 {
        let line = "─".repeat(usize::from(bar_at.width));
        frame.render_widget(Line::from(Span::styled(line, theme.dim())), bar_at);
        frame.render_widget(Line::from(Span::styled("no alerts in the last seconds", theme.label())), legend_at);
        return;
    }
    let widths = widths(&shares.map(|(_, rate)| rate), usize::from(bar_at.width));
    let part = |((name, _), width): (&(&str, f64), &usize)| {
        let (style, shape) = theme.outcome(name);
        Span::styled(shape.repeat(*width), style)
    };
    frame.render_widget(Line::from_iter(shares.iter().zip(&widths).map(part)), bar_at);
    let mut legend = Vec::new();
    for (name, rate) in shares.iter().filter(|(_, rate)| *rate > 0.0) {
        let (style, shape) = theme.outcome(name);
        legend.push(Span::styled(format!("{shape} "), style));
        legend.push(Span::styled(format!("{name} "), theme.label()));
        legend.push(Span::raw(format!("{}   ", percent(*rate, whole))));
    }
    frame.render_widget(Line::from(legend), legend_at);
}

/// Cells of each part: what is there at all has one, the largest takes what rounding leaves.
fn widths(parts: &[f64], width: usize) -> Vec<usize> {
    let whole: f64 = parts.iter().sum();
    let cells = |part: &f64| if *part > 0.0 { ((part / whole * width as f64).round() as usize).max(1) } else { 0 };
    let mut widths: Vec<usize> = parts.iter().map(cells).collect();
    let used: usize = widths.iter().sum();
    if let Some(largest) = widths.iter_mut().max() {
        *largest = (*largest + width).saturating_sub(used);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_is_seen_and_the_bar_is_full() {
        for (parts, expected) in [
            (vec![0.1, 1.0, 99.0, 0.0], vec![1, 1, 76, 0]),
            (vec![1.0, 1.0, 1.0], vec![26, 26, 26]),
            (vec![5.0], vec![78]),
        ] {
            assert_eq!(widths(&parts, 78), expected);
        }
    }
}
