//! The groups that took most in an epoch, for whoever watches. Nobody does most of the time, and then nothing here runs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::alert::{Severity, Status};
use crate::model::fingerprint::{GroupHash, IncidentId};
use crate::model::time::Timestamp;
use crate::pipeline::shard::Shard;
use crate::pipeline::shard::group::Group;

/// Groups told per shard and epoch: more than a screen has lines.
pub const BUSIEST_MAX: usize = 64;

/// A group that changed in an epoch, as it stood at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyGroup {
    /// The group key.
    pub group: GroupHash,
    /// The incident that it opened; `None` while it is held back below its threshold.
    pub incident: Option<IncidentId>,
    /// Name of the window rule.
    pub rule: String,
    /// Labels that define the group.
    pub labels: BTreeMap<String, String>,
    /// Whether any member fires.
    pub status: Status,
    /// Worst severity so far.
    pub severity_max: Severity,
    /// Alerts counted since it opened; those held back while it has not.
    pub alerts: u64,
    /// Distinct fingerprints that joined.
    pub members: u64,
    /// Members that fire.
    pub firing: u64,
    /// Record time of the first alert.
    pub first_seen: Timestamp,
    /// Record time of the last alert counted.
    pub last_seen: Timestamp,
}

impl Shard {
    /// Of the groups that changed since the last `save`, those with most alerts since they were told here last. To be
    /// called before `save`. A group that was passed over keeps what it had, so that its turn comes.
    pub fn busiest(&mut self) -> Vec<BusyGroup> {
        let changed = self.changes.groups.iter().filter_map(|&slot| {
            let group = self.group(slot).filter(|group| !group.retired)?;
            Some((Reverse(alerts_of(group).saturating_sub(group.told_alerts)), group.hash, slot))
        });
        let mut ranked: Vec<_> = changed.collect();
        if ranked.len() > BUSIEST_MAX {
            ranked.select_nth_unstable(BUSIEST_MAX);
            ranked.truncate(BUSIEST_MAX);
        }
        let told = ranked.into_iter().filter_map(|(_, _, slot)| {
            let group = self.group_mut(slot)?;
            group.told_alerts = alerts_of(group);
            Some(busy(group))
        });
        told.collect()
    }
}

fn alerts_of(group: &Group) -> u64 {
    if group.is_held() { group.held.len() as u64 } else { group.counts.alerts }
}

fn busy(group: &Group) -> BusyGroup {
    BusyGroup {
        group: group.hash,
        incident: (!group.is_held()).then_some(group.incident),
        rule: group.rule_name.clone(),
        labels: group.labels.clone(),
        status: group.status,
        severity_max: group.severity_max,
        alerts: alerts_of(group),
        members: group.members,
        firing: group.firing,
        first_seen: group.first_seen,
        last_seen: group.last_seen,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::model::alert::Format;
    use crate::model::fingerprint::HashKey;
    use crate::pipeline::exchange::{Chunk, Exchange, Placement};
    use crate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
    use crate::pipeline::shard::event::Out;
    use crate::pipeline::source::{Batch, RecordRef, SourceIndex};

    struct Bench {
        exchange: Exchange,
        shard: Shard,
        next: u64,
    }

    impl Bench {
        fn new(rule: WindowRule) -> Self {
            let options = Arc::new(Options {
                decoders: 1,
                shards: 1,
                epoch: EpochOptions::default(),
                rules: vec![rule].into(),
                sources: vec![SourceOptions::named("alerts")].into(),
                samples: 1,
                config_version: 1,
            });
            let exchange = Exchange::new(options.clone(), HashKey::FIXED, Placement::default(), true);
            Self { exchange, shard: Shard::new(&options, HashKey::FIXED), next: 0 }
        }

        /// Alerts of these services at this second, each `n` times, and the end of the epoch.
        fn epoch(&mut self, second: i64, alerts: &[(usize, usize)]) -> Vec<(String, Option<IncidentId>, u64)> {
            let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
            for (service, n) in alerts {
                for _ in 0..*n {
                    let (position, time) = (self.next, Timestamp(second * 1_000));
                    self.next += 1;
                    let record = RecordRef {
                        start: 0,
                        len: 0,
                        partition: 0,
                        position,
                        next: position + 1,
                        time,
                        format: Format::Native,
                    };
                    batch.push(format!(r#"{{"labels":{{"service":"s{service}"}}}}"#).as_bytes(), record);
                }
            }
            let first_record = self.next - batch.records.len() as u64;
            let chunk = Chunk { source: Some(SourceIndex(0)), first_record, batch, ..Chunk::default() };
            let part = self.exchange.route(chunk).parts.swap_remove(0);
            self.shard.apply(&part, &mut Out::new(1, false));
            let told = self.shard.busiest();
            self.shard.save(false);
            let mut told: Vec<_> = told
                .into_iter()
                .map(|group| (group.labels.into_values().collect::<String>(), group.incident, group.alerts))
                .collect();
            told.sort();
            told
        }
    }

    #[test]
    fn what_changed_in_the_epoch_is_told_with_its_total() {
        let mut bench = Bench::new(WindowRule::named("default"));
        let totals = |told: Vec<(String, Option<IncidentId>, u64)>| -> Vec<(String, u64)> {
            told.into_iter()
                .map(|(service, incident, alerts)| (service + incident.map_or("?", |_| ""), alerts))
                .collect()
        };
        let expect = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
            pairs.iter().map(|(service, alerts)| ((*service).to_owned(), *alerts)).collect()
        };
        assert_eq!(totals(bench.epoch(0, &[(1, 3), (2, 1)])), expect(&[("s1", 3), ("s2", 1)]));
        assert_eq!(totals(bench.epoch(1, &[(2, 5)])), expect(&[("s2", 6)]));
        assert_eq!(totals(bench.epoch(2, &[])), expect(&[]));
    }

    #[test]
    fn of_many_the_busiest_are_told_and_the_others_keep_their_turn() {
        let mut bench = Bench::new(WindowRule::named("default"));
        let all: Vec<(usize, usize)> =
            (0..BUSIEST_MAX + 2).map(|service| (service, if service < 2 { 1 } else { 2 })).collect();
        let told = bench.epoch(0, &all);
        assert_eq!(told.len(), BUSIEST_MAX);
        assert!(told.iter().all(|(service, _, alerts)| *alerts == 2 && service != "s0" && service != "s1"));
        // One alert for each: the two that were passed over have two to tell, all others one.
        let again: Vec<(usize, usize)> = all.iter().map(|(service, _)| (*service, 1)).collect();
        let told = bench.epoch(1, &again);
        assert!(
            ["s0", "s1"].iter().all(|passed| told.iter().any(|(service, _, alerts)| service == passed && *alerts == 2))
        );
    }

    #[test]
    fn what_is_held_back_is_told_without_an_incident() {
        let mut rule = WindowRule::named("default");
        rule.open_after.count = 3;
        let mut bench = Bench::new(rule);
        assert_eq!(bench.epoch(0, &[(1, 2)]), [("s1".to_owned(), None, 2)]);
        let told = bench.epoch(1, &[(1, 1)]);
        assert!(matches!(told.as_slice(), [(_, Some(_), 3)]), "{told:?}");
    }
}
