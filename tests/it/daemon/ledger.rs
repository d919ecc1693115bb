//! What a stopped daemon left in its store: every incident at its last revision, and every dead letter.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate::model::incident::Counts;
use tidegate::model::{IncidentEvent, Status, Timestamp};
use tidegate::pipeline::sink::sqlite::{FILE_NAME, open_read_only};

/// Where an incident stands: all that two equal runs must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) rule: String,
    pub(crate) group_labels: BTreeMap<String, String>,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) members: u64,
    pub(crate) members_sum: u128,
    pub(crate) counts: Counts,
    pub(crate) status: Status,
}

/// All incidents by id, dead letters by position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) incidents: BTreeMap<u128, Standing>,
    pub(crate) dead_letters: Vec<(i64, String)>,
    /// All events in their order.
    pub(crate) events: Vec<Noted>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) event: String,
    pub(crate) rule: String,
    pub(crate) epoch: u64,
}

impl Ledger {
    /// Reads the store of a data folder; fails if the revisions of any incident are not 1, 2, 3 and so on.
    pub(crate) fn read(data: &Path) -> Self {
        let store = open_read_only(&data.join(FILE_NAME)).unwrap();
        let mut ledger = Self { incidents: BTreeMap::new(), dead_letters: Vec::new(), events: Vec::new() };
        let mut revisions: BTreeMap<u128, u64> = BTreeMap::new();
        let mut select = store.prepare("SELECT json, epoch FROM incident_events ORDER BY position").unwrap();
        let mut rows = select.query([]).unwrap();
        let mut epoch = 0;
        while let Some(row) = rows.next().unwrap() {
            let json: String = row.get(0).unwrap();
            let event: IncidentEvent = serde_json::from_str(&json).unwrap();
            assert_eq!(i64::try_from(event.epoch).unwrap(), row.get::<_, i64>(1).unwrap());
            assert!(event.epoch >= epoch, "epoch {} comes after epoch {epoch}", event.epoch);
            epoch = event.epoch;
            let id = event.incident_id;
            let revision = revisions.entry(id.0).or_insert(0);
            *revision += 1;
            assert_eq!(event.revision, *revision, "revisions of incident {id} are not contiguous");
            ledger.note(event);
        }
        let mut select = store.prepare("SELECT position, reason FROM dead_letters ORDER BY id").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        ledger.dead_letters = rows.map(Result::unwrap).collect();
        ledger
    }

    fn note(&mut self, event: IncidentEvent) {
        let noted = Noted { event: event.event.name().to_owned(), rule: event.rule.clone(), epoch: event.epoch };
        self.events.push(noted);
        let standing = Standing {
            rule: event.rule,
            group_labels: event.group_labels,
            first_seen: event.first_seen,
            last_seen: event.last_seen,
            members: event.members,
            members_sum: event.members_sum.0,
            counts: event.counts,
            status: event.status,
        };
        self.incidents.insert(event.incident_id.0, standing);
    }

    /// Alerts counted in all incidents.
    pub(crate) fn alerts(&self) -> u64 {
        self.incidents.values().map(|incident| incident.counts.alerts).sum()
    }

    /// Members of all incidents.
    pub(crate) fn members(&self) -> u64 {
        self.incidents.values().map(|incident| incident.members).sum()
    }

    /// Fails with the first differences if the other run came to other incidents or dead letters.
    #[track_caller]
    pub(crate) fn assert_equal(&self, other: &Self) {
        let mut differences = Vec::new();
        for (id, ours) in &self.incidents {
            match other.incidents.get(id) {
                Some(theirs) if theirs == ours => {}
                Some(theirs) => differences.push(format!("{id:032x}\n  {ours:?}\n  {theirs:?}")),
                None => differences.push(format!("{id:032x}\n  {ours:?}\n  missing on the right")),
            }
        }
        let missing = other.incidents.iter().filter(|(id, _)| !self.incidents.contains_key(id));
        differences.extend(missing.map(|(id, theirs)| format!("{id:032x}\n  missing on the left\n  {theirs:?}")));
        let (n, shown) = (differences.len(), differences.iter().take(8).cloned().collect::<Vec<_>>().join("\n"));
        let of = self.incidents.len();
        assert!(differences.is_empty(), "{n} of {of} incidents differ; the first:\n{shown}");
        assert_eq!(self.dead_letters, other.dead_letters);
    }
}
