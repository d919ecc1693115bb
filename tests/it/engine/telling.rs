//! When an incident speaks: `wait`, `update_every`, and what goes at once.

use tidegate::model::alert::Severity;
use tidegate::model::time::Millis;
use tidegate::pipeline::options::WindowRule;

use crate::engine::alert::alert;
use crate::engine::world::World;

fn defaults() -> World {
    World::new(WindowRule::named("default"))
}

#[test]
fn the_first_event_waits_for_companions() {
    let mut world = defaults();
    assert_eq!(world.send(alert("checkout/a")), "opened #1");
    assert_eq!(world.at(4).send(alert("checkout/b")), "joined #1");
    assert_eq!(world.at(5).send(alert("checkout/a")), "folded #1");
    world.at(9).expect(&[]);
    world.at(10).expect(&["#1 opened first_alert @10 members=2 firing=2 alerts=3"]);
}

#[test]
fn a_worse_alert_shortens_the_wait() {
    let mut rule = WindowRule::named("default");
    rule.wait_by_severity[Severity::Critical as usize] = Some(Millis::ZERO);
    rule.wait_by_severity[Severity::High as usize] = Some(Millis::seconds(2));
    let mut world = World::new(rule.clone());
    world.send(alert("checkout/a").critical());
    world.expect(&["#1 opened first_alert @0 members=1 firing=1 alerts=1"]);

    let mut world = World::new(rule.clone());
    world.send(alert("checkout/a").severity("warning"));
    world.at(3).send(alert("checkout/b").critical());
    world.expect(&["#1 opened first_alert @3 members=2 firing=2 alerts=2"]);

    let mut world = World::new(rule.clone());
    world.send(alert("checkout/a").severity("warning"));
    world.at(3).send(alert("checkout/b").severity("high"));
    world.at(4).expect(&[]);
    world.at(5).expect(&["#1 opened first_alert @5 members=2 firing=2 alerts=2"]);

    // It never makes the wait longer.
    let mut world = World::new(rule);
    world.send(alert("checkout/a").severity("warning"));
    world.at(9).send(alert("checkout/b").severity("high"));
    world.at(10).expect(&["#1 opened first_alert @10 members=2 firing=2 alerts=2"]);
}

#[test]
fn at_most_one_update_in_update_every() {
    let mut world = defaults();
    world.send(alert("checkout/a"));
    world.at(10).skip().at(20).send(alert("checkout/b"));
    world.at(30).send(alert("checkout/c"));
    world.at(69).expect(&[]);
    world.at(70).expect(&["#1 updated grew @70 members=3 firing=3 alerts=3"]);
    world.at(71).send(alert("checkout/a"));
    world.at(129).expect(&[]);
    world.at(130).expect(&["#1 updated counted @130 members=3 firing=3 alerts=4"]);
    world.at(191).expect(&[]);
    // After a longer rest the next change goes with the next move of the clock.
    world.at(200).send(alert("checkout/a"));
    world.at(201).expect(&["#1 updated counted @200 members=3 firing=3 alerts=5"]);
}

#[test]
fn severity_rises_resolved_and_reopened_go_at_once() {
    let mut world = defaults();
    world.send(alert("checkout/a").severity("warning"));
    world.at(10).skip().at(11).send(alert("checkout/b").critical());
    world.expect(&["#1 updated severity_rose @11 members=2 firing=2 alerts=2"]);
    world.at(12).send(alert("checkout/a").severity("warning").resolved());
    world.expect(&[]).at(13).send(alert("checkout/b").critical().resolved());
    world.expect(&["#1 resolved all_resolved @13 members=2 firing=0 alerts=4"]);
    assert_eq!(world.at(14).send(alert("checkout/b").critical()), "opened #1");
    world.expect(&["#1 reopened firing_again @14 members=2 firing=1 alerts=5"]);
    world.at(74).expect(&[]);
}

#[test]
fn a_resolve_within_wait_tells_opened_and_resolved_together() {
    let mut world = defaults();
    world.send(alert("checkout/a"));
    assert_eq!(world.at(3).send(alert("checkout/a").resolved()), "resolved #1");
    world.expect(&[
        "#1 opened first_alert @3 members=1 firing=0 alerts=2",
        "#1 resolved all_resolved @3 members=1 firing=0 alerts=2",
    ]);
    world.at(10).expect(&[]);
}

#[test]
fn what_was_only_counted_is_told_at_the_end_of_the_window() {
    let mut world = World::new(WindowRule { update_every: Millis::hours(1), ..WindowRule::named("default") });
    world.send(alert("checkout/a"));
    world.at(10).skip().at(60).send(alert("checkout/a"));
    world.at(359).expect(&[]);
    assert!(!world.last["#1"].window_closed);
    world.at(360).expect(&["#1 updated window_closed @360 members=1 firing=1 alerts=2"]);
    assert!(world.last["#1"].window_closed);
    world.at(10_000).expect(&[]);
}

#[test]
fn emissions_run_on_arrival_time_once_caught_up() {
    let mut world = defaults();
    world.wall(2).at(0).send(alert("checkout/a"));
    // Four seconds behind: the wall clock counts, although no record came.
    world.clock(0, 7).wall(11).expect(&[]);
    world.wall(12).expect(&["#1 opened first_alert @12 members=1 firing=1 alerts=1"]);
}

#[test]
fn emissions_run_on_record_time_while_catching_up() {
    let mut world = defaults();
    world.wall(3_600).at(0).send(alert("checkout/a"));
    world.at(9).wall(3_620).expect(&[]);
    world.at(10).expect(&["#1 opened first_alert @10 members=1 firing=1 alerts=1"]);
    assert!(world.last["#1"].catching_up);
}

#[test]
fn updates_keep_their_distance_when_a_deadline_comes_late() {
    // Records lag four seconds. An update is told at wall second 78, then the window closes, due at record second 76:
    // that must not turn the time of the last update back.
    let seconds = Millis::seconds;
    let rule =
        WindowRule { gap: seconds(30), update_every: seconds(30), wait: seconds(18), ..WindowRule::named("default") };
    let mut world = World::new(rule);
    let (a, b) = (alert("checkout/a").starts(0), alert("checkout/b").starts(0));
    world.wall(0).send(a.clone());
    world.send(b.clone());
    world.at(18).wall(18).at(20).wall(20).send(a.clone());
    world.at(44).wall(48).at(46).wall(50).send(a.clone());
    world.at(74).skip().wall(78).expect(&["#1 updated counted @78 members=2 firing=2 alerts=4"]);
    world.send(b.resolved());
    world.at(76).wall(80).expect(&["#1 updated window_closed @76 members=2 firing=1 alerts=5"]);
    world.send(a);
    world.at(103).wall(107).expect(&[]);
    world.at(104).wall(108).expect(&["#1 updated counted @108 members=2 firing=1 alerts=6"]);
}
