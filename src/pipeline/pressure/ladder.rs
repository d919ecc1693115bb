//! The ladder: which level a use of memory means. Pure; a level is left five percentage points below where it was entered, so
//! that it does not come and go with every epoch.

use crate::pipeline::pressure::Level;

/// Percent of the budget at which a level is entered. Below 70 a flood is the daily work; the steps above leave each measure
/// time to show an effect before the next: at 200,000 new alerts a second a gigabyte's five percent are a second.
const ENTRIES: [(Level, u64); 5] = [
    (Level::PauseAll, 95),
    (Level::Evict, 90),
    (Level::Fold, 85),
    (Level::PauseHeaviest, 80),
    (Level::SmallBatches, 70),
];

/// Percentage points between entering a level and leaving it.
const HYSTERESIS: u64 = 5;

/// Percent of the budget that windows may take before new alerts below critical are folded, whatever else there is: the
/// other 20 are for critical ones.
const WINDOWS_PERCENT: u64 = 80;

/// What is used, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Memory in use: the larger of what the system says and what the engine counts.
    pub bytes: u64,
    /// Of it for windows: fingerprints, labels, groups, samples.
    pub windows: u64,
    /// What may be used; 0: there is no bound.
    pub budget: u64,
}

impl Load {
    /// The highest level whose entry, lowered by so many percentage points, is reached.
    fn level(&self, lowered: u64) -> Level {
        if self.budget == 0 {
            return Level::Normal;
        }
        let reaches = |bytes: u64, percent: u64| {
            u128::from(bytes) * 100 >= u128::from(self.budget) * u128::from(percent - lowered)
        };
        let whole = ENTRIES.iter().find(|(_, percent)| reaches(self.bytes, *percent));
        let windows = if reaches(self.windows, WINDOWS_PERCENT) { Level::Fold } else { Level::Normal };
        whole.map_or(Level::Normal, |(level, _)| *level).max(windows)
    }
}

/// The level, and how it got there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    level: Level,
}

impl Ladder {
    /// The level that this use of memory means, after what was before.
    pub fn look(&mut self, load: &Load) -> Level {
        self.level = load.level(0).max(load.level(HYSTERESIS).min(self.level));
        self.level
    }

    /// The level at the last look.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(percent: u64) -> Load {
        Load { bytes: percent * 10, windows: 0, budget: 1_000 }
    }

    /// Level by level over a course of percentages.
    fn course(percents: &[u64]) -> Vec<u8> {
        let mut ladder = Ladder::default();
        percents.iter().map(|percent| ladder.look(&load(*percent)) as u8).collect()
    }

    #[test]
    fn each_level_has_its_entry_and_is_left_five_points_below() {
        assert_eq!(course(&[69, 70, 79, 80, 84, 85, 89, 90, 94, 95, 120]), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(course(&[100, 90, 89, 85, 84, 80, 79, 75, 74, 65, 64]), [5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0]);
        assert_eq!(course(&[70, 66, 69, 65, 64, 69, 70]), [1, 1, 1, 1, 0, 0, 1], "it does not come and go");
        assert_eq!(course(&[0, 96, 30]), [0, 5, 0], "and may fall several at once");
    }

    #[test]
    fn windows_leave_a_fifth_to_what_is_critical() {
        let mut ladder = Ladder::default();
        let with = |windows| Load { bytes: 500, windows, budget: 1_000 };
        let levels: Vec<Level> = [799, 800, 750, 749].map(|windows| ladder.look(&with(windows))).into();
        assert_eq!(levels, [Level::Normal, Level::Fold, Level::Fold, Level::Normal]);
    }

    #[test]
    fn without_a_budget_there_is_no_pressure() {
        assert_eq!(Ladder::default().look(&Load { bytes: u64::MAX, windows: u64::MAX, budget: 0 }), Level::Normal);
        assert_eq!(Ladder::default().look(&Load { bytes: u64::MAX, windows: 0, budget: u64::MAX }), Level::PauseAll);
    }

    proptest! {
        /// Whatever came before, the level is one of the two that the present use allows.
        #[test]
        fn the_past_decides_within_the_five_points_only(percents in prop::collection::vec(0_u64..130, 1..50)) {
            let mut ladder = Ladder::default();
            for percent in percents {
                let before = ladder.level();
                let level = ladder.look(&load(percent));
                prop_assert!(level >= load(percent).level(0) && level <= load(percent).level(HYSTERESIS));
                prop_assert!(level <= before.max(load(percent).level(0)), "it rises by an entry only");
            }
        }
    }
}
