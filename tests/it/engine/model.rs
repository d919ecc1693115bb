//! The engine against the naive model: the fate of every alert, and what became of every incident.

use proptest::prelude::*;

use tidegate::model::alert::Status;
use tidegate::model::time::Millis;
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::options::{Options, ResolveAfter, WindowKind, WindowRule};

use crate::engine::alert::{Alert, alert, second};
use crate::engine::naive::{Naive, NaiveAlert, NaiveRule};
use crate::engine::world::{World, options};

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// An alert, so many seconds after (or, late, before) the latest one.
    Alert { key: u8, member: u8, after: i64, starts: Option<i64>, resolved: bool },
    /// The clock moves on.
    Wait(i64),
    /// A person resolves the newest incident of a group.
    Person(u8),
}

fn action() -> impl Strategy<Value = Action> {
    // Around the borders of gap (10), reopen (15) and the caps, with equal and late times in between.
    let after = prop_oneof![6 => 0_i64..4, 3 => 4_i64..16, 2 => Just(10), 1 => Just(15), 1 => Just(25), 2 => -6_i64..0];
    let starts = prop_oneof![3 => Just(None), 2 => (0_i64..2).prop_map(Some)];
    let alert = (0_u8..2, 0_u8..4, after, starts, prop::bool::weighted(0.3));
    prop_oneof![
        20 => alert.prop_map(|(key, member, after, starts, resolved)| Action::Alert { key, member, after, starts, resolved }),
        2 => (1_i64..30).prop_map(Action::Wait),
        1 => (0_u8..2).prop_map(Action::Person),
    ]
}

fn rule() -> impl Strategy<Value = NaiveRule> {
    let kind = prop_oneof![Just(WindowKind::Session), Just(WindowKind::Fixed), Just(WindowKind::UntilResolved)];
    let reopen = prop_oneof![Just(0_i64), Just(15)];
    let max_age = prop_oneof![Just(None), Just(Some(20_i64))];
    let max_alerts = prop_oneof![Just(None), Just(Some(2_usize))];
    let resolve_after = prop_oneof![2 => Just(None), 1 => Just(Some(12_i64))];
    (kind, reopen, max_age, max_alerts, resolve_after).prop_map(|(kind, reopen, max_age, max_alerts, resolve_after)| {
        // A fixed window has a length.
        let max_age = if kind == WindowKind::Fixed { Some(20) } else { max_age };
        NaiveRule { kind, gap: 10, reopen, max_age, max_alerts, resolve_after }
    })
}

fn options_of(rule: &NaiveRule) -> Options {
    let window = WindowRule {
        kind: rule.kind,
        gap: Millis::seconds(rule.gap),
        reopen: Millis::seconds(rule.reopen),
        max_age: rule.max_age.map(Millis::seconds),
        max_alerts: rule.max_alerts.map(|cap| cap as u64),
        resolve_after: rule.resolve_after.map_or(ResolveAfter::Never, |by| ResolveAfter::After(Millis::seconds(by))),
        forget_after: None,
        ..WindowRule::named("default")
    };
    Options { samples: 100, shards: 3, ..options(window) }
}

fn name(key: u8, member: u8) -> String {
    format!("group{key}/{member}")
}

fn to_send(alert_of: &NaiveAlert, member: u8) -> Alert {
    let mut alert = alert(&name(alert_of.key, member)).recorded(alert_of.time);
    if let Some(starts) = alert_of.starts {
        alert = alert.starts(starts);
    }
    if alert_of.resolved { alert.resolved() } else { alert }
}

proptest! {
    #[test]
    fn the_engine_agrees_with_the_model(rule in rule(), actions in prop::collection::vec(action(), 1..60)) {
        let mut world = World::with(options_of(&rule));
        let mut naive = Naive::new(rule);
        let mut clock = 0;
        for action in actions {
            match action {
                Action::Alert { key, member, after, starts, resolved } => {
                    let time = (clock + after).max(0);
                    if time > clock {
                        clock = time;
                        world.at(clock);
                    }
                    let alert = NaiveAlert { key, fingerprint: key * 10 + member, time, starts, resolved };
                    let expected = naive.take(alert);
                    prop_assert_eq!(world.send(to_send(&alert, member)), expected, "{:?}", alert);
                }
                Action::Wait(by) => {
                    clock += by;
                    world.at(clock);
                    naive.run_clock(clock);
                }
                Action::Person(key) => {
                    if let Some(incident) = naive.person(key) {
                        world.resolve(&format!("#{}", incident + 1), "ada");
                    }
                }
            }
        }
        world.step(StepKind::RunOut);
        naive.run_clock(i64::MAX / 4);
        compare(&world, &naive)?;
    }
}

fn compare(world: &World, naive: &Naive) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.last.len(), naive.incidents.len());
    for (at, expected) in naive.incidents.iter().enumerate() {
        let found = &world.last[&format!("#{}", at + 1)];
        prop_assert_eq!(&found.group_labels["service"], &format!("group{}", expected.key));
        prop_assert_eq!((found.first_seen, found.last_seen), (second(expected.first), second(expected.last_seen)));
        prop_assert_eq!(found.counts.status, [expected.firing_alerts, expected.resolved_alerts], "#{}", at + 1);
        prop_assert_eq!(found.status == Status::Resolved, expected.is_resolved);
        prop_assert_eq!(found.members, expected.members.len() as u64);
        let mut members: Vec<String> = expected.members.iter().map(|member| (member % 10).to_string()).collect();
        let mut samples: Vec<String> = found.samples.iter().map(|sample| sample.labels["instance"].clone()).collect();
        members.sort_unstable();
        samples.sort_unstable();
        prop_assert_eq!(samples, members);
        let linked = expected.predecessor.map(|before| world.last[&format!("#{}", before + 1)].incident_id);
        prop_assert_eq!(found.links.first().map(|link| link.incident_id), linked);
    }
    Ok(())
}
