//! Three lines of numbers: what is held, what comes in, what is made durable.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cli::terminal::excerpt;
use crate::cli::top::draw::{WIDE, fact};
use crate::cli::top::feed::SourceDelay;
use crate::cli::top::figures::{bytes, count, rate, seconds};
use crate::cli::top::numbers::Numbers;
use crate::cli::top::state::Picture;
use crate::cli::top::theme::Theme;

pub(super) const HEIGHT: u16 = 3;

/// A source further behind has not caught up, by the engine's own word for it.
const BEHIND_SECONDS: f64 = 5.0;
/// A share of time spent waiting that is worth a look.
const BLOCKED_PERCENT: f64 = 1.0;
/// Characters of a source's name.
const NAME_MAX: usize = 16;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let numbers = Numbers::read(&picture.samples);
    let wide = area.width >= WIDE;
    let lines =
        [state(picture, &numbers, wide, theme), input(picture, &numbers, theme), epochs(picture, &numbers, theme)];
    for (row, line) in (area.y..).zip(lines) {
        frame.render_widget(line, Rect { y: row, height: 1, ..area });
    }
}

/// A line of facts under one word.
fn line<'a>(title: &'a str, facts: impl IntoIterator<Item = [Span<'a>; 3]>, theme: Theme) -> Line<'a> {
    let mut spans = vec![Span::styled(format!(" {title:<7}"), theme.bold())];
    for fact in facts {
        spans.push(Span::raw(" "));
        spans.extend(fact);
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

fn state(picture: &Picture, numbers: &Numbers, wide: bool, theme: Theme) -> Line<'static> {
    let sample = picture.samples.last().cloned().unwrap_or_default();
    let plain = Style::new();
    let mut facts = vec![
        fact("windows", count(sample.open_windows), plain, theme),
        fact("fingerprints", count(sample.fingerprints), plain, theme),
        fact("held", count(sample.held), plain, theme),
        fact("memory", bytes(sample.resident_bytes), plain, theme),
        fact("cpu", format!("{:.0}%", numbers.cpu_percent), plain, theme),
    ];
    if wide {
        facts.push(fact("state as of its last sweep", bytes(sample.state_bytes), plain, theme));
    }
    line("state", facts, theme)
}

fn input<'a>(picture: &'a Picture, numbers: &Numbers, theme: Theme) -> Line<'a> {
    let sample = picture.samples.last().cloned().unwrap_or_default();
    let (plain, refused) = (Style::new(), numbers.refused_per_second);
    let lag = if sample.lag_records > 0.0 {
        format!("{} records {}", count(sample.lag_records), seconds(sample.lag_seconds))
    } else {
        "0".to_owned()
    };
    let letters = if numbers.dead_letters_per_second > 0.0 { theme.warning() } else { plain };
    let lags = sample.lag_seconds > BEHIND_SECONDS;
    let mut facts = vec![
        fact("lag", lag, if lags { theme.warning() } else { plain }, theme),
        fact("refused", format!("{}/s", rate(refused)), if refused > 0.0 { theme.bad() } else { plain }, theme),
        fact("dlq", count(sample.dead_letters), letters, theme),
    ];
    let delays = picture.status.sources.iter().map(|source| delay(source, theme));
    facts.extend(delays);
    line("input", facts, theme)
}

/// How far the clock of a source is behind; a source that has said nothing yet has none.
fn delay(source: &SourceDelay, theme: Theme) -> [Span<'_>; 3] {
    let behind = source.delay_seconds;
    let (text, style) = match source.clock {
        None => ("-".to_owned(), theme.dim()),
        Some(_) if behind > BEHIND_SECONDS => (format!("-{}", seconds(behind)), theme.warning()),
        Some(_) if behind < 0.05 => ("0.0 s".to_owned(), Style::new()),
        Some(_) => (format!("-{behind:.1} s"), Style::new()),
    };
    let name = excerpt(source.name.as_bytes(), NAME_MAX);
    [Span::styled(name, theme.label()), Span::raw(" "), Span::styled(text, style)]
}

fn epochs(picture: &Picture, numbers: &Numbers, theme: Theme) -> Line<'static> {
    let sample = picture.samples.last().cloned().unwrap_or_default();
    let plain = Style::new();
    let troubled = if numbers.epochs_troubled > 0.0 { theme.bad() } else { plain };
    let blocked = if numbers.blocked_percent >= BLOCKED_PERCENT { theme.warning() } else { plain };
    let commit = numbers.commit_seconds.map_or("-".to_owned(), seconds);
    let facts = [
        fact("rate", format!("{}/s", rate(numbers.epochs_per_second)), plain, theme),
        fact("commit", commit, plain, theme),
        fact("troubled", count(sample.epochs_troubled), troubled, theme),
        fact("queued", count(sample.queued), plain, theme),
        fact("blocked", format!("{:.0}%", numbers.blocked_percent), blocked, theme),
    ];
    line("epochs", facts, theme)
}
