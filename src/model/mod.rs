//! The vocabulary: what an alert, a group and an incident are. No I/O, no logs, no locks.

pub mod alert;
pub mod fingerprint;
pub mod incident;
pub mod labels;
pub mod matcher;
pub mod samples;
pub mod text;
pub mod time;

pub use alert::{AlertView, Severity, Status};
pub use fingerprint::{Fingerprint, GroupHash, HashKey, IncidentId};
pub use incident::{EventKind, EventReason, IncidentEvent};
pub use matcher::Matcher;
pub use time::{Millis, Timestamp};
