//! How long a window takes members: `gap`, `kind`, `max_age`, `max_alerts`.

use tidegate::model::incident::{Link, LinkKind};
use tidegate::model::time::Millis;
use tidegate::pipeline::options::{WindowKind, WindowRule};

use crate::engine::alert::alert;
use crate::engine::world::{World, quick};

/// A gap of 300 s and no way back.
fn session() -> WindowRule {
    WindowRule { reopen: Millis::ZERO, ..quick() }
}

#[track_caller]
fn is_linked(world: &World, later: &str, earlier: &str) {
    let link = Link { kind: LinkKind::Predecessor, incident_id: world.last[earlier].incident_id };
    assert_eq!(world.last[later].links, [link]);
}

#[test]
fn a_repeat_is_sound() {
    let mut world = World::new(session());
    world.send(alert("checkout/a"));
    assert_eq!(world.at(200).send(alert("checkout/a")), "folded #1");
    assert_eq!(world.at(499).send(alert("checkout/b")), "joined #1");
    assert_eq!(world.at(798).send(alert("checkout/c")), "joined #1");
    assert_eq!(world.at(798).send(alert("search/a")), "opened #2");
}

#[test]
fn silence_of_exactly_the_gap_ends_the_session() {
    let mut world = World::new(session());
    world.send(alert("checkout/a"));
    world.skip();
    assert_eq!(world.at(300).send(alert("checkout/b")), "opened #2");
    world.expect(&["#2 opened after_gap @300 members=1 firing=1 alerts=1"]);
    is_linked(&world, "#2", "#1");
    // Repeats and resolves of the member go to their incident after its window closed.
    assert_eq!(world.at(301).send(alert("checkout/a").resolved()), "resolved #1");
    assert_eq!(world.last["#1"].counts.alerts, 2);
}

#[test]
fn a_resolve_is_no_sound() {
    let mut world = World::new(session());
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    world.at(200).send(alert("checkout/a").resolved());
    assert_eq!(world.at(300).send(alert("checkout/c")), "opened #2");
}

#[test]
fn repeats_after_the_window_closed_go_to_their_incident() {
    let mut world = World::new(WindowRule { max_age: Some(Millis::seconds(100)), ..session() });
    world.send(alert("checkout/a"));
    for second in (50..=1_000).step_by(50) {
        assert_eq!(world.at(second).send(alert("checkout/a")), "folded #1");
    }
    assert_eq!(world.send(alert("checkout/b")), "opened #2");
}

#[test]
fn a_new_occurrence_moves_on_and_the_old_membership_is_superseded() {
    let mut world = World::new(session());
    world.send(alert("checkout/a"));
    world.skip();
    assert_eq!(world.at(300).send(alert("checkout/a")), "opened #2");
    world.expect(&[
        "#1 resolved superseded @300 members=1 firing=0 alerts=1",
        "#2 opened after_gap @300 members=1 firing=1 alerts=1",
    ]);
    is_linked(&world, "#2", "#1");
}

#[test]
fn a_new_occurrence_joins_the_open_window_of_its_group() {
    let mut world = World::new(session());
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    assert_eq!(world.at(300).send(alert("checkout/c")), "opened #2");
    assert_eq!(world.at(301).send(alert("checkout/a")), "joined #2");
    // One member of the first incident still fires.
    world.at(302).skip().at(310).send(alert("checkout/b").resolved());
    world.expect(&["#1 resolved all_resolved @310 members=2 firing=0 alerts=3"]);
}

#[test]
fn the_same_starts_at_is_the_same_occurrence() {
    let mut world = World::new(session());
    world.send(alert("checkout/a").starts(-5));
    assert_eq!(world.at(1_000).send(alert("checkout/a").starts(-5)), "folded #1");
    assert_eq!(world.at(1_001).send(alert("checkout/b").starts(1_001)), "opened #2");
    assert_eq!(world.at(1_002).send(alert("checkout/a").starts(-5)), "folded #1");
    assert_eq!(world.at(2_000).send(alert("checkout/a").starts(2_000)), "opened #3");
}

#[test]
fn a_fixed_window_has_its_length_from_the_opening_record() {
    let fixed = WindowRule { kind: WindowKind::Fixed, max_age: Some(Millis::seconds(600)), ..quick() };
    let mut world = World::new(fixed);
    world.at(7).send(alert("checkout/a"));
    assert_eq!(world.at(606).send(alert("checkout/b")), "joined #1");
    assert_eq!(world.at(607).send(alert("checkout/c")), "opened #2");
    world.at(608).expect(&[
        "#1 opened first_alert @7 members=1 firing=1 alerts=1",
        "#1 updated grew @606 members=2 firing=2 alerts=2",
        "#2 opened after_cap @607 members=1 firing=1 alerts=1",
    ]);
    is_linked(&world, "#2", "#1");
    assert_eq!(world.at(609).send(alert("checkout/b")), "folded #1");
    assert_eq!(world.at(1_207).send(alert("checkout/d")), "opened #3");
}

#[test]
fn until_resolved_ignores_the_gap() {
    let mut world = World::new(WindowRule { kind: WindowKind::UntilResolved, ..session() });
    world.send(alert("checkout/a"));
    assert_eq!(world.at(5_000).send(alert("checkout/b")), "joined #1");
    assert_eq!(world.at(9_000).send(alert("checkout/a")), "folded #1");
    world.at(9_001).send(alert("checkout/a").resolved());
    world.at(9_002).skip().send(alert("checkout/b").resolved());
    world.expect(&["#1 resolved all_resolved @9002 members=2 firing=0 alerts=5"]);
    assert!(world.last["#1"].window_closed);
    assert_eq!(world.send(alert("checkout/c")), "opened #2");
}

#[test]
fn after_max_age_new_fingerprints_go_to_a_linked_successor() {
    for kind in [WindowKind::Session, WindowKind::UntilResolved] {
        let mut world = World::new(WindowRule { kind, max_age: Some(Millis::seconds(1_000)), ..quick() });
        for second in (0..1_000).step_by(200) {
            world.at(second).send(alert("checkout/a"));
        }
        assert_eq!(world.at(999).send(alert("checkout/b")), "joined #1");
        assert_eq!(world.at(1_000).send(alert("checkout/c")), "opened #2");
        is_linked(&world, "#2", "#1");
        assert_eq!(world.at(1_001).send(alert("checkout/a")), "folded #1");
        assert_eq!(world.last["#2"].reason, tidegate::model::incident::EventReason::AfterCap);
    }
}

#[test]
fn after_max_alerts_new_fingerprints_go_to_a_linked_successor() {
    let mut world = World::new(WindowRule { max_alerts: Some(2), ..quick() });
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    assert_eq!(world.send(alert("checkout/a")), "folded #1");
    assert_eq!(world.send(alert("checkout/c")), "opened #2");
    is_linked(&world, "#2", "#1");
    assert_eq!(world.send(alert("checkout/b")), "folded #1");
    assert_eq!(world.send(alert("checkout/d")), "joined #2");
    assert_eq!(world.send(alert("checkout/e")), "opened #3");
    // A member that resolved starts anew, with the open window of its group.
    assert_eq!(world.at(1).send(alert("checkout/a").resolved()), "resolved #1");
    assert_eq!(world.at(2).send(alert("checkout/a")), "joined #3");
}

#[test]
fn a_resolved_member_of_a_full_window_comes_back_to_it() {
    let mut world = World::new(WindowRule { max_alerts: Some(2), ..quick() });
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    world.at(1).send(alert("checkout/a").resolved());
    assert_eq!(world.at(2).send(alert("checkout/a")), "joined #1");
    assert_eq!(world.last["#1"].members, 2);
}
