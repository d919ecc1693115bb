//! What the daemon says: asked once a second on a thread of its own, so that the screen never waits for an answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::{Deserialize, Serialize};

use crate::cli::client::{Client, NotFound};
use crate::control::api::groups::{Groups, Sort};
use crate::control::busiest::GROUPS_MAX;
use crate::control::history::Steps;
use crate::control::pulse::{SAMPLES_MAX, Sample};
use crate::model::time::{Clock as _, SystemClock};
use crate::model::{IncidentEvent, IncidentId, Timestamp};

/// Time between two questions.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Seconds of history that are asked for at first, and after a pause.
const HISTORY_SECONDS: i64 = 240;
/// Groups asked for while nothing is filtered: more than any screen has lines.
const GROUPS_SHOWN: usize = 200;

/// What `/api/v1/status` says, as far as it is shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct DaemonStatus {
    pub(super) version: String,
    pub(super) ready: bool,
    pub(super) now: Timestamp,
    pub(super) phase: String,
    pub(super) trouble: Option<String>,
    pub(super) started_at: Timestamp,
    pub(super) config_hash: String,
    pub(super) last_reload_fault: Option<String>,
    pub(super) sources: Vec<SourceDelay>,
}

/// A source and how far it lies behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SourceDelay {
    pub(super) name: String,
    pub(super) clock: Option<Timestamp>,
    pub(super) delay_seconds: f64,
}

#[derive(Deserialize)]
struct PulseAnswer {
    samples: Vec<Sample>,
}

/// What is wanted of the next look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) sort: Sort,
    /// Every group, because a filter hides some.
    pub(super) all_groups: bool,
    /// The incident whose steps are shown.
    pub(super) detail: Option<IncidentId>,
}

/// One look at the daemon.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// By our clock.
    pub(super) taken: Timestamp,
    pub(super) status: DaemonStatus,
    /// Samples since the look before, oldest first.
    pub(super) samples: Vec<Sample>,
    pub(super) groups: Groups,
    pub(super) detail: Option<Detail>,
}

/// An incident in full.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    pub(super) id: IncidentId,
    /// Absent while it is not announced.
    pub(super) event: Option<IncidentEvent>,
    pub(super) steps: Steps,
}

/// What the thread tells.
#[derive(Debug)]
pub(super) enum News {
    /// It answered.
    Look(Box<Look>),
    /// It did not: why.
    Lost(String),
}

/// Asks the daemon everything that a picture needs. `since`: the newest sample that is known already.
///
/// # Errors
/// When it does not answer.
pub(super) fn look(client: &Client, wanted: Wanted, since: Option<Timestamp>) -> anyhow::Result<Look> {
    let taken = SystemClock.now();
    let status: DaemonStatus = client.get("/api/v1/status", &[])?;
    let missed = since.map_or(HISTORY_SECONDS, |since| (status.now - since).0 / 1_000 + 2);
    let last = missed.clamp(2, HISTORY_SECONDS.min(SAMPLES_MAX as i64)).to_string();
    let pulse: PulseAnswer = client.get("/api/v1/pulse", &[("last", &last)])?;
    let limit = if wanted.all_groups { GROUPS_MAX } else { GROUPS_SHOWN }.to_string();
    let groups = client.get("/api/v1/groups", &[("sort", wanted.sort.name()), ("limit", &limit)])?;
    let detail = wanted.detail.map(|id| detail(client, id)).transpose()?;
    Ok(Look { taken, status, samples: pulse.samples, groups, detail })
}

fn detail(client: &Client, id: IncidentId) -> anyhow::Result<Detail> {
    let event = known(client.get(&format!("/api/v1/incidents/{id}"), &[]))?;
    let steps = if event.is_some() { known(client.get(&format!("/api/v1/incidents/{id}/steps"), &[]))? } else { None };
    Ok(Detail { id, event, steps: steps.unwrap_or_default() })
}

/// An incident that is not announced yet is no failure.
fn known<T>(answer: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is::<NotFound>() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The thread that asks.
pub(super) struct Feed {
    wanted: Arc<Mutex<Wanted>>,
    /// Ends the pause between two questions; hung up, it ends the thread.
    nudge: Sender<()>,
    pub(super) news: Receiver<News>,
}

impl Feed {
    /// Starts to ask.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn start(client: Client, since: Option<Timestamp>) -> anyhow::Result<Self> {
        let wanted = Arc::new(Mutex::new(Wanted::default()));
        let (nudge, nudged) = bounded(1);
        let (tell, news) = bounded(2);
        let asks = Asker { client, wanted: Arc::clone(&wanted), nudged, tell, since };
        std::thread::Builder::new().name("feed".to_owned()).spawn(move || asks.run()).context("start thread")?;
        Ok(Self { wanted, nudge, news })
    }

    /// Says what is wanted from now on; a change is asked for at once.
    pub(super) fn want(&self, wanted: Wanted) {
        let mut now = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != wanted {
            *now = wanted;
            let _ = self.nudge.try_send(()); // If one is under way already, that is enough.
        }
    }
}

struct Asker {
    client: Client,
    wanted: Arc<Mutex<Wanted>>,
    nudged: Receiver<()>,
    tell: Sender<News>,
    since: Option<Timestamp>,
}

impl Asker {
    fn run(mut self) {
        loop {
            match self.nudged.recv_timeout(EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let wanted = *self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            let news = match look(&self.client, wanted, self.since) {
                Ok(look) => {
                    self.since = look.samples.last().map(|sample| sample.at).or(self.since);
                    News::Look(Box::new(look))
                }
                Err(error) => News::Lost(format!("{error:#}")),
            };
            if self.tell.send(news).is_err() {
                return;
            }
        }
    }
}
