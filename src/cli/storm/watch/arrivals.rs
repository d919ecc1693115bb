//! Incident events as they arrive on the daemon's stream: when each incident was opened, how far its revisions have come,
//! how many alerts the incidents have told of.
//!
//! An event is on the stream only after the commit that made it durable; so its arrival here, by the clock that also
//! tells when alerts are due, is the end of the way, and no two clocks are compared. (`committed_at` would not do: the
//! daemon writes it before the commit, and by its own clock.)

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::model::time::Stopwatch;
use crate::model::{EventKind, IncidentId};
use crate::storm::group_name;

/// What has arrived; cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<Seen>>);

/// Everything that is known of the stream.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When which group's incident was opened, since this was last taken.
    pub(super) opened: Vec<(String, Duration)>,
    incidents: BTreeMap<IncidentId, Course>,
    /// Alerts that the newest events of all incidents tell of.
    pub(super) told: u64,
    /// Why the stream does not tell everything any more.
    pub(super) broken: Option<String>,
}

#[derive(Debug)]
struct Course {
    revision: u64,
    is_contiguous: bool,
    alerts: u64,
}

/// An incident event, as far as it is looked at.
#[derive(Deserialize)]
struct Told {
    event: EventKind,
    incident_id: IncidentId,
    revision: u64,
    group_labels: BTreeMap<String, String>,
    counts: ToldCounts,
}

#[derive(Deserialize)]
struct ToldCounts {
    alerts: u64,
}

impl Arrivals {
    /// Listens to a stream on a thread of its own, until it ends. Only groups whose cluster ends with `suffix` count.
    pub(super) fn listen(stream: impl Read + Send + 'static, suffix: String, clock: Stopwatch) -> Result<Self> {
        let arrivals = Self::default();
        let own = arrivals.clone();
        let listens = move || {
            let why = own.read(BufReader::new(stream), &suffix, || clock.elapsed());
            own.seen().broken.get_or_insert(why);
        };
        std::thread::Builder::new().name("storm-events".to_owned()).spawn(listens).context("start a thread")?;
        Ok(arrivals)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads server-sent events to their end; why they ended.
    fn read(&self, mut stream: impl BufRead, suffix: &str, clock: impl Fn() -> Duration) -> String {
        let (mut line, mut is_reset) = (Vec::new(), false);
        loop {
            line.clear();
            match stream.read_until(b'\n', &mut line) {
                Ok(0) => return "the daemon ended the stream of its events".to_owned(),
                Ok(_) => {}
                Err(error) => return format!("the stream of the daemon's events broke off: {error}"),
            }
            let arrived = clock();
            let text = line.trim_ascii_end();
            if let Some(kind) = text.strip_prefix(b"event:") {
                is_reset = kind.trim_ascii() == b"reset";
            } else if let Some(data) = text.strip_prefix(b"data:") {
                if is_reset {
                    let why = "events came faster than they could be read, some were left out";
                    self.seen().broken.get_or_insert_with(|| why.to_owned());
                } else if let Ok(told) = serde_json::from_slice::<Told>(data) {
                    let is_ours = told.group_labels.get("cluster").is_some_and(|cluster| cluster.ends_with(suffix));
                    if is_ours {
                        self.seen().take(told, arrived);
                    }
                }
            }
        }
    }
}

impl Seen {
    fn take(&mut self, told: Told, arrived: Duration) {
        let Told { event, incident_id, revision, group_labels, counts: ToldCounts { alerts } } = told;
        if event == EventKind::Opened {
            self.opened.push((group_name(&group_labels), arrived));
        }
        let is_first = Course { revision: 0, is_contiguous: true, alerts: 0 };
        let course = self.incidents.entry(incident_id).or_insert(is_first);
        if revision > course.revision {
            course.is_contiguous &= revision == course.revision + 1;
            self.told = self.told - course.alerts + alerts;
            (course.revision, course.alerts) = (revision, alerts);
        }
    }

    /// Whether the events of an incident led from revision 1 to this one without a gap.
    pub(super) fn leads_to(&self, incident: IncidentId, revision: u64) -> bool {
        self.incidents.get(&incident).is_some_and(|course| course.is_contiguous && course.revision >= revision)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn event(kind: &str, incident: u128, revision: u64, cluster: &str, alerts: u64) -> String {
        let id = serde_json::to_string(&IncidentId(incident)).unwrap();
        format!(
            "event: incident\nid: 7.1\ndata: {{\"event\":\"{kind}\",\"incident_id\":{id},\"revision\":{revision},\
             \"group_labels\":{{\"cluster\":\"{cluster}\",\"service\":\"cart\"}},\"counts\":{{\"alerts\":{alerts}}},\
             \"samples\":[]}}\n\n"
        )
    }

    #[test]
    fn openings_revisions_and_counts_are_those_of_the_tag() {
        let stream = [
            event("opened", 1, 1, "a-tag", 2),
            ": keep-alive\n\n".to_owned(),
            event("opened", 2, 1, "b", 50),
            event("updated", 1, 2, "a-tag", 7),
            event("updated", 1, 2, "a-tag", 7),
            event("opened", 3, 1, "c-tag", 1),
            event("updated", 3, 3, "c-tag", 4),
        ];
        let (arrivals, ticks) = (Arrivals::default(), Cell::new(0));
        let clock = || {
            ticks.set(ticks.get() + 1);
            Duration::from_millis(ticks.get())
        };
        let why = arrivals.read(stream.concat().as_bytes(), "-tag", clock);
        assert_eq!(why, "the daemon ended the stream of its events");
        let seen = arrivals.seen();
        let opened: Vec<(&str, u128)> = seen.opened.iter().map(|(name, at)| (name.as_str(), at.as_millis())).collect();
        assert_eq!(opened, [("a-tag/cart", 3), ("c-tag/cart", 21)]);
        assert_eq!((seen.told, seen.broken.as_deref()), (11, None));
        let leads = |incident, revision| seen.leads_to(IncidentId(incident), revision);
        assert_eq!((leads(1, 2), leads(1, 3), leads(2, 1), leads(3, 3)), (true, false, false, false));
    }

    #[test]
    fn a_reset_is_remembered() {
        let arrivals = Arrivals::default();
        arrivals.read("event: reset\nid: 9.2\ndata: {}\n\n".as_bytes(), "", || Duration::ZERO);
        assert!(arrivals.seen().broken.as_deref().unwrap().contains("left out"));
    }
}
