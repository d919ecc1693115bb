//! What one writes on a weekend: every alert a `serde_json::Value`, the sorted labels joined to a text as fingerprint, hash
//! maps of texts, sessions of 300 s, incident events as JSON into a buffer. One thread, no durability, no limits.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::corpus::{Corpus, Input};
use crate::measure::Meter;

/// Silence after which a session ends.
const GAP_MS: i64 = 300_000;
/// At most one update per session in this time, as ours by default.
const UPDATE_EVERY_MS: i64 = 60_000;

#[derive(Default)]
struct Session {
    number: u64,
    first: i64,
    last: i64,
    told: i64,
    alerts: u64,
    firing: HashSet<String>,
    members: HashSet<String>,
    is_open: bool,
}

#[derive(Default)]
struct Weekend {
    /// How often each fingerprint was seen.
    seen: HashMap<String, u64>,
    sessions: HashMap<(String, String), Session>,
    incidents: u64,
    events: u64,
    out: Vec<u8>,
}

pub(crate) fn run(input: &Input) -> Result<()> {
    let corpus = Corpus::new(input);
    let meter = Meter::start();
    let mut weekend = Weekend::default();
    for (record, at) in corpus.records() {
        weekend.take(record, at.0)?;
    }
    let spent = meter.stop();
    corpus.check(weekend.seen.len() as u64, weekend.incidents)?;
    let more = json!({
        "shape": input.shape, "dress": input.dress.name(), "threads": 1, "identities": weekend.seen.len(),
        "incidents": weekend.incidents, "events": weekend.events, "event_bytes": weekend.out.len(),
    });
    spent.print("weekend", corpus.len() as u64, corpus.bytes.len() as u64, more)
}

impl Weekend {
    fn take(&mut self, record: &[u8], at: i64) -> Result<()> {
        let alert: Value = serde_json::from_slice(record)?;
        let labels = alert["labels"].as_object().context("an alert has labels")?;
        let text = |name: &str| labels.get(name).and_then(Value::as_str);
        let mut sorted: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
        sorted.sort();
        let fingerprint = sorted.join(",");
        *self.seen.entry(fingerprint.clone()).or_default() += 1;
        let cluster = text("cluster").unwrap_or_default().to_owned();
        let service = text("service").or(text("alertname")).unwrap_or_default().to_owned();
        let session = self.sessions.entry((cluster.clone(), service.clone())).or_default();
        let mut event = None;
        if !session.is_open || at - session.last >= GAP_MS {
            self.incidents += 1;
            *session =
                Session { number: self.incidents, first: at, last: at, told: at, is_open: true, ..Session::default() };
            event = Some("opened");
        }
        session.alerts += 1;
        session.last = at;
        if alert["status"] == "resolved" {
            session.firing.remove(&fingerprint);
        } else {
            session.firing.insert(fingerprint.clone());
        }
        session.members.insert(fingerprint);
        if event.is_none() && at - session.told >= UPDATE_EVERY_MS {
            event = Some("updated");
        }
        let Some(event) = event else { return Ok(()) };
        session.told = at;
        self.events += 1;
        let event = json!({
            "event": event, "incident": session.number, "cluster": cluster, "service": service,
            "first": session.first, "last": session.last, "alerts": session.alerts,
            "members": session.members.len(), "firing": session.firing.len(),
        });
        serde_json::to_writer(&mut self.out, &event)?;
        self.out.push(b'\n');
        Ok(())
    }
}
