//! Tests of whole floods: their truth is counted again from the bytes, by other means.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::model::{Millis, Status, Timestamp};
use crate::storm::{AlertTruth, Flood, FloodOptions, FoundIncident, Shape, Truth};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    status: Status,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    received_at: Option<Timestamp>,
}

fn options(shape: Shape, alerts: u32, rate: f64) -> FloodOptions {
    FloodOptions { shape, alerts, rate, seed: 0x5EED, ..FloodOptions::default() }
}

/// All lines of the flood, and its truth.
fn run(options: FloodOptions) -> (Vec<Vec<u8>>, Truth) {
    let mut flood = Flood::new(options);
    let mut lines = Vec::new();
    let mut line = Vec::new();
    while flood.next_into(&mut line).is_some() {
        lines.push(std::mem::take(&mut line));
    }
    (lines, flood.truth())
}

/// What an exact receiver finds, and a check of every promise about the order of alerts.
#[derive(Default)]
struct Recount {
    groups: BTreeMap<BTreeMap<String, String>, Group>,
    test_ids: BTreeSet<String>,
    firing: u64,
    resolved: u64,
    repeats: u64,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<String, (bool, Timestamp)>,
    alerts: u64,
    by_severity: BTreeMap<String, u64>,
    by_status: BTreeMap<String, u64>,
    last_firing: Option<Timestamp>,
    reopened: bool,
}

impl Recount {
    fn of(lines: &[Vec<u8>]) -> Self {
        let mut recount = Self::default();
        for line in lines {
            recount.add(&serde_json::from_slice(line).unwrap());
        }
        recount
    }

    fn add(&mut self, alert: &Alert) {
        let at = alert.received_at.unwrap();
        assert!(alert.starts_at <= at);
        assert_eq!(alert.ends_at, (alert.status == Status::Resolved).then_some(at));
        assert!(alert.generator_url.contains('&'));
        assert!(!alert.labels.contains_key("test_id"));
        assert!(self.test_ids.insert(alert.annotations["test_id"].clone()), "a test id comes twice");
        let subject = if alert.labels.contains_key("service") { "service" } else { "alertname" };
        let key = ["cluster", subject].map(|key| (key.to_owned(), alert.labels[key].clone())).into();
        let group = self.groups.entry(key).or_default();
        let was_resolved = group.status() == Status::Resolved;
        group.alerts += 1;
        *group.by_severity.entry(alert.labels["severity"].clone()).or_default() += 1;
        let identity = serde_json::to_string(&alert.labels).unwrap();
        let known = group.members.get(&identity).copied();
        if alert.status == Status::Resolved {
            self.resolved += 1;
            *group.by_status.entry("resolved".to_owned()).or_default() += 1;
            assert_eq!(known, Some((true, alert.starts_at)), "resolves without firing");
        } else {
            self.firing += 1;
            *group.by_status.entry("firing".to_owned()).or_default() += 1;
            assert!(known.is_none_or(|(firing, started)| firing && started == alert.starts_at), "fires again");
            self.repeats += u64::from(known.is_some());
            group.reopened |= was_resolved && group.alerts > 1;
            if let Some(last) = group.last_firing {
                assert!(at - last <= Millis::seconds(90), "silent for too long");
            }
            group.last_firing = Some(at);
        }
        group.members.insert(identity, (alert.status == Status::Firing, alert.starts_at));
    }

    fn found(&self) -> Vec<FoundIncident> {
        let found = self.groups.iter().map(|(labels, group)| FoundIncident {
            group_labels: labels.clone(),
            alerts: group.alerts,
            members: group.members.len() as u64,
            by_severity: group.by_severity.clone(),
            by_status: group.by_status.clone(),
            status: group.status(),
            revisions_contiguous: !group.reopened,
        });
        found.collect()
    }

    fn members(&self) -> usize {
        self.groups.values().map(|group| group.members.len()).sum()
    }
}

impl Group {
    fn status(&self) -> Status {
        if self.members.values().any(|(firing, _)| *firing) { Status::Firing } else { Status::Resolved }
    }
}

fn share(part: u64, whole: usize) -> f64 {
    part as f64 * 100.0 / whole as f64
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    for shape in Shape::ALL {
        let lines = |seed| run(FloodOptions { seed, ..options(shape, 500, 100.0) }).0;
        assert_eq!(lines(1), lines(1), "{shape}");
        assert_ne!(lines(1), lines(2), "{shape}");
    }
}

#[test]
fn an_independent_recount_agrees_with_the_truth_at_any_rate_and_length() {
    for shape in Shape::ALL {
        for (alerts, rate) in [(1, 1.0), (2, 50.0), (37, 0.0), (900, 0.5), (4_000, 7.0), (20_000, 60.0), (30_000, 5e4)]
        {
            let (lines, truth) = run(options(shape, alerts, rate));
            assert_eq!(lines.len(), alerts as usize);
            let comparison = truth.compare(&Recount::of(&lines).found());
            assert!(comparison.is_exact(), "{shape} {alerts} {rate}: {comparison}");
        }
    }
}

#[test]
fn the_iterator_tells_the_same_as_the_buffer() {
    let mut buffered = Flood::new(options(Shape::TicketStorm, 300, 100.0));
    let mut line = Vec::new();
    for alert in Flood::new(options(Shape::TicketStorm, 300, 100.0)) {
        line.clear();
        let AlertTruth { at, number, group, labels, severity, resolved } = buffered.next_into(&mut line).unwrap();
        assert_eq!(alert.json, line);
        assert_eq!(alert.fingerprint.as_bytes(), &line[labels]);
        assert_eq!(alert.group, buffered.group_labels(group));
        assert_eq!(alert.test_id, buffered.test_id(number));
        assert_eq!((alert.at, alert.severity, alert.resolved), (at, severity, resolved));
        let parsed: Alert = serde_json::from_slice(&alert.json).unwrap();
        assert_eq!(parsed.annotations["test_id"], alert.test_id);
        assert_eq!(parsed.received_at, Some(alert.at));
        assert_eq!(parsed.labels["severity"], alert.severity.name());
    }
    assert!(buffered.next_into(&mut line).is_none());
}

#[test]
fn arrival_times_are_left_out_on_request() {
    let (lines, _) = run(FloodOptions { received_at: false, ..options(Shape::Steady, 10, 1.0) });
    for line in lines {
        assert!(serde_json::from_slice::<Alert>(&line).unwrap().received_at.is_none());
    }
}

#[test]
fn a_ticket_storm_is_95_percent_repeats_and_mostly_customers() {
    let (lines, truth) = run(options(Shape::TicketStorm, 30_000, 300.0));
    let recount = Recount::of(&lines);
    let repeats = share(recount.repeats, lines.len());
    assert!((94.5..95.5).contains(&repeats), "{repeats}");
    let tickets = lines.iter().filter(|line| line.windows(14).any(|part| part == b"CustomerTicket")).count();
    assert!((40.0..70.0).contains(&share(tickets as u64, lines.len())), "{tickets}");
    let resolved = truth.groups.iter().filter(|group| group.status == Status::Resolved).count();
    assert!((5..truth.groups.len()).contains(&resolved), "{resolved}");
    assert!(truth.groups.len() >= 20, "{}", truth.groups.len());
}

#[test]
fn steady_has_a_trickle_of_new_ones_and_of_resolves() {
    let (lines, truth) = run(options(Shape::Steady, 30_000, 100.0));
    let recount = Recount::of(&lines);
    assert!((4.0..6.0).contains(&share(truth.members, lines.len())), "{}", truth.members);
    assert!((2.0..5.0).contains(&share(recount.resolved, lines.len())), "{}", recount.resolved);
}

#[test]
fn a_cascade_starts_at_a_root_and_recovers_completely() {
    let (lines, truth) = run(options(Shape::Cascade, 30_000, 100.0));
    assert_eq!(Recount::of(&lines).resolved, truth.members);
    assert!(truth.groups.iter().all(|group| group.status == Status::Resolved));
    assert_eq!(truth.groups[0].labels["service"], "payments-db");
    let clusters: BTreeSet<&String> = truth.groups.iter().map(|group| &group.labels["cluster"]).collect();
    assert_eq!(clusters.len(), 3);
    assert!(truth.groups.len() >= 30, "{}", truth.groups.len());
}

#[test]
fn nothing_comes_twice_in_a_flood_of_distinct_alerts() {
    let (lines, truth) = run(options(Shape::AllDistinct, 20_000, 1_000.0));
    assert_eq!(Recount::of(&lines).members(), lines.len());
    assert_eq!(truth.members, 20_000);
    assert!(truth.groups.len() >= 1_000, "{}", truth.groups.len());
}

#[test]
fn a_resolve_flood_fires_first_and_then_resolves_everything() {
    let (lines, truth) = run(options(Shape::ResolveFlood, 20_000, 1_000.0));
    let statuses: Vec<Status> =
        lines.iter().map(|line| serde_json::from_slice::<Alert>(line).unwrap().status).collect();
    assert!(statuses.is_sorted());
    let recount = Recount::of(&lines);
    assert_eq!(recount.resolved, truth.members);
    assert!((37.0..43.0).contains(&share(recount.resolved, lines.len())), "{}", recount.resolved);
    assert!(truth.groups.iter().all(|group| group.status == Status::Resolved));
}

#[test]
fn the_corpus_has_the_measured_shape() {
    let (lines, truth) = run(options(Shape::Corpus, 100_000, 1_000.0));
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    let mean = bytes as f64 / lines.len() as f64;
    assert!((667.0..687.0).contains(&mean), "{mean}");
    assert!(lines.iter().all(|line| line.is_ascii() && (560..820).contains(&line.len())));
    assert_eq!(truth.groups.len(), 200);
    let resolved: u64 = truth.groups.iter().filter_map(|group| group.by_status.get("resolved")).sum();
    assert!((8.5..8.8).contains(&share(resolved, lines.len())), "{resolved}");
    let has = |line: &&Vec<u8>, needle: &[u8]| line.windows(needle.len()).any(|part| part == needle);
    let escaped = lines.iter().filter(|line| has(line, b"\\\"") && has(line, b"\\n")).count();
    assert!((17.0..19.0).contains(&share(escaped as u64, lines.len())), "{escaped}");
    assert!(lines.iter().all(|line| has(&line, b"\\u0026")));
    let first: Alert = serde_json::from_slice(&lines[0]).unwrap();
    assert_eq!(first.labels.len(), 9);
    assert!(lines[0].starts_with(format!("{{\"labels\":{}", serde_json::to_string(&first.labels).unwrap()).as_bytes()));
}

#[test]
fn the_truth_reads_back_from_its_json() {
    let (_, truth) = run(options(Shape::Cascade, 2_000, 100.0));
    let text = serde_json::to_string(&truth).unwrap();
    assert_eq!(serde_json::from_str::<Truth>(&text).unwrap(), truth);
}

#[test]
fn a_tag_changes_the_clusters_and_nothing_else() {
    for shape in Shape::ALL {
        let (plain, truth) = run(options(shape, 400, 100.0));
        let mut flood = Flood::tagged(options(shape, 400, 100.0), "k3");
        let tagged: Vec<Vec<u8>> = flood.by_ref().map(|alert| alert.json).collect();
        let untagged = |line: &Vec<u8>| {
            let mut value: serde_json::Value = serde_json::from_slice(line).unwrap();
            let cluster = value["labels"]["cluster"].as_str().unwrap().strip_suffix("-k3").unwrap().to_owned();
            value["labels"]["cluster"] = cluster.into();
            value
        };
        let parsed = |line: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(line).unwrap();
        assert!(tagged.iter().map(untagged).eq(plain.iter().map(parsed)), "{shape}");
        assert_ne!(flood.truth(), truth);
        assert!(flood.truth().groups.iter().all(|group| group.labels["cluster"].ends_with("-k3")), "{shape}");
        assert!(flood.group_name(0).contains("-k3/"));
    }
}
