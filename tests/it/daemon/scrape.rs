//! One look at `/metrics`, and the conservation law in it.

use std::collections::BTreeMap;

/// Every sample by its name with labels, as it is written.
#[derive(Debug)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    pub(crate) fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// The sum of all samples of a metric.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let labelled = format!("{name}{{");
        let of_metric = self.0.iter().filter(|(key, _)| *key == name || key.starts_with(&labelled));
        of_metric.map(|(_, value)| *value as u64).sum()
    }

    pub(crate) fn received(&self) -> u64 {
        self.sum("tidegate_alerts_received_total")
    }

    /// Alerts that came to an incident: all but the rejected, the held and those below the threshold.
    pub(crate) fn outcome(&self, outcome: &str) -> u64 {
        let label = format!("outcome=\"{outcome}\"");
        let of_outcome = self.0.iter().filter(|(key, _)| key.starts_with("tidegate_alerts_outcome_total{"));
        of_outcome.filter(|(key, _)| key.contains(&label)).map(|(_, value)| *value as u64).sum()
    }

    /// Received is what is accounted for, to the unit.
    #[track_caller]
    pub(crate) fn assert_conserved(&self) {
        let accounted = self.sum("tidegate_alerts_outcome_total") + self.sum("tidegate_alerts_held");
        assert_eq!(self.received(), accounted, "the conservation law does not hold: {:#?}", self.0);
    }
}
