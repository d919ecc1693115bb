//! Keys and what they stand for.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::control::api::groups::Sort;

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Help,
    /// One step back: close what is open, undo what is typed, drop the filter.
    Back,
    Move(isize),
    Page(isize),
    First,
    Last,
    Open,
    Pause,
    NextSort,
    SortBy(Sort),
    Filter,
    Type(char),
    Erase,
    EraseAll,
    Accept,
}

/// Keys as the help shows them.
pub(super) const HELP: [(&str, &str); 11] = [
    ("↑ ↓  k j", "row up, down; scrolls in the detail"),
    ("PgUp PgDn", "a page up, down"),
    ("Home End  g G", "first, last row"),
    ("Enter", "the group in full: labels, counts, steps, samples"),
    ("/", "filter by text, or by labels: service=\"x\""),
    ("s", "next order"),
    ("r a m v", "order by rate, alerts, members, severity"),
    ("p  Space", "hold the picture, and go on"),
    ("Esc", "back; drops the filter"),
    ("?", "this help"),
    ("q  Ctrl-C", "quit"),
];

/// The action of a key; `typing`: a filter is being typed.
pub(super) fn action(key: KeyEvent, typing: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None; // Terminals that report it report the press before.
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('u') if typing => Some(Action::EraseAll),
            KeyCode::Char('h') if typing => Some(Action::Erase), // What some terminals send for Backspace.
            _ => None,
        };
    }
    if typing { typed(key.code) } else { pressed(key.code) }
}

fn typed(code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Enter => Some(Action::Accept),
        KeyCode::Esc => Some(Action::Back),
        KeyCode::Backspace => Some(Action::Erase),
        KeyCode::Up => Some(Action::Move(-1)),
        KeyCode::Down => Some(Action::Move(1)),
        KeyCode::Char(character) if !character.is_control() => Some(Action::Type(character)),
        _ => None,
    }
}

fn pressed(code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Char('?') | KeyCode::F(1) => Some(Action::Help),
        KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => Some(Action::Back),
        KeyCode::Up | KeyCode::Char('k') => Some(Action::Move(-1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Action::Move(1)),
        KeyCode::PageUp => Some(Action::Page(-1)),
        KeyCode::PageDown => Some(Action::Page(1)),
        KeyCode::Home | KeyCode::Char('g') => Some(Action::First),
        KeyCode::End | KeyCode::Char('G') => Some(Action::Last),
        KeyCode::Enter | KeyCode::Right => Some(Action::Open),
        KeyCode::Char('p' | ' ') => Some(Action::Pause),
        KeyCode::Char('s') => Some(Action::NextSort),
        KeyCode::Char('r') => Some(Action::SortBy(Sort::Rate)),
        KeyCode::Char('a') => Some(Action::SortBy(Sort::Alerts)),
        KeyCode::Char('m') => Some(Action::SortBy(Sort::Members)),
        KeyCode::Char('v') => Some(Action::SortBy(Sort::Severity)),
        KeyCode::Char('/') => Some(Action::Filter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_command_or_a_part_of_the_filter() {
        let check = |code, modifiers, typing, expected| {
            assert_eq!(action(KeyEvent::new(code, modifiers), typing), expected, "{code:?} {typing}");
        };
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        check(KeyCode::Char('q'), none, false, Some(Action::Quit));
        check(KeyCode::Char('q'), none, true, Some(Action::Type('q')));
        check(KeyCode::Char('G'), KeyModifiers::SHIFT, false, Some(Action::Last));
        check(KeyCode::Char('c'), control, true, Some(Action::Quit));
        check(KeyCode::Char('u'), control, true, Some(Action::EraseAll));
        check(KeyCode::Char('u'), control, false, None);
        check(KeyCode::Char('\u{1b}'), none, true, None);
        check(KeyCode::Esc, none, true, Some(Action::Back));
        check(KeyCode::Enter, none, true, Some(Action::Accept));
        check(KeyCode::Enter, none, false, Some(Action::Open));
        let release = KeyEvent::new_with_kind(KeyCode::Char('q'), none, KeyEventKind::Release);
        assert_eq!(action(release, false), None);
    }
}
