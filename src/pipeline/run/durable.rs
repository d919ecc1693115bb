//! Until an epoch is durable: the same one is sent again after an abort, and after an unknown outcome the store is asked
//! first. Nothing is ever rolled back.

use std::time::Duration;

use crate::pipeline::crash::{self, Place};
use crate::pipeline::run::RunError;
use crate::pipeline::sink::{CommitError, Epoch, EpochSink};

/// Pauses between two attempts at the same epoch grow from the first to the second.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// Attempts at the same epoch after the run was told to stop: the epoch is not lost, its input is read again.
const ATTEMPTS_WHEN_STOPPING: u32 = 5;

/// What goes on around a commit.
pub trait Surroundings {
    /// An attempt was aborted.
    fn was_aborted(&self);

    /// What became of an attempt is not known, or still not.
    fn was_unknown(&self);

    /// Lets time pass before the next attempt; called however long the store is away, so that a watchdog can be fed.
    fn pause(&self, time: Duration);

    /// Whether the run was told to stop.
    fn is_stopping(&self) -> bool;
}

/// Sends an epoch until it is durable.
///
/// # Errors
/// When another instance has taken over, the store cannot go on, or it is away while the run is to stop.
pub fn make_durable(sink: &mut dyn EpochSink, epoch: &Epoch, around: &dyn Surroundings) -> Result<(), RunError> {
    let mut pause = RETRY_PAUSES.0;
    let mut attempts = 0;
    loop {
        crash::at(Place::EpochSent);
        let reason = match sink.commit(epoch) {
            Ok(_) => return Ok(()),
            Err(CommitError::Aborted(reason)) => {
                around.was_aborted();
                reason
            }
            Err(CommitError::Unknown(reason)) => {
                around.was_unknown();
                tracing::warn!(
                    epoch = epoch.number,
                    "epoch {}: the outcome of the commit is unknown: {reason}",
                    epoch.number
                );
                if settle(sink, epoch, around)? {
                    return Ok(());
                }
                reason
            }
            Err(error) => return Err(error.into()),
        };
        attempts += 1;
        tracing::warn!(
            epoch = epoch.number,
            attempts,
            "epoch {} is not durable yet, the same is sent again: {reason}",
            epoch.number
        );
        if around.is_stopping() && attempts >= ATTEMPTS_WHEN_STOPPING {
            return Err(RunError::Store(format!("epoch {} is not durable: {reason}", epoch.number)));
        }
        around.pause(pause);
        pause = (pause * 2).min(RETRY_PAUSES.1);
    }
}

/// Finds out what became of an epoch. True if it is durable, false if it is to be sent again.
fn settle(sink: &mut dyn EpochSink, epoch: &Epoch, around: &dyn Surroundings) -> Result<bool, RunError> {
    let mut pause = RETRY_PAUSES.0;
    loop {
        match sink.recover() {
            Ok(last) if last == epoch.number => return Ok(true),
            Ok(last) if last + 1 == epoch.number => return Ok(false),
            Ok(last) => {
                let number = epoch.number;
                return Err(RunError::Fenced(format!("the store is at epoch {last}, this instance at {number}")));
            }
            Err(CommitError::Unknown(reason) | CommitError::Aborted(reason)) => {
                // Counted again with every look: a store that is away must show as failures that go on.
                around.was_unknown();
                tracing::warn!(epoch = epoch.number, "the last durable epoch is not known yet: {reason}");
                if around.is_stopping() {
                    return Err(RunError::Store(reason));
                }
            }
            Err(error) => return Err(error.into()),
        }
        around.pause(pause);
        pause = (pause * 2).min(RETRY_PAUSES.1);
    }
}
