//! What is known of an epoch beside its content: who waits for it, totals and sizes for metrics, and what it says when the
//! conservation law does not hold.

use std::collections::BTreeMap;

use crate::model::time::Timestamp;
use crate::pipeline::decode::Reject;
use crate::pipeline::exchange::Consumed;
use crate::pipeline::outcome::SourceCounts;
use crate::pipeline::shard::Tally;
use crate::pipeline::shard::busiest::BusyGroup;
use crate::pipeline::shard::event::{Decision, Landmark};
use crate::pipeline::source::{Answer, Reply, SourceIndex};

/// What goes with an epoch but is not part of it: who waits, and what is published once it is durable.
#[derive(Debug, Default)]
pub struct Attached {
    /// Senders and what they will be told.
    pub replies: Vec<(Reply, Answer)>,
    /// Samples of bodies that are no JSON.
    pub unreadable: Vec<(Reject, Vec<u8>)>,
    /// What became of each alert, if that was asked for.
    pub decisions: Vec<Decision>,
    /// The groups that took most, if somebody watches.
    pub busiest: Vec<BusyGroup>,
    /// What windows and members did beside that, if decisions were asked for.
    pub landmarks: Vec<Landmark>,
    /// Totals and sizes for metrics.
    pub summary: Summary,
    /// What was taken, by source and partition; a partition may appear several times.
    pub consumed: Vec<(SourceIndex, Consumed)>,
    /// How long the sink took, all attempts together.
    pub commit_time: std::time::Duration,
    /// Where in the store its blocks begin, as the sink told it (`EpochSink::place`).
    pub place: Option<u64>,
}

/// Totals and sizes as of an epoch.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Totals since the first start, by source index.
    pub totals: Vec<SourceTotals>,
    /// Numbers that only grow, by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// Sizes over all shards.
    pub tally: Tally,
    /// Clock of each source.
    pub clocks: Vec<Timestamp>,
    /// Records of this epoch.
    pub n_records: u64,
    /// Bytes of those records.
    pub n_bytes: u64,
    /// Bytes of state entries written by this epoch.
    pub state_delta_bytes: u64,
    /// Bytes of the whole state, as of the last sweep.
    pub state_bytes: u64,
    /// Bytes of the blocks that a restore would read.
    pub state_log_bytes: u64,
    /// When the last complete sweep of this run ended; `None` before the first.
    pub swept_at: Option<Timestamp>,
}

/// Totals of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceTotals {
    /// The conservation law.
    pub counts: SourceCounts,
    /// Rejected, by reason.
    pub rejects: [u64; Reject::ALL.len()],
}

/// The conservation law does not hold: the run must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("epoch {epoch}: source {source_name:?} received {received} alerts but {accounted} are accounted for")]
pub struct Broken {
    /// The epoch.
    pub epoch: u64,
    /// The source.
    pub source_name: String,
    /// Alerts received in it.
    pub received: u64,
    /// Outcomes and held.
    pub accounted: i128,
}

/// Names of the counters that are part of the state.
pub mod counter {
    /// Records older than the last of their group.
    pub const LATE: &str = "late_records";
    /// Members forgotten after `forget_after`.
    pub const EXPIRED: &str = "expired_members";
    /// Time fields that were ignored.
    pub const UNUSABLE_TIMES: &str = "unusable_times";
    /// Records that needed the second JSON reader.
    pub const FALLBACKS: &str = "parse_fallbacks";
    /// Records taken.
    pub const RECORDS: &str = "records";
    /// Bytes of records taken.
    pub const BYTES: &str = "bytes";
    /// Alerts folded into overflow incidents.
    pub const OVERFLOWED: &str = "overflowed_alerts";
    /// Samples not kept because memory was short.
    pub const SAMPLES_SHED: &str = "samples_shed";
    /// Resolved groups that left before `reopen` ended.
    pub const EVICTED: &str = "evicted_groups";
    /// Every name.
    pub const ALL: [&str; 9] =
        [LATE, EXPIRED, UNUSABLE_TIMES, FALLBACKS, RECORDS, BYTES, OVERFLOWED, SAMPLES_SHED, EVICTED];
}
