//! How a command writes its result: for people or for programs.

use std::io::{self, ErrorKind, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

use crate::cli::terminal::steers;

/// The two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Writes a value as indented JSON with a newline at its end. What could steer a terminal is written as `\u001b`, which
/// is the same text to whoever reads the JSON.
///
/// # Errors
/// When the output cannot be written.
pub fn json(value: &(impl Serialize + ?Sized), out: &mut dyn Write) -> io::Result<()> {
    let formatter = Harmless(PrettyFormatter::new());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, formatter))?;
    writeln!(out)
}

/// As `json`, in one line.
///
/// # Errors
/// When the output cannot be written.
pub fn json_line(value: &(impl Serialize + ?Sized), out: &mut dyn Write) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Harmless(CompactFormatter)))?;
    writeln!(out)
}

/// Whether a command failed only because its reader, `head` for instance, has seen enough.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// The formatter inside, except for what must not reach a terminal.
struct Harmless<F>(F);

/// Passes calls on to the formatter inside.
macro_rules! as_inside {
    ($($name:ident($($argument:ident: $type:ty),*);)+) => {
        $(fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.0.$name(writer $(, $argument)*)
        })+
    };
}

impl<F: Formatter> Formatter for Harmless<F> {
    as_inside! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
        write_char_escape(escape: CharEscape);
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| steers(*character)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.strip_prefix(character).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn json_is_the_same_text_and_steers_no_terminal() {
        let text = "a\x1b[2J\x07\u{9b}1m\u{202e}x\u{e0041}\n\"\\ü日\u{7f}";
        let value = serde_json::json!({ text: [text, 1, {}, []] });
        let mut out = Vec::new();
        json(&value, &mut out).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value);
        assert!(!written.chars().any(|character| steers(character) && character != '\n'), "{written:?}");
        assert!(written.contains("ü日"), "what harms nobody stays readable: {written}");
        let mut line = Vec::new();
        json_line(&value, &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
        assert!(line.lines().count() == 1 && !line.trim_end().chars().any(steers), "{line:?}");
        let plain = serde_json::json!({ "a": [1, "b", { "c": null }], "d": {} });
        let mut out = Vec::new();
        json(&plain, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{plain:#}\n"));
    }
}
