//! The flood's randomness: SplitMix64 and weighted choice.
//! Ours, so that one seed gives the same bytes with every version of every dependency.

/// SplitMix64: small, fast, and good enough to shape a flood. Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// A stream of its own for every `(seed, stream)`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self { state: mix(seed) ^ mix(stream.wrapping_add(0x5EED)) }
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        scale(self.next(), bound)
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("the result is below a usize")
    }

    /// True in `per_million` of a million cases.
    pub(crate) fn chance(&mut self, per_million: u64) -> bool {
        self.below(1_000_000) < per_million
    }

    /// One of `items`, which must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// The finalizer of SplitMix64: a bijection that spreads every bit over all.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Maps 64 even bits to `0..bound` (multiply and take the high half). The bias is below 2^-30 for
/// the bounds used here.
pub(crate) fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// Items drawn in proportion to their weight.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    cumulative: Vec<u64>,
}

impl Weights {
    /// A weight of 0 counts as 1: every item can be drawn.
    pub(crate) fn new(weights: impl IntoIterator<Item = u64>) -> Self {
        let mut sum = 0;
        let cumulative = weights
            .into_iter()
            .map(|weight| {
                sum += weight.max(1);
                sum
            })
            .collect();
        Self { cumulative }
    }

    /// Zipf's law: rank `r` (from 1) has the weight `r^-exponent`.
    pub(crate) fn zipf(items: usize, exponent: f64) -> Self {
        // 1e12 keeps six digits for rank 50,000 at s = 1 and cannot overflow 64 bits in the sum.
        Self::new((1..=items).map(|rank| (1e12 * (rank as f64).powf(-exponent)) as u64))
    }

    /// Draws one of the first `prefix` items; `prefix` must be from 1 to the number of items.
    pub(crate) fn draw(&self, rng: &mut Rng, prefix: usize) -> usize {
        let shot = rng.below(self.cumulative[prefix - 1]);
        self.cumulative[..prefix].partition_point(|sum| *sum <= shot)
    }

    /// Draws one of all items.
    pub(crate) fn draw_any(&self, rng: &mut Rng) -> usize {
        self.draw(rng, self.cumulative.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_stream_another() {
        let take = |seed, stream| {
            let mut rng = Rng::new(seed, stream);
            [rng.next(), rng.next(), rng.next()]
        };
        assert_eq!(take(7, 0), take(7, 0));
        assert_ne!(take(7, 0), take(7, 1));
        assert_ne!(take(7, 0), take(8, 0));
    }

    #[test]
    fn draws_follow_the_weights_and_stay_in_the_prefix() {
        let weights = Weights::new([1, 2, 7]);
        let mut rng = Rng::new(1, 0);
        let mut hits = [0u32; 3];
        for _ in 0..10_000 {
            hits[weights.draw_any(&mut rng)] += 1;
            assert!(weights.draw(&mut rng, 2) < 2);
        }
        assert!((800..1200).contains(&hits[0]), "{hits:?}");
        assert!((1800..2200).contains(&hits[1]), "{hits:?}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::new(3, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
