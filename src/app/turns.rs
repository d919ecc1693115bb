//! Turns of fortune, each told once in the log: a source that falls behind or catches up, a pipeline that stands or moves.

use std::collections::BTreeSet;

use crate::control::status::Status;

/// A source further behind than this is told, seconds; ten times what counts as caught up, so that a hiccup is none.
const BEHIND_SECONDS: f64 = 60.0;
/// At most this far behind, it has caught up (design: time).
const CAUGHT_UP_SECONDS: f64 = 5.0;

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Turns {
    behind: BTreeSet<String>,
    in_trouble: bool,
}

impl Turns {
    /// Tells what has turned since the last look.
    pub(super) fn look(&mut self, status: &Status) {
        for source in &status.sources {
            let (name, delay) = (&source.name, source.delay_seconds);
            if delay >= BEHIND_SECONDS && self.behind.insert(name.clone()) {
                tracing::warn!(source = name, "source {name} is {delay:.0} s behind; its windows go by its own clock");
            } else if delay <= CAUGHT_UP_SECONDS && self.behind.remove(name) {
                tracing::info!(source = name, "source {name} has caught up");
            }
        }
        match &status.trouble {
            Some(trouble) if !self.in_trouble => tracing::error!("alerts are not taken: {trouble}"),
            None if self.in_trouble => tracing::info!("alerts are taken again"),
            _ => {}
        }
        self.in_trouble = status.trouble.is_some();
    }
}
