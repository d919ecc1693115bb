//! Who is blamed, who is held back and for how long.
#![allow(clippy::unwrap_used)]
use super::*;

fn brought(texts: u64, values: &[(&str, u64)]) -> Brought {
    Brought { texts, values: values.iter().map(|(name, n)| ((*name).into(), *n)).collect() }
}

fn keeper(watched: &[&str]) -> PressureKeeper {
    let rules = Rules {
        budget: Some(1 << 30),
        watched: watched.iter().map(|name| (*name).to_owned()).collect(),
        label_values: 10_000,
        decoders: 2,
    };
    let names = ["a", "b", "c"].map(str::to_owned).to_vec();
    PressureKeeper::new(Metrics::new(), Arc::new(ArcSwap::from_pointee(rules)), Arc::default(), names)
}

fn shown(keeper: &PressureKeeper, line: &str) -> bool {
    keeper.metrics.render().lines().any(|shown| shown == line)
}

#[test]
fn the_heaviest_is_blamed_and_stays_so_while_trouble_lasts() {
    let mut keeper = keeper(&[]);
    let rules = keeper.rules.load_full();
    keeper.brought = vec![brought(5, &[]), brought(900, &[("pod", 10_000)]), Brought::default()];
    keeper.blame(Level::SmallBatches, &rules);
    assert_eq!((keeper.heaviest, &keeper.offender), (None, &None));
    keeper.blame(Level::PauseHeaviest, &rules);
    assert_eq!((keeper.heaviest, &keeper.offender), (Some(SourceIndex(1)), &None));
    keeper.brought[0].texts = 10_000; // Now that the other is held back.
    keeper.blame(Level::Fold, &rules);
    assert_eq!(keeper.offender, Some(Offender { source: SourceIndex(1), label: None }), "10,000 are not too many");
    keeper.brought[1].values[0].1 = 10_001;
    keeper.blame(Level::Evict, &rules);
    let offender = Offender { source: SourceIndex(1), label: Some("pod".into()) };
    assert_eq!((keeper.heaviest, keeper.offender.clone()), (Some(SourceIndex(1)), Some(offender)));
    keeper.blame(Level::Normal, &rules);
    assert_eq!((keeper.heaviest, &keeper.offender), (None, &None));
    keeper.brought.clear();
    keeper.blame(Level::Evict, &rules);
    assert_eq!((keeper.heaviest, &keeper.offender), (None, &None), "nobody brought anything new");
}

#[test]
fn who_is_held_back_reads_for_a_breath_now_and_then() {
    let mut keeper = keeper(&[]);
    keeper.heaviest = Some(SourceIndex(2));
    let shut = |keeper: &PressureKeeper| [0, 1, 2, 3].map(|at| keeper.valves.is_shut(SourceIndex(at)));
    let at = |ms: i64| Timestamp(1_000_000 + ms);
    let (open, last, all) = ([false; 4], [false, false, true, false], [true, true, true, false]);
    for (ms, level, is_used_up, expected) in [
        (0, Level::SmallBatches, false, open),
        (100, Level::PauseHeaviest, false, last),
        (1_000, Level::Fold, false, last),
        (1_100, Level::Fold, false, open),
        (1_299, Level::Evict, false, open),
        (1_300, Level::Evict, false, last),
        (1_400, Level::PauseAll, false, all),
        (2_300, Level::PauseAll, false, open),
        (2_330, Level::PauseAll, true, open),
        (2_350, Level::PauseAll, true, all),
        (2_400, Level::PauseAll, false, open),
        (2_600, Level::PauseAll, false, all),
        (2_700, Level::SmallBatches, false, open),
        (9_000, Level::PauseHeaviest, false, last),
    ] {
        keeper.hold_back(level, is_used_up, at(ms));
        assert_eq!(shut(&keeper), expected, "{ms} {level:?}");
    }
    assert!(shown(&keeper, "tidegate_source_paused{source=\"c\"} 1"));
    assert!(shown(&keeper, "tidegate_source_paused{source=\"a\"} 0"));
    assert_eq!(keeper.valves.bound(100), 25);
}

#[test]
fn labels_are_named_once_and_only_names_of_the_configuration_are_series() {
    let mut keeper = keeper(&["pod"]);
    let rules = keeper.rules.load_full();
    let hostile = "x\"} 1\n";
    keeper.brought = vec![brought(50_000, &[(hostile, 40_000), ("pod", 20_000), ("zone", 3)])];
    for seconds in 0..3 {
        keeper.tell_labels(&rules, Timestamp(seconds * 1_000));
    }
    assert!(shown(&keeper, "tidegate_label_bombs_total{source=\"a\"} 2"), "{}", keeper.metrics.render());
    assert!(shown(&keeper, "tidegate_label_values{source=\"a\",label=\"pod\"} 20000"));
    assert!(shown(&keeper, "tidegate_label_values{source=\"a\",label=\"other\"} 40000"));
    assert!(!keeper.metrics.render().contains("zone"));
    keeper.tell_labels(&rules, Timestamp(NAME_AGAIN.0 + 2_000));
    assert!(shown(&keeper, "tidegate_label_bombs_total{source=\"a\"} 4"), "after a while it is told again");
}

#[test]
fn a_level_is_counted_when_it_is_entered() {
    let keeper = keeper(&[]);
    let load = Load { bytes: 86 << 20, windows: 0, budget: 100 << 20 };
    keeper.tell_level(Level::Normal, Level::Fold, &load);
    keeper.tell_level(Level::Fold, Level::PauseHeaviest, &load);
    keeper.tell_level(Level::PauseHeaviest, Level::Fold, &load);
    let count = |level: &str, n: u32| format!("tidegate_memory_level_entered_total{{level=\"{level}\"}} {n}");
    for line in [count("small_batches", 1), count("pause_heaviest", 1), count("fold", 2), count("evict", 0)] {
        assert!(shown(&keeper, &line), "{line}\n{}", keeper.metrics.render());
    }
    assert!(shown(&keeper, "tidegate_memory_level 3"));
}
