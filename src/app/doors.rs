//! What HTTP may call before the pipeline is there: it refuses until then.

use std::sync::OnceLock;

use axum::body::Bytes;

use crate::app::bridge::{BridgeOptions, HttpBridge};
use crate::control::api::{CommandError, Commands};
use crate::control::history::{Archive, ArchiveError, Steps};
use crate::control::intake::{Intake, Refused};
use crate::model::alert::Format;
use crate::model::{IncidentEvent, IncidentId};
use crate::pipeline::command::Command;
use crate::pipeline::source::Answer;

/// The way in for alerts and for commands, each opened once.
#[derive(Default)]
pub(super) struct Doors {
    pub(super) bridge: OnceLock<HttpBridge>,
    pub(super) commands: OnceLock<Box<dyn Commands>>,
    pub(super) archive: OnceLock<Box<dyn Archive>>,
}

impl Intake for Doors {
    fn submit(&self, format: Format, body: Bytes) -> Result<tokio::sync::oneshot::Receiver<Answer>, Refused> {
        match self.bridge.get() {
            Some(bridge) => bridge.submit(format, body),
            None => Err(Refused { retry_after_seconds: BridgeOptions::default().retry_after_seconds }),
        }
    }
}

impl Commands for Doors {
    fn append(&self, command: Command) -> Result<u64, CommandError> {
        let commands = self.commands.get().ok_or_else(|| CommandError("the daemon is still starting".to_owned()))?;
        commands.append(command)
    }
}

impl Archive for Doors {
    fn newest(&self, id: IncidentId) -> Result<Option<IncidentEvent>, ArchiveError> {
        self.archive.get().map_or(Ok(None), |archive| archive.newest(id))
    }

    fn steps(&self, id: IncidentId) -> Result<Steps, ArchiveError> {
        self.archive.get().map_or_else(|| Ok(Steps::default()), |archive| archive.steps(id))
    }
}
