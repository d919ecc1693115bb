//! What must hold in the end, read from the log as any consumer reads it (the invariants are those of the fault test plan).

use std::collections::{BTreeMap, BTreeSet};

use tidegate::model::alert::Status;
use tidegate::model::fingerprint::IncidentId;
use tidegate::model::incident::{EventKind, IncidentEvent};
use tidegate::pipeline::sink::kafka::records::{OWNER_KEY, StateKey};
use tidegate::pipeline::state::Restored;

use crate::broker::Broker;
use crate::client::{DEAD_LETTERS, INCIDENTS, STATE};
use crate::workload::{Known, Workload};

/// How many incidents and epochs there were.
///
/// # Errors
/// Which invariant is broken, and how.
pub(crate) fn check(broker: &Broker, workload: &Workload) -> Result<(u64, u64), String> {
    if let Some(violation) = broker.violations.first() {
        return Err(violation.clone());
    }
    let epochs = epochs_follow_each_other(broker)?;
    let last = events_are_in_order(broker, &epochs)?;
    let truth = workload.truth();
    let mut found: Vec<Known> = last.values().map(known).collect();
    found.sort_unstable();
    if found != truth.incidents {
        let wrong: Vec<_> = found.iter().filter(|known| !truth.incidents.contains(known)).collect();
        let missing: Vec<_> = truth.incidents.iter().filter(|known| !found.contains(known)).collect();
        let (n, expected) = (found.len(), truth.incidents.len());
        return Err(format!("I3: {n} incidents of {expected}; there is {wrong:#?}, there should be {missing:#?}"));
    }
    conservation(broker, &truth.outcomes, truth.received)?;
    rejects_are_kept_once(broker, truth.outcomes[5])?;
    Ok((found.len() as u64, epochs.len() as u64))
}

/// I4: epochs without a gap, each in one transaction; which one, by its number.
fn epochs_follow_each_other(broker: &Broker) -> Result<BTreeMap<u64, u64>, String> {
    let mut epochs: BTreeMap<u64, u64> = BTreeMap::new();
    let mut before: Option<StateKey> = None;
    for (offset, transaction, record) in broker.partition(STATE, 0).committed() {
        if record.key == OWNER_KEY {
            continue;
        }
        let key: StateKey = record.key.parse().map_err(|()| format!("I4: key {:?} at {offset}", record.key))?;
        let follows = before.is_none_or(|before| {
            key.epoch == before.epoch && key.index == before.index + 1
                || key.epoch == before.epoch + 1 && key.index == 0
        });
        if !follows {
            return Err(format!("I4: block {key} follows {before:?}"));
        }
        if epochs.insert(key.epoch, transaction).is_some_and(|other| other != transaction) {
            return Err(format!("I4: epoch {} is in two transactions", key.epoch));
        }
        before = Some(key);
    }
    Ok(epochs)
}

/// I2 and I4: revisions of an incident run from 1 without a gap, and each event came with the state of its epoch. Returns the
/// last event of each incident.
fn events_are_in_order(
    broker: &Broker,
    epochs: &BTreeMap<u64, u64>,
) -> Result<BTreeMap<IncidentId, IncidentEvent>, String> {
    let oldest = epochs.keys().next().copied().unwrap_or(0); // What was trimmed cannot be compared.
    let mut last: BTreeMap<IncidentId, IncidentEvent> = BTreeMap::new();
    for partition in 0..broker.topics[INCIDENTS].len() {
        for (offset, transaction, record) in broker.partition(INCIDENTS, partition as i32).committed() {
            let event: IncidentEvent =
                serde_json::from_slice(&record.value).map_err(|error| format!("event at {offset}: {error}"))?;
            let id = event.incident_id;
            let before = last.get(&id).map_or(0, |event| event.revision);
            if event.revision != before + 1 {
                return Err(format!("I2: revision {} of {id} follows {before}", event.revision));
            }
            if (event.event == EventKind::Opened) != (event.revision == 1) {
                return Err(format!("I2: {id} has {:?} as revision {}", event.event, event.revision));
            }
            if event.epoch >= oldest && epochs.get(&event.epoch) != Some(&transaction) {
                return Err(format!("I4: an event of {id} came without the state of its epoch {}", event.epoch));
            }
            last.insert(id, event);
        }
    }
    Ok(last)
}

fn known(event: &IncidentEvent) -> Known {
    Known {
        group: event.group_labels.get("service").cloned().unwrap_or_default(),
        first_seen: event.first_seen.0,
        last_seen: event.last_seen.0,
        members: event.members,
        by_status: event.counts.status,
        is_resolved: event.status == Status::Resolved,
    }
}

/// I1: every alert has one outcome, and the right one; the totals are part of the state.
fn conservation(broker: &Broker, outcomes: &[u64; 6], received: u64) -> Result<(), String> {
    let mut restored = Restored::default();
    for (_, _, record) in broker.partition(STATE, 0).committed().filter(|(_, _, record)| record.key != OWNER_KEY) {
        restored.take_block(&record.value).map_err(|error| format!("I4: {error}"))?;
    }
    let meta = restored.meta.ok_or("I1: there is no state")?;
    let totals = meta.totals.first().ok_or("I1: there are no totals")?;
    if totals.received != received || totals.outcomes != outcomes {
        let (found, counted) = (totals.received, &totals.outcomes);
        return Err(format!("I1: {found} of {received} received, as {counted:?} and not {outcomes:?}"));
    }
    Ok(())
}

/// I1 for what could not be read: each such record lies in the dead letters, once.
fn rejects_are_kept_once(broker: &Broker, rejected: u64) -> Result<(), String> {
    let mut places = BTreeSet::new();
    for (_, _, record) in broker.partition(DEAD_LETTERS, 0).committed() {
        let place = record.headers.iter().find(|(key, _)| key == "dlq.source").map(|(_, place)| place.clone());
        if !places.insert(place.clone()) {
            return Err(format!("I1: two dead letters of {place:?}"));
        }
    }
    if places.len() as u64 == rejected {
        Ok(())
    } else {
        Err(format!("I1: {} dead letters of {rejected}", places.len()))
    }
}
