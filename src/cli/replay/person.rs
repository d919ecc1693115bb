//! `--resolve-at`: a person who, at one time, resolves every incident that is open then.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::model::fingerprint::IncidentId;
use crate::model::incident::{EventKind, IncidentEvent};
use crate::model::time::Timestamp;
use crate::pipeline::chunk::StepKind;

/// Who it was, in the events.
const NAME: &str = "replay";

/// The person, until they have spoken.
pub(super) struct Person {
    pub(super) at: Timestamp,
    open: BTreeSet<IncidentId>,
}

/// The times of a line, as `replay` reads them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    received_at: Option<String>,
    starts_at: Option<String>,
}

/// Reads the argument.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "expected a time like 2026-03-02T08:15:00Z".to_owned())
}

impl Person {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { at, open: BTreeSet::new() }
    }

    /// Keeps track of what is open.
    pub(super) fn note(&mut self, event: &IncidentEvent) {
        match event.event {
            EventKind::Opened | EventKind::Reopened => self.open.insert(event.incident_id),
            EventKind::Resolved | EventKind::Merged => self.open.remove(&event.incident_id),
            EventKind::Updated => false,
        };
    }

    /// Whether they speak before this line. A line without a time of its own comes with the one before it.
    pub(super) fn speaks_before(&self, line: &[u8]) -> bool {
        let times: Option<Times> = serde_json::from_slice(line).ok();
        let text = times.and_then(|times| times.received_at.or(times.starts_at));
        text.and_then(|text| Timestamp::parse(&text)).is_some_and(|time| time >= self.at)
    }

    /// What they say.
    pub(super) fn speak(self) -> Vec<StepKind> {
        let resolve = |incident| StepKind::Resolve { incident, by: NAME.to_owned() };
        self.open.into_iter().map(resolve).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_speak_before_the_first_line_of_their_time_or_later() {
        let person = Person::new(time("2026-03-02T08:15:00Z").unwrap_or_default());
        for (line, before) in [
            (r#"{"receivedAt": "2026-03-02T08:14:59.999Z", "startsAt": "2026-03-02T09:00:00Z"}"#, false),
            (r#"{"receivedAt": "2026-03-02T08:15:00Z"}"#, true),
            (r#"{"startsAt": "2026-03-02T10:15:01+02:00"}"#, true),
            (r#"{"startsAt": "soon"}"#, false),
            ("no JSON", false),
        ] {
            assert_eq!(person.speaks_before(line.as_bytes()), before, "{line}");
        }
        assert!(time("08:15").is_err());
    }
}
