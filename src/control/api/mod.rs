//! The JSON API: incidents, status, what Alertmanager's tools ask, and what operators need.

pub(crate) mod alertmanager;
pub mod groups;
pub(crate) mod incidents;
pub(crate) mod operations;
pub(crate) mod parameters;
pub(crate) mod stream;
pub(crate) mod tap;

use crate::pipeline::command::Command;

/// A command could not be written to the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CommandError(pub String);

/// The command log: what is written there is done by the engine in the order of the log, after restarts too.
pub trait Commands: Send + Sync {
    /// Appends a command and returns its position. May block; called on a thread where that is no harm.
    ///
    /// # Errors
    /// When the log cannot be written; nothing will be done then.
    fn append(&self, command: Command) -> Result<u64, CommandError>;
}

/// Reads the configuration again.
pub trait Reload: Send + Sync {
    /// Takes the new configuration, or keeps the old one. May block; called on a thread where that is no harm.
    ///
    /// # Errors
    /// All faults as a text; the old configuration stays.
    fn reload(&self) -> Result<(), String>;
}
