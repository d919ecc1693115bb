//! Counts distinct things in two kilobytes, about: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007), with linear counting
//! (Whang, Vander-Zanden, Taylor 1990) while few were seen.
//!
//! The standard error is 1.04 / sqrt(2,048), 2.3 percent. Merging takes the greater register of each place, so it does not matter
//! who saw what in which order, or how often.

/// Bits of a hash that choose the register.
const PLACE_BITS: u32 = 11;
/// Registers.
const REGISTERS: usize = 1 << PLACE_BITS;

/// What was seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Sketch(Box<[u8; REGISTERS]>);

impl Default for Sketch {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch({})", self.estimate())
    }
}

impl Sketch {
    /// Notes a thing by its hash, of which all bits must be even.
    #[inline]
    pub fn note(&mut self, hash: u64) {
        let place = (hash >> (u64::BITS - PLACE_BITS)) as usize;
        let rank = (hash << PLACE_BITS | 1 << (PLACE_BITS - 1)).leading_zeros() as u8 + 1;
        if let Some(register) = self.0.get_mut(place) {
            *register = rank.max(*register);
        }
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own = (*own).max(*other));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// How many distinct things were seen, about.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        let m = REGISTERS as f64;
        let sum: f64 = self.0.iter().map(|rank| f64::from(*rank).exp2().recip()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let n_empty = self.0.iter().filter(|rank| **rank == 0).count();
        let estimate = if raw <= 2.5 * m && n_empty > 0 { m * (m / n_empty as f64).ln() } else { raw };
        estimate.round() as u64
    }

    /// The registers, for the state.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Whether these are the registers of a sketch.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.len() == REGISTERS
    }

    /// A sketch of the state; what is no sketch has seen nothing.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        <[u8; REGISTERS]>::try_from(bytes).map_or_else(|_| Self::default(), |registers| Self(Box::new(registers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads a number over all bits (splitmix64, Steele, Lea, Flood 2014).
    fn spread(n: u64) -> u64 {
        let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    #[test]
    fn it_counts_within_a_few_percent_from_nothing_to_a_million() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.estimate(), 0);
        for n in 0_u64..1_000_000 {
            sketch.note(spread(n));
            if [0, 9, 999, 9_999, 99_999, 999_999].contains(&n) {
                let (seen, estimate) = ((n + 1) as f64, sketch.estimate() as f64);
                assert!((estimate - seen).abs() <= 0.08 * seen, "{estimate} of {seen}");
            }
        }
        let before = sketch.estimate();
        (0..1_000).for_each(|n| sketch.note(spread(n)));
        assert_eq!(sketch.estimate(), before, "what was seen is not counted again");
    }

    #[test]
    fn who_saw_what_does_not_matter() {
        let (mut one, mut other, mut both) = (Sketch::default(), Sketch::default(), Sketch::default());
        for n in 0..50_000 {
            both.note(spread(n));
            if n % 3 == 0 { one.note(spread(n)) } else { other.note(spread(n)) }
        }
        let mut merged = Sketch::from_bytes(&other.to_bytes());
        merged.merge(&one);
        assert_eq!(merged, both);
        merged.clear();
        assert_eq!(merged, Sketch::from_bytes(b"no sketch"));
    }
}
