//! What a text holds, 64 bytes at a step, as bits: with AVX2 or SSE2 on x86-64, elsewhere byte by byte.
//!
//! The only `unsafe` of the room is the call into functions that need an instruction set. They read no memory but through
//! slices: vectors are made of integers, which the compiler turns into loads.

/// Bytes that are looked at in one step: one per bit of a mask.
pub(super) const BLOCK: usize = 64;

/// What a text holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// One bit per byte: a quote. One word per block, the last block filled up with white space.
    pub(super) quotes: Vec<u64>,
    /// The blocks with a backslash or a byte below 0x20, in order.
    pub(super) special: Vec<Special>,
    /// There is a byte of 0x80 or more.
    pub(super) has_high: bool,
}

/// A block that has to be looked at more closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Special {
    /// Number of the block.
    pub(super) number: u32,
    /// One bit per byte: a backslash.
    pub(super) backslashes: u64,
    /// One bit per byte: below 0x20.
    pub(super) controls: u64,
}

impl Found {
    /// Looks at `text` with what this processor has.
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the instructions exist only where the test before says so, or in every x86-64")]
    pub(super) fn look(&mut self, text: &[u8]) {
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as the line above has asked it.
            unsafe { self.look_avx2(text) }
        } else {
            // SAFETY: SSE2 is part of the x86-64 architecture, so every processor that runs this has it.
            unsafe { self.look_sse2(text) }
        }
    }

    /// Looks at `text`.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn look(&mut self, text: &[u8]) {
        self.walk(text, look_plainly);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn look_avx2(&mut self, text: &[u8]) {
        // In a closure of this function the instructions may be used as well, and they are inlined.
        self.walk(text, |block| look_avx2(block));
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "sse2")]
    fn look_sse2(&mut self, text: &[u8]) {
        self.walk(text, |block| look_sse2(block));
    }

    /// Always inlined, so that it is made for the instructions of its caller.
    #[inline(always)]
    fn walk(&mut self, text: &[u8], look: impl Fn(&[u8; BLOCK]) -> Block) {
        self.quotes.clear();
        self.special.clear();
        self.has_high = false;
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        self.quotes.reserve(blocks.len() + 1);
        for block in blocks {
            self.take(look(block));
        }
        if !rest.is_empty() {
            let mut last = [b' '; BLOCK];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.take(look(&last));
        }
    }

    #[inline(always)]
    fn take(&mut self, block: Block) {
        let Block { quotes, backslashes, controls, .. } = block;
        if backslashes | controls != 0 {
            self.special.push(Special { number: self.quotes.len() as u32, backslashes, controls });
        }
        self.quotes.push(quotes);
        self.has_high |= block.has_high;
    }
}

struct Block {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    has_high: bool,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn look_avx2(block: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::{
        _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x, _mm256_set1_epi8,
        _mm256_setzero_si256, _mm256_subs_epu8,
    };
    let word = |at| word(block, at);
    let low = _mm256_set_epi64x(word(3), word(2), word(1), word(0));
    let high = _mm256_set_epi64x(word(7), word(6), word(5), word(4));
    let quote = _mm256_set1_epi8(b'"' as i8);
    let backslash = _mm256_set1_epi8(b'\\' as i8);
    let last_control = _mm256_set1_epi8(0x1f);
    let bits =
        |low, high| u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32;
    let equal = |byte| bits(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte));
    let zero = |vector| _mm256_cmpeq_epi8(vector, _mm256_setzero_si256());
    Block {
        quotes: equal(quote),
        backslashes: equal(backslash),
        controls: bits(zero(_mm256_subs_epu8(low, last_control)), zero(_mm256_subs_epu8(high, last_control))),
        has_high: _mm256_movemask_epi8(_mm256_or_si256(low, high)) != 0,
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn look_sse2(block: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_setzero_si128,
        _mm_subs_epu8,
    };
    let word = |at| word(block, at);
    let [a, b, c, d] = [0, 2, 4, 6].map(|at| _mm_set_epi64x(word(at + 1), word(at)));
    let quote = _mm_set1_epi8(b'"' as i8);
    let backslash = _mm_set1_epi8(b'\\' as i8);
    let last_control = _mm_set1_epi8(0x1f);
    let bits = |vectors: [__m128i; 4]| {
        let [a, b, c, d] = vectors.map(|vector| u64::from(_mm_movemask_epi8(vector) as u16));
        a | b << 16 | c << 32 | d << 48
    };
    let equal = |byte| bits([a, b, c, d].map(|vector| _mm_cmpeq_epi8(vector, byte)));
    let controls = [a, b, c, d].map(|vector| _mm_cmpeq_epi8(_mm_subs_epu8(vector, last_control), _mm_setzero_si128()));
    let any = _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d));
    Block {
        quotes: equal(quote),
        backslashes: equal(backslash),
        controls: bits(controls),
        has_high: _mm_movemask_epi8(any) != 0,
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn word(block: &[u8; BLOCK], at: usize) -> i64 {
    block.as_chunks::<8>().0.get(at).map_or(0, |word| i64::from_le_bytes(*word))
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn look_plainly(block: &[u8; BLOCK]) -> Block {
    let mask = |is: &dyn Fn(u8) -> bool| block.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(is(*byte)));
    Block {
        quotes: mask(&|byte| byte == b'"'),
        backslashes: mask(&|byte| byte == b'\\'),
        controls: mask(&|byte| byte < 0x20),
        has_high: !block.is_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "SSE2 is part of the architecture")]
    fn the_fast_forms_see_what_the_plain_one_sees() {
        let (mut fast, mut old, mut plain) = (Found::default(), Found::default(), Found::default());
        for byte in 0..=u8::MAX {
            for at in 0..=130 {
                let mut text = vec![b'a'; 131];
                text[at] = byte;
                text[130 - at] = text[130 - at].max(b'"');
                fast.look(&text);
                // SAFETY: SSE2 is part of the x86-64 architecture.
                unsafe { old.look_sse2(&text) };
                plain.walk(&text, look_plainly);
                assert_eq!((&fast, &old), (&plain, &plain), "{byte} at {at}");
            }
        }
    }
}
