//! Walks over a marked text: strings by their quotes, everything between them byte by byte.
//!
//! Every step answers `None` where the text is no JSON, or is JSON that only the general parser may judge; the caller then
//! gives the whole record to it. So being strict here costs time, never a result.

use crate::pipeline::decode::scan::blocks::{Marks, NOWHERE};

/// A stretch of the text: first byte, and the byte after the last.
pub(super) type Span = (usize, usize);

/// Nesting that is walked over, the alert itself not counted. Annotations have one level; the general parser takes more.
const DEPTH_MAX: u32 = 8;

/// Digits of a number, before and behind its point, that every reader holds exactly enough to accept it.
const DIGITS_MAX: usize = 15;

/// Where an object of texts may end.
pub(super) struct Guess {
    pub(super) span: Span,
    n_quotes: usize,
}

/// A place in a marked text.
pub(super) struct Walk<'a> {
    text: &'a [u8],
    /// Where the quotes are that have not been passed, and `NOWHERE` behind the last.
    quotes: &'a [u32],
    /// The next byte.
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a [u8], marks: &'a Marks) -> Self {
        Self { text, quotes: marks.places(), at: 0 }
    }

    /// Where the next byte is.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The bytes of a stretch.
    #[inline]
    pub(super) fn bytes(&self, span: Span) -> &'a [u8] {
        self.text.get(span.0..span.1).unwrap_or_default()
    }

    /// The next byte that is no white space, not yet taken.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        if byte > b' ' { Some(byte) } else { self.pass_space() }
    }

    #[inline(never)]
    fn pass_space(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    /// Takes the next byte that is no white space.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Takes this byte, which must come next.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// Takes a string, which must come next; the stretch between its quotes.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Span> {
        // Between strings no byte is passed unseen, so the next quote is the first mark; but it may be farther on.
        let (&[open, close], rest) = self.quotes.split_first_chunk()?;
        if open as usize != self.at {
            self.peek()?;
            if open as usize != self.at {
                return None;
            }
        }
        if close == NOWHERE {
            return None;
        }
        self.at = close as usize + 1;
        self.quotes = rest;
        Some((open as usize + 1, close as usize))
    }

    /// Takes an object of texts, which must come next; its stretch with the braces. `None` for other values in it.
    #[inline]
    pub(super) fn texts(&mut self) -> Option<Span> {
        self.peek()?;
        let start = self.at;
        self.expect(b'{')?;
        loop {
            self.string()?;
            self.expect(b':')?;
            self.string()?;
            match self.next()? {
                b',' => {}
                b'}' => return Some((start, self.at)),
                _ => return None,
            }
        }
    }

    /// Where an object of texts that comes next would end, if it is written without white space. Only a guess: it looks at
    /// the byte behind every second text and at nothing else.
    #[inline]
    pub(super) fn guess_texts(&self) -> Option<Guess> {
        for (number, four) in self.quotes.as_chunks::<4>().0.iter().enumerate() {
            let [.., last] = *four;
            let end = last as usize;
            match self.text.get(end + 1)? {
                b',' => {}
                b'}' => return Some(Guess { span: (self.at, end + 2), n_quotes: number * 4 + 4 }),
                _ => return None,
            }
        }
        None
    }

    /// Goes behind an object whose end was guessed and that is known to be one.
    #[inline]
    pub(super) fn pass(&mut self, guess: &Guess) {
        self.at = guess.span.1;
        self.quotes = self.quotes.get(guess.n_quotes..).unwrap_or_default();
    }

    /// Takes any value.
    pub(super) fn value(&mut self) -> Option<()> {
        self.value_within(DEPTH_MAX)
    }

    fn value_within(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.members(depth.checked_sub(1)?),
            b'[' => self.elements(depth.checked_sub(1)?),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn members(&mut self, depth: u32) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            return self.expect(b'}');
        }
        loop {
            self.string()?;
            self.expect(b':')?;
            self.value_within(depth)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn elements(&mut self, depth: u32) -> Option<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            return self.expect(b']');
        }
        loop {
            self.value_within(depth)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Takes `true`, `false` or `null`; what follows must end a value, which the caller sees.
    pub(super) fn word(&mut self, word: &[u8]) -> Option<()> {
        let end = self.at + word.len();
        (self.text.get(self.at..end)? == word).then(|| self.at = end)
    }

    /// Takes a number without sign and exponent; others are for the general parser.
    fn number(&mut self) -> Option<()> {
        let whole = self.digits()?;
        let first = self.text.get(self.at - whole);
        if first == Some(&b'0') && whole > 1 {
            return None;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let n_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += n_digits;
        (1..=DIGITS_MAX).contains(&n_digits).then_some(n_digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str) -> bool {
        let mut marks = Marks::default();
        let Some(()) = marks.mark(text.as_bytes()) else { return false };
        let mut walk = Walk::new(text.as_bytes(), &marks);
        walk.value().is_some() && walk.peek().is_none()
    }

    #[test]
    fn walks_over_json_and_over_nothing_else() {
        for good in [
            "\"a\"",
            "{}",
            "[]",
            "{\"a\":{\"b\":[1,2.5,\"c\",true,false,null]}}",
            " [ 0 , \"\\\"\" ] ",
            "0.0",
            "12",
            "[[[[[[[[]]]]]]]]",
        ] {
            assert!(passes(good), "{good}");
        }
        for bad in [
            "",
            "\"",
            "\"a",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "tru",
            "nulll",
            "{1:2}",
            "\"a\"\"b\"",
            "\\\"a\"",
            "[\"a\"b]",
            "{\"a\":\"b\"x}",
            "[\u{a0}]",
            // JSON, but not for here.
            "-1",
            "1e5",
            "1234567890123456",
            "[[[[[[[[[]]]]]]]]]",
        ] {
            assert!(!passes(bad), "{bad}");
        }
    }
}
