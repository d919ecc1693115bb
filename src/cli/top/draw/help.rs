//! Which keys there are, and what the shapes mean.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

use crate::cli::top::keys::HELP;
use crate::cli::top::theme::{Theme, mark};
use crate::control::busiest::GroupStatus;

const WIDTH: u16 = 70;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let mut lines = vec![Line::default()];
    lines
        .extend(HELP.iter().map(|(keys, what)| {
            Line::from(vec![Span::styled(format!("  {keys:<15}"), theme.key()), Span::raw(*what)])
        }));
    lines.push(Line::default());
    for (status, what) in [
        (GroupStatus::Firing, "its incident is open"),
        (GroupStatus::Waiting, "not announced yet: its incident waits for companions"),
        (GroupStatus::Held, "below its threshold, no incident"),
        (GroupStatus::Resolved, "its incident is over"),
    ] {
        let shape = Span::styled(format!("  {} ", mark(status)), theme.status(status));
        lines.push(Line::from(vec![
            shape,
            Span::raw(format!("{:<11}", status.name())),
            Span::styled(what, theme.label()),
        ]));
    }
    let height = (lines.len() as u16 + 3).min(area.height);
    let width = WIDTH.min(area.width);
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let at = Rect { x, y, width, height };
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.accent())
        .title_top(Line::from(Span::styled(" keys ", theme.title())))
        .title_bottom(Line::from(Span::styled(" Esc closes ", theme.label())).right_aligned());
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(lines).block(block), at);
}
