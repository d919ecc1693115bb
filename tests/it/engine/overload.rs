//! While memory is short: what is folded away, what is not kept, what leaves early; and that it is the same however the
//! sequence is cut, on any number of shards, with restarts in between.

use tidegate::model::fingerprint::IncidentId;
use tidegate::model::incident::IncidentEvent;
use tidegate::model::time::Millis;
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::epoch::counter;
use tidegate::pipeline::options::{Options, SourceOptions, WindowRule};
use tidegate::pipeline::pressure::{Level, Offender, Pressure};
use tidegate::pipeline::source::SourceIndex;
use tidegate::storm::{FloodOptions, Shape};

use crate::engine::alert::{Alert, alert, second};
use crate::engine::flood::{Cut, Run, assert_same, lively, options as flood_options, records, without_passing_counts};
use crate::engine::world::{World, options, quick};

fn press(level: Level, offender: Option<(u8, Option<&str>)>, at: i64) -> StepKind {
    let offender =
        offender.map(|(source, label)| Offender { source: SourceIndex(source), label: label.map(Into::into) });
    StepKind::Pressure { pressure: Pressure { level, offender }, at: second(at) }
}

fn two_sources() -> Options {
    let sources = ["one", "other"].map(SourceOptions::named).to_vec();
    Options { sources: sources.into(), ..options(quick()) }
}

fn pod(n: u32) -> Alert {
    alert(&format!("shop/{n}")).label("pod", &n.to_string()).severity("warning")
}

fn count(world: &World, name: &str) -> u64 {
    world.summary.counters.get(name).copied().unwrap_or(0)
}

#[test]
fn new_alerts_of_the_offender_are_counted_together_and_nothing_else_is() {
    let mut world = World::with(two_sources());
    world.send(pod(0));
    world.at(60).wall(60).step(press(Level::Fold, Some((0, Some("pod"))), 60));
    let fates: Vec<String> = [
        pod(1),                                  // New, with the label: folded away.
        pod(1),                                  // Still new: it left nothing.
        pod(2),                                  //
        pod(0),                                  // A member repeats.
        pod(3).severity("critical"),             // Critical: in full.
        pod(4).of_source(1),                     // Another source.
        alert("shop/no-label").severity("info"), // Without the label.
    ]
    .into_iter()
    .map(|alert| world.send(alert))
    .collect();
    assert_eq!(fates, ["folded -", "folded -", "folded -", "folded #1", "joined #1", "joined #1", "joined #1"]);
    assert_eq!(count(&world, counter::OVERFLOWED), 3);
    let told = |world: &mut World| {
        let told = world.told();
        told.into_iter().filter(|line| line.starts_with("#2")).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut world), ["#2 opened overflow @60 members=1 firing=1 alerts=1"]);
    world.wall(119);
    assert_eq!(told(&mut world), [""; 0]);
    world.wall(121);
    assert_eq!(told(&mut world), ["#2 updated counted @121 members=2 firing=2 alerts=3"]);
    let overflow = world.last["#2"].clone();
    assert_eq!((overflow.counts.alerts, overflow.members, overflow.firing, overflow.samples.len()), (3, 2, 2, 0));
    let labels: Vec<(&str, &str)> =
        overflow.group_labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("alertname", "TidegateOverflow"), ("label", "pod"), ("source", "one")]);
    world.step(press(Level::Normal, None, 130)).expect(&["#2 resolved eased @130 members=2 firing=0 alerts=3"]);
    assert_eq!(world.send(pod(1)), "joined #1", "what still fires comes again, with full detail");
}

#[test]
fn from_the_next_level_on_every_source_overflows_on_its_own() {
    let mut world = World::with(two_sources());
    world.step(press(Level::Evict, None, 1));
    world.send(alert("shop/a"));
    world.send(alert("shop/b").of_source(1).severity("high"));
    world.send(alert("shop/c").severity("critical"));
    world.expect(&[
        "#1 opened overflow @0 members=1 firing=1 alerts=1",
        "#2 opened overflow @0 members=1 firing=1 alerts=1",
        "#3 opened first_alert @0 members=1 firing=1 alerts=1",
    ]);
    // Going down a level, only the offender's goes on.
    world.step(press(Level::Fold, Some((1, None)), 5));
    world.expect(&["#1 resolved eased @5 members=1 firing=0 alerts=1"]);
    assert_eq!(world.send(alert("shop/d").of_source(1)), "folded -");
    assert_eq!(world.send(alert("shop/d")), "joined #3");
}

#[test]
fn the_last_level_is_an_incident_of_its_own() {
    let mut world = World::new(quick());
    world.step(press(Level::PauseAll, None, 7)).expect(&["#1 opened overload @7 members=0 firing=0 alerts=0"]);
    let event = world.last["#1"].clone();
    assert_eq!((event.severity_max.name(), event.rule.as_str()), ("critical", "tidegate"));
    world.restart(|options| options.shards = 5);
    world.step(press(Level::PauseAll, None, 8)).expect(&[]);
    world.step(press(Level::Evict, None, 9)).expect(&["#1 resolved eased @9 members=0 firing=0 alerts=0"]);
    world.step(press(Level::PauseAll, None, 10)).expect(&["#2 opened overload @10 members=0 firing=0 alerts=0"]);
}

#[test]
fn incidents_below_critical_keep_no_more_samples() {
    let mut world = World::new(quick());
    world.send(alert("shop/a"));
    world.step(press(Level::PauseHeaviest, None, 1));
    world.send(alert("shop/b"));
    world.send(alert("disk/a").severity("critical"));
    world.send(alert("disk/b"));
    world.at(1);
    assert_eq!((world.last["#1"].members, world.last["#1"].samples.len()), (2, 1));
    assert_eq!((world.last["#2"].members, world.last["#2"].samples.len()), (2, 2), "the incident is critical");
    assert_eq!(count(&world, counter::SAMPLES_SHED), 1);
    world.step(press(Level::SmallBatches, None, 2));
    world.send(alert("shop/c"));
    world.at(3);
    assert_eq!(world.last["#1"].samples.len(), 2);
}

/// An incident that resolved at second 10 and whose window ended at 300; then another alert, at this second.
fn returns_at(steps: Vec<(i64, StepKind)>, seconds: i64) -> (String, u64) {
    let rule = WindowRule { gap: Millis::seconds(300), reopen: Millis::seconds(600), ..quick() };
    let mut world = World::new(rule);
    world.send(alert("shop/a"));
    world.at(10).send(alert("shop/a").resolved());
    for (at, step) in steps {
        world.at(at).step(step).at(at + 1);
    }
    world.at(seconds);
    (world.send(alert("shop/a")), count(&world, counter::EVICTED))
}

#[test]
fn resolved_groups_leave_before_reopen_ends() {
    let evict = |at| (at, press(Level::Evict, None, at));
    let ease = |at| (at, press(Level::Normal, None, at));
    assert_eq!(returns_at(Vec::new(), 700), ("opened #1".to_owned(), 0), "it reopens");
    assert_eq!(returns_at(vec![evict(400), ease(500)], 700), ("opened #2".to_owned(), 1));
    assert_eq!(returns_at(vec![evict(50), ease(400)], 700), ("opened #2".to_owned(), 1), "with the end of its window");
    assert_eq!(returns_at(vec![evict(50), ease(100)], 700), ("opened #1".to_owned(), 0), "the window was still open");
}

/// A flood with every level going up and down, and a wall clock that ticks all the while.
fn rough_time(n: u64) -> Vec<(u64, StepKind)> {
    let start = FloodOptions::default().start;
    let wall = |at: u64| start + Millis(at as i64 * 100 + 50);
    let course = [
        (0.1, Level::PauseHeaviest, None),
        (0.2, Level::Fold, Some(None)),
        (0.3, Level::Fold, Some(Some("instance"))),
        (0.4, Level::Evict, Some(Some("instance"))),
        (0.5, Level::PauseAll, None),
        (0.6, Level::Fold, Some(None)),
        (0.7, Level::Normal, None),
        (0.8, Level::Evict, None),
        (0.9, Level::SmallBatches, None),
    ];
    let mut steps: Vec<(u64, StepKind)> = (0..n).step_by(37).map(|at| (at, StepKind::Wall { to: wall(at) })).collect();
    for (share, level, label) in course {
        let at = (n as f64 * share) as u64;
        let offender =
            label.map(|label: Option<&str>| Offender { source: SourceIndex(0), label: label.map(Into::into) });
        steps.push((at, StepKind::Pressure { pressure: Pressure { level, offender }, at: wall(at) }));
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}

/// In the order of incidents and revisions: nothing is said about the order of events of different incidents.
fn by_incident(events: &[IncidentEvent]) -> Vec<String> {
    let mut events = events.to_vec();
    events.sort_by_key(|event| (event.incident_id, event.revision));
    without_passing_counts(&events)
}

fn overflows(run: &Run) -> Vec<(IncidentId, u64)> {
    let over = run.events.iter().filter(|event| event.rule == "tidegate" && event.event.name() == "resolved");
    over.map(|event| (event.incident_id, event.counts.alerts)).collect()
}

#[test]
fn a_rough_time_is_the_same_however_it_is_cut() {
    for shape in [Shape::AllDistinct, Shape::TicketStorm, Shape::Steady] {
        let records = records(shape, 11, 3_000, 10.0);
        let steps = rough_time(records.len() as u64);
        let cut = Cut { shards: 1, batch: 1, epoch: 1 };
        let expected = Run::with_steps(flood_options(vec![lively()], 1), &records, &steps, cut);
        let told = by_incident(&expected.events);
        assert!(expected.overflowed > 100, "{shape}: only {} were folded away", expected.overflowed);
        let counted: u64 = overflows(&expected).iter().map(|(_, alerts)| alerts).sum();
        assert_eq!(counted, expected.overflowed, "{shape}: each alert is in one overflow incident");
        for (shards, batch, epoch) in [(2, 100, 7), (7, 100, 3), (7, 1, 997), (1, 10_000, 1), (3, 10_000, 1)] {
            let cut = Cut { shards, batch, epoch };
            let found = Run::with_steps(flood_options(vec![lively()], shards), &records, &steps, cut);
            assert_same(&by_incident(&found.events), &told, &format!("{shape} {cut:?}"));
            assert_eq!((found.outcomes, found.overflowed), (expected.outcomes, expected.overflowed), "{shape} {cut:?}");
            assert_eq!(found.fingerprints, 0, "{shape} {cut:?}: nothing is left after the end");
        }
    }
}

#[test]
fn a_restart_in_a_rough_time_changes_nothing() {
    let records = records(Shape::AllDistinct, 5, 2_000, 10.0);
    let steps = rough_time(records.len() as u64);
    let cut = Cut { shards: 2, batch: 10, epoch: 2 };
    let expected = Run::with_steps(flood_options(vec![lively()], 2), &records, &steps, cut);
    for every in [1, 3, 17] {
        let mut run = Run::new(flood_options(vec![lively()], 2));
        run.steps = steps.clone();
        for (n, batch) in records.chunks(cut.batch).enumerate() {
            run.feed(batch);
            if n % cut.epoch == 1 {
                run.end_epoch();
                if (n / cut.epoch).is_multiple_of(every) {
                    let from = if n % 3 == 0 { run.safe_from } else { 1 };
                    run.restart(1 + n % 5, from);
                }
            }
        }
        run.finish();
        assert_same(&by_incident(&run.events), &by_incident(&expected.events), &format!("restarts every {every}"));
        assert_eq!((run.outcomes, run.overflowed), (expected.outcomes, expected.overflowed));
    }
}
