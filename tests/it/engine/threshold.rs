//! `open_after`: held back until enough came, then back-filled.

use tidegate::model::time::Millis;
use tidegate::pipeline::options::{OpenAfter, WindowKind, WindowRule};

use crate::engine::alert::{alert, second};
use crate::engine::world::{World, quick};

/// Three alerts within 60 s.
fn three() -> WindowRule {
    WindowRule { open_after: OpenAfter { count: 3, within: Millis::seconds(60) }, ..quick() }
}

fn held(world: &World) -> i64 {
    world.summary.totals[0].counts.held
}

#[test]
fn the_nth_alert_opens_and_the_ones_before_are_back_filled() {
    let mut world = World::new(three());
    assert_eq!(world.send(alert("checkout/a").severity("high")), "held");
    assert_eq!(world.at(10).send(alert("checkout/a").severity("high")), "held");
    assert_eq!(held(&world), 2);
    world.expect(&[]);
    assert_eq!(world.at(60).send(alert("checkout/b")), "opened #1");
    assert_eq!([0, 1].map(|n| world.fate(n)), ["joined #1", "folded #1"]);
    assert_eq!(held(&world), 0);
    world.expect(&["#1 opened threshold @60 members=2 firing=2 alerts=3"]);
    let event = &world.last["#1"];
    assert_eq!((event.first_seen, event.last_seen), (second(0), second(60)));
    assert_eq!(event.samples.iter().map(|sample| sample.first_seen).collect::<Vec<_>>(), [second(0), second(60)]);
    assert_eq!(world.at(61).send(alert("checkout/a").severity("high")), "folded #1");
}

#[test]
fn what_leaves_the_time_is_folded_as_below_the_threshold() {
    let mut world = World::new(three());
    world.send(alert("checkout/a"));
    world.at(1).send(alert("checkout/b"));
    // By a later record, before the clock could have done it.
    assert_eq!(world.send(alert("checkout/c").recorded(61)), "held");
    assert_eq!([0, 1, 2].map(|n| world.fate(n)), ["folded -", "held", "held"]);
    // By the clock alone.
    world.at(61);
    assert_eq!(world.fate(1), "held");
    world.at(62);
    assert_eq!(world.fate(1), "folded -");
    world.at(121);
    assert_eq!(held(&world), 1);
    world.at(122).expect(&[]);
    assert_eq!((held(&world), world.summary.tally.fingerprints), (0, 0));
}

#[test]
fn who_left_below_the_threshold_comes_back_as_a_new_member() {
    let mut world = World::new(three());
    world.send(alert("checkout/a"));
    world.at(50).send(alert("checkout/b"));
    world.at(61).send(alert("checkout/c"));
    assert_eq!(world.at(62).send(alert("checkout/d")), "opened #1");
    assert_eq!(world.fate(0), "folded -");
    world.expect(&["#1 opened threshold @62 members=3 firing=3 alerts=3"]);
    assert!(world.last["#1"].samples.iter().all(|sample| sample.labels["instance"] != "a"), "it is no member");
    assert_eq!(world.at(63).send(alert("checkout/a").resolved()), "folded -");
    assert_eq!(world.at(64).send(alert("checkout/a")), "joined #1");
    world.at(65).expect(&["#1 updated grew @64 members=4 firing=4 alerts=4"]);
}

#[test]
fn a_full_window_does_not_take_who_left_below_the_threshold() {
    let mut world = World::new(WindowRule { max_alerts: Some(3), ..three() });
    world.send(alert("checkout/a"));
    world.at(50).send(alert("checkout/b"));
    world.at(61).send(alert("checkout/c"));
    world.at(62).send(alert("checkout/d"));
    assert_eq!(world.at(63).send(alert("checkout/a")), "held");
}

#[test]
fn a_member_resolved_while_held_joins_without_firing() {
    let mut world = World::new(three());
    world.send(alert("checkout/a"));
    assert_eq!(world.at(5).send(alert("checkout/a").resolved()), "folded -");
    world.at(6).send(alert("checkout/b"));
    assert_eq!(world.at(7).send(alert("checkout/b")), "opened #1");
    world.expect(&["#1 opened threshold @7 members=2 firing=1 alerts=3"]);
    assert_eq!(world.at(8).send(alert("checkout/a")), "joined #1");
}

#[test]
fn a_window_has_its_length_from_the_alert_that_reached_the_threshold() {
    let rule = WindowRule { kind: WindowKind::Fixed, max_age: Some(Millis::seconds(100)), ..three() };
    let mut world = World::new(rule);
    for second in [0, 20, 40] {
        world.at(second).send(alert("checkout/a"));
    }
    assert_eq!(world.at(139).send(alert("checkout/b")), "joined #1");
    assert_eq!(world.at(140).send(alert("checkout/c")), "held");
}

#[test]
fn a_successor_that_was_held_in_vain_leaves_its_predecessor_in_place() {
    let mut world = World::new(WindowRule { reopen: Millis::ZERO, ..three() });
    for _ in 0..3 {
        world.send(alert("checkout/a"));
    }
    world.at(300);
    assert_eq!(world.send(alert("checkout/b")), "held");
    world.at(361);
    assert_eq!(world.fate(3), "folded -");
    for _ in 0..3 {
        world.send(alert("checkout/b"));
    }
    assert_eq!(world.fate(6), "opened #2");
    assert_eq!(world.last["#2"].links[0].incident_id, world.last["#1"].incident_id);
}

#[test]
fn the_gap_does_not_end_what_is_held() {
    let mut rule = three();
    rule.open_after.within = Millis::seconds(1_000);
    let mut world = World::new(rule);
    world.send(alert("checkout/a"));
    world.at(400).send(alert("checkout/b"));
    assert_eq!(world.at(900).send(alert("checkout/c")), "opened #1");
}
