//! The same input gives the same incidents, on any number of shards, in batches and epochs of any length.

use tidegate::model::time::Millis;
use tidegate::pipeline::options::{OpenAfter, WindowKind, WindowRule};
use tidegate::storm::Shape;

use crate::engine::flood::{Cut, Run, assert_same, lively, options, records, without_passing_counts};

const CUTS: [Cut; 8] = [
    Cut { shards: 1, batch: 100, epoch: 1 },
    Cut { shards: 2, batch: 100, epoch: 7 },
    Cut { shards: 7, batch: 100, epoch: 3 },
    Cut { shards: 1, batch: 1, epoch: 50 },
    Cut { shards: 7, batch: 1, epoch: 997 },
    Cut { shards: 1, batch: 10_000, epoch: 1 },
    Cut { shards: 2, batch: 10_000, epoch: 1 },
    Cut { shards: 7, batch: 10_000, epoch: 1 },
];

fn is_the_same_however_it_is_cut(shape: Shape, rules: &[WindowRule]) {
    let records = records(shape, 7, 3_000, 10.0);
    let expected = Run::whole(options(rules.to_vec(), 1), &records, Cut { shards: 1, batch: 1, epoch: 1 });
    let events = without_passing_counts(&expected.events);
    assert!(events.len() > 100, "{shape}: only {} events, timers hardly fire", events.len());
    for cut in CUTS {
        let found = Run::whole(options(rules.to_vec(), cut.shards), &records, cut);
        let what = format!("{shape} {cut:?}");
        assert_same(&without_passing_counts(&found.events), &events, &what);
        assert_eq!(found.outcomes, expected.outcomes, "{what}");
        assert_eq!(found.fingerprints, 0, "{what}: nothing is left after the end");
    }
}

#[test]
fn every_shape_is_the_same_however_it_is_cut() {
    for shape in Shape::ALL {
        is_the_same_however_it_is_cut(shape, &[lively()]);
    }
}

#[test]
fn every_kind_of_window_and_a_threshold_are_the_same_however_they_are_cut() {
    let threshold = OpenAfter { count: 4, within: Millis::seconds(30) };
    let rules = [
        WindowRule { kind: WindowKind::Fixed, max_age: Some(Millis::seconds(60)), ..lively() },
        WindowRule { kind: WindowKind::UntilResolved, max_alerts: None, ..lively() },
        WindowRule { open_after: threshold, reopen: Millis::ZERO, ..lively() },
    ];
    for rule in rules {
        is_the_same_however_it_is_cut(Shape::TicketStorm, std::slice::from_ref(&rule));
        is_the_same_however_it_is_cut(Shape::Steady, std::slice::from_ref(&rule));
    }
}

#[test]
fn an_identity_coarser_than_the_groups_is_the_same_however_it_is_cut() {
    let records = records(Shape::TicketStorm, 3, 2_000, 10.0);
    let mut options = options(vec![lively()], 1);
    let mut source = options.sources[0].clone();
    let labels = vec!["alertname".to_owned(), "severity".to_owned()];
    source.identity = std::sync::Arc::new(tidegate::pipeline::options::Identity { labels, ..Default::default() });
    options.sources = vec![source].into();
    let expected = Run::whole(options.clone(), &records, Cut { shards: 1, batch: 1, epoch: 1 });
    for cut in CUTS {
        let found = Run::whole(options.clone(), &records, cut);
        let events = without_passing_counts(&expected.events);
        assert_same(&without_passing_counts(&found.events), &events, &format!("{cut:?}"));
    }
}
