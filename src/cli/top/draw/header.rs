//! The first lines: which daemon, how it is, and what must be known before anything below is believed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cli::terminal::excerpt;
use crate::cli::top::figures::{clock, span};
use crate::cli::top::state::State;
use crate::cli::top::theme::Theme;
use crate::model::Timestamp;

/// Characters of a reason in the notice.
const REASON_MAX: usize = 300;
/// Characters of the address.
const URL_MAX: usize = 40;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: Theme) {
    let status = &state.picture().status;
    let left = Line::from(vec![
        Span::styled(" tidegate ", theme.bold().patch(theme.accent())),
        Span::styled(excerpt(status.version.as_bytes(), 20), theme.bold()),
        Span::styled("  ", Style::new()),
        Span::raw(excerpt(state.url.as_bytes(), URL_MAX)),
    ]);
    let (word, style) = if state.lost.is_some() {
        ("no answer".to_owned(), theme.bad())
    } else if status.ready {
        ("ready".to_owned(), theme.good())
    } else {
        (excerpt(status.phase.as_bytes(), 20), theme.warning())
    };
    let hash = status.config_hash.get(..8).unwrap_or(&status.config_hash);
    let mut right = vec![
        Span::styled("● ", style),
        Span::styled(word, style),
        Span::styled("  up ", theme.label()),
        Span::raw(span(status.now - status.started_at)),
    ];
    if area.width >= 90 {
        right.extend([Span::styled("  config ", theme.label()), Span::raw(excerpt(hash.as_bytes(), 8))]);
    }
    right.push(Span::raw(" "));
    frame.render_widget(left, area);
    frame.render_widget(Line::from(right).right_aligned(), area);
}

/// The one thing that is most worth a line, if there is any.
pub(super) fn notice(state: &State, now: Timestamp, theme: Theme) -> Option<(String, Style)> {
    let status = &state.picture().status;
    let told = |text: &str| excerpt(text.as_bytes(), REASON_MAX);
    if let Some(since) = state.stale_since(now) {
        let (seen, age) = (clock(since, now), span(now - since));
        let why = state.lost.as_ref().map_or("it takes its time", |lost| reason(&lost.why, &state.url));
        return Some((format!(" NO ANSWER since {seen} UTC ({age}): {}", told(why)), theme.alarm()));
    }
    if let Some(trouble) = &status.trouble {
        return Some((format!(" TROUBLE: {}", told(trouble)), theme.alarm()));
    }
    if let Some(frozen) = &state.frozen {
        let (seen, age) = (clock(frozen.taken, now), span(now - frozen.taken));
        return Some((format!(" PAUSED at {seen} UTC, {age} ago; p goes on"), theme.notice()));
    }
    if let Some(fault) = &status.last_reload_fault {
        return Some((format!(" RELOAD REFUSED, the configuration before stays: {}", told(fault)), theme.notice()));
    }
    None
}

/// A reason without the address, which stands in the line above.
fn reason<'w>(why: &'w str, url: &str) -> &'w str {
    why.strip_prefix(url).map_or(why, |rest| rest.trim_start_matches(['/', ':', ' ']))
}
