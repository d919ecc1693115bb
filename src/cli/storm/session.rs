//! One storm from the first alert to the verdict: sends on a thread of its own, looks meanwhile, waits until the daemon is
//! through, and puts together the record.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cli::storm::course::{Course, Moment};
use crate::cli::storm::delivery::Delivery;
use crate::cli::storm::figures::counted;
use crate::cli::storm::live::{Live, Look};
use crate::cli::storm::outlet::{Openings, Outlet, send};
use crate::cli::storm::pace::{Pacer, Schedule};
use crate::cli::storm::record::{Generator, RECORD_VERSION, Record};
use crate::cli::storm::watch::{Found, Watch};
use crate::metrics::process::usage;
use crate::model::Timestamp;
use crate::model::time::{Clock as _, SystemClock};
use crate::storm::{Flood, Truth};

/// How often the end is looked for; the line moves at most this often.
const FRAME: Duration = Duration::from_millis(20);

/// What a storm is made of.
pub(super) struct Storm {
    pub(super) flood: Flood,
    pub(super) outlet: Box<dyn Outlet + Send>,
    pub(super) delivery: Delivery,
    pub(super) rate: f64,
    pub(super) watch: Option<Watch>,
    /// How long to wait in the end until the daemon is through and its incidents tell of every alert.
    pub(super) settle: Duration,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) truth: Truth,
    pub(super) record: Record,
}

struct Session {
    delivery: Delivery,
    openings: Openings,
    watch: Option<Watch>,
    schedule: Schedule,
    alerts: u64,
    course: Course,
    live: Live,
    /// When the daemon was last looked at.
    looked_at: Duration,
}

/// Plays a storm to its end. What was asked for (target, batches and so on) is for the caller to add to the record.
///
/// # Errors
/// When nothing further can be sent, or the daemon does not answer any more.
pub(super) fn play(storm: Storm) -> Result<Outcome> {
    let Storm { mut flood, outlet, delivery, rate, watch, settle } = storm;
    let alerts = u64::from(flood.options().alerts);
    let (cpu_before, started_at) = (usage(None), SystemClock.now());
    let mut pacer = Pacer::new(rate, delivery.clock());
    let (openings, schedule) = (Openings::default(), pacer.schedule());
    let (course, live) = (Course::default(), Live::open(alerts));
    let looked_at = schedule.origin;
    let mut session = Session { delivery, openings, watch, schedule, alerts, course, live, looked_at };
    let elapsed = std::thread::scope(|scope| {
        let (delivery, openings) = (session.delivery.clone(), session.openings.clone());
        let (flood, pacer) = (&mut flood, &mut pacer);
        let sends = move || {
            let sent = send(flood, outlet, pacer, &delivery, &openings);
            sent.map(|()| pacer.elapsed())
        };
        let sender = std::thread::Builder::new().name("storm".to_owned()).spawn_scoped(scope, sends);
        let sender = sender.context("start a thread")?;
        while !sender.is_finished() {
            session.look();
            std::thread::sleep(FRAME);
        }
        sender.join().unwrap_or_else(|_| bail!("the sending thread has failed"))
    })?;
    let cpu_seconds = usage(None).zip(cpu_before).map(|(now, before)| now.cpu_seconds - before.cpu_seconds);
    let truth = flood.truth();
    let found = session.settle(&truth, settle)?;
    let generator = Generator {
        late: Some(session.delivery.lateness()).filter(|late| !late.is_empty()),
        cpu_seconds,
        cores: cpu_seconds.map(|cpu| cpu / elapsed.as_secs_f64().max(1e-6)),
    };
    Ok(session.outcome(truth, found.as_ref(), started_at, elapsed, generator))
}

impl Session {
    /// Moves the line, and takes a moment if it is time for one.
    fn look(&mut self) {
        let since_start = self.delivery.clock().elapsed().saturating_sub(self.schedule.origin);
        // A look that fails shows itself by a moment that is missing; the last one must succeed.
        if self.course.is_due(since_start) && (self.watch.is_none() || self.look_at_daemon()) {
            self.take_moment();
        }
        self.show();
    }

    /// Asks the daemon; false if it did not answer.
    fn look_at_daemon(&mut self) -> bool {
        let is_seen = self.watch.as_mut().is_some_and(|watch| watch.look(&self.openings));
        if is_seen {
            self.looked_at = self.delivery.clock().elapsed();
        }
        is_seen
    }

    fn take_moment(&mut self) {
        let mut moment = Moment::default();
        let recent = self.delivery.recent_answers();
        if !recent.is_empty() {
            (moment.acknowledged_p50_ms, moment.acknowledged_p99_ms) = (Some(recent.p50_ms), Some(recent.p99_ms));
        }
        if let Some(watch) = &mut self.watch {
            watch.tell(&mut moment);
        }
        let now = self.delivery.clock().elapsed();
        moment.at_s = now.saturating_sub(self.schedule.origin).as_secs_f64();
        moment.offered = self.offered(now);
        moment.acknowledged = self.delivery.score().sent;
        moment.behind = moment.offered.saturating_sub(moment.taken.unwrap_or(moment.acknowledged));
        self.course.add(moment);
    }

    fn offered(&self, now: Duration) -> u64 {
        self.schedule.due_by(now, self.alerts).unwrap_or_else(|| self.delivery.n_made())
    }

    fn show(&mut self) {
        let score = self.delivery.score();
        // What the daemon said is of when it was asked, and is compared with what was due then.
        let (at, done) = match &self.watch {
            Some(watch) => (self.looked_at, watch.reading().fates.counts.received),
            None => (self.delivery.clock().elapsed(), score.sent),
        };
        self.live.show(&Look {
            at: at.saturating_sub(self.schedule.origin),
            done,
            behind: self.offered(at).saturating_sub(done),
            score: &score,
            acknowledged: self.delivery.answers(),
            incident: self.watch.as_ref().map(Watch::alert_to_incident),
        });
    }

    /// Waits until the daemon has taken everything, then until its incidents tell of it.
    fn settle(&mut self, truth: &Truth, settle: Duration) -> Result<Option<Found>> {
        let until = self.delivery.clock().elapsed() + settle;
        let sent = self.delivery.score().sent;
        while self.watch.is_some() {
            let is_seen = self.look_at_daemon();
            let is_through = self.watch.as_mut().is_some_and(|watch| watch.has_taken(sent));
            let now = self.delivery.clock().elapsed();
            if is_seen && (is_through || self.course.is_due(now.saturating_sub(self.schedule.origin))) {
                self.take_moment();
            }
            if is_through || now >= until {
                break;
            }
            self.show();
            std::thread::sleep(FRAME);
        }
        if self.watch.is_none() {
            self.take_moment();
        }
        let Some(watch) = &mut self.watch else { return Ok(None) };
        self.live.say(&format!("{}: waiting for their last counts", counted(truth.groups.len() as u64, "incident")));
        watch.settle(truth, &self.openings, until).map(Some)
    }

    fn outcome(
        self,
        truth: Truth,
        found: Option<&Found>,
        started_at: Timestamp,
        elapsed: Duration,
        generator: Generator,
    ) -> Outcome {
        let score = self.delivery.score();
        let moments = self.course.moments();
        let origin = self.schedule.origin;
        let daemon = self.watch.as_ref().zip(found).map(|(watch, found)| watch.record(found, &truth, origin, moments));
        let conserved = self.watch.as_ref().is_none_or(|watch| watch.reading().fates.counts.is_conserved());
        let mut faults = Vec::new();
        if !score.is_complete() {
            let why = score.first_error.as_deref().unwrap_or("no reason is known");
            faults.push(format!("{} not taken: {why}", counted(score.failed, "alert")));
        }
        let received = daemon.as_ref().map_or(score.sent, |daemon| daemon.received);
        if received != score.sent {
            let mut fault = format!("{} sent, {} received", counted(score.sent, "alert"), received);
            if score.doubtful > 0 {
                fault += &format!("; {} were sent again and may have come twice", score.doubtful);
            }
            faults.push(fault);
        }
        if !conserved {
            faults.push("the fates of the alerts do not add up to those received".to_owned());
        }
        let is_found = found.is_none_or(|found| found.comparison.is_exact());
        if let Some(found) = found.filter(|_| !is_found) {
            faults.push(format!("the incidents are not those of the flood: {}", found.comparison));
        }
        let seconds = elapsed.as_secs_f64();
        let corrected = self.schedule.rate > 0.0;
        let record = Record {
            version: RECORD_VERSION,
            tidegate: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            to: String::new(),
            shape: truth.shape.name().to_owned(),
            seed: truth.seed,
            tag: String::new(),
            alerts: self.alerts,
            rate: self.schedule.rate,
            batch: None,
            connections: None,
            linger_ms: 0,
            sent: score.sent,
            failed: score.failed,
            retries: score.retries,
            doubtful: score.doubtful,
            first_error: score.first_error.clone(),
            complete: score.is_complete() && received >= score.sent && score.sent == self.alerts,
            seconds,
            sent_per_second: score.sent as f64 / seconds.max(1e-6),
            incidents: truth.groups.len() as u64,
            fingerprints: truth.members,
            exact: daemon.is_some().then_some(is_found && conserved && received == score.sent),
            faults,
            corrected,
            acknowledged: Some(self.delivery.answers()).filter(|answers| !answers.is_empty()),
            generator,
            daemon,
            course: self.course.into_moments(),
        };
        Outcome { truth, record }
    }
}
