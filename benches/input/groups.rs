//! Many groups of one alert each, for the lives of windows: they open, close, resolve and open again.

use std::sync::Arc;

use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::{Part, Seq, Step, StepKind};
use tidegate::pipeline::options::Options;
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::Out;
use tidegate::pipeline::source::SourceIndex;

use super::Input;

/// The first alert fires then.
const START: Timestamp = Timestamp(1_767_225_600_000);

/// After the default `gap` of 5 minutes and before the default `reopen` of 10 more.
const AFTER_GAP: Millis = Millis::minutes(7);

/// Groups and what happens to them, in parts for one shard.
pub(crate) struct Groups {
    pub(crate) count: u32,
    /// Every group's one alert fires.
    pub(crate) fire: Vec<Part>,
    /// It resolves.
    pub(crate) resolve: Vec<Part>,
    /// The clock moves past the gap of every window.
    pub(crate) close: Vec<Part>,
    /// It fires again, in time for its old incident.
    pub(crate) again: Vec<Part>,
}

impl Groups {
    pub(crate) fn new(options: &Arc<Options>, count: u32) -> Self {
        let parts = |status: &str, after: Millis, from: u64| {
            let alert = |number: u32| {
                let json = format!(
                    r#"{{"labels":{{"alertname":"QueueGrows","cluster":"prod-eu-1","service":"service-{number:06}","severity":"warning"}},"status":"{status}"}}"#
                );
                (json, START + after + Millis(i64::from(number / 100)))
            };
            Input::of((0..count).map(alert)).parts(options, from)
        };
        let n = u64::from(count);
        let clock = |to: Timestamp, record: u64| {
            let kind = StepKind::Clock { source: SourceIndex(0), to };
            vec![Part { steps: vec![Step { seq: Seq { record, index: 0 }, kind }], ..Part::default() }]
        };
        Self {
            count,
            fire: parts("firing", Millis(0), 0),
            resolve: parts("resolved", Millis::minutes(1), n),
            close: clock(START + AFTER_GAP, 2 * n),
            again: parts("firing", AFTER_GAP, 2 * n + 1),
        }
    }
}

/// Has the shard take these parts, as within one epoch.
pub(crate) fn apply(shard: &mut Shard, parts: &[Part]) -> Out {
    let mut out = Out::new(1, false);
    parts.iter().for_each(|part| shard.apply(part, &mut out));
    out
}
