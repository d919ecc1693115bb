//! Whether what was found is what is true. Pure; everything must agree to the unit.

use crate::cli::FAILED;
use crate::cli::demo::scene::Seen;
use crate::storm::Comparison;

/// The outcome of a demo.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Incidents against the truth.
    pub(super) comparison: Comparison,
    /// Everything that is not as it must be, for people; empty is success.
    pub(super) faults: Vec<String>,
}

impl Verdict {
    pub(super) fn new(seen: &Seen) -> Self {
        let comparison = seen.truth.compare(&seen.found);
        let Seen { truth, fates, score, .. } = seen;
        let mut faults = Vec::new();
        if !comparison.is_exact() {
            faults.push(format!("the incidents are not those of the flood: {comparison}"));
        }
        if !fates.counts.is_conserved() {
            faults.push("the fates of the alerts do not add up to those received".to_owned());
        }
        if fates.counts.received != truth.alerts {
            let mut fault = format!("{} alerts were sent, {} received", truth.alerts, fates.counts.received);
            if score.doubtful > 0 {
                fault += &format!("; {} were sent again and may have come twice", score.doubtful);
            }
            faults.push(fault);
        }
        if !score.is_complete() {
            let why = score.first_error.as_deref().unwrap_or("no reason is known");
            faults.push(format!("{} alerts were not taken: {why}", score.failed));
        }
        Self { comparison, faults }
    }

    pub(super) fn agrees(&self) -> bool {
        self.faults.is_empty()
    }

    /// 0 only if everything agrees.
    pub(super) fn exit_code(&self) -> u8 {
        if self.agrees() { 0 } else { FAILED }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::cli::storm::{Fates, Quantiles, Score};
    use crate::pipeline::outcome::Outcome;
    use crate::storm::{Flood, FloodOptions, FoundIncident, Truth};
    use std::time::Duration;

    /// A demo in which everything went as it must.
    pub(in crate::cli::demo) fn perfect() -> Seen {
        let mut flood = Flood::new(FloodOptions { alerts: 4_000, ..FloodOptions::default() });
        while flood.next_into(&mut Vec::new()).is_some() {}
        let truth: Truth = flood.truth();
        let found = truth.groups.iter().map(|group| FoundIncident {
            group_labels: group.labels.clone(),
            alerts: group.alerts,
            members: group.members,
            by_severity: group.by_severity.clone(),
            by_status: group.by_status.clone(),
            status: group.status,
            revisions_contiguous: true,
        });
        let mut fates = Fates { events: 60, ..Fates::default() };
        fates.counts.received = truth.alerts;
        fates.counts.count(Outcome::Opened, truth.groups.len() as u64);
        fates.counts.count(Outcome::Joined, truth.members - truth.groups.len() as u64);
        fates.counts.count(Outcome::Folded, truth.alerts - truth.members);
        Seen {
            found: found.collect(),
            fates,
            score: Score { sent: truth.alerts, ..Score::default() },
            latency: Quantiles { p50_ms: 3.1, p99_ms: 9.21, ..Quantiles::default() },
            sending: Duration::from_millis(500),
            truth,
        }
    }

    fn check(change: impl FnOnce(&mut Seen), fault: &str) {
        let mut seen = perfect();
        change(&mut seen);
        let verdict = Verdict::new(&seen);
        assert_eq!(verdict.exit_code(), 1, "{fault}");
        assert!(verdict.faults.iter().any(|found| found.contains(fault)), "{fault} is not in {:?}", verdict.faults);
    }

    #[test]
    fn success_needs_everything_to_agree() {
        assert_eq!(Verdict::new(&perfect()).exit_code(), 0);
        let again = Score { retries: 1, doubtful: 100, ..perfect().score };
        assert_eq!(Verdict::new(&Seen { score: again, ..perfect() }).exit_code(), 0, "sent again, but not doubled");
    }

    #[test]
    fn any_disagreement_with_the_truth_is_exit_code_1() {
        check(|seen| seen.truth.groups[0].alerts += 1, "must be");
        check(|seen| drop(seen.found.remove(3)), "1 missing");
        check(|seen| seen.found[0].revisions_contiguous = false, "revisions_contiguous");
        check(|seen| seen.fates.counts.count(Outcome::Folded, 1), "do not add up");
        check(
            |seen| {
                seen.fates.counts.received += 7;
                seen.fates.counts.count(Outcome::Folded, 7);
                seen.score.doubtful = 100;
            },
            "4000 alerts were sent, 4007 received; 100 were sent again and may have come twice",
        );
        check(|seen| seen.score.failed = 2, "2 alerts were not taken");
    }
}
