//! Where the quotes of a JSON text are, 64 bytes at a step, and whether what lies between them may stand in a string.
//!
//! After `mark` every byte inside a string has been looked at: no control characters, no escape that JSON does not know, no
//! invalid UTF-8. What stands outside of strings is the walker's business. Method: bit masks over blocks of 64 bytes, as
//! in Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (2019); the code is our own.

use crate::pipeline::decode::scan::lanes::{BLOCK, Found, Special};

/// The even bits.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// The quotes of a text that begin or end a string. Used again from record to record.
#[derive(Debug, Default)]
pub(super) struct Marks {
    found: Found,
}

/// What is carried from special block to special block.
#[derive(Default)]
struct Carry {
    /// The first character of this block is escaped.
    escaped: Option<u32>,
    /// Blocks whose quotes are counted in `in_string`.
    counted: usize,
    /// All ones if the block after the counted ones begins inside a string.
    in_string: u64,
}

impl Marks {
    /// One bit per byte of the text, least significant first.
    pub(super) fn quotes(&self) -> &[u64] {
        &self.found.quotes
    }

    /// Marks the quotes of `text`. `None` if it has something that only the general parser may judge.
    #[inline]
    pub(super) fn mark(&mut self, text: &[u8]) -> Option<()> {
        self.found.look(text);
        if !self.found.special.is_empty() {
            self.mark_special(text)?;
        }
        if self.found.has_high && std::str::from_utf8(text).is_err() {
            return None;
        }
        Some(())
    }

    /// Looks closer at the blocks with backslashes and control characters.
    fn mark_special(&mut self, text: &[u8]) -> Option<()> {
        let mut carry = Carry::default();
        let special = std::mem::take(&mut self.found.special);
        let mut each = special.iter().peekable();
        while let Some(block) = each.next() {
            self.mark_block(text, block, &mut carry)?;
            // A backslash at the end of a block escapes the first character of the next, special or not.
            if let Some(number) = carry.escaped
                && each.peek().is_none_or(|next| next.number != number)
            {
                self.mark_block(text, &Special { number, backslashes: 0, controls: 0 }, &mut carry)?;
            }
        }
        self.found.special = special;
        Some(())
    }

    #[inline]
    fn mark_block(&mut self, text: &[u8], block: &Special, carry: &mut Carry) -> Option<()> {
        let number = block.number as usize;
        let mut is_escaped = u64::from(carry.escaped.take() == Some(block.number));
        let escaped = escaped(block.backslashes, &mut is_escaped);
        carry.escaped = (is_escaped != 0).then_some(block.number + 1);
        check_escapes(text, number * BLOCK, escaped)?;
        let quotes = self.found.quotes.get_mut(number)?;
        *quotes &= !escaped;
        let quotes = *quotes;
        if block.controls != 0 && block.controls & (prefix_xor(quotes) ^ self.begins_in_string(number, carry)) != 0 {
            return None;
        }
        Some(())
    }

    /// All ones if the block with this number begins inside a string. Worked out only where it is asked for.
    fn begins_in_string(&self, number: usize, carry: &mut Carry) -> u64 {
        let since = self.found.quotes.get(carry.counted..number).unwrap_or_default();
        let odd = since.iter().fold(0, |sum, quotes| sum ^ quotes).count_ones() & 1;
        carry.in_string ^= 0_u64.wrapping_sub(u64::from(odd));
        carry.counted = number;
        carry.in_string
    }
}

/// Which characters of a block stand behind a backslash that escapes them. `carry`: whether the first one does.
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

/// Looks at the escaped characters of the block that begins at `start`. Surrogates are left to the general parser.
fn check_escapes(text: &[u8], start: usize, mut escaped: u64) -> Option<()> {
    while escaped != 0 {
        let at = start + escaped.trailing_zeros() as usize;
        escaped &= escaped - 1;
        match text.get(at)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits = text.get(at + 1..at + 5)?;
                let is_surrogate = matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                if is_surrogate || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
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
        let bits = |(word, bits): (usize, &u64)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit).collect::<Vec<_>>()
        };
        let words: Vec<(usize, u64)> = marks.quotes().iter().copied().enumerate().collect();
        Some(words.iter().flat_map(|(word, quotes)| bits((*word, quotes))).collect())
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
            for good in ["\\u0026", "\\n", "é", "\\/", "\u{7f}"] {
                assert!(marked(format!("{{\"{pad}{good}\"\n}}").as_bytes()).is_some(), "{pad}{good}");
            }
            for bad in ["\n", "\u{1}", "\\x", "\\u00g0", "\\ud83d\\ude00", "\\uDC00"] {
                assert!(marked(format!("{{\"{pad}{bad}\"\n}}").as_bytes()).is_none(), "{pad}{bad}");
            }
            assert!(marked(format!("{{\"{pad}\\u00\"").as_bytes()).is_none(), "{pad}");
            assert!(marked(&[b"\"", pad.as_bytes(), b"\xff\""].concat()).is_none(), "{pad}");
        }
    }
}
