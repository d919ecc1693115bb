//! What became of every alert, read from the daemon's metrics as a monitoring system would.

use crate::metrics::Metric;
use crate::pipeline::outcome::{Outcome, SourceCounts};

/// The numbers of one scrape, added up over the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    /// The two sides of the conservation law.
    pub(crate) counts: SourceCounts,
    /// Incident events made durable.
    pub(crate) events: u64,
}

impl Fates {
    /// Reads Prometheus' text format; what it does not know it passes over.
    pub(crate) fn read(text: &str) -> Self {
        let name_of = |metric: Metric| metric.definition().name;
        let mut fates = Self::default();
        for (name, labels, value) in text.lines().filter_map(sample) {
            if name == name_of(Metric::AlertsReceived) {
                fates.counts.received += value;
            } else if name == name_of(Metric::AlertsHeld) {
                fates.counts.held += i64::try_from(value).unwrap_or(i64::MAX);
            } else if name == name_of(Metric::IncidentEvents) {
                fates.events += value;
            } else if name == name_of(Metric::AlertsOutcome) {
                let is_it = |outcome: &Outcome| labels.contains(&format!("outcome=\"{}\"", outcome.name()));
                if let Some(outcome) = Outcome::ALL.into_iter().find(is_it) {
                    fates.counts.count(outcome, value);
                }
            }
        }
        fates
    }

    /// What happened since an earlier look; a total that is smaller now began anew and counts as a whole.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let grown = |now: u64, then: u64| if now >= then { now - then } else { now };
        let mut since = Self { events: grown(self.events, before.events), ..Self::default() };
        since.counts.received = grown(self.counts.received, before.counts.received);
        since.counts.held = self.counts.held - before.counts.held;
        for outcome in Outcome::ALL {
            since.counts.count(outcome, grown(self.of(outcome), before.of(outcome)));
        }
        since
    }

    /// How many alerts had this outcome.
    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        self.counts.outcomes.get(outcome as usize).copied().unwrap_or(0)
    }
}

/// Name, label text and value of a sample; whole numbers only, all that we look for is counted.
fn sample(line: &str) -> Option<(&str, &str, u64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some((name, labels, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn reads_what_the_daemon_shows() {
        let metrics = Metrics::new();
        for source in ["http", "commands"] {
            metrics.add(Metric::AlertsReceived, &[source], 10);
            metrics.add(Metric::AlertsOutcome, &[source, "opened"], 1);
            metrics.add(Metric::AlertsOutcome, &[source, "folded"], 7);
            metrics.set(Metric::AlertsHeld, &[source], 2.0);
        }
        metrics.add(Metric::IncidentEvents, &["opened"], 2);
        metrics.add(Metric::IncidentEvents, &["updated"], 3);
        let fates = Fates::read(&metrics.render());
        assert_eq!((fates.counts.received, fates.of(Outcome::Opened), fates.of(Outcome::Folded)), (20, 2, 14));
        assert_eq!((fates.counts.held, fates.events), (4, 5));
        assert!(fates.counts.is_conserved());
        metrics.add(Metric::AlertsReceived, &["http"], 5);
        metrics.add(Metric::AlertsOutcome, &["http", "folded"], 6);
        metrics.set(Metric::AlertsHeld, &["http"], 1.0);
        let since = Fates::read(&metrics.render()).since(&fates);
        assert_eq!((since.counts.received, since.of(Outcome::Folded), since.counts.held), (5, 6, -1));
        assert!(since.counts.is_conserved());
    }
}
