//! A rate without a clock and without a lock: many threads ask, each with the time of its chunk.
//!
//! The generic cell rate algorithm: one number, the time up to which the rate is used up, says all that a bucket of
//! tokens would say. The bucket holds one second's worth, so that a burst is shown as far as the rate goes.
//! Source: ITU-T I.371, annex A ("virtual scheduling").

use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::time::Timestamp;

const SECOND_US: i64 = 1_000_000;
/// A clock that was set back by more than this starts the rate anew; threads never differ by that much.
const SET_BACK_US: i64 = 60 * SECOND_US;

/// So many a second.
#[derive(Debug)]
pub(super) struct Rate {
    /// Microseconds between two.
    every_us: i64,
    /// Up to this time, microseconds since the epoch, the rate is used up.
    used_to_us: AtomicI64,
}

impl Rate {
    /// `n` a second, at least 1.
    pub(super) fn per_second(n: u32) -> Self {
        Self { every_us: SECOND_US / i64::from(n.max(1)), used_to_us: AtomicI64::new(i64::MIN) }
    }

    /// Whether one more may pass now, which is then counted. Asking in vain costs one load.
    pub(super) fn allows(&self, now: Timestamp) -> bool {
        let now_us = now.0.saturating_mul(1_000);
        let next = |used_to_us: i64| {
            let full = now_us.saturating_sub(SECOND_US);
            let is_set_back = used_to_us > now_us.saturating_add(SET_BACK_US);
            let from = if is_set_back { full } else { used_to_us.max(full) };
            let used = from.saturating_add(self.every_us);
            (used <= now_us).then_some(used)
        };
        self.used_to_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 10,000 attempts pass at each of these times, milliseconds.
    fn passed(rate: u32, times: &[i64]) -> Vec<usize> {
        let rate = Rate::per_second(rate);
        let start = 1_800_000_000_000;
        times.iter().map(|at| (0..10_000).filter(|_| rate.allows(Timestamp(start + at))).count()).collect()
    }

    #[test]
    fn a_second_holds_as_many_as_the_rate_says() {
        for (rate, times, expected) in [
            (10, &[0, 99, 100, 150, 200, 1_200, 9_000][..], &[10, 0, 1, 0, 1, 10, 10][..]),
            (1, &[0, 999, 1_000, 1_001, 5_000], &[1, 0, 1, 0, 1]),
            (1_000, &[0, 1, 2, 500, 1_500], &[1_000, 1, 1, 498, 1_000]),
            (7, &[0, 1_000, 1_142, 1_143], &[7, 7, 0, 1]),
            (3, &[0, 333, 334, 667, 999, 1_000], &[3, 0, 1, 1, 0, 1]),
        ] {
            assert_eq!(passed(rate, times), expected, "{rate} a second at {times:?}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_a_little_waits_and_by_much_starts_anew() {
        assert_eq!(passed(10, &[0, -500, -900, 100, -100_000, -99_900]), [10, 0, 0, 1, 10, 1]);
    }
}
