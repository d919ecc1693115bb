//! What the engine does when memory gets short: the level it is at, and who is to blame.
//!
//! A level is decided outside (`ladder` is the arithmetic, the daemon looks at the clock and the memory) and enters the one
//! sequence as a step, as a tick or a command does. So every shard acts on it before the same alert, and the same sequence gives
//! the same incidents. Here are no numbers of bytes and no clock.
//!
//! `sketch` counts distinct values, `novelty` which labels bring them, `valves` hold sources back.

pub mod ladder;
pub mod novelty;
pub mod sketch;
pub mod valves;

use std::sync::Arc;

use crate::model::alert::Severity;
use crate::pipeline::source::SourceIndex;

/// How short memory is. Each level does what those before it do, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// There is room.
    #[default]
    Normal = 0,
    /// Batches, epochs and what may be on its way are a quarter as large.
    SmallBatches = 1,
    /// The source that brings most new alerts is not read; incidents below critical keep no more samples.
    PauseHeaviest = 2,
    /// New alerts of the offender below critical are folded into one overflow incident.
    Fold = 3,
    /// Those of every source are; resolved groups leave before `reopen` ends.
    Evict = 4,
    /// Nothing is read, and an incident says so.
    PauseAll = 5,
}

impl Level {
    /// Every level, least first; the index of each is its number in state and metrics.
    pub const ALL: [Self; 6] =
        [Self::Normal, Self::SmallBatches, Self::PauseHeaviest, Self::Fold, Self::Evict, Self::PauseAll];

    /// The word used in metrics and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::SmallBatches => "small_batches",
            Self::PauseHeaviest => "pause_heaviest",
            Self::Fold => "fold",
            Self::Evict => "evict",
            Self::PauseAll => "pause_all",
        }
    }

    /// What happens at it, for the log.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Normal => "there is room again",
            Self::SmallBatches => "batches and epochs are smaller",
            Self::PauseHeaviest => "the heaviest source is paused, incidents below critical keep no more samples",
            Self::Fold => "new alerts below critical of the offender are folded into an overflow incident",
            Self::Evict => "new alerts below critical are folded into overflow incidents, resolved groups leave early",
            Self::PauseAll => "no source is read",
        }
    }

    /// The level of a number in the state; one that is not known is the last.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::PauseAll)
    }
}

/// Whose new alerts are folded first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    /// The source.
    pub source: SourceIndex,
    /// The label that has too many values; only alerts with it are meant then. Text of a sender: data, never markup.
    pub label: Option<Arc<str>>,
}

/// What the shards are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// How short memory is.
    pub level: Level,
    /// Who is to blame; from `Level::Fold` on.
    pub offender: Option<Offender>,
}

impl Pressure {
    /// Whether new alerts of this source and severity may have to be folded away.
    #[must_use]
    pub fn may_fold(&self, source: SourceIndex, severity: Severity) -> bool {
        severity < Severity::Critical
            && (self.level >= Level::Evict
                || self.level == Level::Fold
                    && self.offender.as_ref().is_some_and(|offender| offender.source == source))
    }

    /// Whether any alert of this source may have to be folded away.
    #[must_use]
    pub fn folds(&self, source: SourceIndex) -> bool {
        self.may_fold(source, Severity::Unknown)
    }

    /// The label without which an alert is not meant.
    #[must_use]
    pub fn only_with(&self) -> Option<&str> {
        if self.level >= Level::Evict { None } else { self.offender.as_ref()?.label.as_deref() }
    }

    /// The label to blame for a source, if one is known.
    #[must_use]
    pub fn culprit(&self, source: SourceIndex) -> Option<&Arc<str>> {
        self.offender.as_ref().filter(|offender| offender.source == source)?.label.as_ref()
    }
}
