//! Whether a record is one JSON value or one value per line, and the lines.

use std::io::BufRead as _;

use serde::de::IgnoredAny;

/// The lines of a record that are not blank, without the white space around them.
pub(super) struct Lines<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let whole = self.0;
            // For its fast search; a plain loop over the bytes costs a third of a parse.
            let len = self.0.skip_until(b'\n').expect("reading from memory cannot fail");
            let line = whole.get(..len).unwrap_or_default().trim_ascii();
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }
}

/// Whether the first two lines cannot be parts of one valid value that starts with an object: after a `}` such a value
/// goes on with a comma or another end, and texts have no raw line ends. Cheap: it looks at two lines.
pub(super) fn begins_with_lines(record: &[u8]) -> bool {
    let mut lines = Lines(record);
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return false };
    first.starts_with(b"{") && first.ends_with(b"}") && !matches!(second.first(), Some(b',' | b'}' | b']'))
}

/// Whether a record that is no valid value, nor begins as an array, has several lines of which at least one is an
/// object by itself: then the others are bad lines. Parses until it finds one; for what is already known to be bad.
pub(super) fn has_object_line(record: &[u8]) -> bool {
    let is_object = |line: &[u8]| {
        line.starts_with(b"{") && line.ends_with(b"}") && serde_json::from_slice::<IgnoredAny>(line).is_ok()
    };
    !record.trim_ascii_start().starts_with(b"[") && Lines(record).nth(1).is_some() && Lines(record).any(is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_trimmed_and_blank_ones_skipped() {
        let lines: Vec<_> = Lines(b"\r\n {} \r\n\n\t\n[ ]\nx").collect();
        assert_eq!(lines, [b"{}".as_slice(), b"[ ]", b"x"]);
        assert_eq!(Lines(b" \n ").count(), 0);
    }

    #[test]
    fn a_single_value_is_not_taken_for_lines() {
        for (text, begins, has_object) in [
            ("{}\n{}", true, true),
            ("{}\n\n\ngarbage", true, true),
            ("{}\n", false, false),
            ("{\"a\":\n{}\n}", false, true),
            ("{\"a\": {\"b\":1}\n}", false, false),
            ("{\"a\": {\"b\":1}\n,\"c\":2}", false, false),
            ("garbage\n{\"labels\":{}}", false, true),
            ("garbage\n{\"labels\":}", false, false),
            ("[\n{}\n]", false, false),
        ] {
            assert_eq!(begins_with_lines(text.as_bytes()), begins, "{text}");
            assert_eq!(has_object_line(text.as_bytes()), has_object, "{text}");
        }
    }
}
