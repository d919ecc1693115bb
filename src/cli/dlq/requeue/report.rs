//! What is told of a requeue: a line a letter, and the sums.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::dlq::letter::LetterId;
use crate::cli::output::{self, Output};
use crate::cli::terminal::{Lines, safe};

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    /// It is in again, and marked.
    Requeued,
    /// It went in, was rejected again, and is a new dead letter.
    RejectedAgain,
    /// It would have been put in.
    WouldBeRequeued,
    /// It must not go in; nothing was sent.
    Refused,
    /// It was sent, but not taken, or nobody knows.
    Failed,
}

impl Fate {
    const fn words(self) -> &'static str {
        match self {
            Self::Requeued => "requeued",
            Self::RejectedAgain => "requeued, and rejected again",
            Self::WouldBeRequeued => "would be requeued",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Serialize)]
struct Told {
    id: LetterId,
    result: Fate,
    /// Where it went.
    to: Option<String>,
    detail: String,
}

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    dry_run: bool,
    requeued: usize,
    rejected_again: usize,
    refused: usize,
    failed: usize,
    /// It ended before the last letter.
    stopped: bool,
    letters: Vec<Told>,
}

impl Report {
    pub(super) fn new(dry_run: bool) -> Self {
        Self { dry_run, requeued: 0, rejected_again: 0, refused: 0, failed: 0, stopped: false, letters: Vec::new() }
    }

    /// Notes what became of a letter.
    pub(super) fn add(&mut self, id: LetterId, result: Fate, to: Option<String>, detail: &str) {
        match result {
            Fate::Requeued => self.requeued += 1,
            Fate::RejectedAgain => self.rejected_again += 1,
            Fate::Refused => self.refused += 1,
            Fate::Failed => self.failed += 1,
            Fate::WouldBeRequeued => {}
        }
        self.letters.push(Told { id, result, to, detail: detail.to_owned() });
    }

    /// Notes a failure after which the others are not tried.
    pub(super) fn stop(&mut self, id: LetterId, detail: &str) {
        self.add(id, Fate::Failed, None, detail);
        self.stopped = true;
    }

    /// Whether nothing is left to do.
    pub(super) fn is_good(&self) -> bool {
        self.refused + self.failed + self.rejected_again == 0
    }

    pub(super) fn write(&self, output: Output, out: &mut dyn Write) -> io::Result<()> {
        if output == Output::Json {
            return output::json(self, out);
        }
        for Told { id, result, to, detail } in &self.letters {
            let to = to.as_ref().map(|to| format!(" to {}", safe(to.as_bytes(), Lines::One))).unwrap_or_default();
            let colon = if detail.is_empty() { "" } else { ": " };
            writeln!(out, "{id}: {}{to}{colon}{}", result.words(), safe(detail.as_bytes(), Lines::One))?;
        }
        let sums = [
            (self.requeued, "requeued"),
            (self.rejected_again, "rejected again"),
            (self.refused, "refused"),
            (self.failed, "failed"),
        ];
        let told: Vec<String> =
            sums.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        match (told.is_empty(), self.dry_run) {
            (_, true) => writeln!(out, "nothing was done: this was a dry run"),
            (true, false) => writeln!(out, "no dead letters to put in again"),
            (false, false) if self.stopped => writeln!(out, "{}; the others were not tried", told.join(", ")),
            (false, false) => writeln!(out, "{}", told.join(", ")),
        }
    }
}
