//! What `--picture` needs of a replay: every alert with its fate, the events, and what windows and members did.
//!
//! A picture of a flood tells nobody anything, so the file has to be small: what is beyond a bound is refused, with a
//! word on how to narrow it down.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::ensure;

use crate::cli::replay::draw::{self, Head};
use crate::cli::replay::scene::Scene;
use crate::control::config::meaning::own_settings;
use crate::model::alert::Status;
use crate::model::fingerprint::{Fingerprint, GroupHash, HashKey, IncidentId};
use crate::model::incident::IncidentEvent;
use crate::model::labels;
use crate::model::time::Timestamp;
use crate::pipeline::chunk::Seq;
use crate::pipeline::epoch::Attached;
use crate::pipeline::exchange::{Chunk, Exchange};
use crate::pipeline::options::{Options, WindowRule};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::shard::event::Landmark;
use crate::pipeline::sink::Epoch;
use crate::pipeline::source::{Batch, SourceIndex};

/// Alerts of a picture. At 340 points of width more would lie on top of each other.
pub(super) const ALERTS_MAX: usize = 1_000;
/// Lanes of a picture, a lane for each fingerprint of a group: about a screen.
pub(super) const LANES_MAX: usize = 40;
/// Rows of incidents of a picture: incidents of one group that are open at the same time take a row each.
pub(super) const ROWS_MAX: usize = 40;

/// An alert as it reached its group, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) time: Timestamp,
    pub(super) fingerprint: Fingerprint,
    pub(super) group: GroupHash,
    /// Index of the window rule.
    pub(super) rule: u16,
    pub(super) status: Status,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) outcome: Outcome,
    pub(super) incident: Option<IncidentId>,
}

/// What a replay of a small file has decided.
pub(super) struct Picture {
    exchange: Exchange,
    options: Arc<Options>,
    clock: Timestamp,
    n_records: u64,
    alerts: BTreeMap<Seq, Seen>,
    events: Vec<Arc<IncidentEvent>>,
    landmarks: Vec<Landmark>,
    n_rejected: usize,
}

impl Picture {
    /// Nothing yet. The alerts are read once more, by the same decoder and the same rules as in the engine.
    pub(super) fn new(options: Arc<Options>) -> Self {
        Self {
            exchange: Exchange::new(options.clone(), HashKey::FIXED, Arc::default(), false),
            options,
            clock: Timestamp(0), // Where a file without any times is drawn.
            n_records: 0,
            alerts: BTreeMap::new(),
            events: Vec::new(),
            landmarks: Vec::new(),
            n_rejected: 0,
        }
    }

    /// Takes the alerts of a batch that the engine gets, too.
    ///
    /// # Errors
    /// When there are more than a picture can show.
    pub(super) fn see(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let copy = Batch {
            bytes: batch.bytes.clone(),
            records: batch.records.clone(),
            partitions: batch.partitions.clone(),
            replies: Vec::new(),
        };
        let source = Some(SourceIndex(0));
        let chunk = Chunk { source, first_record: self.n_records, batch: copy, ..Chunk::default() };
        self.n_records += batch.records.len() as u64;
        for part in &self.exchange.route(chunk).parts {
            for arrival in &part.arrivals {
                self.clock = self.clock.max(arrival.time);
                let seen = Seen {
                    time: if arrival.time == Timestamp::MIN { self.clock } else { arrival.time },
                    fingerprint: arrival.fingerprint,
                    group: arrival.group,
                    rule: arrival.rule,
                    status: arrival.status,
                    labels: labels::to_map(&part.labels(arrival)),
                    outcome: Outcome::Folded,
                    incident: None,
                };
                self.alerts.insert(arrival.seq, seen);
            }
        }
        ensure!(
            self.alerts.len() <= ALERTS_MAX,
            "a picture shows at most {ALERTS_MAX} alerts and this file has more: draw a shorter time, or the alerts of one \
             service (grep its name out of the file), or replay without --picture"
        );
        Ok(())
    }

    /// Takes what the engine decided in an epoch.
    pub(super) fn take(&mut self, epoch: &Epoch, attached: &Attached) {
        for decision in &attached.decisions {
            if let Some(seen) = self.alerts.get_mut(&decision.seq) {
                (seen.outcome, seen.incident) = (decision.outcome, decision.incident);
            }
        }
        self.events.extend(epoch.incidents.iter().map(|record| record.event.clone()));
        self.landmarks.extend(&attached.landmarks);
        self.n_rejected += epoch.dead_letters.len();
    }

    /// The picture as SVG; the title is any text.
    ///
    /// # Errors
    /// When there is nothing to show, or more lanes or rows than a picture can hold.
    pub(super) fn draw(&self, title: String) -> anyhow::Result<String> {
        let alerts: Vec<&Seen> = self.alerts.values().collect();
        ensure!(!alerts.is_empty(), "there is nothing to draw: the file has no alert that could be read");
        let rules: &[WindowRule] = &self.options.rules;
        let scene = Scene::new(&alerts, &self.events, &self.landmarks, rules);
        let n_lanes = scene.groups.iter().map(|group| group.lanes.len()).sum::<usize>();
        ensure!(
            n_lanes <= LANES_MAX,
            "a picture shows at most {LANES_MAX} different alerts and this file has {n_lanes}: draw the alerts of one service \
             or cluster, or drop a label that only tells copies apart (`identity`)"
        );
        let n_rows = scene.groups.iter().map(|group| group.n_rows).sum::<usize>();
        ensure!(
            n_rows <= ROWS_MAX,
            "a picture shows at most {ROWS_MAX} incidents side by side and this file makes {n_rows}: draw a shorter time or \
             fewer groups"
        );
        let identity = self.options.sources.first().map(|source| source.identity.clone()).unwrap_or_default();
        let mut settings = own_settings(&identity, rules);
        if settings.is_empty() {
            settings.push("every setting at its default".to_owned());
        }
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut result = format!("{} → {}", count(alerts.len(), "alert"), count(scene.n_incidents, "incident"));
        result += &format!(", {}", count(self.events.len(), "event"));
        if self.n_rejected > 0 {
            result += &format!(", {} rejected", self.n_rejected);
        }
        Ok(draw::draw(&scene, &Head { title, settings, result }))
    }
}
