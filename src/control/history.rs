//! What happened to an incident, step by step: kept in memory for those the index knows, read from the store for others.

use std::collections::VecDeque;

use serde::Serialize;

use crate::model::{EventKind, EventReason, IncidentEvent, IncidentId, Severity, Status, Timestamp};

/// Steps kept in memory per incident, the newest ones: an incident that is updated once a minute shows an hour and a half.
const STEPS_MAX: usize = 100;

/// One event of an incident without its labels and samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its number in the life of the incident, from 1 without a gap.
    pub revision: u64,
    /// What happened.
    pub event: EventKind,
    /// Why.
    pub reason: EventReason,
    /// Record time of what caused it.
    pub record_time: Timestamp,
    /// When it became durable.
    pub committed_at: Timestamp,
    /// Where the incident stood then.
    pub status: Status,
    /// The worst severity until then.
    pub severity_max: Severity,
    /// Distinct fingerprints until then.
    pub members: u64,
    /// Members that fired then.
    pub firing: u64,
    /// Alerts counted until then.
    pub alerts: u64,
    /// Who resolved it, if a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
}

impl From<&IncidentEvent> for Step {
    fn from(event: &IncidentEvent) -> Self {
        Self {
            revision: event.revision,
            event: event.event,
            reason: event.reason,
            record_time: event.record_time,
            committed_at: event.committed_at,
            status: event.status,
            severity_max: event.severity_max,
            members: event.members,
            firing: event.firing,
            alerts: event.counts.alerts,
            resolved_by: event.resolved_by.clone(),
        }
    }
}

/// The steps of one incident that are known, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// Whether these are all, from the first revision on without a gap.
    pub complete: bool,
    /// Oldest first.
    pub steps: Vec<Step>,
}

impl Steps {
    /// Puts steps in order and says whether they are all.
    #[must_use]
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut steps: Vec<Step> = steps.into_iter().collect();
        steps.sort_unstable_by_key(|step| step.revision);
        steps.dedup_by_key(|step| step.revision);
        let in_order = steps.iter().zip(1..).all(|(step, number)| step.revision == number);
        Self { complete: in_order && !steps.is_empty(), steps }
    }
}

/// The newest steps of one incident, bounded.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Step>);

impl Recent {
    pub(crate) fn push(&mut self, step: Step) {
        if self.0.len() == STEPS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(step);
    }

    pub(crate) fn read(&self) -> Steps {
        Steps::of(self.0.iter().cloned())
    }
}

/// Why the store cannot be asked; a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArchiveError(pub String);

/// The store's memory of incidents, for those that the index does not hold any more. Answers may take milliseconds.
pub trait Archive: Send + Sync {
    /// The newest event of an incident; `None` where nobody knows it, or the store cannot be searched.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn newest(&self, id: IncidentId) -> Result<Option<IncidentEvent>, ArchiveError>;

    /// Every step of an incident; none where the store cannot be searched.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn steps(&self, id: IncidentId) -> Result<Steps, ArchiveError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::example::event;

    #[test]
    fn steps_are_complete_from_the_first_on_without_a_gap() {
        let step = |revision| Step::from(&*event(1, revision, Status::Firing));
        let check = |revisions: &[u64], expected: &[u64], complete| {
            let steps = Steps::of(revisions.iter().map(|&revision| step(revision)));
            let found: Vec<u64> = steps.steps.iter().map(|step| step.revision).collect();
            assert_eq!((found.as_slice(), steps.complete), (expected, complete));
        };
        check(&[], &[], false);
        check(&[2, 1, 2], &[1, 2], true);
        check(&[1, 3], &[1, 3], false);
        check(&[2, 3], &[2, 3], false);
    }

    #[test]
    fn memory_is_bounded_and_says_that_it_forgot() {
        let mut recent = Recent::default();
        for revision in 1..=STEPS_MAX as u64 {
            recent.push(Step::from(&*event(1, revision, Status::Firing)));
        }
        assert!(recent.read().complete);
        recent.push(Step::from(&*event(1, STEPS_MAX as u64 + 1, Status::Firing)));
        let steps = recent.read();
        assert_eq!((steps.complete, steps.steps.len()), (false, STEPS_MAX));
    }
}
