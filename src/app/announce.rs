//! One line in the log for each decision that matters: an incident that opens, ends or comes back, and what was rejected.
//!
//! The message says enough to be read alone, as `journalctl` shows it; the fields are for searching.
//! Never a line per alert: repeats and counts are silent, and beyond a rate the lines become one that counts the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::time::Millis;
use crate::model::{EventKind, EventReason, IncidentEvent, Timestamp};
use crate::pipeline::sink::DeadLetter;

/// Lines about incidents in one stretch. A person reads no faster, and a flood of distinct incidents must not flood the log.
const LINES_MAX: u32 = 50;
/// Length of such a stretch.
const STRETCH: Millis = Millis::seconds(10);
/// Time between two lines about rejects of one source and reason; the second one counts what came in between.
const REJECTS_EVERY: Millis = Millis::minutes(1);

/// What was said of late. One per daemon, used by the commit thread; time is that of the epochs.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    stretch_began: Option<Timestamp>,
    lines: u32,
    unsaid: BTreeMap<EventKind, u64>,
    rejects: BTreeMap<(String, &'static str), Rejects>,
}

#[derive(Debug, Default)]
struct Rejects {
    said_at: Option<Timestamp>,
    unsaid: u64,
}

impl Announcer {
    /// Tells of the incidents of an epoch.
    pub(super) fn incidents<'e>(&mut self, events: impl IntoIterator<Item = &'e IncidentEvent>, now: Timestamp) {
        if self.stretch_began.is_none_or(|began| now - began >= STRETCH || now < began) {
            self.close_stretch();
            self.stretch_began = Some(now);
            self.lines = 0;
        }
        for event in events.into_iter().filter(|event| matters(event)) {
            if self.lines < LINES_MAX {
                self.lines += 1;
                tell(event);
            } else {
                *self.unsaid.entry(event.event).or_default() += 1;
            }
        }
    }

    /// Tells of the dead letters of an epoch.
    pub(super) fn dead_letters<'l>(&mut self, letters: impl IntoIterator<Item = &'l DeadLetter>, now: Timestamp) {
        for letter in letters {
            self.rejects.entry((letter.source.clone(), letter.reason.name())).or_default().unsaid += 1;
        }
        for ((source, reason), rejects) in &mut self.rejects {
            let is_due = rejects.said_at.is_none_or(|said_at| now - said_at >= REJECTS_EVERY || now < said_at);
            if is_due && rejects.unsaid > 0 {
                let n = std::mem::take(&mut rejects.unsaid);
                rejects.said_at = Some(now);
                tracing::warn!(
                    source,
                    reason,
                    n,
                    "{n} rejected from {source}, {reason}: kept as dead letters, see tidegate dlq list"
                );
            }
        }
    }

    fn close_stretch(&mut self) {
        let unsaid = std::mem::take(&mut self.unsaid);
        if unsaid.is_empty() {
            return;
        }
        let n: u64 = unsaid.values().sum();
        let of = |kind| unsaid.get(&kind).copied().unwrap_or(0);
        tracing::info!(
            n,
            opened = of(EventKind::Opened),
            reopened = of(EventKind::Reopened),
            resolved = of(EventKind::Resolved),
            merged = of(EventKind::Merged),
            severity_rose = of(EventKind::Updated),
            "{n} more changes of incidents, in a flood not told one by one"
        );
    }
}

/// What a person would want to know at three in the morning; counts are in the metrics.
fn matters(event: &IncidentEvent) -> bool {
    event.event != EventKind::Updated || event.reason == EventReason::SeverityRose
}

fn tell(event: &IncidentEvent) {
    let what = match event.event {
        EventKind::Opened => "incident opened",
        EventKind::Updated => "incident became more severe",
        EventKind::Resolved => "incident resolved",
        EventKind::Reopened => "incident reopened",
        EventKind::Merged => "incident merged",
    };
    let group = labels(&event.group_labels);
    tracing::info!(
        incident_id = %event.incident_id,
        revision = event.revision,
        reason = %word(event.reason),
        severity = event.severity_max.name(),
        rule = event.rule,
        group,
        members = event.members,
        alerts = event.counts.alerts,
        by = event.resolved_by.as_deref().map(|by| by.escape_debug().to_string()),
        epoch = event.epoch,
        "{what}: {group}"
    );
}

fn word(reason: EventReason) -> String {
    // The word of the JSON, so that whoever searches the log and the topic searches for the same.
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Labels as matchers. What a sender wrote cannot break the line or steer a terminal: it is escaped.
fn labels(labels: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{}={value:?}", name.escape_debug()); // Writing to a `String` cannot fail.
    }
    text
}

#[cfg(test)]
mod tests;
