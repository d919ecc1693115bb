//! Every metric of the program: name, kind, labels and help text in one place, and nowhere else.
//!
//! Names follow Prometheus' naming rules: prefix, base unit, `_total` for counters. A label either has a closed list of
//! values or values that come from the configuration (names of sources, topics and queues): never a user's text.

/// Bounds of waits that people notice: from a millisecond to ten minutes.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Bounds of record counts: an epoch holds at most 50,000 by default.
const RECORDS: &[f64] = &[1.0, 10.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 25_000.0, 50_000.0, 100_000.0];

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Whole numbers that only grow.
    Counter,
    /// Seconds that only grow, in fractions.
    SecondsCounter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution over these upper bounds.
    Histogram(&'static [f64]),
}

/// A label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelName {
    /// Its name.
    pub name: &'static str,
    /// Its only values; empty: names from the configuration or from a list of the room that counts.
    pub values: &'static [&'static str],
}

/// Everything there is to know about a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    /// Full name, with prefix.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [LabelName],
    /// What it counts, for people.
    pub help: &'static str,
}

// A macro so that the doc comment of a variant is its help text: the two cannot come apart.
macro_rules! catalogue {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal, $kind:expr, [$($label:literal $(in [$($value:literal),+])?),*];)+) => {
        /// A metric. The doc comment of each variant is the help text that `/metrics` shows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric { $($(#[doc = $help])+ $variant),+ }

        /// Every metric, in the order of the documentation.
        pub const ALL: &[Metric] = &[$(Metric::$variant),+];

        impl Metric {
            /// Name, kind, labels and help text.
            #[must_use]
            pub const fn definition(self) -> Definition {
                match self {
                    $(Self::$variant => Definition {
                        name: $name,
                        kind: $kind,
                        labels: &[$(LabelName { name: $label, values: &[$($($value),+)?] }),*],
                        help: concat!($($help),+).trim_ascii(),
                    },)+
                }
            }
        }
    };
}

catalogue! {
    /// Records taken from a partition of a source.
    RecordsConsumed = "tidegate_records_consumed_total", Kind::Counter, ["source", "partition"];
    /// Bytes of the records taken from a partition of a source.
    ConsumedBytes = "tidegate_consumed_bytes_total", Kind::Counter, ["source", "partition"];
    /// Records of a partition that are not read yet.
    ConsumerLagRecords = "tidegate_consumer_lag_records", Kind::Gauge, ["source", "partition"];
    /// Age of the last record read of a partition, 0 when nothing is left to read.
    ConsumerLagSeconds = "tidegate_consumer_lag_seconds", Kind::Gauge, ["source", "partition"];
    /// Whether this process reads the partition (1) or not (0).
    PartitionAssigned = "tidegate_partition_assigned", Kind::Gauge, ["source", "partition"];
    /// Changes of the assignment of a source's partitions.
    Rebalances = "tidegate_rebalances_total", Kind::Counter, ["source"];
    /// Partitions that are not read just now because the pipeline is full or their clock runs ahead.
    PausedPartitions = "tidegate_paused_partitions", Kind::Gauge, ["source"];
    /// Partitions whose next records were gone, so that reading went on with the oldest there are.
    OffsetsLost = "tidegate_offsets_lost_total", Kind::Counter, ["source"];
    /// Time from start to restored state.
    RestoreDuration = "tidegate_restore_duration_seconds", Kind::Histogram(SECONDS), [];

    /// Alerts received; what could not be read counts as one.
    AlertsReceived = "tidegate_alerts_received_total", Kind::Counter, ["source"];
    /// Alerts by what became of them; with the held ones they add up to those received.
    AlertsOutcome = "tidegate_alerts_outcome_total", Kind::Counter,
        ["source", "outcome"];
    /// Alerts held back below the opening threshold of their window rule.
    AlertsHeld = "tidegate_alerts_held", Kind::Gauge, ["source"];
    /// Alerts and records that could not be read, by reason.
    Rejected = "tidegate_rejected_total", Kind::Counter, ["source", "reason"];
    /// Dead letters written, by reason.
    DeadLetters = "tidegate_dead_letters_total", Kind::Counter, ["source", "reason"];
    /// Records known to have made the program panic; where they come again they are dead letters.
    Suspects = "tidegate_suspects", Kind::Gauge, [];
    /// Records that the fast parser refused and the general one was asked about.
    ParseFallback = "tidegate_parse_fallback_total", Kind::Counter, [];

    /// Records older than the last of their group; they count as at that last.
    LateRecords = "tidegate_late_records_total", Kind::Counter, [];
    /// Members that left because nobody saw or resolved them for `forget_after`.
    ExpiredMembers = "tidegate_expired_members_total", Kind::Counter, [];
    /// Record times ahead of their arrival, taken as the arrival.
    FutureTimestampClamped = "tidegate_future_timestamp_clamped_total", Kind::Counter, [];
    /// Times inside alerts that could not be used and were ignored; the alert was taken.
    UnusableTimes = "tidegate_unusable_times_total", Kind::Counter, [];
    /// How far the clock of a source is behind the wall clock.
    SourceClockDelay = "tidegate_source_clock_delay_seconds", Kind::Gauge, ["source"];

    /// Windows that take new members.
    OpenWindows = "tidegate_open_windows", Kind::Gauge, [];
    /// Incidents that are not resolved.
    OpenIncidents = "tidegate_open_incidents", Kind::Gauge, [];
    /// Fingerprints in the tables of all shards.
    LiveFingerprints = "tidegate_live_fingerprints", Kind::Gauge, [];
    /// Bytes of the whole state by its last complete sweep; 0 before the first one since it was read.
    StateBytes = "tidegate_state_bytes", Kind::Gauge, [];
    /// Bytes of state blocks that a restore would read: the last complete sweep and everything since it began.
    StateLogBytes = "tidegate_state_log_bytes", Kind::Gauge, [];
    /// When the last complete sweep of the state ended, seconds since the epoch; 0 before the first one of this process.
    StateSweepTimestamp = "tidegate_state_sweep_timestamp_seconds", Kind::Gauge, [];
    /// When the newest epoch in the local snapshot was committed, seconds since the epoch; 0 before this process wrote one.
    SnapshotTimestamp = "tidegate_snapshot_timestamp_seconds", Kind::Gauge, [];
    /// What went wrong with the local snapshot: not written, epochs left out because its disk is too slow, not used at a start.
    SnapshotFailures = "tidegate_snapshot_failures_total", Kind::Counter, ["reason" in ["write", "overrun", "refused"]];

    /// Whether this instance leads (1) or another does (0); only with `kafka.standby`.
    Leader = "tidegate_leader", Kind::Gauge, [];
    /// Records of the state topic that a standby's copy has not yet; 0 on the active instance.
    StandbyLag = "tidegate_standby_lag_records", Kind::Gauge, [];

    /// Incident events made durable, by kind.
    IncidentEvents = "tidegate_incident_events_total", Kind::Counter,
        ["event" in ["opened", "updated", "resolved", "reopened", "merged"]];
    /// Time from the record that caused an incident event to its commit; not counted while catching up.
    AlertToIncident = "tidegate_alert_to_incident_seconds", Kind::Histogram(SECONDS), [];
    /// Time that the sink took to make an epoch durable.
    CommitSeconds = "tidegate_commit_seconds", Kind::Histogram(SECONDS), [];
    /// Records of an epoch.
    EpochRecords = "tidegate_epoch_records", Kind::Histogram(RECORDS), [];
    /// Transactions of the sink by how they ended.
    Transactions = "tidegate_transactions_total", Kind::Counter,
        ["result" in ["committed", "aborted", "fenced", "unknown"]];
    /// Producers that had to be made anew, by reason.
    ProducerRecreated = "tidegate_producer_recreated_total", Kind::Counter, ["reason"];
    /// Rows or records that retention removed.
    RetentionRemoved = "tidegate_retention_removed_total", Kind::Counter,
        ["what" in ["incident_events", "dead_letters"]];

    /// Entries waiting in a queue.
    QueueDepth = "tidegate_queue_depth", Kind::Gauge, ["queue"];
    /// Entries a queue can hold.
    QueueCapacity = "tidegate_queue_capacity", Kind::Gauge, ["queue"];
    /// Time that writers waited because a queue was full.
    BackpressureSeconds = "tidegate_backpressure_seconds_total", Kind::SecondsCounter, ["queue"];

    /// HTTP requests by route and answer.
    HttpRequests = "tidegate_http_requests_total", Kind::Counter, ["route", "code"];
    /// HTTP requests with alerts that were refused for lack of room; the sender is told to come again.
    HttpRefused = "tidegate_http_refused_total", Kind::Counter, [];
    /// Connections closed at once because there were too many.
    HttpConnectionsRefused = "tidegate_http_connections_refused_total", Kind::Counter, [];

    /// Whether alerts are taken (1): the state is restored and every thread of the pipeline moves.
    Ready = "tidegate_ready", Kind::Gauge, [];
    /// Most memory that the control groups of the process allow it; 0 without a limit.
    MemoryLimit = "tidegate_memory_limit_bytes", Kind::Gauge, [];
    /// Memory that the process may use; from 70 % of it on it helps itself.
    MemoryBudget = "tidegate_memory_budget_bytes", Kind::Gauge, [];
    /// Memory in use as the engine counts it, about, by what it is for.
    MemoryUsed = "tidegate_memory_used_bytes", Kind::Gauge,
        ["component" in ["tables", "labels", "groups", "samples", "known_texts", "on_the_way", "readers"]];
    /// How short memory is: 0 there is room, 1 small batches, 2 the heaviest source is paused, 3 new alerts of the offender are folded, 4 of all, and resolved groups leave early, 5 nothing is read.
    MemoryLevel = "tidegate_memory_level", Kind::Gauge, [];
    /// How often memory got so short that a level was entered.
    MemoryLevelEntered = "tidegate_memory_level_entered_total", Kind::Counter,
        ["level" in ["small_batches", "pause_heaviest", "fold", "evict", "pause_all"]];
    /// Whether a source is held back because memory is short (1) or not (0).
    SourcePaused = "tidegate_source_paused", Kind::Gauge, ["source"];
    /// Samples of alerts that incidents did not keep because memory was short.
    SamplesShed = "tidegate_samples_shed_total", Kind::Counter, [];
    /// New alerts folded into overflow incidents because memory was short; their outcome is `folded`.
    OverflowedAlerts = "tidegate_overflowed_alerts_total", Kind::Counter, [];
    /// Resolved groups that left before `reopen` ended because memory was short.
    EvictedGroups = "tidegate_evicted_groups_total", Kind::Counter, [];
    /// Distinct values of a label in new alerts of a source within this minute, about; labels that the configuration does not name are together as `other`.
    LabelValues = "tidegate_label_values", Kind::Gauge, ["source", "label"];
    /// Labels that had more values in new alerts within a minute than `limits.label_values` allows.
    LabelBombs = "tidegate_label_bombs_total", Kind::Counter, ["source"];
    /// When a certificate that the process shows others expires, seconds since the epoch; 0 where there is none.
    CredentialExpiry = "tidegate_credential_expiry_timestamp_seconds", Kind::Gauge,
        ["credential" in ["listener", "kafka_client"]];

    /// Samples of the tap that were not shown because their listener read too slowly.
    TapDropped = "tidegate_tap_dropped_total", Kind::Counter, [];

    /// Whether the last reload of the configuration was taken (1) or refused (0).
    ConfigLastReloadSuccessful = "tidegate_config_last_reload_successful", Kind::Gauge, [];
    /// When a configuration was last taken, seconds since the epoch.
    ConfigLastReloadSuccessTimestamp =
        "tidegate_config_last_reload_success_timestamp_seconds", Kind::Gauge, [];
    /// The first 48 bits of the hash of the configuration in use.
    ConfigHash = "tidegate_config_hash", Kind::Gauge, [];
    /// Always 1; the label tells the version.
    BuildInfo = "tidegate_build_info", Kind::Gauge, ["version"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in ALL {
            let Definition { name, kind, labels, help } = metric.definition();
            assert!(name.starts_with("tidegate_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            let counts = matches!(kind, Kind::Counter | Kind::SecondsCounter);
            assert_eq!(counts, name.ends_with("_total"), "{name}: counters and only they end in _total");
            assert_eq!(kind == Kind::SecondsCounter, name.ends_with("_seconds_total"), "{name}");
            assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help:?}");
            assert!(labels.len() <= 2, "{name}");
            assert!(seen.insert(name), "{name} is there twice");
        }
    }

    #[test]
    fn the_kinds_of_events_are_those_of_the_model() {
        let words: Vec<&str> = crate::model::EventKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(Metric::IncidentEvents.definition().labels[0].values, words);
    }
}
