//! Text of unknown origin, made safe to show: nothing in it can move the cursor, colour, hide or reorder what is shown.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use crate::control::config::fault::Faults;
use crate::model::text::is_invisible;

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
        _ if is_invisible(character) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
        _ => out.push(character),
    }
}

/// Every fault of a configuration with its place, on standard error; the last line counts them.
///
/// # Errors
/// When standard error cannot be written.
pub fn show_faults(faults: &Faults) -> std::io::Result<()> {
    let mut out = anstream::stderr().lock();
    write!(out, "{}", faults.details(std::io::stderr().is_terminal()))?;
    writeln!(out, "{}", faults.summary())
}

/// Why a command failed, on standard error, with the chain of causes on one line.
pub fn complain(error: &anyhow::Error) {
    let text = safe(format!("{error:#}").as_bytes(), Lines::Many);
    // Standard error that cannot be written leaves nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "tidegate: {text}");
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
    fn an_excerpt_is_cut_by_characters() {
        for (bytes, text) in [("abcd", "abcd"), ("abcde", "abc…"), ("äöüß", "äöüß"), ("äöüßx", "äöü…"), ("", "")]
        {
            assert_eq!(excerpt(bytes.as_bytes(), 4), text);
        }
        assert_eq!(excerpt(&[0x1b; 1_000], 8), "\\x1b\\x1…");
        assert_eq!(excerpt("😀".repeat(1_000).as_bytes(), 3), "😀😀…");
    }
}
