//! When an incident is over: the sender's word, silence, oblivion, or a person.

use tidegate::model::time::Millis;
use tidegate::pipeline::epoch::counter;
use tidegate::pipeline::options::{ResolveAfter, WindowRule};

use crate::engine::alert::alert;
use crate::engine::world::{World, options, quick};

#[test]
fn an_incident_is_resolved_when_no_member_fires() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    world.at(1).skip();
    assert_eq!(world.send(alert("checkout/a").resolved()), "resolved #1");
    world.at(2).expect(&["#1 updated member_resolved @1 members=2 firing=1 alerts=3"]);
    assert_eq!(world.send(alert("checkout/b").resolved()), "resolved #1");
    world.expect(&["#1 resolved all_resolved @2 members=2 firing=0 alerts=4"]);
}

#[test]
fn a_resolve_of_what_does_not_fire_is_folded_and_counts_nowhere_else() {
    let mut world = World::new(quick());
    assert_eq!(world.send(alert("checkout/a").resolved()), "folded -");
    world.send(alert("checkout/a"));
    assert_eq!(world.send(alert("checkout/a").resolved()), "resolved #1");
    assert_eq!(world.send(alert("checkout/a").resolved()), "folded #1");
    world.at(10_000);
    assert_eq!(world.last["#1"].counts.alerts, 2);
}

#[test]
fn ends_at_of_alertmanager_resolves_by_record_time() {
    let mut world = World::new(quick());
    world.wall(100_000).send(alert("checkout/a").ends(120));
    world.at(60).send(alert("checkout/a").ends(180));
    world.at(179).skip();
    world.at(180).expect(&["#1 resolved not_seen @180 members=1 firing=0 alerts=2"]);
}

#[test]
fn without_an_ends_at_alertmanager_alerts_last_five_minutes() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a").v2());
    world.at(299).skip();
    world.at(300).expect(&["#1 resolved not_seen @300 members=1 firing=0 alerts=1"]);
}

#[test]
fn an_ends_at_that_has_passed_is_a_resolve() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a").ends(120));
    world.at(60).skip();
    assert_eq!(world.send(alert("checkout/a").ends(60)), "resolved #1");
    world.expect(&["#1 resolved all_resolved @60 members=1 firing=0 alerts=2"]);
    assert_eq!(world.last["#1"].counts.status, [1, 1]);
    assert_eq!(world.send(alert("checkout/b").ends(30)), "folded -");
}

#[test]
fn a_source_that_repeats_resolves_after_three_missed_intervals() {
    let mut options = options(quick());
    let mut source = options.sources[0].clone();
    source.resend_interval = Some(Millis::seconds(60));
    options.sources = vec![source].into();
    let mut world = World::with(options);
    world.send(alert("checkout/a"));
    world.at(100).send(alert("checkout/a"));
    world.at(279).skip();
    world.at(280).expect(&["#1 resolved not_seen @280 members=1 firing=0 alerts=2"]);
}

#[test]
fn by_default_native_alerts_fire_until_they_are_resolved_or_forgotten() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a").starts(0));
    world.send(alert("checkout/b").starts(0));
    world.at(6 * 86_400).send(alert("checkout/b").starts(0));
    world.at(7 * 86_400 - 1).skip();
    world.at(7 * 86_400).expect(&["#1 updated member_resolved @604800 members=2 firing=1 alerts=3"]);
    assert_eq!(world.summary.counters[counter::EXPIRED], 1);
    world.at(13 * 86_400).expect(&["#1 resolved expired @1123200 members=2 firing=0 alerts=3"]);
    assert_eq!(world.summary.counters[counter::EXPIRED], 2);
}

#[test]
fn never_means_not_even_by_ends_at_in_the_future() {
    let rule = WindowRule { resolve_after: ResolveAfter::Never, forget_after: None, ..quick() };
    let mut world = World::new(rule);
    world.send(alert("checkout/a").ends(120));
    world.at(1_000_000).skip();
    assert_eq!(world.last["#1"].firing, 1);
    assert_eq!(world.send(alert("checkout/a").ends(5)), "resolved #1");
}

#[test]
fn a_set_silence_resolves_but_a_given_ends_at_is_believed() {
    let rule = WindowRule { resolve_after: ResolveAfter::After(Millis::seconds(600)), ..quick() };
    let mut world = World::new(rule);
    world.send(alert("checkout/a"));
    world.send(alert("search/a").ends(900));
    world.at(599).skip();
    world.at(600).expect(&["#1 resolved not_seen @600 members=1 firing=0 alerts=1"]);
    world.at(900).expect(&["#2 resolved not_seen @900 members=1 firing=0 alerts=1"]);
}

#[test]
fn of_two_members_that_end_together_silence_is_named_after_oblivion_whatever_their_order() {
    for (first, second) in [("a", "b"), ("b", "a")] {
        let rule = WindowRule { forget_after: Some(Millis::seconds(900)), ..quick() };
        let mut world = World::new(rule);
        world.send(alert(&format!("checkout/{first}")));
        world.send(alert(&format!("checkout/{second}")));
        world.send(alert("checkout/c").ends(900));
        world.at(899).skip();
        world.at(900).expect(&["#1 resolved expired @900 members=3 firing=0 alerts=3"]);
    }
}

#[test]
fn a_person_ends_the_incident_and_repeats_stay_with_it() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.send(alert("checkout/b"));
    world.at(10).skip().resolve("#1", "ada");
    world.expect(&["#1 resolved person @10 members=2 firing=2 alerts=2"]);
    assert_eq!(world.last["#1"].resolved_by.as_deref(), Some("ada"));
    assert!(world.last["#1"].window_closed);
    for second in [100, 300, 500, 700] {
        assert_eq!(world.at(second).send(alert("checkout/a")), "folded #1");
    }
    // The next new fingerprint opens a new incident, never a reopening.
    world.skip();
    assert_eq!(world.at(701).send(alert("checkout/c")), "opened #2");
    assert_eq!(world.last["#2"].reason, tidegate::model::incident::EventReason::AfterPerson);
    assert_eq!(world.last["#2"].links[0].incident_id, world.last["#1"].incident_id);
    // A member is judged by its own silence: `b` was silent for longer than the gap, `a` was not.
    assert_eq!(world.at(702).send(alert("checkout/a")), "folded #1");
    assert_eq!(world.at(702).send(alert("checkout/b")), "joined #2");
}

#[test]
fn after_a_person_a_member_that_resolved_starts_anew() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.at(10).resolve("#1", "ada");
    assert_eq!(world.at(20).send(alert("checkout/a").resolved()), "resolved #1");
    assert_eq!(world.at(21).send(alert("checkout/a")), "opened #2");
}

#[test]
fn after_a_person_and_the_gap_even_the_same_starts_at_opens_anew() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a").starts(0));
    world.send(alert("checkout/b").starts(0));
    world.at(10).resolve("#1", "ada");
    assert_eq!(world.at(299).send(alert("checkout/b").starts(0)), "folded #1");
    assert_eq!(world.at(300).send(alert("checkout/a").starts(0)), "opened #2");
    assert_eq!(world.at(300).send(alert("checkout/b").starts(0)), "folded #1");
}

#[test]
fn a_person_resolves_what_is_already_over_or_unknown_without_effect_on_others() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.at(1).send(alert("checkout/a").resolved());
    world.skip().resolve("#1", "ada").expect(&[]);
    // It had said nothing new, but the incident does not come back.
    assert_eq!(world.at(2).send(alert("checkout/a")), "opened #2");
    world.at(3).skip().resolve("#2", "ada");
    world.at(303).skip().resolve("#2", "bo").expect(&[]);
}
