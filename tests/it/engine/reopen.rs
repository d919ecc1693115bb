//! Whether a group continues or a successor opens: `reopen`.

use tidegate::model::time::Millis;
use tidegate::pipeline::options::{WindowKind, WindowRule};

use crate::engine::alert::alert;
use crate::engine::world::{World, quick};

/// What a firing alert of `a` leads to at that second, after it fired at 0 and resolved at `resolved`.
fn back_at(rule: &WindowRule, resolved: i64, second: i64) -> String {
    let mut world = World::new(rule.clone());
    world.send(alert("checkout/a"));
    world.at(resolved).send(alert("checkout/a").resolved());
    world.skip().at(second).send(alert("checkout/a"));
    world.told().join("; ")
}

#[test]
fn the_group_continues_less_than_reopen_after_the_later_of_window_end_and_resolve() {
    let again = |at| format!("#1 reopened firing_again @{at} members=1 firing=1 alerts=3");
    let anew = |at| format!("#2 opened first_alert @{at} members=1 firing=1 alerts=1");
    // The window ends at 300, the resolve came before: until 900.
    assert_eq!(back_at(&quick(), 100, 899), again(899));
    assert_eq!(back_at(&quick(), 100, 900), anew(900));
    // The resolve came after the end of the window: until 1100.
    assert_eq!(back_at(&quick(), 500, 1_099), again(1_099));
    assert_eq!(back_at(&quick(), 500, 1_100), anew(1_100));
    let until_resolved = WindowRule { kind: WindowKind::UntilResolved, ..quick() };
    assert_eq!(back_at(&until_resolved, 5_000, 5_599), again(5_599));
    assert_eq!(back_at(&until_resolved, 5_000, 5_600), anew(5_600));
}

#[test]
fn with_reopen_zero_only_an_open_window_is_joined() {
    let rule = WindowRule { reopen: Millis::ZERO, ..quick() };
    assert_eq!(back_at(&rule, 100, 299), "#1 reopened firing_again @299 members=1 firing=1 alerts=3");
    assert_eq!(back_at(&rule, 100, 300), "#2 opened first_alert @300 members=1 firing=1 alerts=1");
}

#[test]
fn a_new_fingerprint_reopens_too_and_counts_as_opened() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.at(100).send(alert("checkout/a").resolved());
    assert_eq!(world.skip().at(899).send(alert("checkout/b")), "opened #1");
    world.expect(&["#1 reopened firing_again @899 members=2 firing=1 alerts=3"]);
    assert_eq!(world.at(900).send(alert("checkout/c")), "joined #1");
    assert_eq!(world.at(901).send(alert("checkout/a")), "joined #1");
}

#[test]
fn an_unresolved_incident_continues_without_being_reopened() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.at(300).skip();
    // The window has ended, the incident has not.
    assert_eq!(world.at(899).send(alert("checkout/a")), "folded #1");
    world.at(900).expect(&["#1 updated counted @899 members=1 firing=1 alerts=2"]);
    assert_eq!(world.at(1_198).send(alert("checkout/b")), "joined #1");
    assert_eq!(world.at(1_198 + 899).send(alert("checkout/c")), "joined #1");
    assert_eq!(world.at(2_097 + 900).send(alert("checkout/d")), "opened #2");
}

#[test]
fn a_continued_window_counts_its_age_and_members_anew() {
    let rule = WindowRule { max_age: Some(Millis::seconds(400)), max_alerts: Some(2), ..quick() };
    let mut world = World::new(rule);
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    assert_eq!(world.at(500).send(alert("checkout/c")), "joined #1");
    assert_eq!(world.at(700).send(alert("checkout/d")), "joined #1");
    assert_eq!(world.last["#1"].first_seen, crate::engine::alert::second(0));
    assert_eq!(world.at(701).send(alert("checkout/e")), "opened #2");
}

#[test]
fn caps_are_hard() {
    let rule = WindowRule { max_age: Some(Millis::seconds(100)), ..quick() };
    let mut world = World::new(rule);
    world.send(alert("checkout/a"));
    assert_eq!(world.at(101).send(alert("checkout/a").resolved()), "resolved #1");
    assert_eq!(world.at(102).send(alert("checkout/a")), "opened #2");
}
