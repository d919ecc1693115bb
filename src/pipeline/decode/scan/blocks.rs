//! Where the quotes of a JSON text are, 64 bytes at a step, and whether what lies between them may stand in a string.
//!
//! After `mark` every byte inside a string has been looked at: no control characters, no escape that JSON does not know, no
//! invalid UTF-8. What stands outside of strings is the walker's business. Method: bit masks over blocks of 64 bytes, as
//! in Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (2019); the code is our own.

use crate::pipeline::decode::scan::lanes::{self, BLOCK, Block, Places, Visit};

/// The even bits.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// Behind the last quote: a place that no text has.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Places of which the memory is kept for the next record; a body with more quotes gets memory of its own.
const KEPT_PLACES: usize = 1 << 20;

/// The quotes of a text that begin or end a string. Used again from record to record.
#[derive(Debug, Default)]
pub(super) struct Marks {
    quotes: Found,
    /// The characters behind backslashes that escape them.
    escapes: Found,
}

/// Places in a text.
#[derive(Debug, Default)]
struct Found {
    /// Where they are, in order; behind them what earlier texts left.
    places: Vec<u32>,
    n: usize,
}

/// What is carried from block to block.
struct Marking<'a> {
    marks: &'a mut Marks,
    /// Where the block begins.
    start: usize,
    /// 1 if the first character of the block is escaped.
    escaped: u64,
    has_high: bool,
}

impl Marks {
    /// Where the quotes are, ending with `NOWHERE` at least once.
    #[inline]
    pub(super) fn places(&self) -> &[u32] {
        &self.quotes.places
    }

    /// Marks the quotes of `text`. `None` if it has something that only the general parser may judge.
    #[inline]
    pub(super) fn mark(&mut self, text: &[u8]) -> Option<()> {
        self.quotes.clear();
        self.escapes.clear();
        let mut marking = Marking { marks: self, start: 0, escaped: 0, has_high: false };
        let is_whole = lanes::walk(text, &mut marking);
        let Marking { has_high, escaped, .. } = marking;
        if !is_whole || escaped != 0 || has_high && simdutf8::basic::from_utf8(text).is_err() {
            return None;
        }
        check_escapes(text, self.escapes.places.get(..self.escapes.n)?)?;
        self.quotes.room::<1>()?[0] = NOWHERE;
        Some(())
    }
}

impl Found {
    fn clear(&mut self) {
        if self.places.len() > KEPT_PLACES {
            self.places = Vec::new();
        }
        self.n = 0;
    }

    /// Room for so many more.
    #[inline(always)] // Into a function that is made for an instruction set.
    fn room<const N: usize>(&mut self) -> Option<&mut [u32; N]> {
        if self.places.len() < self.n + N {
            self.places.resize((self.n + N) * 2, NOWHERE);
        }
        self.places.get_mut(self.n..)?.first_chunk_mut()
    }
}

impl Visit for Marking<'_> {
    #[inline(always)] // Into a function that is made for an instruction set.
    fn visit(&mut self, block: Block, spread: impl Fn(u64, u32, &mut Places)) -> bool {
        // Hardly anything is decided here: where blocks have backslashes is different in every text, and each wrong guess
        // of the processor costs as much as a block.
        let start = self.start as u32;
        let escaped = escaped(block.backslashes, &mut self.escaped);
        let quotes = block.quotes & !escaped;
        let Marks { quotes: all_quotes, escapes } = &mut *self.marks;
        let begins_inside = 0_u64.wrapping_sub(all_quotes.n as u64 & 1);
        if block.controls != 0 && block.controls & (prefix_xor(quotes) ^ begins_inside) != 0 {
            return false;
        }
        let (Some(quote_room), Some(escape_room)) = (all_quotes.room(), escapes.room()) else { return false };
        spread(quotes, start, quote_room);
        spread(escaped, start, escape_room);
        all_quotes.n += quotes.count_ones() as usize;
        escapes.n += escaped.count_ones() as usize;
        self.has_high |= block.has_high;
        self.start += BLOCK;
        true
    }
}

/// Which characters of a block stand behind a backslash that escapes them. `carry`: whether the first one does.
#[inline(always)]
fn escaped(backslashes: u64, carry: &mut u64) -> u64 {
    let backslashes = backslashes & !*carry;
    let follows = backslashes << 1 | *carry;
    let odd_starts = backslashes & !EVEN & !follows;
    let (ends, overflow) = odd_starts.overflowing_add(backslashes);
    *carry = u64::from(overflow);
    (EVEN ^ (ends << 1)) & follows
}

/// For each bit: whether it stands behind an odd number of set bits, itself included.
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Looks at the escaped characters of a text. A surrogate without its other half is left to the general parser.
#[inline]
fn check_escapes(text: &[u8], escapes: &[u32]) -> Option<()> {
    let mut high = usize::MAX / 2; // Where the `u` of the last high surrogate was; at first nowhere near.
    for at in escapes {
        let at = *at as usize;
        match text.get(at)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits = text.get(at + 1..at + 5)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                match digits {
                    [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => {
                        let [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F'] = text.get(at + 5..at + 9)? else {
                            return None;
                        };
                        high = at;
                    }
                    [b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] if high + 6 != at => return None,
                    _ => {}
                }
            }
            _ => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quotes by a plain walk over the bytes.
    fn plain(text: &[u8]) -> Vec<usize> {
        let mut escaped = false;
        let mut quotes = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quotes.push(at),
                _ => {}
            }
        }
        quotes
    }

    fn marked(text: &[u8]) -> Option<Vec<usize>> {
        let mut marks = Marks::default();
        marks.mark(text)?;
        let places = marks.places().iter().take_while(|place| **place != NOWHERE);
        Some(places.map(|place| *place as usize).collect())
    }

    #[test]
    fn escaped_quotes_are_none_wherever_the_block_ends() {
        for pad in 0..130 {
            for backslashes in 0..7 {
                let text = format!("\"{}{}\"n\"", "a".repeat(pad), "\\".repeat(backslashes));
                assert_eq!(marked(text.as_bytes()), Some(plain(text.as_bytes())), "{text}");
            }
        }
    }

    #[test]
    fn what_may_not_stand_in_a_string_is_found_in_any_place() {
        for pad in 0..130 {
            let pad = "a".repeat(pad);
            for good in ["\\u0026", "\\n", "é", "\\/", "\u{7f}", "\\ud83d\\uDE00"] {
                assert!(marked(format!("{{\"{pad}{good}\"\n}}").as_bytes()).is_some(), "{pad}{good}");
            }
            for bad in ["\n", "\u{1}", "\\x", "\\u00g0", "\\ud83d", "\\ud83d\\n", "\\uDC00", "\\\\ud83d\\ude00"] {
                assert!(marked(format!("{{\"{pad}{bad}\"\n}}").as_bytes()).is_none(), "{pad}{bad}");
            }
            assert!(marked(format!("{{\"{pad}\\u00\"").as_bytes()).is_none(), "{pad}");
            assert!(marked(&[b"\"", pad.as_bytes(), b"\xff\""].concat()).is_none(), "{pad}");
        }
    }
}
