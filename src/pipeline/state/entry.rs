//! What a state block holds: one message per thing that lives on, keyed by what it is about, never by shard.
//!
//! Protocol Buffers (proto3) by `prost`; the tags below are the format. A tag is never used again for something else.
//! 128-bit values are two fixed64, high half first. Times are milliseconds since the Unix epoch.

use prost::Message;

/// 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Wide {
    /// High half.
    #[prost(fixed64, tag = "1")]
    pub high: u64,
    /// Low half.
    #[prost(fixed64, tag = "2")]
    pub low: u64,
}

impl From<u128> for Wide {
    fn from(value: u128) -> Self {
        Self { high: (value >> 64) as u64, low: value as u64 }
    }
}

impl From<Wide> for u128 {
    fn from(wide: Wide) -> Self {
        (Self::from(wide.high) << 64) | Self::from(wide.low)
    }
}

/// One entry of a block.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// What it is about.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub kind: Option<Kind>,
}

/// The kinds of entries.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// A member in full.
    #[prost(message, tag = "1")]
    Member(MemberEntry),
    /// A member whose times and counts changed; of no effect if it is not known.
    #[prost(message, tag = "2")]
    Touch(TouchEntry),
    /// A member that left, by its key.
    #[prost(message, tag = "3")]
    MemberGone(Wide),
    /// A group in full.
    #[prost(message, tag = "4")]
    Group(Box<GroupEntry>),
    /// An incident's group that left, by incident id.
    #[prost(message, tag = "5")]
    GroupGone(Wide),
    /// A group that held alerts back and left or opened, by group key.
    #[prost(message, tag = "6")]
    HeldGone(Wide),
    /// The samples of a group.
    #[prost(message, tag = "7")]
    Samples(SamplesEntry),
    /// What level 2 knows of an incident.
    #[prost(message, tag = "8")]
    Incident(IncidentEntry),
    /// An incident that level 2 forgot.
    #[prost(message, tag = "9")]
    IncidentGone(Wide),
    /// What concerns everything; the last entry of the last block of every epoch.
    #[prost(message, tag = "10")]
    Meta(Box<MetaEntry>),
    /// An incident of tidegate itself.
    #[prost(message, tag = "11")]
    Own(Box<OwnEntry>),
    /// An incident of tidegate itself that is over, by the source it is about.
    #[prost(string, tag = "12")]
    OwnGone(String),
}

/// A live fingerprint.
#[derive(Clone, PartialEq, Message)]
pub struct MemberEntry {
    /// Its identity.
    #[prost(message, required, tag = "1")]
    pub fingerprint: Wide,
    /// Its incident; zero if its group is held back.
    #[prost(message, required, tag = "2")]
    pub incident: Wide,
    /// The key of its group.
    #[prost(message, required, tag = "3")]
    pub group: Wide,
    /// Labels, in the encoding of `model::labels`.
    #[prost(bytes = "vec", tag = "4")]
    pub labels: Vec<u8>,
    /// Record time of its first alert in the group.
    #[prost(sfixed64, tag = "5")]
    pub first: i64,
    /// What changes with every alert.
    #[prost(message, required, tag = "6")]
    pub touch: TouchEntry,
    /// Hash of the source's name, see `fingerprint::origin`.
    #[prost(fixed64, tag = "7")]
    pub source: u64,
}

/// What changes with every alert of a member.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct TouchEntry {
    /// `fingerprint::MemberKey`: its identity under the group key that its labels lead to now.
    #[prost(message, required, tag = "1")]
    pub key: Wide,
    /// Record time of its last firing alert.
    #[prost(sfixed64, tag = "2")]
    pub last: i64,
    /// `startsAt` of that alert; the least value if not given.
    #[prost(sfixed64, tag = "3")]
    pub starts_at: i64,
    /// When it resolves by the sender's word; the greatest value if not given.
    #[prost(sfixed64, tag = "4")]
    pub ends_at: i64,
    /// Alerts counted.
    #[prost(uint64, tag = "5")]
    pub count: u64,
    /// Number of the severity.
    #[prost(uint32, tag = "6")]
    pub severity: u32,
    /// 0 firing, 1 resolved, 2 held, 3 held and resolved.
    #[prost(uint32, tag = "7")]
    pub state: u32,
}

/// A group: window and incident.
#[derive(Clone, PartialEq, Message)]
pub struct GroupEntry {
    /// The group key.
    #[prost(message, required, tag = "1")]
    pub hash: Wide,
    /// Its incident; zero while it holds alerts back.
    #[prost(message, required, tag = "2")]
    pub incident: Wide,
    /// Name of the window rule.
    #[prost(string, tag = "3")]
    pub rule: String,
    /// Labels of the group, in the encoding of `model::labels`.
    #[prost(bytes = "vec", tag = "4")]
    pub labels: Vec<u8>,
    /// `EventReason` of the opening, as JSON text.
    #[prost(string, tag = "5")]
    pub opening_reason: String,
    /// The earlier incident of the key.
    #[prost(message, optional, tag = "6")]
    pub predecessor: Option<Wide>,
    /// Whether it is the newest group of its key.
    #[prost(bool, tag = "7")]
    pub is_current: bool,
    /// Record time from which the window's age counts.
    #[prost(sfixed64, tag = "8")]
    pub window_from: i64,
    /// Fingerprints that joined this window.
    #[prost(uint64, tag = "9")]
    pub window_members: u64,
    /// Record time of the last firing alert.
    #[prost(sfixed64, tag = "10")]
    pub last: i64,
    /// Record time of the first alert.
    #[prost(sfixed64, tag = "11")]
    pub first_seen: i64,
    /// Record time of the last alert counted.
    #[prost(sfixed64, tag = "12")]
    pub last_seen: i64,
    /// When the window ended.
    #[prost(sfixed64, optional, tag = "13")]
    pub ended_at: Option<i64>,
    /// Number of the cause.
    #[prost(uint32, tag = "14")]
    pub end_cause: u32,
    /// Record time of the resolve, if resolved.
    #[prost(sfixed64, optional, tag = "15")]
    pub resolved_at: Option<i64>,
    /// Who resolved it.
    #[prost(string, optional, tag = "16")]
    pub resolved_by: Option<String>,
    /// Members that fire.
    #[prost(uint64, tag = "17")]
    pub firing: u64,
    /// Fingerprints that joined.
    #[prost(uint64, tag = "18")]
    pub members: u64,
    /// Their sum.
    #[prost(message, required, tag = "19")]
    pub members_sum: Wide,
    /// Alerts by severity.
    #[prost(uint64, repeated, tag = "20")]
    pub severity_counts: Vec<u64>,
    /// Alerts by status.
    #[prost(uint64, repeated, tag = "21")]
    pub status_counts: Vec<u64>,
    /// Number of the worst severity.
    #[prost(uint32, tag = "22")]
    pub severity_max: u32,
    /// Hashes of the names of the sources that fed it.
    #[prost(fixed64, repeated, tag = "23")]
    pub feed: Vec<u64>,
    /// Due time of the next event (the first one, or `change`), if one is to come.
    #[prost(sfixed64, optional, tag = "24")]
    pub report_due: Option<i64>,
    /// `EventReason` of a change that is still to be told, as JSON text; empty if none.
    #[prost(string, tag = "25")]
    pub change: String,
    /// Emission time of the last event.
    #[prost(sfixed64, tag = "26")]
    pub last_emission: i64,
    /// Alerts held back.
    #[prost(message, repeated, tag = "27")]
    pub held: Vec<HeldEntry>,
}

/// An alert held back.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct HeldEntry {
    /// Key of its member.
    #[prost(message, required, tag = "1")]
    pub key: Wide,
    /// Record time.
    #[prost(sfixed64, tag = "2")]
    pub time: i64,
    /// Number of its record.
    #[prost(uint64, tag = "3")]
    pub record: u64,
    /// Index in the record.
    #[prost(uint32, tag = "4")]
    pub index: u32,
    /// Hash of the source's name.
    #[prost(fixed64, tag = "5")]
    pub source: u64,
    /// Number of the severity.
    #[prost(uint32, tag = "6")]
    pub severity: u32,
}

/// The samples of a group.
#[derive(Clone, PartialEq, Message)]
pub struct SamplesEntry {
    /// The incident, or the group key while the group is held back.
    #[prost(message, required, tag = "1")]
    pub of: Wide,
    /// The samples as JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub json: Vec<u8>,
}

/// What level 2 knows of an incident.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct IncidentEntry {
    /// Its id.
    #[prost(message, required, tag = "1")]
    pub incident: Wide,
    /// Revision of its last event.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
}

/// An incident of tidegate itself: the overflow of a source, or that nothing is read.
#[derive(Clone, PartialEq, Message)]
pub struct OwnEntry {
    /// Its id.
    #[prost(message, required, tag = "1")]
    pub incident: Wide,
    /// Name of the source that overflows; empty: nothing is read.
    #[prost(string, tag = "2")]
    pub source: String,
    /// The label to blame, if one is known.
    #[prost(string, optional, tag = "3")]
    pub label: Option<String>,
    /// Alerts by severity.
    #[prost(uint64, repeated, tag = "4")]
    pub severity_counts: Vec<u64>,
    /// Record time of the first alert.
    #[prost(sfixed64, tag = "5")]
    pub first_seen: i64,
    /// Record time of the last alert.
    #[prost(sfixed64, tag = "6")]
    pub last_seen: i64,
    /// Registers of the sketch of its fingerprints.
    #[prost(bytes = "vec", tag = "7")]
    pub distinct: Vec<u8>,
    /// When its last event was told.
    #[prost(sfixed64, tag = "8")]
    pub told_at: i64,
    /// Whether alerts were counted since.
    #[prost(bool, tag = "9")]
    pub untold: bool,
}

/// What concerns everything.
#[derive(Clone, PartialEq, Message)]
pub struct MetaEntry {
    /// The epoch.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Key of the stable hashes, 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub hash_key: Vec<u8>,
    /// Version of the configuration in force.
    #[prost(fixed64, tag = "3")]
    pub config_version: u64,
    /// Number of the next record in the sequence.
    #[prost(uint64, tag = "4")]
    pub next_record: u64,
    /// Blocks of earlier epochs are not needed.
    #[prost(uint64, tag = "5")]
    pub safe_from: u64,
    /// Positions and clocks of the partitions.
    #[prost(message, repeated, tag = "6")]
    pub positions: Vec<PositionEntry>,
    /// Totals of the conservation law.
    #[prost(message, repeated, tag = "7")]
    pub totals: Vec<TotalsEntry>,
    /// The wall clock that the engine had reached.
    #[prost(sfixed64, tag = "8")]
    pub wall: i64,
    /// Numbers that only ever grow, by name (`metrics`): restored so that counters continue.
    #[prost(message, repeated, tag = "9")]
    pub counters: Vec<CounterEntry>,
    /// Number of the level at which memory stands (`pressure::Level`).
    #[prost(uint32, tag = "10")]
    pub pressure_level: u32,
    /// Name of the source whose alerts are folded first.
    #[prost(string, optional, tag = "11")]
    pub pressure_source: Option<String>,
    /// The label of it that has too many values.
    #[prost(string, optional, tag = "12")]
    pub pressure_label: Option<String>,
}

/// How far a partition has been read.
#[derive(Clone, PartialEq, Message)]
pub struct PositionEntry {
    /// Name of the source.
    #[prost(string, tag = "1")]
    pub source: String,
    /// Name of the partition.
    #[prost(string, tag = "2")]
    pub partition: String,
    /// The next to read.
    #[prost(uint64, tag = "3")]
    pub next: u64,
    /// Last record time.
    #[prost(sfixed64, tag = "4")]
    pub clock: i64,
}

/// Totals of one source.
#[derive(Clone, PartialEq, Message)]
pub struct TotalsEntry {
    /// Name of the source.
    #[prost(string, tag = "1")]
    pub source: String,
    /// Alerts received.
    #[prost(uint64, tag = "2")]
    pub received: u64,
    /// By outcome.
    #[prost(uint64, repeated, tag = "3")]
    pub outcomes: Vec<u64>,
    /// Held back now.
    #[prost(sint64, tag = "4")]
    pub held: i64,
    /// Rejected, by reason.
    #[prost(uint64, repeated, tag = "5")]
    pub rejects: Vec<u64>,
}

/// A number that only grows.
#[derive(Clone, PartialEq, Message)]
pub struct CounterEntry {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(uint64, tag = "2")]
    pub value: u64,
}
