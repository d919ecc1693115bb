//! Cuts a stream of bytes into lines, wherever the chunks end. Holds at most one line of limited length.

use std::io::BufRead as _;

/// The longest line a decoder would take: 1 MiB.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A cutter, somewhere in a stream.
#[derive(Debug)]
pub struct Lines {
    /// The line that earlier chunks began, cut after one byte too many.
    kept: Vec<u8>,
    /// Its true length so far.
    n_kept: u64,
    /// Whether `kept` was handed out and is over.
    is_over: bool,
    /// Position of the next byte to come.
    next: u64,
}

/// A line, without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes. Of a line above 1 MiB the first 1 MiB and one byte, so that the decoder sees that it is too large.
    pub bytes: &'a [u8],
    /// Where it starts in the stream.
    pub start: u64,
    /// Where the next one starts.
    pub next: u64,
}

impl Line<'_> {
    /// Nothing but white space: not a record.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.bytes.iter().all(u8::is_ascii_whitespace)
    }
}

impl Lines {
    /// A cutter for a stream that is read from `next` on, the start of a line.
    #[must_use]
    pub const fn starting_at(next: u64) -> Self {
        Self { kept: Vec::new(), n_kept: 0, is_over: false, next }
    }

    /// Position of the next byte to feed.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.next
    }

    /// The next line that ends in `chunk`, which is moved on behind it; `None` when the chunk is used up.
    pub fn next_line<'a, 'c: 'a>(&'a mut self, chunk: &mut &'c [u8]) -> Option<Line<'a>> {
        self.forget_line_handed_out();
        let before = *chunk;
        let n_bytes = chunk.skip_until(b'\n').expect("reading a slice cannot fail");
        let part = before.get(..n_bytes).unwrap_or_default();
        let start = self.next - self.n_kept;
        self.next += n_bytes as u64;
        let Some(content) = part.strip_suffix(b"\n") else {
            self.keep(part);
            return None;
        };
        if self.n_kept == 0 {
            let bytes = content.get(..=LINE_BYTES_MAX).unwrap_or(content);
            return Some(Line { bytes, start, next: self.next });
        }
        self.keep(content);
        self.is_over = true;
        Some(Line { bytes: &self.kept, start, next: self.next })
    }

    /// Whether the beginning of a line was taken, and its end is yet to come.
    #[must_use]
    pub const fn is_within_a_line(&self) -> bool {
        self.n_kept > 0 && !self.is_over
    }

    /// At the end of the stream: the last line, if no newline ended it.
    pub fn last_line(&mut self) -> Option<Line<'_>> {
        self.forget_line_handed_out();
        self.is_over = true;
        let start = self.next - self.n_kept;
        (self.n_kept > 0).then_some(Line { bytes: &self.kept, start, next: self.next })
    }

    fn forget_line_handed_out(&mut self) {
        if self.is_over {
            self.is_over = false;
            self.kept.clear();
            self.n_kept = 0;
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
        self.n_kept += part.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    type Cut = (Vec<u8>, u64, u64);

    fn cut(text: &[u8], chunk_bytes: usize, from: u64) -> Vec<Cut> {
        let mut lines = Lines::starting_at(from);
        let mut found = Vec::new();
        for mut chunk in text.chunks(chunk_bytes) {
            while let Some(line) = lines.next_line(&mut chunk) {
                found.push((line.bytes.to_vec(), line.start, line.next));
            }
        }
        if let Some(line) = lines.last_line() {
            found.push((line.bytes.to_vec(), line.start, line.next));
        }
        assert_eq!(lines.position(), from + text.len() as u64);
        assert_eq!(lines.last_line(), None);
        found
    }

    #[test]
    fn cuts_the_same_lines_whatever_the_chunks() {
        let text = b"one\n\n  \r\nfour\nlast";
        let expected = [(b"one".to_vec(), 7, 11), (b"".to_vec(), 11, 12), (b"  \r".to_vec(), 12, 16)];
        for chunk_bytes in 1..=text.len() {
            let found = cut(text, chunk_bytes, 7);
            assert_eq!(found.get(..3).unwrap(), expected, "{chunk_bytes}");
            assert_eq!(found.get(3..).unwrap(), [(b"four".to_vec(), 16, 21), (b"last".to_vec(), 21, 25)]);
        }
        assert_eq!(cut(b"", 1, 0), []);
        assert_eq!(cut(b"x\n", 2, 0), [(b"x".to_vec(), 0, 2)]);
    }

    #[test]
    fn keeps_one_byte_too_many_of_a_long_line() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend_from_slice(b"\nshort\n");
        for chunk_bytes in [65_536, 1_000_003, text.len()] {
            let found = cut(&text, chunk_bytes, 0);
            let [long, short] = found.as_slice() else { panic!("{} lines", found.len()) };
            assert_eq!((long.0.len(), long.1, long.2), (LINE_BYTES_MAX + 1, 0, 3 * LINE_BYTES_MAX as u64 + 1));
            assert_eq!(short, &(b"short".to_vec(), long.2, long.2 + 6));
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let mut text = vec![b'x'; LINE_BYTES_MAX];
        text.push(b'\n');
        assert_eq!(cut(&text, 100_000, 0).first().unwrap().0.len(), LINE_BYTES_MAX);
    }

    #[test]
    fn blank_is_white_space_only() {
        for (bytes, blank) in [(&b""[..], true), (b" \t\r", true), (b" x", false)] {
            assert_eq!(Line { bytes, start: 0, next: 0 }.is_blank(), blank);
        }
    }
}
