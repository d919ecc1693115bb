//! A restart changes nothing: state blocks, all of them or those since the last complete sweep, on other shards.

use proptest::prelude::*;

use tidegate::model::time::Millis;
use tidegate::pipeline::options::{OpenAfter, WindowKind, WindowRule};
use tidegate::storm::Shape;

use crate::engine::alert::alert;
use crate::engine::flood::{Cut, Run, assert_same, lively, options, records, without_epochs};
use crate::engine::world::{World, quick};

/// What is done at the end of an epoch.
#[derive(Clone, Copy, Debug)]
struct Interruption {
    /// After so many epochs.
    after: usize,
    shards: usize,
    /// Only the blocks that the last complete sweep left needed.
    from_sweep: bool,
    /// A sweep starts before it.
    sweep: bool,
}

fn interruption() -> impl Strategy<Value = Interruption> {
    (1_usize..12, 1_usize..8, any::<bool>(), any::<bool>())
        .prop_map(|(after, shards, from_sweep, sweep)| Interruption { after, shards, from_sweep, sweep })
}

fn rule() -> impl Strategy<Value = WindowRule> {
    let threshold = OpenAfter { count: 4, within: Millis::seconds(30) };
    prop_oneof![
        Just(lively()),
        Just(WindowRule { open_after: threshold, ..lively() }),
        Just(WindowRule { kind: WindowKind::Fixed, max_age: Some(Millis::seconds(60)), ..lively() }),
        Just(WindowRule { kind: WindowKind::UntilResolved, ..lively() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_restart_changes_nothing(
        rule in rule(),
        shape in prop::sample::select(Shape::ALL.to_vec()),
        seed in 0_u64..1_000,
        interruptions in prop::collection::vec(interruption(), 1..8),
    ) {
        let records = records(shape, seed, 1_500, 10.0);
        let cut = Cut { shards: 2, batch: 10, epoch: 2 };
        let expected = Run::whole(options(vec![rule.clone()], 2), &records, cut);
        let mut run = Run::new(options(vec![rule], 2));
        let mut interruptions = interruptions.into_iter().cycle();
        let mut next = interruptions.next().unwrap();
        let mut epochs = 0;
        for (n, batch) in records.chunks(cut.batch).enumerate() {
            run.feed(batch);
            if (n + 1) % cut.epoch != 0 {
                continue;
            }
            if next.sweep && epochs == next.after / 2 {
                run.sweep();
            }
            run.end_epoch();
            epochs += 1;
            if epochs == next.after {
                run.restart(next.shards, if next.from_sweep { run.safe_from } else { 1 });
                next = interruptions.next().unwrap();
                epochs = 0;
            }
        }
        run.finish();
        assert_same(&without_epochs(&run.events), &without_epochs(&expected.events), "after restarts");
        prop_assert_eq!(run.outcomes, expected.outcomes);
        prop_assert_eq!(run.fingerprints, 0);
    }
}

#[test]
fn blocks_before_a_complete_sweep_are_not_needed_however_many_epochs_it_takes() {
    let records = records(Shape::AllDistinct, 5, 6_000, 1_000.0);
    let calm =
        WindowRule { resolve_after: tidegate::pipeline::options::ResolveAfter::Never, ..WindowRule::named("default") };
    let cut = Cut { shards: 2, batch: 50, epoch: 1 };
    let expected = Run::whole(options(vec![calm.clone()], 2), &records, cut);
    let mut run = Run::new(options(vec![calm], 2));
    let (before, after) = records.split_at(4_000);
    for batch in before.chunks(cut.batch) {
        run.feed(batch);
        run.end_epoch();
    }
    run.sweep();
    let started = run.last_epoch() + 1;
    for batch in after.chunks(cut.batch) {
        run.feed(batch);
        run.end_epoch();
        if run.safe_from == started {
            break;
        }
    }
    assert_eq!(run.safe_from, started, "the sweep has ended");
    let n_epochs = run.last_epoch() - started + 1;
    assert!(n_epochs >= 3, "it took several epochs, with changes in between: {n_epochs}");
    run.restart(5, started);
    let fed = 4_000 + n_epochs as usize * cut.batch;
    for batch in records[fed..].chunks(cut.batch) {
        run.feed(batch);
        run.end_epoch();
    }
    run.finish();
    assert_same(&without_epochs(&run.events), &without_epochs(&expected.events), "after the sweep");
}

#[test]
fn what_was_held_back_is_still_held_with_its_samples() {
    let rule = WindowRule { open_after: OpenAfter { count: 3, within: Millis::seconds(60) }, ..quick() };
    let mut world = World::new(rule);
    world.send(alert("checkout/a"));
    world.restart(|options| options.shards = 5);
    world.at(1).send(alert("checkout/b"));
    world.at(2).send(alert("checkout/a"));
    assert_eq!([0, 1, 2].map(|n| world.fate(n)), ["joined #1", "joined #1", "opened #1"]);
    world.restart(|options| options.shards = 1);
    world.at(3).send(alert("checkout/c"));
    world.at(4);
    let event = &world.last["#1"];
    assert_eq!((event.members, event.counts.alerts, event.samples.len()), (3, 4, 2));
}

#[test]
fn totals_continue() {
    let mut world = World::new(quick());
    world.send(alert("checkout/a"));
    world.send(alert("checkout/a"));
    world.restart(|_| ());
    world.send(alert("checkout/a"));
    let counts = world.summary.totals[0].counts;
    assert_eq!((counts.received, counts.outcomes), (3, [1, 0, 2, 0, 0, 0]));
}

#[test]
fn a_member_that_moved_and_left_within_one_epoch_does_not_come_back() {
    let rule = WindowRule {
        kind: WindowKind::UntilResolved,
        max_age: Some(Millis::seconds(20)),
        reopen: Millis::ZERO,
        ..quick()
    };
    let mut world = World::new(rule);
    world.send_all(&[alert("db/a"), alert("db/b")]);
    world.at(60); // The window is full by its age; later firings go to a successor.
    assert_eq!(world.send(alert("db/a").resolved()), "resolved #1");
    world.send_until(&[alert("db/a"), alert("db/a").resolved()], 62);
    assert_eq!(world.fate(3), "opened #2");
    world.restart(|_| ());
    world.at(63);
    assert_eq!(world.send(alert("db/a")), "opened #3");
}
