//! A running daemon while it is stormed: what it takes, what it tells, what it costs; and in the end whether its incidents
//! are the true ones.
//!
//! Only incidents of this flood are looked at: its clusters end with the flood's tag, which nobody used before.

mod arrivals;
mod fates;
mod gate;
mod reading;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::Url;

pub(crate) use fates::Fates;
pub(crate) use gate::Gate;
pub(crate) use reading::Reading;

use crate::cli::storm::course::Moment;
use crate::cli::storm::latency::{Latencies, Quantiles};
use crate::cli::storm::outlet::Openings;
use crate::cli::storm::record::Daemon;
use crate::cli::storm::watch::arrivals::Arrivals;
use crate::metrics::process::{Usage, usage};
use crate::model::IncidentEvent;
use crate::model::time::Stopwatch;
use crate::pipeline::outcome::Outcome;
use crate::storm::{Comparison, FoundIncident, Truth};

/// The stream tells an event a moment after the list has it; longer than this it is not coming.
const STREAM_BEHIND_MAX: Duration = Duration::from_secs(2);
/// Between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two reads of the whole list of incidents, where the stream does not tell.
const LIST_EVERY: Duration = Duration::from_secs(1);

/// Whom to watch.
#[derive(Debug, Clone)]
pub(super) struct WatchOptions {
    pub(super) url: Url,
    pub(super) metrics: Option<Url>,
    pub(super) token_file: Option<PathBuf>,
    /// Its process, if it is on this machine.
    pub(super) pid: Option<u32>,
    /// The flood's tag; not empty.
    pub(super) tag: String,
}

/// A daemon that is watched.
pub(super) struct Watch {
    gate: Gate,
    options: WatchOptions,
    version: String,
    clock: Stopwatch,
    arrivals: Arrivals,
    before: Reading,
    usage_before: Option<Usage>,
    /// The last look, since the beginning.
    now: Reading,
    /// When everything was taken, and what it had cost by then.
    taken: Option<(Duration, Reading, Option<Usage>)>,
    /// When the incident of a group was due, until it is opened.
    dues: BTreeMap<String, Duration>,
    /// Incidents that were opened before their due time was known.
    opened: Vec<(String, Duration)>,
    latencies: Latencies,
    rss_peak: u64,
}

/// The incidents in the end, held against the truth.
pub(super) struct Found {
    pub(super) comparison: Comparison,
    pub(super) incidents: u64,
    pub(super) revisions_seen: bool,
    pub(super) settled_after: Duration,
}

impl Watch {
    /// Looks at the daemon before the first alert.
    ///
    /// # Errors
    /// When it does not answer, or somebody has used the tag before.
    pub(super) fn begin(options: WatchOptions, clock: Stopwatch) -> Result<Self> {
        let gate = Gate::at(options.url.clone(), options.metrics.clone(), options.token_file.clone())?;
        let version = gate.version()?;
        let known = gate.incidents(Some(&filter(&options.tag)))?;
        if !known.is_empty() {
            bail!("the daemon has {} incidents with the tag {:?} already: take another one", known.len(), options.tag);
        }
        let arrivals = Arrivals::listen(gate.events()?, format!("-{}", options.tag), clock)?;
        let before = gate.reading()?;
        let usage_before = match options.pid {
            Some(pid) => Some(usage(Some(pid)).with_context(|| format!("--pid {pid}: there is no such process"))?),
            None => None,
        };
        Ok(Self {
            gate,
            options,
            version,
            clock,
            arrivals,
            before,
            usage_before,
            now: Reading::default(),
            taken: None,
            dues: BTreeMap::new(),
            opened: Vec::new(),
            latencies: Latencies::default(),
            rss_peak: 0,
        })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &Url {
        self.gate.url()
    }

    /// Asks for its metrics and sees what has arrived; false if it did not answer.
    pub(super) fn look(&mut self, openings: &Openings) -> bool {
        self.match_openings(openings);
        let Ok(reading) = self.gate.reading() else { return false };
        self.now = reading.since(&self.before);
        self.rss_peak = self.rss_peak.max(reading.rss_bytes.unwrap_or(0));
        true
    }

    /// Adds what was seen last, and the latencies since this was last asked.
    pub(super) fn tell(&mut self, moment: &mut Moment) {
        let recent = self.latencies.recent();
        if !recent.is_empty() {
            (moment.incident_p50_ms, moment.incident_p99_ms) = (Some(recent.p50_ms), Some(recent.p99_ms));
        }
        let Reading { fates, lag_records, lag_seconds, commits, cpu_seconds, rss_bytes } = &self.now;
        moment.taken = Some(fates.counts.received);
        (moment.lag_records, moment.lag_seconds) = (Some(*lag_records), Some(*lag_seconds));
        (moment.epochs, moment.cpu_seconds, moment.rss_bytes) = (Some(commits.count), *cpu_seconds, *rss_bytes);
    }

    /// From due to opened, for those that were opened since.
    fn match_openings(&mut self, openings: &Openings) {
        self.opened.append(&mut self.arrivals.seen().opened);
        self.dues.extend(openings.take());
        for (group, arrived) in std::mem::take(&mut self.opened) {
            if let Some(due) = self.dues.remove(&group) {
                self.latencies.record(arrived.saturating_sub(due), 1);
            }
        }
    }

    /// Alert to incident, so far.
    pub(super) fn alert_to_incident(&self) -> Quantiles {
        self.latencies.whole()
    }

    /// Whether so many alerts were taken; the first time it is so, what it cost is noted.
    pub(super) fn has_taken(&mut self, alerts: u64) -> bool {
        let is_through = self.now.fates.counts.received >= alerts && self.now.lag_records == 0;
        if is_through && self.taken.is_none() {
            self.taken = Some((self.clock.elapsed(), self.now.clone(), usage(self.options.pid)));
        }
        is_through
    }

    /// What its metrics said last, since the beginning.
    pub(super) fn reading(&self) -> &Reading {
        &self.now
    }

    /// Waits until the incidents tell of all alerts, or until the time is over, and compares them with the truth.
    ///
    /// # Errors
    /// When the daemon does not answer any more.
    pub(super) fn settle(&mut self, truth: &Truth, openings: &Openings, until: Duration) -> Result<Found> {
        let begun = self.clock.elapsed();
        let mut incidents = None;
        while self.clock.elapsed() < until {
            let (told, is_broken) = {
                let seen = self.arrivals.seen();
                (seen.told, seen.broken.is_some())
            };
            if is_broken {
                let listed = self.incidents()?;
                let told: u64 = listed.iter().map(|event| event.counts.alerts).sum();
                incidents = Some(listed);
                if told >= truth.alerts {
                    break;
                }
                std::thread::sleep(LIST_EVERY);
            } else if told >= truth.alerts {
                break;
            } else {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        let settled_after = self.clock.elapsed() - begun;
        let incidents = incidents.map_or_else(|| self.incidents(), Ok)?;
        let revisions_seen = self.hear_all(&incidents);
        self.match_openings(openings);
        let seen = self.arrivals.seen();
        let found = incidents.iter().map(|event| {
            let leads = !revisions_seen || seen.leads_to(event.incident_id, event.revision);
            FoundIncident::from_last(event, leads)
        });
        let found: Vec<FoundIncident> = found.collect();
        let comparison = truth.compare(&found);
        Ok(Found { comparison, incidents: found.len() as u64, revisions_seen, settled_after })
    }

    /// Waits until the stream has told what the list has; whether it has told everything.
    fn hear_all(&self, incidents: &[IncidentEvent]) -> bool {
        let watch = Stopwatch::start();
        loop {
            {
                let seen = self.arrivals.seen();
                if seen.broken.is_some() {
                    return false;
                }
                let is_told = |event: &IncidentEvent| seen.leads_to(event.incident_id, event.revision);
                if incidents.iter().all(is_told) || watch.elapsed() >= STREAM_BEHIND_MAX {
                    return true;
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn incidents(&self) -> Result<Vec<IncidentEvent>> {
        self.gate.incidents(Some(&filter(&self.options.tag)))
    }

    /// Everything that was seen, for the record. `origin` is when the first alert was due.
    pub(super) fn record(&self, found: &Found, truth: &Truth, origin: Duration, course: &[Moment]) -> Daemon {
        let at_end = (self.clock.elapsed(), self.now.clone(), usage(self.options.pid));
        let (at, reading, used) = self.taken.as_ref().unwrap_or(&at_end);
        let used = used.filter(|_| self.options.pid.is_some());
        let seconds = at.saturating_sub(origin).as_secs_f64().max(1e-6);
        let counts = &reading.fates.counts;
        let own_cpu = used.zip(self.usage_before).map(|(now, before)| now.cpu_seconds - before.cpu_seconds);
        let cpu_seconds = own_cpu.or(reading.cpu_seconds);
        let is_taken = self.taken.is_some();
        let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1_000.0);
        let latency = self.latencies.whole();
        let most = |of: fn(&Moment) -> f64| course.iter().map(of).fold(0.0, f64::max);
        Daemon {
            url: self.url().to_string(),
            version: self.version.clone(),
            received: counts.received,
            outcomes: Outcome::ALL.iter().map(|outcome| outcome.name().to_owned()).zip(counts.outcomes).collect(),
            held: counts.held,
            incidents: found.incidents,
            incidents_exact: found.comparison.exact as u64,
            events: self.now.fates.events,
            revisions_seen: found.revisions_seen,
            alert_to_incident: Some(latency).filter(|latency| !latency.is_empty()),
            openings_unseen: (truth.groups.len() as u64).saturating_sub(latency.count),
            taken_after_s: is_taken.then_some(seconds),
            taken_per_second: is_taken.then_some(counts.received as f64 / seconds),
            cpu_seconds,
            cores: cpu_seconds.map(|cpu| cpu / seconds),
            cpu_us_per_alert: cpu_seconds.map(|cpu| cpu * 1e6 / counts.received.max(1) as f64),
            rss_bytes: used.map(|used| used.rss_bytes).or(reading.rss_bytes),
            rss_peak_bytes: used.map(|used| used.rss_peak_bytes).or(Some(self.rss_peak).filter(|peak| *peak > 0)),
            rss_peak_from: if used.is_some() { "kernel" } else { "looks" }.to_owned(),
            behind_max: most(|moment| moment.behind as f64) as u64,
            lag_records_max: most(|moment| moment.lag_records.unwrap_or(0) as f64) as u64,
            lag_seconds_max: most(|moment| moment.lag_seconds.unwrap_or(0.0)),
            epochs: reading.commits.count,
            commit_mean_ms: ms(reading.commits.mean()),
            commit_p50_at_most_ms: ms(reading.commits.at_most(0.5)),
            commit_p99_at_most_ms: ms(reading.commits.at_most(0.99)),
            settled_after_s: found.settled_after.as_secs_f64(),
        }
    }
}

/// The matcher that selects the groups of a tag.
fn filter(tag: &str) -> String {
    format!("cluster=~\".*-{tag}\"")
}
