//! Whose turn it is: every source gets the same share of the sequencer while it has something to say, however large its batches.
//!
//! Deficit round robin (Shreedhar, Varghese 1995), in its form for queues into which one cannot look: a source is charged after its
//! batch was taken, and whoever has most credit is next. So a quiet source goes before a flooding one, and waits for one batch of
//! it at most; whoever is alone never waits.

/// Credit of one round: the size of a Kafka batch, or of many requests.
const QUANTUM: i64 = 256 << 10;

/// Credits, at most a quantum each, and whose turn was last.
#[derive(Debug)]
pub(super) struct FairTurns {
    credits: Vec<i64>,
    last: usize,
}

impl FairTurns {
    pub(super) fn new(n: usize) -> Self {
        Self { credits: vec![QUANTUM; n], last: 0 }
    }

    /// The next of those that have something; `None` if nobody has.
    pub(super) fn next(&mut self, has_something: impl Fn(usize) -> bool) -> Option<usize> {
        let n = self.credits.len();
        let mut best: Option<(i64, usize)> = None;
        for at in (1..=n).map(|offset| (self.last + offset) % n).filter(|at| has_something(*at)) {
            let credit = self.credits.get(at).copied().unwrap_or(QUANTUM);
            if best.is_none_or(|(most, _)| credit > most) {
                best = Some((credit, at));
            }
        }
        let Some((most, next)) = best else {
            self.credits.fill(QUANTUM); // Nobody waits: there is nothing to share, and no debt.
            return None;
        };
        if most <= 0 {
            // As many rounds as it takes until somebody may go on.
            let rounds = 1 - most / QUANTUM;
            self.credits.iter_mut().for_each(|credit| *credit = (*credit + rounds * QUANTUM).min(QUANTUM));
        }
        self.last = next;
        Some(next)
    }

    /// It was taken from this source, at that cost.
    pub(super) fn charge(&mut self, at: usize, cost: u64) {
        if let Some(credit) = self.credits.get_mut(at) {
            *credit -= cost as i64;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    /// Takes batches of these sizes from sources that always have something; what each got.
    fn served(sizes: &[u64], total: u64) -> Vec<u64> {
        let mut turns = FairTurns::new(sizes.len());
        let mut got = vec![0; sizes.len()];
        while got.iter().sum::<u64>() < total {
            let at = turns.next(|_| true).expect("all have something");
            turns.charge(at, sizes[at]);
            got[at] += sizes[at];
        }
        got
    }

    #[test]
    fn everybody_gets_the_same_however_large_the_batches() {
        let got = served(&[8 << 20, 256 << 10, 1 << 10, 300], 1 << 30);
        let share = (1 << 30) / got.len() as u64;
        for bytes in &got {
            assert!(bytes.abs_diff(share) < 16 << 20, "{got:?}");
        }
    }

    /// In virtual terms: what passes between two small batches of a quiet source while others flood.
    #[test]
    fn between_two_of_a_quiet_source_only_a_bounded_amount_of_the_others_passes() {
        for size in [100, 10 << 10, 256 << 10, 8 << 20_u64] {
            let mut turns = FairTurns::new(3);
            let (mut between, mut most, mut served, mut due) = (0, 0, 0, false);
            for step in 0_u64..20_000 {
                // The quiet one has something to say again as soon as the others had three batches.
                due |= step % 4 == 3;
                let at = turns.next(|at| at != 1 || due).expect("some have something");
                turns.charge(at, if at == 1 { 30 } else { size });
                if at == 1 {
                    (between, served, due) = (0, served + 1, false);
                } else if due {
                    between += size;
                    most = most.max(between);
                }
            }
            assert!(served > 4_000, "{served}");
            assert!(most <= (QUANTUM as u64).max(2 * size), "{most} bytes of others with batches of {size}");
        }
    }

    #[test]
    fn whoever_is_alone_never_waits() {
        let mut turns = FairTurns::new(4);
        for _ in 0..1_000 {
            assert_eq!(turns.next(|at| at == 2), Some(2));
            turns.charge(2, 50 << 20);
        }
        assert_eq!(turns.next(|_| false), None);
        turns.charge(0, 1);
        assert_eq!(turns.next(|_| true), Some(3), "what one had while nobody waited is forgotten");
        assert_eq!(FairTurns::new(0).next(|_| true), None);
    }
}
