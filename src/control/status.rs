//! What the daemon says of itself: phase, configuration, clocks of the sources. Written by `app`, read by the API.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::model::Timestamp;

/// Where the daemon stands between start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Reading the configuration, opening the store.
    Starting,
    /// Following the state of the active instance, ready to take over.
    Standby,
    /// Reading state back.
    Restoring,
    /// Taking alerts.
    Running,
    /// Sources are stopped; what was taken is being committed.
    Draining,
    /// The last epoch is durable.
    Stopped,
}

impl Phase {
    /// The word shown in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Restoring => "restoring",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// How far a source is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// Its clock: that of its slowest partition; absent before the first record.
    pub clock: Option<Timestamp>,
    /// How far that is behind the wall clock, seconds.
    pub delay_seconds: f64,
}

/// What the daemon says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// Why it does not take alerts although it runs, for instance because the store cannot be reached.
    pub trouble: Option<String>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Hash of the configuration in use, hexadecimal.
    pub config_hash: String,
    /// When that configuration was taken.
    pub config_since: Timestamp,
    /// The faults for which the last reload was refused; absent when it was taken.
    pub last_reload_fault: Option<String>,
    /// The sources in the order of the configuration.
    pub sources: Vec<SourceStatus>,
}

impl Status {
    /// Whether alerts are taken: the phase is `Running` and nothing is in the way.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.trouble.is_none()
    }
}

/// The current status: cheap to read, replaced as a whole.
#[derive(Debug)]
pub struct StatusBoard(ArcSwap<Status>);

impl StatusBoard {
    /// The board of a daemon that starts now.
    #[must_use]
    pub fn new(started_at: Timestamp) -> Self {
        Self(ArcSwap::from_pointee(Status {
            phase: Phase::Starting,
            trouble: None,
            started_at,
            config_hash: String::new(),
            config_since: started_at,
            last_reload_fault: None,
            sources: Vec::new(),
        }))
    }

    /// What stands there now.
    #[must_use]
    pub fn read(&self) -> Arc<Status> {
        self.0.load_full()
    }

    /// Changes something; `change` may run again if another change came in between.
    pub fn update(&self, change: impl Fn(&mut Status)) {
        self.0.rcu(|now| {
            let mut next = Status::clone(now);
            change(&mut next);
            next
        });
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.update(|status| status.phase = phase);
    }
}
