//! The order of what happens at one place of the sequence, and what a restore may not add to it.

use std::sync::Arc;

use tidegate::model::alert::Format;
use tidegate::model::incident::EventReason;
use tidegate::model::{EventKind, HashKey, IncidentEvent, Millis, Timestamp};
use tidegate::pipeline::chunk::{Seq, Step, StepKind};
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, OpenAfter, Options, ResolveAfter, SourceOptions, WindowRule};
use tidegate::pipeline::sink::Epoch;
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;

const START: i64 = 1_800_000_000_000;

fn options(rule: WindowRule) -> Arc<Options> {
    Arc::new(Options {
        decoders: 1,
        shards: 1,
        epoch: EpochOptions::default(),
        rules: vec![rule].into(),
        sources: vec![SourceOptions::named("alerts")].into(),
        samples: 0,
        config_version: 1,
    })
}

fn engine(options: &Arc<Options>, restored: Restored) -> Engine {
    Engine::new(Start::new(options.clone(), restored, HashKey::FIXED).unwrap(), false)
}

/// Feeds one alert that came that many milliseconds after the start; both clocks go with it.
fn alert(engine: &mut Engine, id: u32, at: i64) {
    let time = Timestamp(START + at);
    let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
    let body = format!(r#"{{"labels":{{"alertname":"Slow","id":"{id}"}}}}"#);
    let position = engine.next_record();
    let format = Format::Native;
    batch.push(
        body.as_bytes(),
        RecordRef { start: 0, len: 0, partition: 0, position, next: position + 1, time, format },
    );
    let steps = clocks(engine, at);
    engine.feed(SourceIndex(0), batch, steps, time);
}

/// Wall clock and source clock move at one place, as the sequencer lets them.
fn clocks(engine: &Engine, at: i64) -> Vec<Step> {
    let (to, seq) = (Timestamp(START + at), Seq { record: engine.next_record(), index: 0 });
    vec![Step { seq, kind: StepKind::Wall { to } }, Step { seq, kind: StepKind::Clock { source: SourceIndex(0), to } }]
}

fn end_epoch(engine: &mut Engine, at: i64) -> Epoch {
    engine.end_epoch(Timestamp(START + at)).unwrap().0
}

fn events(epoch: &Epoch) -> Vec<Arc<IncidentEvent>> {
    epoch.incidents.iter().map(|record| record.event.clone()).collect()
}

#[test]
fn an_update_that_is_due_later_does_not_overtake_the_resolve() {
    let rule = WindowRule {
        wait: Millis::ZERO,
        update_every: Millis::seconds(2),
        resolve_after: ResolveAfter::After(Millis::seconds(1)),
        ..WindowRule::named("default")
    };
    let mut engine = engine(&options(rule), Restored::default());
    alert(&mut engine, 1, 0);
    alert(&mut engine, 2, 100); // Its update is due at 2 s, by the wall clock; both members resolve by 1.1 s.
    let steps = clocks(&engine, 4_000);
    engine.feed(SourceIndex(0), Batch::default(), steps, Timestamp(START + 4_000));
    let told = events(&end_epoch(&mut engine, 4_000));
    let shown: Vec<_> = told.iter().map(|event| (event.event, event.reason, event.revision, event.firing)).collect();
    assert_eq!(
        shown,
        [(EventKind::Opened, EventReason::FirstAlert, 1, 1), (EventKind::Resolved, EventReason::NotSeen, 2, 0)]
    );
}

#[test]
fn what_is_held_back_has_no_window_after_a_restore_either() {
    let rule = WindowRule {
        wait: Millis::ZERO,
        gap: Millis::seconds(1),
        open_after: OpenAfter { count: 3, within: Millis::seconds(5) },
        ..WindowRule::named("default")
    };
    let options = options(rule);
    let mut first = engine(&options, Restored::default());
    alert(&mut first, 1, 0);
    let mut restored = Restored::default();
    for block in end_epoch(&mut first, 100).blocks {
        restored.take_block(&block.bytes).unwrap();
    }
    let mut second = engine(&options, restored);
    alert(&mut second, 2, 1_500); // Later than `gap` after the first: no window could have lasted.
    alert(&mut second, 3, 1_900);
    let told = events(&end_epoch(&mut second, 2_000));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].event, told[0].members, told[0].window_closed), (EventKind::Opened, 3, false));
}
