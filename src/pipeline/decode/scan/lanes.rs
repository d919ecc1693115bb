//! What a text holds, 64 bytes at a step, as bits: with AVX-512, AVX2 or SSE2 on x86-64, elsewhere byte by byte.
//!
//! The `unsafe` of the room is here: the calls into functions that need an instruction set, loads and stores of vectors, and
//! prefetching.

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

/// Room for the places of a block's bits.
pub(super) type Places = [u32; BLOCK];

/// What is done with the blocks of a text, one after the other; the last is filled up with white space.
pub(super) trait Visit {
    /// Takes a block. `spread` writes where the bits of a mask are, counted from a start, and may write anything behind
    /// the last of them. False ends the walk.
    fn visit(&mut self, block: Block, spread: impl Fn(u64, u32, &mut Places)) -> bool;
}

/// Walks over `text` with what this processor has; false if `visitor` ended it.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the instructions exist only where the test before says so, or in every x86-64")]
#[inline]
pub(super) fn walk(text: &[u8], visitor: &mut impl Visit) -> bool {
    if has_avx512() {
        // SAFETY: the processor has them, as the line above has asked it.
        unsafe { walk_avx512(text, visitor) }
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
    {
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
    walk_with(text, visitor, look_plainly, spread_plainly)
}

/// Bytes of a text that are fetched: most records whole, and of a large one no more than finds room beside what is in use.
const FETCHED: usize = 2 << 10;

/// Asks for a text that will be walked over soon to be fetched from memory.
#[inline]
pub(super) fn fetch(text: &[u8]) {
    #[cfg(not(target_arch = "x86_64"))]
    let _ = text;
    #[cfg(target_arch = "x86_64")]
    for line in text.get(..FETCHED).unwrap_or(text).chunks(BLOCK) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "a hint to the processor: it reads and writes nothing")]
        // SAFETY: SSE is part of the x86-64 architecture, and a prefetch of any address does no harm.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
    }
}

/// VBMI2 came with Ice Lake (2019) and Zen 4 (2022), on which wide vectors cost no clock rate worth the name.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("popcnt")
}

// In a closure of a function with an instruction set the instructions may be used as well, and all of it is made for them.

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,popcnt")]
fn walk_avx512(text: &[u8], visitor: &mut impl Visit) -> bool {
    walk_with(text, visitor, |block| look_avx512(block), |bits, start, places| spread_avx512(bits, start, places))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn walk_avx2(text: &[u8], visitor: &mut impl Visit) -> bool {
    walk_with(text, visitor, |block| look_avx2(block), spread_plainly)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn walk_sse2(text: &[u8], visitor: &mut impl Visit) -> bool {
    walk_with(text, visitor, |block| look_sse2(block), spread_plainly)
}

/// Always inlined, so that it is made for the instructions of its caller.
#[inline(always)]
fn walk_with(
    text: &[u8],
    visitor: &mut impl Visit,
    look: impl Fn(&[u8; BLOCK]) -> Block,
    spread: impl Fn(u64, u32, &mut Places),
) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for block in blocks {
        if !visitor.visit(look(block), &spread) {
            return false;
        }
    }
    if rest.is_empty() {
        return true;
    }
    let mut last = [b' '; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    visitor.visit(look(&last), &spread)
}

/// Eight places at a time, with nothing to decide in between: most blocks have fewer. What is too much is overwritten.
#[inline(always)]
fn spread_plainly(mut bits: u64, start: u32, places: &mut Places) {
    if bits == 0 {
        return;
    }
    for eight in places.as_chunks_mut::<8>().0 {
        for place in eight {
            *place = start.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
        if bits == 0 {
            break;
        }
    }
}

/// The numbers of the bits are packed as bytes, and sixteen of them widened at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,popcnt")]
#[expect(unsafe_code, reason = "stores; a room of 64 places has all of these parts")]
#[inline]
fn spread_avx512(bits: u64, start: u32, places: &mut Places) {
    use std::arch::x86_64::{
        _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cvtepu8_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
        _mm512_set1_epi32, _mm512_shuffle_i32x4, _mm512_storeu_si512,
    };
    // SAFETY: it has 64 bytes, which may be read from any address.
    let numbers = unsafe { _mm512_loadu_si512(NUMBERS.as_ptr().cast()) };
    let mut packed = _mm512_maskz_compress_epi8(bits, numbers);
    let start = _mm512_set1_epi32(start as i32);
    let mut n_left = bits.count_ones();
    for sixteen in places.as_chunks_mut::<16>().0 {
        let wide = _mm512_add_epi32(start, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(packed)));
        // SAFETY: sixteen places are 64 bytes, which may be written to any address.
        unsafe { _mm512_storeu_si512(sixteen.as_mut_ptr().cast(), wide) };
        if n_left <= 16 {
            break;
        }
        n_left -= 16;
        packed = _mm512_shuffle_i32x4::<0b00_11_10_01>(packed, packed); // The next sixteen to the front.
    }
}

/// The bytes 0 to 63.
#[cfg(target_arch = "x86_64")]
static NUMBERS: [u8; BLOCK] = {
    let mut numbers = [0; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        numbers[at] = at as u8;
        at += 1;
    }
    numbers
};

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
#[expect(unsafe_code, reason = "a load of a whole block")]
#[inline]
fn look_avx512(block: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::{
        _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_movepi8_mask, _mm512_set1_epi8,
    };
    // SAFETY: a block has 64 bytes, which may be read from any address.
    let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    Block {
        quotes: _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'"' as i8)),
        backslashes: _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'\\' as i8)),
        controls: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
        has_high: _mm512_movepi8_mask(bytes) != 0,
    }
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
                if has_avx512() {
                    // SAFETY: the processor has it.
                    assert_eq!(unsafe { look_avx512(&block) }, plain, "{byte} at {at}");
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has it.
                    assert_eq!(unsafe { look_avx2(&block) }, plain, "{byte} at {at}");
                }
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "AVX-512 is asked for")]
    fn the_fast_form_finds_the_places_that_the_plain_one_finds() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        let mut cases = vec![0, 1, 1 << 63, u64::MAX, u64::MAX << 16, 0xffff, 0x1_ffff];
        for _ in 0..1_000 {
            bits = bits.rotate_left(7).wrapping_mul(0x2545_f491_4f6c_dd1d);
            cases.extend([bits, bits & bits.rotate_left(13), bits & bits.rotate_left(13) & bits.rotate_left(29)]);
        }
        for bits in cases {
            let n_places = bits.count_ones() as usize;
            let expected: Vec<u32> = (0..64).filter(|at| bits >> at & 1 == 1).map(|at| at + 1_000).collect();
            let mut places = [0; BLOCK];
            spread_plainly(bits, 1_000, &mut places);
            assert_eq!(places[..n_places], expected, "{bits:x}");
            if has_avx512() {
                let mut places = [0; BLOCK];
                // SAFETY: the processor has it.
                unsafe { spread_avx512(bits, 1_000, &mut places) };
                assert_eq!(places[..n_places], expected, "{bits:x}");
            }
        }
    }

    struct Blocks(Vec<Block>);

    impl Visit for Blocks {
        fn visit(&mut self, block: Block, _: impl Fn(u64, u32, &mut Places)) -> bool {
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
