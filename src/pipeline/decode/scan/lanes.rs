//! What a text holds, 64 bytes at a step, as bits: with AVX2 or SSE2 on x86-64, elsewhere byte by byte.
//!
//! The `unsafe` of the room is here: the calls into functions that need an instruction set, and loads of a block as vectors.

/// Bytes that are looked at in one step: one per bit of a mask.
pub(super) const BLOCK: usize = 64;

/// What a block holds: one bit per byte, the first one lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// Bytes below 0x20.
    pub(super) controls: u64,
    /// Whether there is a byte of 0x80 or more.
    pub(super) has_high: bool,
}

/// What is done with the blocks of a text, one after the other; the last is filled up with white space.
pub(super) trait Visit {
    /// Takes a block. False ends the walk.
    fn visit(&mut self, block: Block) -> bool;
}

/// Walks over `text` with what this processor has; false if `visitor` ended it.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the instructions exist only where the test before says so, or in every x86-64")]
#[inline]
pub(super) fn walk(text: &[u8], visitor: &mut impl Visit) -> bool {
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has them, as the line above has asked it.
        unsafe { walk_avx2(text, visitor) }
    } else {
        // SAFETY: SSE2 is part of the x86-64 architecture, so every processor that runs this has it.
        unsafe { walk_sse2(text, visitor) }
    }
}

/// Walks over `text`; false if `visitor` ended it.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn walk(text: &[u8], visitor: &mut impl Visit) -> bool {
    walk_with(text, visitor, look_plainly)
}

// In a closure of a function with an instruction set the instructions may be used as well, and all of it is made for them.

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn walk_avx2(text: &[u8], visitor: &mut impl Visit) -> bool {
    walk_with(text, visitor, |block| look_avx2(block))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn walk_sse2(text: &[u8], visitor: &mut impl Visit) -> bool {
    walk_with(text, visitor, |block| look_sse2(block))
}

/// Always inlined, so that it is made for the instructions of its caller.
#[inline(always)]
fn walk_with(text: &[u8], visitor: &mut impl Visit, look: impl Fn(&[u8; BLOCK]) -> Block) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for block in blocks {
        if !visitor.visit(look(block)) {
            return false;
        }
    }
    if rest.is_empty() {
        return true;
    }
    let mut last = [b' '; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    visitor.visit(look(&last))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, clippy::indexing_slicing, reason = "loads; a block of 64 bytes has all of these parts")]
#[inline]
fn look_avx2(block: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::{
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
        _mm256_setzero_si256, _mm256_subs_epu8,
    };
    let halves = block.as_chunks::<32>().0;
    // SAFETY: each half has 32 bytes, which may be read from any address.
    let [low, high] = [0, 1].map(|half| unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) });
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
#[expect(unsafe_code, clippy::indexing_slicing, reason = "loads; a block of 64 bytes has all of these parts")]
#[inline]
fn look_sse2(block: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_setzero_si128,
        _mm_subs_epu8,
    };
    let quarters = block.as_chunks::<16>().0;
    // SAFETY: each quarter has 16 bytes, which may be read from any address.
    let [a, b, c, d] = [0, 1, 2, 3].map(|quarter| unsafe { _mm_loadu_si128(quarters[quarter].as_ptr().cast()) });
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
    #[expect(unsafe_code, reason = "SSE2 is part of the architecture, AVX2 is asked for")]
    fn the_fast_forms_see_what_the_plain_one_sees() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                block[63 - at] = block[63 - at].max(b'"');
                let plain = look_plainly(&block);
                // SAFETY: SSE2 is part of the x86-64 architecture.
                assert_eq!(unsafe { look_sse2(&block) }, plain, "{byte} at {at}");
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has it.
                    assert_eq!(unsafe { look_avx2(&block) }, plain, "{byte} at {at}");
                }
            }
        }
    }

    struct Blocks(Vec<Block>);

    impl Visit for Blocks {
        fn visit(&mut self, block: Block) -> bool {
            self.0.push(block);
            self.0.len() < 4
        }
    }

    #[test]
    fn every_byte_is_seen_once() {
        for (len, n_blocks) in [(0, 0), (1, 1), (64, 1), (65, 2), (128, 2), (1_000, 4)] {
            let mut blocks = Blocks(Vec::new());
            assert_eq!(walk(&vec![b'"'; len], &mut blocks), n_blocks < 4);
            let n_quotes: u32 = blocks.0.iter().map(|block| block.quotes.count_ones()).sum();
            assert_eq!((blocks.0.len(), n_quotes as usize), (n_blocks, len.min(256)), "{len}");
        }
    }
}
