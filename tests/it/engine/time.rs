//! Time: late records, several sources, downtime, the order of what is due, the end of input.

use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::epoch::counter;
use tidegate::pipeline::options::{Options, ResolveAfter, SourceOptions, WindowRule};
use tidegate::pipeline::source::SourceIndex;

use crate::engine::alert::{alert, second};
use crate::engine::world::{World, options, quick};

fn two_sources(rule: WindowRule) -> World {
    let sources = vec![SourceOptions::named("http"), SourceOptions::named("kafka")];
    World::with(Options { sources: sources.into(), ..options(rule) })
}

fn unread(seconds: i64) -> StepKind {
    StepKind::Unread { source: SourceIndex(0), by: Millis::seconds(seconds) }
}

#[test]
fn a_late_record_counts_as_at_the_last_of_its_group() {
    let mut world = World::new(quick());
    world.at(100).send(alert("checkout/a"));
    assert_eq!(world.send(alert("checkout/a").recorded(40)), "folded #1");
    assert_eq!(world.send(alert("checkout/b").recorded(50)), "joined #1");
    world.at(101);
    assert_eq!(
        (world.last["#1"].first_seen, world.last["#1"].last_seen),
        (second(40), second(100)),
        "as people see it"
    );
    assert_eq!(world.summary.counters[counter::LATE], 2);
}

#[test]
fn membership_does_not_depend_on_whether_a_timer_has_fired() {
    let rule = WindowRule { reopen: Millis::ZERO, ..quick() };
    for early_clock in [false, true] {
        // With the clock ahead the window was closed by its timer at 300 when the records from before that came.
        let run = |records: &[(&str, i64)]| {
            let mut world = World::new(rule.clone());
            world.send(alert("checkout/a"));
            if early_clock {
                world.at(650);
            }
            let send = |(name, second): &(&str, i64)| world.send(alert(name).recorded(*second));
            records.iter().map(send).collect::<Vec<_>>()
        };
        assert_eq!(run(&[("checkout/b", 299), ("checkout/c", 598)]), ["joined #1", "joined #1"], "{early_clock}");
        assert_eq!(run(&[("checkout/a", 299), ("checkout/c", 598)]), ["folded #1", "joined #1"], "{early_clock}");
        assert_eq!(run(&[("checkout/a", 299), ("checkout/c", 599)]), ["folded #1", "opened #2"], "{early_clock}");
        assert_eq!(run(&[("checkout/b", 300)]), ["opened #2"], "{early_clock}");
    }
}

#[test]
fn a_group_reads_the_slowest_clock_of_the_sources_that_fed_it() {
    let rule = WindowRule { resolve_after: ResolveAfter::After(Millis::seconds(600)), ..quick() };
    let mut world = two_sources(rule);
    world.send(alert("checkout/a"));
    world.send(alert("search/a"));
    world.send(alert("checkout/b").of_source(1));
    // `search` knows one source only: what the other lags behind is nothing to it.
    world.clock(0, 601).expect(&[
        "#1 opened first_alert @0 members=1 firing=1 alerts=1",
        "#2 opened first_alert @0 members=1 firing=1 alerts=1",
        "#1 updated grew @0 members=2 firing=2 alerts=2",
        "#2 resolved not_seen @600 members=1 firing=0 alerts=1",
    ]);
    world.clock(1, 300).skip().clock(1, 599).expect(&[]);
    world.clock(1, 600).expect(&["#1 resolved not_seen @600 members=2 firing=0 alerts=2"]);
}

#[test]
fn time_that_a_lossy_source_was_not_read_is_no_silence() {
    let rule = WindowRule { resolve_after: ResolveAfter::After(Millis::seconds(600)), ..quick() };
    let mut world = World::new(rule);
    world.send(alert("checkout/a").starts(0));
    world.send(alert("search/a").ends(200));
    world.send(alert("mail/a"));
    world.at(100).skip().step(unread(1_200));
    // Gap, endsAt and resolve_after: each has what it had left.
    world.at(1_399).expect(&[]);
    world.at(1_400).expect(&["#2 resolved not_seen @1400 members=1 firing=0 alerts=1"]);
    assert_eq!(world.at(1_499).send(alert("checkout/b")), "joined #1");
    assert_eq!(world.send(alert("checkout/a")), "folded #1");
    world.skip().at(1_799).skip();
    world.at(1_800).expect(&["#3 resolved not_seen @1800 members=1 firing=0 alerts=1"]);
}

#[test]
fn downtime_of_one_source_moves_no_deadline_of_another() {
    let rule = WindowRule { resolve_after: ResolveAfter::After(Millis::seconds(600)), ..quick() };
    let mut world = two_sources(rule);
    world.send(alert("checkout/a").of_source(0));
    world.send(alert("checkout/b").of_source(1));
    world.send(alert("search/b").of_source(1));
    world.at(100).skip().step(unread(1_000)).at(600).skip().at(601);
    assert_eq!(world.last["#2"].reason, tidegate::model::incident::EventReason::NotSeen);
    assert_eq!((world.last["#1"].firing, world.last["#1"].record_time), (1, second(600)));
    world.at(1_599).skip();
    world.at(1_600).expect(&["#1 resolved not_seen @1600 members=2 firing=0 alerts=2"]);
}

#[test]
fn what_happens_in_one_tick_is_told_in_the_order_of_its_due_times() {
    // Wall clock and source clock move in one tick, and both have something due: an update at 60, a resolve at 55.
    let mut world = World::new(WindowRule { update_every: Millis::seconds(60), ..quick() });
    world.step(StepKind::Wall { to: second(0) }).send(alert("checkout/a").ends(55));
    world.send(alert("checkout/b").ends(1_000));
    world.send(alert("search/a").ends(55));
    world.send(alert("search/a").ends(55));
    world.at(50).wall(50).skip();
    let (source, to) = (SourceIndex(0), second(61));
    world.tick(vec![StepKind::Wall { to }, StepKind::Clock { source, to }]);
    world.expect(&[
        "#2 resolved not_seen @55 members=1 firing=0 alerts=2",
        "#1 updated grew @60 members=2 firing=1 alerts=2",
    ]);
}

#[test]
fn a_person_who_resolves_has_the_last_word_of_the_tick() {
    let mut world = World::new(WindowRule { update_every: Millis::seconds(60), ..quick() });
    world.send(alert("checkout/a"));
    world.at(1).send(alert("checkout/a"));
    let incident = world.skip().last["#1"].incident_id;
    let (source, to) = (SourceIndex(0), second(70));
    world.tick(vec![StepKind::Clock { source, to }, StepKind::Resolve { incident, by: "ada".to_owned() }]);
    world.expect(&[
        "#1 updated counted @60 members=1 firing=1 alerts=2",
        "#1 resolved person @70 members=1 firing=1 alerts=2",
    ]);
}

#[test]
fn at_the_end_of_input_the_clock_runs_on_until_nothing_is_left() {
    let mut world = World::new(WindowRule::named("default"));
    world.send(alert("checkout/a"));
    world.send(alert("search/a"));
    world.at(5).send(alert("search/a").resolved());
    world.skip().step(StepKind::RunOut);
    world.expect(&[
        "#1 opened first_alert @10 members=1 firing=1 alerts=1",
        "#1 resolved expired @604800 members=1 firing=0 alerts=1",
    ]);
    let tally = world.summary.tally;
    assert_eq!((tally.fingerprints, tally.open_windows, tally.has_deadlines), (0, 0, false));
}

#[test]
fn a_record_without_any_time_counts_as_at_the_clock() {
    let mut world = World::new(quick());
    let timeless = |name| {
        let mut alert = alert(name);
        alert.time = Some(Timestamp::MIN);
        alert
    };
    world.at(30).send(timeless("checkout/a"));
    world.at(31);
    assert_eq!(world.last["#1"].first_seen, second(30));
    // No clock yet, as with the first line of a file: the wall clock, else the beginning of time.
    let mut world = World::unclocked(options(quick()));
    world.send(timeless("checkout/a"));
    assert_eq!(world.last["#1"].first_seen, Timestamp(0));
    let mut world = World::unclocked(options(quick()));
    world.wall(40).send(timeless("checkout/a"));
    assert_eq!(world.last["#1"].first_seen, second(40));
}
