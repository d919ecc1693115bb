//! Text of unknown origin, made safe to show: nothing in it can move the cursor, colour, hide or reorder what is shown.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Color, Style};

use crate::control::config::fault::Faults;
use crate::model::text::is_invisible;
use crate::model::{Severity, Status};

/// What may stay of the control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Nothing: the result is one line.
    One,
    /// Newlines and tabs.
    Many,
}

/// Shows bytes as text: control characters and bytes that are no UTF-8 as `\x1b`, invisible and reordering characters as
/// `\u{202e}`. Not meant to be read back: a backslash stays as it is.
#[must_use]
pub fn safe(bytes: &[u8], lines: Lines) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut out, character, lines);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}"); // Writing to a `String` cannot fail.
        }
    }
    out
}

/// Text of ours with colours and text of others in it: lines and colours stay, everything else is spelled out.
#[must_use]
pub fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let (head, tail) = rest.split_at(colour_len(rest).unwrap_or(character.len_utf8()));
        match head.len() == character.len_utf8() {
            true => push(&mut out, character, Lines::Many),
            false => out.push_str(head),
        }
        rest = tail;
    }
    out
}

/// Length of the sequence that sets a colour, if the text begins with one (ECMA-48, SGR).
fn colour_len(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|character: char| !character.is_ascii_digit() && character != ';')?;
    parameters.get(end..)?.starts_with('m').then_some(end + 3)
}

/// The first `max` characters of one safe line; a cut is marked with `…`, which counts.
#[must_use]
pub fn excerpt(bytes: &[u8], max: usize) -> String {
    // A character has at most four bytes, and what is cut away need not be looked at.
    let head = bytes.get(..max.saturating_mul(4) + 4).unwrap_or(bytes);
    let text = safe(head, Lines::One);
    if text.chars().count() <= max && head.len() == bytes.len() {
        return text;
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

fn push(out: &mut String, character: char, lines: Lines) {
    match character {
        '\n' | '\t' if lines == Lines::Many => out.push(character),
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {
            let _ = write!(out, "\\x{:02x}", u32::from(character)); // Writing to a `String` cannot fail.
        }
        _ if steers(character) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
        _ => out.push(character),
    }
}

/// Bytes as they are on standard output. Whoever closed it, `head` for instance, has seen enough.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn hand_over(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Whether a character could move, hide or reorder what is shown: control characters, and those that nobody sees.
#[must_use]
pub fn steers(character: char) -> bool {
    character.is_control() || is_invisible(character)
}

/// Characters of a line of standard output, if that is a terminal.
#[must_use]
pub fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    ratatui::crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// The colour of a severity.
#[must_use]
pub const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => colour(AnsiColor::Red),
        Severity::High => colour(AnsiColor::Magenta),
        Severity::Warning => colour(AnsiColor::Yellow),
        Severity::Low => colour(AnsiColor::Blue),
        Severity::Info | Severity::Unknown => Style::new().dimmed(),
    }
}

/// The colour of a status.
#[must_use]
pub const fn status_style(status: Status) -> Style {
    match status {
        Status::Firing => colour(AnsiColor::Yellow),
        Status::Resolved => Style::new().dimmed(),
    }
}

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// Every fault of a configuration with its place, on standard error; the last line counts them.
///
/// # Errors
/// When standard error cannot be written.
pub fn show_faults(faults: &Faults) -> std::io::Result<()> {
    let mut out = anstream::stderr().lock();
    write!(out, "{}", coloured(&faults.details(std::io::stderr().is_terminal())))?;
    writeln!(out, "{}", faults.summary())
}

/// Why a command failed, on standard error, with the chain of causes on one line.
pub fn complain(error: &anyhow::Error) {
    let text = safe(format!("{error:#}").as_bytes(), Lines::Many);
    // Standard error that cannot be written leaves nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "tidegate: {text}");
}

/// A panic, on standard error. What it says may hold what a sender wrote.
pub fn tell_panic(place: &str, message: &str) {
    let message = safe(message.as_bytes(), Lines::One);
    let _ =
        writeln!(anstream::stderr().lock(), "tidegate: a fault of this program, please report it: {place}: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_spelled_out() {
        for (bytes, one_line) in [
            (&b"{\"a\": \"b\\n\"}"[..], "{\"a\": \"b\\n\"}"),
            (b"\x1b]0;owned\x07\x1b[2J", "\\x1b]0;owned\\x07\\x1b[2J"),
            (b"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
            (b"\xff\xfeok\xc3", "\\xff\\xfeok\\xc3"),
            ("\u{9b}31m gr\u{fc}n \u{202e}txt.exe\u{200b}".as_bytes(), "\\x9b31m grün \\u{202e}txt.exe\\u{200b}"),
            ("日本".as_bytes(), "日本"),
        ] {
            assert_eq!(safe(bytes, Lines::One), one_line);
        }
        assert_eq!(safe(b"a\nb\tc\r\n", Lines::Many), "a\nb\tc\\x0d\n");
    }

    #[test]
    fn only_colours_stay_of_a_coloured_text() {
        let text = "\x1b[1m\x1b[38;5;9mred\x1b[0m \x1b[2J \x1b]0;x\x07\n\u{202e}\x1b[1";
        let expected = "\x1b[1m\x1b[38;5;9mred\x1b[0m \\x1b[2J \\x1b]0;x\\x07\n\\u{202e}\\x1b[1";
        assert_eq!(coloured(text), expected);
    }

    #[test]
    fn an_excerpt_is_cut_by_characters() {
        for (bytes, text) in [("abcd", "abcd"), ("abcde", "abc…"), ("äöüß", "äöüß"), ("äöüßx", "äöü…"), ("", "")]
        {
            assert_eq!(excerpt(bytes.as_bytes(), 4), text);
        }
        assert_eq!(excerpt(&[0x1b; 1_000], 8), "\\x1b\\x1…");
        assert_eq!(excerpt("😀".repeat(1_000).as_bytes(), 3), "😀😀…");
    }
}
