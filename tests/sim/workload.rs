//! What is sent, and what must come of it: a model of its own decides that, from the log alone.

use std::collections::BTreeMap;

use serde_json::json;
use tidegate::model::time::Millis;
use tidegate::pipeline::options::{EpochOptions, Options, ResolveAfter, SourceOptions, WindowKind, WindowRule};

use crate::broker::Broker;
use crate::chance::Chance;
use crate::naive::{Naive, NaiveAlert, NaiveRule};

pub(crate) const ALERTS: &str = "alerts";
pub(crate) const SOURCE: &str = "alerts";
const GROUPS: u64 = 7;
const MEMBERS: u64 = 4;

/// The settings of a run and everything that was sent in it.
pub(crate) struct Workload {
    pub(crate) rule: NaiveRule,
    pub(crate) partitions: usize,
    /// Every alert in the order in which it was appended; `None` is something that cannot be read.
    sent: Vec<Option<NaiveAlert>>,
}

/// What is known of an incident in the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Known {
    pub(crate) group: String,
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    pub(crate) members: u64,
    pub(crate) by_status: [u64; 2],
    pub(crate) is_resolved: bool,
}

/// What must come of everything.
pub(crate) struct Truth {
    pub(crate) incidents: Vec<Known>,
    /// Alerts by outcome, in the order of `Outcome::ALL`.
    pub(crate) outcomes: [u64; 6],
    pub(crate) received: u64,
}

impl Workload {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let kind =
            *chance.pick(&[WindowKind::Session, WindowKind::Session, WindowKind::Fixed, WindowKind::UntilResolved]);
        let max_age = if kind == WindowKind::Fixed || chance.one_in(3) { Some(20_000) } else { None };
        let rule = NaiveRule {
            kind,
            gap: 10_000,
            reopen: *chance.pick(&[0, 15_000]),
            max_age,
            max_alerts: *chance.pick(&[None, None, Some(2)]),
            resolve_after: None,
        };
        Self { rule, partitions: chance.within(1, 3) as usize, sent: Vec::new() }
    }

    /// The product's options for it, on so many shards.
    pub(crate) fn options(&self, shards: usize, wait: Millis) -> Options {
        let rule = &self.rule;
        let window = WindowRule {
            kind: rule.kind,
            wait,
            update_every: Millis::seconds(1),
            gap: Millis(rule.gap),
            reopen: Millis(rule.reopen),
            max_age: rule.max_age.map(Millis),
            max_alerts: rule.max_alerts.map(|cap| cap as u64),
            resolve_after: ResolveAfter::Never,
            forget_after: None,
            ..WindowRule::named("default")
        };
        Options {
            decoders: 1,
            shards,
            epoch: EpochOptions::default(),
            rules: vec![window].into(),
            sources: vec![SourceOptions::named(SOURCE)].into(),
            samples: 3,
            config_version: 1,
        }
    }

    /// Appends a record of one to three alerts of a partition, or something that is none.
    pub(crate) fn append(&mut self, broker: &mut Broker, chance: &mut Chance) {
        let partition = chance.below(self.partitions as u64);
        if chance.one_in(30) {
            broker.append(ALERTS, partition as i32, b"{\"labels\":".to_vec());
            self.sent.push(None);
            return;
        }
        let alerts: Vec<NaiveAlert> =
            (0..chance.within(1, 3)).map(|_| self.alert(partition, broker.now, chance)).collect();
        let bodies: Vec<serde_json::Value> = alerts.iter().map(body).collect();
        let value = match bodies.as_slice() {
            [one] => one.to_string(),
            many => serde_json::Value::from(many).to_string(),
        };
        broker.append(ALERTS, partition as i32, value.into_bytes());
        self.sent.extend(alerts.into_iter().map(Some));
    }

    /// All alerts of a group are in one partition.
    fn alert(&self, partition: u64, now: i64, chance: &mut Chance) -> NaiveAlert {
        let n_here = (GROUPS - partition).div_ceil(self.partitions as u64);
        let key = (partition + chance.below(n_here) * self.partitions as u64) as u8;
        let fingerprint = key * 10 + chance.below(MEMBERS) as u8;
        let starts = *chance.pick(&[None, None, Some(1), Some(2)]);
        NaiveAlert { key, fingerprint, time: now, starts, resolved: chance.one_in(4) }
    }

    /// Decides what must come of it, each group by itself: none depends on another.
    pub(crate) fn truth(&self) -> Truth {
        let mut models: BTreeMap<u8, Naive> = BTreeMap::new();
        let mut truth = Truth { incidents: Vec::new(), outcomes: [0; 6], received: self.sent.len() as u64 };
        for alert in &self.sent {
            let fate = match alert {
                Some(alert) => models.entry(alert.key).or_insert_with(|| Naive::new(self.rule)).take(*alert),
                None => "rejected".to_owned(),
            };
            let names = tidegate::pipeline::outcome::Outcome::ALL.map(|outcome| outcome.name());
            let word = fate.split(' ').next().unwrap_or_default();
            let at = names.iter().position(|name| *name == word).expect("the model knows the outcomes");
            truth.outcomes[at] += 1;
        }
        for (key, mut model) in models {
            model.run_clock(i64::MAX / 4);
            truth.incidents.extend(model.incidents.iter().map(|incident| Known {
                group: format!("group{key}"),
                first_seen: incident.first,
                last_seen: incident.last_seen,
                members: incident.members.len() as u64,
                by_status: [incident.firing_alerts, incident.resolved_alerts],
                is_resolved: incident.is_resolved,
            }));
        }
        truth.incidents.sort_unstable();
        truth
    }
}

fn body(alert: &NaiveAlert) -> serde_json::Value {
    let labels = json!({
        "alertname": "Down", "service": format!("group{}", alert.key), "instance": alert.fingerprint.to_string(),
    });
    let mut body = json!({ "labels": labels, "status": if alert.resolved { "resolved" } else { "firing" } });
    if let Some(starts) = alert.starts {
        body["startsAt"] = json!(format!("2026-01-01T00:00:0{starts}Z"));
    }
    body
}
