#![allow(clippy::unwrap_used)]
use std::cell::Cell;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn listen(tap: &Arc<Tap>, stage: Stage, rate: u32, filter: &str) -> Listening {
    tap.listen(Question { stage, rate, matchers: Matcher::parse_all(filter).unwrap() }).unwrap()
}

fn record(position: u64) -> Sample {
    Sample::Record(RecordSample {
        at: NOW,
        origin: Origin { source: "http".to_owned(), partition: String::new(), position },
        format: crate::model::alert::Format::Native,
        record_time: None,
        bytes: 2,
        text: "{}".to_owned(),
    })
}

fn offer(tap: &Tap, stage: Stage, now: Timestamp, n: u64) {
    if let Some(look) = tap.look(&[stage], now) {
        (0..n).for_each(|position| look.show(stage, |_| None, || record(position)));
    }
}

fn seen(shown: u64, over_rate: u64, dropped: u64) -> Seen {
    Seen { shown, over_rate, dropped }
}

#[test]
fn nobody_is_asked_while_nobody_listens() {
    let tap = Arc::new(Tap::default());
    let every = |now| Stage::ALL.map(|stage| tap.look(&[stage], now).is_some());
    assert_eq!(every(NOW), [false; 4]);
    let shard = listen(&tap, Stage::Shard, 1, "");
    let record = listen(&tap, Stage::Record, 1, "");
    assert_eq!(every(NOW), [true, false, true, false]);
    assert!(tap.look(&[Stage::Decode, Stage::Record], NOW).is_some());
    drop(shard);
    assert_eq!(every(NOW), [true, false, false, false]);
    drop(record);
    assert_eq!(every(NOW), [false; 4]);
    assert_eq!(tap.n_listeners(), 0);
}

#[test]
fn a_sample_is_built_only_for_those_who_are_shown_it() {
    let tap = Arc::new(Tap::default());
    let mut slow = listen(&tap, Stage::Decode, 1, "");
    let mut fast = listen(&tap, Stage::Decode, 5, "");
    let mut elsewhere = listen(&tap, Stage::Shard, 1_000, "");
    let built = Cell::new(0);
    let look = tap.look(&[Stage::Decode], NOW).unwrap();
    for position in 0..100 {
        look.show(
            Stage::Decode,
            |_| None,
            || {
                built.set(built.get() + 1);
                record(position)
            },
        );
    }
    assert_eq!(built.get(), 6);
    assert_eq!(std::iter::from_fn(|| slow.next_sample()).count(), 1);
    assert_eq!(std::iter::from_fn(|| fast.next_sample()).count(), 5);
    assert_eq!(elsewhere.next_sample(), None);
    assert_eq!([slow.seen(), fast.seen(), elsewhere.seen()], [seen(1, 99, 0), seen(5, 95, 0), seen(0, 0, 0)]);
}

#[test]
fn the_rate_follows_the_clock_that_is_given() {
    let tap = Arc::new(Tap::default());
    let mut listening = listen(&tap, Stage::Record, 10, "");
    for ms in 0..5_000 {
        offer(&tap, Stage::Record, NOW + crate::model::time::Millis(ms), 3);
    }
    let shown = std::iter::from_fn(|| listening.next_sample()).count();
    assert_eq!(shown, 10 + 49, "a second's worth at once, then one every 100 ms");
    assert_eq!(listening.seen(), seen(59, 15_000 - 59, 0));
}

#[test]
fn what_a_listener_does_not_read_is_dropped_and_counted() {
    let tap = Arc::new(Tap::default());
    let mut listening = listen(&tap, Stage::Record, RATE_MAX, "");
    offer(&tap, Stage::Record, NOW, 2_000);
    assert_eq!(listening.seen(), seen(0, 1_000, 0), "as many wait as the rate lets through");
    offer(&tap, Stage::Record, NOW + crate::model::time::Millis(10), 30);
    assert_eq!((listening.seen(), tap.dropped()), (seen(0, 1_020, 10), 10));
    let waiting: Vec<Sample> = std::iter::from_fn(|| listening.next_sample()).collect();
    assert!(waiting.iter().eq((0..1_000).map(record).collect::<Vec<_>>().iter()), "the first ones, in order");
    offer(&tap, Stage::Record, NOW + crate::model::time::Millis(1_000), 1);
    assert_eq!(listening.next_sample(), Some(record(0)), "and there is room again");
    drop(listening);
    assert_eq!(tap.dropped(), 10, "the count stays when the listener goes");
}

#[test]
fn filters_look_at_the_labels_before_the_rate_does() {
    let tap = Arc::new(Tap::default());
    let mut listening = listen(&tap, Stage::Shard, 2, r#"service="shop", zone!="eu""#);
    let look = tap.look(&[Stage::Shard], NOW).unwrap();
    for (position, (service, zone)) in (0..).zip([("shop", "eu"), ("other", "us"), ("shop", "us"), ("shop", "")]) {
        let value_of = |name: &str| match name {
            "service" => Some(service),
            "zone" => Some(zone),
            _ => None,
        };
        look.show(Stage::Shard, value_of, || record(position));
    }
    assert_eq!([listening.next_sample(), listening.next_sample()], [Some(record(2)), Some(record(3))]);
    assert_eq!(listening.seen(), seen(2, 0, 0), "what a filter holds back is not counted as missed");
}

#[test]
fn places_are_bounded_and_come_back() {
    let tap = Arc::new(Tap::default());
    let question = || Question { stage: Stage::Shard, rate: 1, matchers: Vec::new() };
    let mut listeners: Vec<Listening> = (0..LISTENERS_MAX).map(|_| tap.listen(question()).unwrap()).collect();
    assert_eq!(tap.listen(question()).unwrap_err(), Crowded);
    listeners.pop();
    assert!(tap.listen(question()).is_ok());
}

#[test]
fn texts_are_bounded() {
    let long = "é".repeat(10_000);
    assert!(sample::excerpt(long.as_bytes()).len() <= (2 << 10) + "…".len() + "\u{fffd}".len());
    assert_eq!(sample::excerpt(b"\xff\x1b[2J"), "\u{fffd}\u{1b}[2J");
    let labels = sample::bounded([("a", long.as_str()), ("b", "short")].into_iter());
    assert_eq!((labels["a"].len(), labels["b"].as_str()), ((1 << 10) + "…".len(), "short"));
    let names: Vec<String> = (0..64).map(|n| format!("label_{n}")).collect();
    let labels = sample::bounded(names.iter().map(|name| (name.as_str(), long.as_str())));
    let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!((5 << 10..=6 << 10).contains(&bytes), "{bytes} bytes");
}
