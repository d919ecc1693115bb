//! The report for programs: the same figures as on the screen, and the verdict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::demo::report::Telling;
use crate::pipeline::outcome::Outcome;

/// One object; `agrees` is the verdict, `faults` says why not.
pub(super) fn of(telling: &Telling<'_>) -> Value {
    let (plan, seen, verdict) = (telling.plan, telling.seen, telling.verdict);
    let counts = &seen.fates.counts;
    let outcomes: BTreeMap<&str, u64> =
        Outcome::ALL.iter().map(|outcome| outcome.name()).zip(counts.outcomes).collect();
    json!({
        "agrees": verdict.agrees(),
        "faults": verdict.faults,
        "shape": plan.shape.name(),
        "seed": plan.seed,
        "alerts": seen.truth.alerts,
        "received": counts.received,
        "outcomes": outcomes,
        "held": counts.held,
        "incidents": seen.found.len(),
        "incidents_exact": verdict.comparison.exact,
        "incidents_expected": seen.truth.groups.len(),
        "events": seen.fates.events,
        "seconds": seen.sending.as_secs_f64(),
        "durable_p50_ms": seen.latency.p50_ms,
        "durable_p99_ms": seen.latency.p99_ms,
        "kept": telling.kept,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::scene::Plan;
    use crate::cli::demo::verdict::Verdict;
    use crate::cli::demo::verdict::tests::perfect;
    use crate::storm::Shape;

    #[test]
    fn the_verdict_is_there_with_its_reasons() {
        let plan = Plan { shape: Shape::TicketStorm, alerts: 4_000, seed: 1 };
        let mut seen = perfect();
        for is_right in [true, false] {
            let verdict = Verdict::new(&seen);
            let summary = of(&Telling { plan: &plan, seen: &seen, verdict: &verdict, kept: None });
            assert_eq!(summary["agrees"], is_right);
            assert_eq!(summary["faults"].as_array().map(Vec::is_empty), Some(is_right), "{summary}");
            assert_eq!(
                (summary["alerts"].as_u64(), summary["outcomes"]["opened"].as_u64()),
                (Some(4_000), Some(seen.truth.groups.len() as u64))
            );
            seen.score.failed = 1;
        }
    }
}
