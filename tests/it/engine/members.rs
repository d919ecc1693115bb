//! What an event says of its incident: members, counts, times, samples, links, revisions.

use tidegate::model::alert::Severity;
use tidegate::model::fingerprint::{FingerprintBuilder, HashKey};

use crate::engine::alert::{Alert, alert, second};
use crate::engine::world::{SAMPLES, World, quick};

fn fingerprint(alert: &Alert) -> u128 {
    let mut builder = FingerprintBuilder::new(HashKey::FIXED);
    alert.labels.iter().for_each(|(name, value)| builder.label(name, value.as_str().unwrap()));
    builder.finish().0
}

#[test]
fn an_event_says_what_went_into_the_incident() {
    let mut world = World::new(quick());
    let (a, b) = (alert("checkout/a").critical(), alert("checkout/b"));
    let c = alert("checkout/c").severity("warning");
    world.at(5).send(a.clone().starts(1));
    world.at(6).send(b.clone());
    world.at(7).send(c.clone());
    world.at(8).send(a.clone().starts(1));
    world.at(9).send(b.clone().resolved());
    world.at(10);
    let event = &world.last["#1"];
    let sum = [&a, &b, &c].into_iter().fold(0_u128, |sum, alert| sum.wrapping_add(fingerprint(alert)));
    assert_eq!((event.members, event.members_sum.0, event.firing), (3, sum, 2));
    assert_eq!((event.first_seen, event.last_seen), (second(5), second(9)));
    assert_eq!((event.counts.alerts, event.counts.status), (5, [4, 1]));
    assert_eq!(event.counts.severity[Severity::Critical as usize], 2);
    assert_eq!(event.counts.severity[Severity::Warning as usize], 1);
    assert_eq!(event.counts.severity[Severity::Unknown as usize], 2);
    assert_eq!((event.severity_max, event.rule.as_str()), (Severity::Critical, "default"));
    assert_eq!(event.group_labels["service"], "checkout");
    assert_eq!(event.group_labels["cluster"], "");
    assert!(event.links.is_empty());
}

#[test]
fn samples_are_the_first_members_and_bounded() {
    let mut world = World::new(quick());
    for name in ["checkout/a", "checkout/a", "checkout/b", "checkout/c", "checkout/d"] {
        world.send(alert(name).starts(-1));
    }
    world.at(1);
    let samples = &world.last["#1"].samples;
    assert_eq!(samples.len(), SAMPLES);
    assert_eq!(samples.iter().map(|sample| sample.labels["instance"].as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(samples[0].starts_at, Some(second(-1)));
    assert_eq!(samples[0].fingerprint.0, fingerprint(&alert("checkout/a")));
}

#[test]
fn sizes_are_those_of_what_lives() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    world.send(alert("search/a"));
    let tally = world.summary.tally;
    assert_eq!((tally.fingerprints, tally.open_windows, tally.open_incidents), (3, 2, 2));
    world.at(1).send(alert("search/a").resolved());
    assert_eq!(world.summary.tally.open_incidents, 1);
    // The window ends at 300, `reopen` at 900: then the group leaves the state.
    assert_eq!(world.at(899).summary.tally.fingerprints, 3);
    let tally = world.at(900).summary.tally;
    assert_eq!((tally.fingerprints, tally.open_windows, tally.open_incidents), (2, 0, 1));
}

#[test]
fn identity_and_group_are_told_apart() {
    // Two groups may hold the same identity, if it leaves out what the groups go by; each group has its own member.
    let mut options = crate::engine::world::options(quick());
    let mut source = options.sources[0].clone();
    source.identity = std::sync::Arc::new(tidegate::pipeline::options::Identity {
        drop: vec!["service".to_owned()],
        ..Default::default()
    });
    options.sources = vec![source].into();
    for shards in [1, 2, 3, 7] {
        let mut world = World::with(tidegate::pipeline::options::Options { shards, ..options.clone() });
        for service in ["one", "two", "three", "four"] {
            world.send(alert(&format!("{service}/a")));
        }
        let fates: Vec<String> = (0..4).map(|n| world.fate(n)).collect();
        assert_eq!(fates, ["opened #1", "opened #2", "opened #3", "opened #4"], "{shards} shards");
        world.restart(|options| options.shards = 8 - shards);
        assert_eq!(world.send(alert("three/a").resolved()), "resolved #3");
        assert_eq!(world.send(alert("two/a")), "folded #2");
    }
}

#[test]
fn samples_of_huge_alerts_keep_the_event_small() {
    let mut world = World::new(quick());
    let long = "\u{1}".repeat(4_000);
    for number in 0..12 {
        let mut huge = alert(&format!("checkout/{number}"));
        for label in 0..14 {
            huge = huge.label(&format!("l{label}"), &long);
        }
        world.send(huge);
    }
    world.at(60);
    let json = serde_json::to_vec(&world.last["#1"]).unwrap();
    assert!(json.len() < 1_000_000, "{} bytes", json.len());
    assert_eq!(world.last["#1"].members, 12);
    assert!(!world.last["#1"].samples.is_empty());
}
