//! Clocks: before partitions are known, and while a source is held back; and what memory has to do with the sequence.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::pipeline::options::{EpochOptions, WindowRule};
use crate::pipeline::pressure::Level;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn sequencer() -> Sequencer {
    let lossy = SourceOptions { lossy_when_unread: true, ..SourceOptions::named("http") };
    let options = Options {
        decoders: 1,
        shards: 1,
        epoch: EpochOptions::default(),
        rules: vec![WindowRule::named("default")].into(),
        sources: vec![SourceOptions::named("kafka"), lossy].into(),
        samples: 1,
        config_version: 1,
    };
    let mut sequencer = Sequencer::new(&options, &[], &[], 0);
    let partition: PartitionName = "alerts/0".into();
    sequencer.take(SourceIndex(0), SourceEvent::Assigned(vec![partition.clone()]), NOW).unwrap();
    sequencer.take(SourceIndex(0), SourceEvent::Idle(partition), NOW).unwrap();
    sequencer
}

/// The clocks that move with a tick, in milliseconds after the beginning.
fn moved(sequencer: &mut Sequencer, ms: i64) -> Vec<(u8, i64)> {
    let chunk = sequencer.tick(NOW + Millis(ms));
    let clock = |step: &Step| match step.kind {
        StepKind::Clock { source, to } => Some((source.0, (to - NOW).0)),
        _ => None,
    };
    chunk.steps.iter().filter_map(clock).collect()
}

#[test]
fn the_clock_of_a_source_that_is_held_back_stands_until_it_had_time_to_speak() {
    let mut sequencer = sequencer();
    let valves = sequencer.valves.clone();
    assert_eq!(moved(&mut sequencer, 100), [(0, 100), (1, 100)]);
    valves.set(Valves::bit(SourceIndex(0)) | Valves::bit(SourceIndex(1)));
    // A lossy one says by itself for how long it refused.
    assert_eq!(moved(&mut sequencer, 10_000), [(1, 10_000)]);
    valves.set(0);
    assert_eq!(moved(&mut sequencer, 10_050), [(1, 10_050)], "it may have records from before");
    assert_eq!(moved(&mut sequencer, 10_100), [(0, 10_100), (1, 10_100)]);
}

#[test]
fn pressure_is_one_step_of_the_sequence_and_told_once() {
    let mut sequencer = sequencer();
    let fold = Pressure { level: Level::Fold, offender: None };
    let chunk = sequencer.press(&fold, NOW + Millis(5)).unwrap();
    let last = chunk.steps.last().unwrap();
    assert_eq!(last.kind, StepKind::Pressure { pressure: fold.clone(), at: NOW + Millis(5) });
    assert!(chunk.steps.iter().all(|step| step.seq == last.seq), "clocks move in the same step");
    assert!(chunk.notes.contains(&Note::Pressure(fold.clone())), "the state will know");
    assert!(sequencer.press(&fold, NOW + Millis(6)).is_none());
    let next = sequencer.tick(NOW + Millis(7));
    assert_eq!((next.number, next.first_record), (chunk.number + 1, chunk.first_record + 1));
    assert!(sequencer.under(Pressure::default()).press(&fold, NOW + Millis(8)).is_some());
}

#[test]
fn no_clock_moves_before_all_partitions_are_known() {
    let options = Options {
        decoders: 1,
        shards: 1,
        epoch: EpochOptions::default(),
        rules: vec![WindowRule::named("default")].into(),
        sources: vec![SourceOptions::named("alerts")].into(),
        samples: 1,
        config_version: 1,
    };
    let read = Position { source: "alerts".into(), partition: "alerts/0".into(), next: 7, clock: Timestamp(9_000) };
    let mut sequencer = Sequencer::new(&options, &[read], &[Timestamp(1_000)], 7);
    sequencer.begin(Timestamp(50_000));
    assert_eq!(sequencer.clocks().collect::<Vec<_>>(), [Timestamp(1_000)], "another partition may hold older records");
    // Partition 1 was never read: the state does not know it.
    let both = SourceEvent::Assigned(vec!["alerts/0".into(), "alerts/1".into()]);
    sequencer.take(SourceIndex(0), both, Timestamp(50_000)).expect("no failure");
    sequencer.tick(Timestamp(50_050));
    assert_eq!(sequencer.clocks().collect::<Vec<_>>(), [Timestamp(1_000)]);
    sequencer.take(SourceIndex(0), SourceEvent::Idle("alerts/1".into()), Timestamp(50_060)).expect("no failure");
    sequencer.tick(Timestamp(50_100));
    assert_eq!(sequencer.clocks().collect::<Vec<_>>(), [Timestamp(9_000)]);
}
