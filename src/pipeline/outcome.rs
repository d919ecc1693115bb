//! The conservation law: every alert has exactly one outcome, counted to the unit.
//!
//! received = opened + joined + folded + resolved + suppressed + rejected + held.

/// The one fate of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// It opened an incident, or reopened a resolved one.
    Opened = 0,
    /// Its fingerprint was not firing and joined an unresolved incident.
    Joined = 1,
    /// A repeat; also a resolve of something that does not fire, and what never reached `open_after`.
    Folded = 2,
    /// It resolved a firing member.
    Resolved = 3,
    /// Muted.
    Suppressed = 4,
    /// Unreadable: a dead letter with its reason.
    Rejected = 5,
}

impl Outcome {
    /// Every outcome, in the order of its number.
    pub const ALL: [Self; 6] =
        [Self::Opened, Self::Joined, Self::Folded, Self::Resolved, Self::Suppressed, Self::Rejected];

    /// The word used in metrics and assignments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Joined => "joined",
            Self::Folded => "folded",
            Self::Resolved => "resolved",
            Self::Suppressed => "suppressed",
            Self::Rejected => "rejected",
        }
    }
}

/// Counts of one source: what came in and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Alerts received, an unreadable record or element counted as one.
    pub received: u64,
    /// By outcome, in the order of `Outcome::ALL`.
    pub outcomes: [u64; 6],
    /// Held back below `open_after` now; a change while counts are being gathered.
    pub held: i64,
}

impl SourceCounts {
    /// Counts `n` alerts with this outcome.
    pub fn count(&mut self, outcome: Outcome, n: u64) {
        if let Some(count) = self.outcomes.get_mut(outcome as usize) {
            *count += n;
        }
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.held += other.held;
        for (sum, count) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum += count;
        }
    }

    /// Whether the law holds.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        i128::from(self.received)
            == self.outcomes.iter().map(|count| i128::from(*count)).sum::<i128>() + i128::from(self.held)
    }
}
