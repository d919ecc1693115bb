//! From what a shard decided about a part to samples with names: rule, group, labels.

use std::collections::BTreeMap;

use crate::model::labels;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Arrival, Part};
use crate::pipeline::options::Options;
use crate::pipeline::shard::Shard;
use crate::pipeline::shard::event::Decision;
use crate::pipeline::source::SourceIndex;
use crate::pipeline::tap::sample::bounded;
use crate::pipeline::tap::{Look, Sample, ShardSample, Stage};

/// Shows what a shard has just decided about a part: a sample per decision, and one per alert that is held back.
pub fn show_fates(look: &Look, options: &Options, shard: &Shard, part: &Part, decisions: &[Decision]) {
    let fates = Fates { look, options, shard, part };
    for decision in decisions {
        match part.arrivals.binary_search_by_key(&decision.seq, |arrival| arrival.seq) {
            Ok(at) => {
                if let Some(arrival) = part.arrivals.get(at) {
                    fates.show_arrival(arrival, Some(decision));
                }
            }
            Err(_) => fates.show_earlier(decision),
        }
    }
    // What has no decision is held back, which only rules with a threshold do.
    let holds =
        |arrival: &&Arrival| options.rules.get(usize::from(arrival.rule)).is_some_and(|rule| rule.open_after.count > 1);
    let mut decided: Vec<_> = Vec::new();
    for arrival in part.arrivals.iter().filter(holds) {
        if decided.is_empty() {
            decided = decisions.iter().map(|decision| decision.seq).collect();
            decided.sort_unstable();
        }
        if decided.binary_search(&arrival.seq).is_err() {
            fates.show_arrival(arrival, None);
        }
    }
}

struct Fates<'a> {
    look: &'a Look,
    options: &'a Options,
    shard: &'a Shard,
    part: &'a Part,
}

impl Fates<'_> {
    /// What became of an alert of this part.
    fn show_arrival(&self, arrival: &Arrival, decision: Option<&Decision>) {
        let encoded = self.part.labels(arrival);
        let value_of = |name: &str| labels::get(&encoded, name);
        self.look.show(Stage::Shard, value_of, || {
            let rule = self.options.rules.get(usize::from(arrival.rule));
            let group_labels = rule.map(|rule| bounded(rule.group_labels(value_of)));
            Sample::Shard(ShardSample {
                at: self.look.now(),
                decision: decision.map_or("held", |decision| decision.outcome.name()),
                reason: decision.map(|decision| decision.reason),
                alerts: decision.map_or(u64::from(arrival.count), |decision| decision.alerts),
                source: self.source_name(arrival.source),
                position: Some(arrival.position),
                index: arrival.seq.index,
                record_time: Some(arrival.time).filter(|time| *time != Timestamp::MIN),
                status: Some(arrival.status),
                severity: Some(arrival.severity),
                rule: rule.map_or_else(String::new, |rule| rule.name.clone()),
                group_labels: group_labels.unwrap_or_default(),
                incident_id: decision.and_then(|decision| decision.incident),
                fingerprint: arrival.fingerprint,
                labels: Some(bounded(labels::Pairs(&encoded))),
            })
        });
    }

    /// What became of an alert that was held back in an earlier part. Its labels may have left with it; then the filter
    /// looks at those of the group.
    fn show_earlier(&self, decision: &Decision) {
        let Decision { fingerprint, group, .. } = *decision;
        let encoded = self.shard.labels_of(fingerprint, group);
        let encoded = encoded.as_deref();
        let known = self.shard.group_of(group);
        let of_group = |name: &str| known.and_then(|(_, labels)| labels.get(name)).map(String::as_str);
        let value_of = |name: &str| encoded.map_or_else(|| of_group(name), |encoded| labels::get(encoded, name));
        self.look.show(Stage::Shard, value_of, || {
            let pairs = |labels: &BTreeMap<String, String>| {
                bounded(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            };
            Sample::Shard(ShardSample {
                at: self.look.now(),
                decision: decision.outcome.name(),
                reason: Some(decision.reason),
                alerts: decision.alerts,
                source: self.source_name(decision.source),
                position: None,
                index: decision.seq.index,
                record_time: None,
                status: None,
                severity: None,
                rule: known.map_or_else(String::new, |(rule, _)| rule.to_owned()),
                group_labels: known.map(|(_, labels)| pairs(labels)).unwrap_or_default(),
                incident_id: decision.incident,
                fingerprint,
                labels: encoded.map(|encoded| bounded(labels::Pairs(encoded))),
            })
        });
    }

    fn source_name(&self, source: SourceIndex) -> String {
        self.options.sources.get(usize::from(source.0)).map_or_else(String::new, |source| source.name.clone())
    }
}
