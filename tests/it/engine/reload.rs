//! A start with another configuration: what lives is re-keyed, open incidents stay what they are.

use std::sync::Arc;

use tidegate::model::incident::EventReason;
use tidegate::model::matcher::Matcher;
use tidegate::model::time::Millis;
use tidegate::pipeline::options::{Identity, OpenAfter, Options, WindowRule};

use crate::engine::alert::alert;
use crate::engine::world::{World, quick};

/// Another configuration, on another number of shards.
fn change(options: &mut Options, rules: Vec<WindowRule>, identity: Identity) {
    options.config_version += 1;
    options.shards = 7;
    options.rules = rules.into();
    let mut source = options.sources[0].clone();
    source.identity = Arc::new(identity);
    options.sources = vec![source].into();
}

fn without(label: &str) -> Identity {
    Identity { drop: vec![label.to_owned()], ..Identity::default() }
}

fn grouped_by(label: &str) -> WindowRule {
    WindowRule { group_by: vec![vec![label.to_owned()]], ..quick() }
}

#[test]
fn after_a_new_group_by_open_incidents_keep_their_members_and_only_new_fingerprints_follow() {
    let mut world = World::new(quick());
    for service in ["checkout", "search", "mail", "cart", "stock"] {
        world.send(alert(&format!("{service}/a")));
    }
    world.at(1).restart(|options| change(options, vec![grouped_by("instance")], Identity::default()));
    for (n, service) in ["checkout", "search", "mail", "cart", "stock"].into_iter().enumerate() {
        assert_eq!(world.at(2).send(alert(&format!("{service}/a"))), format!("folded #{}", n + 1));
    }
    assert_eq!(world.send(alert("checkout/b")), "opened #6");
    assert_eq!(world.send(alert("search/b")), "joined #6");
    assert_eq!(world.last["#6"].group_labels["instance"], "b");
    // It stays so after further restarts, on any number of shards, without any further change.
    for shards in [3, 1, 4] {
        world.restart(|options| options.shards = shards);
        for (n, service) in ["checkout", "search", "mail", "cart", "stock"].into_iter().enumerate() {
            assert_eq!(world.send(alert(&format!("{service}/a"))), format!("folded #{}", n + 1), "{shards}");
        }
    }
    assert_eq!(world.at(3).send(alert("mail/a").resolved()), "resolved #3");
    world.at(4).restart(|options| options.shards = 2);
    assert_eq!(world.send(alert("cart/a").resolved()), "resolved #4");
    assert_eq!(world.send(alert("mail/a")), "opened #7", "a new occurrence follows the new rule");
}

#[test]
fn after_a_new_identity_repeats_still_fold_into_their_incident() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a").label("pod", "x"));
    world.send(alert("checkout/b").label("pod", "x"));
    world.at(1).restart(|options| change(options, vec![quick()], without("pod")));
    assert_eq!(world.send(alert("checkout/a").label("pod", "y")), "folded #1");
    assert_eq!(world.send(alert("checkout/b")), "folded #1");
    assert_eq!(world.send(alert("checkout/a").label("pod", "z").resolved()), "resolved #1");
    assert_eq!(world.send(alert("checkout/b").resolved()), "resolved #1");
    assert_eq!(world.last["#1"].members, 2);
}

#[test]
fn fingerprints_that_a_new_identity_makes_one_count_as_one() {
    // All of one moment, as alerts of one batch are.
    let mut world = World::new(quick());
    for pod in ["x", "y", "z"] {
        world.send(alert("checkout/a").label("pod", pod));
    }
    world.send(alert("checkout/a"));
    world.at(1).restart(|options| change(options, vec![quick()], without("pod")));
    world.at(2);
    assert_eq!(world.summary.tally.fingerprints, 1);
    world.restart(|options| options.shards = 2);
    assert_eq!(world.at(3).summary.tally.fingerprints, 1);
    assert_eq!(world.send(alert("checkout/a").label("pod", "w")), "folded #1");
    assert_eq!(world.send(alert("checkout/a").resolved()), "resolved #1");
    assert_eq!(world.last["#1"].reason, EventReason::AllResolved);
    assert_eq!((world.last["#1"].firing, world.last["#1"].members), (0, 4));
}

#[test]
fn members_of_several_incidents_that_become_one_stay_where_they_were_heard_last() {
    // Before, `tier` was in the identity and in the groups; now it is in neither.
    let mut rule = quick();
    rule.group_by = vec![vec!["service".to_owned()], vec!["tier".to_owned()]];
    for (first, second) in [("one", "two"), ("two", "one")] {
        let mut world = World::new(rule.clone());
        world.send(alert("checkout/a").label("tier", first));
        world.at(5).send(alert("checkout/a").label("tier", second));
        world.at(6).restart(|options| change(options, vec![grouped_by("service")], without("tier")));
        world.skip().at(7).expect(&["#1 resolved superseded @0 members=1 firing=0 alerts=1"]);
        assert_eq!(world.send(alert("checkout/a").label("tier", "three")), "folded #2");
        world.restart(|options| options.shards = 3);
        assert_eq!(world.send(alert("checkout/a").label("tier", "four").resolved()), "resolved #2");
    }
}

#[test]
fn a_group_whose_rule_vanished_closes_its_window() {
    let mut critical = WindowRule { name: "critical".to_owned(), ..quick() };
    critical.matchers = Matcher::parse_all(r#"severity="critical""#).unwrap();
    let mut world = World::new(critical);
    world.send(alert("checkout/a").critical());
    world.send(alert("checkout/b").critical());
    world.at(1).restart(|options| change(options, vec![quick()], Identity::default()));
    assert_eq!(world.send(alert("checkout/a").critical()), "folded #1");
    assert_eq!(world.send(alert("checkout/c").critical()), "opened #2");
    world.at(2);
    assert!(world.last["#1"].window_closed);
    assert_eq!(world.send(alert("checkout/a").critical().resolved()), "resolved #1");
    assert_eq!(world.send(alert("checkout/b").critical().resolved()), "resolved #1");
    assert_eq!(world.last["#1"].reason, EventReason::AllResolved);
    assert_eq!(world.at(3).summary.tally.open_windows, 1);
}

#[test]
fn members_of_a_vanished_rule_are_forgotten_some_day() {
    let mut world = World::new(WindowRule { name: "old".to_owned(), ..quick() });
    world.send(alert("checkout/a"));
    world.at(1).restart(|options| change(options, vec![quick()], Identity::default()));
    world.at(2).skip().at(7 * 86_400);
    world.expect(&["#1 resolved expired @604800 members=1 firing=0 alerts=1"]);
}

#[test]
fn open_windows_go_on_with_the_new_values_from_their_stored_first_and_last() {
    let mut world = World::new(WindowRule { reopen: Millis::ZERO, ..quick() });
    world.send(alert("checkout/a"));
    let longer = WindowRule { gap: Millis::seconds(1_000), reopen: Millis::ZERO, ..quick() };
    world.at(200).restart(|options| change(options, vec![longer], Identity::default()));
    assert_eq!(world.at(999).send(alert("checkout/b")), "joined #1");
    let shorter = WindowRule { gap: Millis::seconds(10), reopen: Millis::ZERO, ..quick() };
    world.restart(|options| change(options, vec![shorter], Identity::default()));
    assert_eq!(world.at(1_009).send(alert("checkout/c")), "opened #2");
}

fn three() -> WindowRule {
    WindowRule { open_after: OpenAfter { count: 3, within: Millis::seconds(60) }, ..quick() }
}

#[test]
fn held_alerts_survive_a_new_identity() {
    let mut world = World::new(three());
    world.send(alert("checkout/a").label("pod", "x"));
    world.send(alert("checkout/b").label("pod", "x"));
    world.at(1).restart(|options| change(options, vec![three()], without("pod")));
    assert_eq!(world.at(2).send(alert("checkout/a").label("pod", "y")), "opened #1");
    assert_eq!([0, 1].map(|n| world.fate(n)), ["joined #1", "joined #1"]);
    assert_eq!((world.last["#1"].members, world.last["#1"].firing), (2, 2));
    assert_eq!(world.summary.totals[0].counts.held, 0);
}

#[test]
fn held_fingerprints_that_become_one_are_joined_once() {
    let mut world = World::new(three());
    world.send(alert("checkout/a").label("pod", "x"));
    world.send(alert("checkout/a").label("pod", "y"));
    world.at(1).restart(|options| change(options, vec![three()], without("pod")));
    assert_eq!(world.at(2).send(alert("checkout/b")), "opened #1");
    assert_eq!([0, 1].map(|n| world.fate(n)), ["joined #1", "folded #1"]);
    assert_eq!((world.last["#1"].members, world.last["#1"].firing), (2, 2));
    world.restart(|options| options.shards = 1);
    assert_eq!(world.send(alert("checkout/a").resolved()), "resolved #1");
    assert_eq!(world.send(alert("checkout/b").resolved()), "resolved #1");
}

#[test]
fn a_lowered_threshold_opens_with_the_next_alert_and_counts_every_repeat() {
    let mut world = World::new(three());
    world.send(alert("checkout/a"));
    world.at(1).restart(|options| change(options, vec![quick()], Identity::default()));
    world.without_decisions();
    // Two equal repeats of one moment, which the exchange may fold, as its rule has no threshold now.
    world.at(2).send_all(&[alert("checkout/b"), alert("checkout/b")]);
    world.at(3).send(alert("checkout/b"));
    world.at(4);
    let counts = world.summary.totals[0].counts;
    assert_eq!((counts.received, counts.held, counts.outcomes), (4, 0, [1, 1, 2, 0, 0, 0]));
    assert_eq!((world.last["#1"].members, world.last["#1"].counts.alerts), (2, 4));
}

#[test]
fn what_is_held_under_a_group_key_of_the_past_leaves_nothing_behind() {
    let mut world = World::new(three());
    world.send(alert("checkout/a"));
    let by_instance = WindowRule { group_by: vec![vec!["instance".to_owned()]], ..three() };
    world.at(1).restart(|options| change(options, vec![by_instance], Identity::default()));
    world.at(2).send(alert("checkout/a"));
    world.at(3).send(alert("checkout/a"));
    assert_eq!([0, 1, 2].map(|n| world.fate(n)), ["joined #1", "folded #1", "opened #1"]);
    world.restart(|options| options.shards = 3);
    world.at(4).send(alert("checkout/a").resolved());
    assert_eq!(world.last["#1"].firing, 0);
    assert_eq!(world.at(1_000).summary.tally.fingerprints, 0);
}
