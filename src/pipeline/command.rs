//! Commands: what people and the control room ask of the engine, as one more source with a position of its own.
//!
//! Written as one JSON object to the `commands` table (SQLite) or topic (Kafka).

use serde::{Deserialize, Serialize};

use crate::model::fingerprint::IncidentId;
use crate::model::time::Timestamp;

/// One command, as written to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// When it was given, wall clock.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// What is to be done.
    #[serde(flatten)]
    pub action: Action,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Action {
    /// Resolve an incident: closes its window; its members' repeats are folded until they resolve or fall silent.
    Resolve {
        /// Which incident.
        incident_id: IncidentId,
    },
}
