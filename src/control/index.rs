//! The read side: the newest event of every unresolved incident and of the newest resolved ones.
//!
//! Filled from committed epochs by one thread, read by the HTTP API. The map is behind this type and hands out owned
//! values only, so that no guard of it lives across an `.await` or an insert.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use crate::control::history::{Recent, Step, Steps};
use crate::model::{IncidentEvent, IncidentId, Matcher, Severity, Status, Timestamp};

/// Resolved incidents kept by default: some days of a busy installation, some ten megabytes.
pub const RESOLVED_MAX: usize = 10_000;

/// Most incidents in one answer.
pub const LIMIT_MAX: usize = 1_000;

/// Incidents by id.
#[derive(Debug)]
pub struct IncidentIndex {
    incidents: DashMap<IncidentId, Arc<IncidentEvent>>,
    steps: DashMap<IncidentId, Recent>,
    /// Resolved incidents by record time of their last event, oldest first. Its lock makes writers take turns.
    resolved: Mutex<BTreeSet<(Timestamp, IncidentId)>>,
    resolved_max: usize,
}

/// What is asked for; every condition must hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Where the incident stands.
    pub status: Option<Status>,
    /// Its worst severity is at least this.
    pub severity: Option<Severity>,
    /// On the labels that define its group.
    pub matchers: Vec<Matcher>,
    /// Its last event is of this record time or later.
    pub since: Option<Timestamp>,
    /// Its id begins with these hexadecimal digits, in lower case.
    pub id_prefix: Option<String>,
    /// Most incidents in the answer; cut to `LIMIT_MAX`.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// A place in the list. First seen and id never change, so pages fit together while incidents come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    first_seen: Timestamp,
    incident_id: IncidentId,
}

/// A part of the list, newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The newest event of each incident.
    pub incidents: Vec<Arc<IncidentEvent>>,
    /// Where the next page begins, if there is more.
    pub next: Option<Cursor>,
}

impl IncidentIndex {
    /// An empty index that keeps this many resolved incidents.
    #[must_use]
    pub fn new(resolved_max: usize) -> Self {
        Self { incidents: DashMap::new(), steps: DashMap::new(), resolved: Mutex::default(), resolved_max }
    }

    /// Takes the events of a committed epoch, or of the log at start, in any order: of each incident the newest
    /// revision is kept.
    pub fn apply(&self, events: &[Arc<IncidentEvent>]) {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let id = event.incident_id;
            let known = self.get(id);
            if known.as_ref().is_some_and(|known| known.revision >= event.revision) {
                continue;
            }
            if let Some(known) = known {
                resolved.remove(&(known.record_time, id));
            }
            if event.status == Status::Resolved {
                resolved.insert((event.record_time, id));
            }
            self.incidents.insert(id, Arc::clone(event));
            self.steps.entry(id).or_default().push(Step::from(&**event));
        }
        while resolved.len() > self.resolved_max {
            if let Some((_, oldest)) = resolved.pop_first() {
                self.incidents.remove(&oldest);
                self.steps.remove(&oldest);
            }
        }
    }

    /// Forgets everything: before the state is restored anew.
    pub fn clear(&self) {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.clear();
        self.incidents.clear();
        self.steps.clear();
    }

    /// The newest event of an incident.
    #[must_use]
    pub fn get(&self, id: IncidentId) -> Option<Arc<IncidentEvent>> {
        self.incidents.get(&id).map(|event| Arc::clone(&event))
    }

    /// What happened to an incident, as far as it was seen since the start.
    #[must_use]
    pub fn steps(&self, id: IncidentId) -> Steps {
        self.steps.get(&id).map(|steps| steps.read()).unwrap_or_default()
    }

    /// How many incidents are kept: unresolved, resolved.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner).len();
        (self.incidents.len().saturating_sub(resolved), resolved)
    }

    /// The newest event of those that were resolved last, newest first, at most `limit` that pass. The place in the list
    /// (`Query::cursor`) is not looked at.
    #[must_use]
    pub fn last_resolved(&self, query: &Query) -> Vec<Arc<IncidentEvent>> {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let events = resolved.iter().rev().filter_map(|(_, id)| self.get(*id)).filter(|event| passes(query, event));
        events.take(query.limit.clamp(1, LIMIT_MAX)).collect()
    }

    /// Unresolved incidents by worst severity, in the order of `Severity::ALL`. Costs a walk over all that are kept.
    #[must_use]
    pub fn open_by_severity(&self) -> [usize; 6] {
        let mut counts = [0; 6];
        for entry in self.incidents.iter().filter(|entry| entry.status == Status::Firing) {
            if let Some(count) = counts.get_mut(entry.severity_max as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
    }

    /// A page of the incidents that pass, newest first. Costs a walk over all that are kept.
    #[must_use]
    pub fn list(&self, query: &Query) -> Page {
        let limit = query.limit.clamp(1, LIMIT_MAX);
        let mut found: Vec<(Cursor, Arc<IncidentEvent>)> = Vec::new();
        for entry in &self.incidents {
            let place = Cursor { first_seen: entry.first_seen, incident_id: entry.incident_id };
            if query.cursor.is_none_or(|cursor| place < cursor) && passes(query, &entry) {
                found.push((place, Arc::clone(&entry)));
            }
        }
        let more = found.len() > limit;
        if more {
            found.select_nth_unstable_by_key(limit, |(place, _)| std::cmp::Reverse(*place));
            found.truncate(limit);
        }
        found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
        let next = if more { found.last().map(|(place, _)| *place) } else { None };
        Page { incidents: found.into_iter().map(|(_, event)| event).collect(), next }
    }
}

fn passes(query: &Query, event: &IncidentEvent) -> bool {
    query.status.is_none_or(|status| event.status == status)
        && query.severity.is_none_or(|severity| event.severity_max >= severity)
        && query.since.is_none_or(|since| event.record_time >= since)
        && query.id_prefix.as_ref().is_none_or(|prefix| event.incident_id.to_string().starts_with(prefix))
        && query
            .matchers
            .iter()
            .all(|matcher| matcher.matches_value(event.group_labels.get(matcher.name()).map_or("", String::as_str)))
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.first_seen.0, self.incident_id)
    }
}

impl FromStr for Cursor {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is no cursor: take it as it stood in the answer before");
        let (first_seen, id) = text.split_once('.').ok_or_else(fault)?;
        let first_seen = Timestamp(first_seen.parse().map_err(|_| fault())?);
        Ok(Self { first_seen, incident_id: id.parse().map_err(|_| fault())? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::control::example::event;

    fn ids(page: &Page) -> Vec<u128> {
        page.incidents.iter().map(|event| event.incident_id.0).collect()
    }

    #[test]
    fn keeps_the_newest_revision_and_the_newest_resolved() {
        let index = IncidentIndex::new(2);
        index.apply(&[event(1, 2, Status::Firing), event(1, 1, Status::Firing)]);
        assert_eq!(index.get(IncidentId(1)).unwrap().revision, 2);
        index.apply(&[event(2, 1, Status::Resolved), event(3, 1, Status::Resolved), event(4, 1, Status::Resolved)]);
        assert_eq!(index.len(), (1, 2));
        assert!(index.get(IncidentId(2)).is_none(), "the resolved one with the oldest last event went");
        index.apply(&[event(3, 2, Status::Firing), event(5, 1, Status::Resolved)]);
        assert_eq!(index.len(), (2, 2), "a reopened one no longer counts as resolved");
        index.clear();
        assert!(index.is_empty());
    }

    #[test]
    fn the_last_resolved_come_in_the_order_of_their_ends() {
        let index = IncidentIndex::new(10);
        index.apply(&[event(1, 1, Status::Resolved), event(2, 1, Status::Firing), event(3, 1, Status::Resolved)]);
        let last = |limit, filter: &str| {
            let matchers = if filter.is_empty() { Vec::new() } else { Matcher::parse_all(filter).unwrap() };
            let query = Query { matchers, limit, ..Query::default() };
            index.last_resolved(&query).iter().map(|event| event.incident_id.0).collect::<Vec<_>>()
        };
        assert_eq!((last(10, ""), last(1, ""), last(10, "service=s1")), (vec![3, 1], vec![3], vec![1]));
        let mut expected = [0; 6];
        expected[Severity::Warning as usize] = 1;
        assert_eq!(index.open_by_severity(), expected);
    }

    #[test]
    fn pages_fit_together_while_incidents_come() {
        let index = IncidentIndex::new(10);
        for id in 1..=5 {
            index.apply(&[event(id, 1, Status::Firing)]);
        }
        let first = index.list(&Query { limit: 2, ..Query::default() });
        assert_eq!(ids(&first), [5, 4]);
        index.apply(&[event(6, 1, Status::Firing), event(3, 2, Status::Resolved)]);
        let cursor = first.next.unwrap().to_string().parse().unwrap();
        let second = index.list(&Query { limit: 2, cursor: Some(cursor), ..Query::default() });
        assert_eq!(ids(&second), [3, 2]);
        let third = index.list(&Query { limit: 2, cursor: second.next, ..Query::default() });
        assert_eq!((ids(&third), third.next), (vec![1], None));
        assert!("5".parse::<Cursor>().is_err());
    }

    #[test]
    fn conditions_narrow_the_list() {
        let index = IncidentIndex::new(10);
        index.apply(&[event(1, 1, Status::Firing), event(2, 1, Status::Resolved)]);
        let all = Query { limit: 10, ..Query::default() };
        let check = |query: Query, expected: &[u128]| assert_eq!(ids(&index.list(&query)), expected, "{query:?}");
        check(Query { status: Some(Status::Firing), ..all.clone() }, &[1]);
        check(Query { severity: Some(Severity::Critical), ..all.clone() }, &[]);
        check(Query { severity: Some(Severity::Warning), ..all.clone() }, &[2, 1]);
        check(Query { since: Some(event(2, 1, Status::Firing).record_time), ..all.clone() }, &[2]);
        check(Query { matchers: Matcher::parse_all("service=~\"s1|s7\"").unwrap(), ..all.clone() }, &[1]);
        check(Query { id_prefix: Some(format!("{:031}", 0)), ..all.clone() }, &[2, 1]);
        check(Query { id_prefix: Some(IncidentId(2).to_string()), ..all.clone() }, &[2]);
        check(Query { matchers: Matcher::parse_all("absent=\"\"").unwrap(), ..all }, &[2, 1]);
    }
}
