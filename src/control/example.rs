//! Incidents, and a daemon without a pipeline, for the tests of this room.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::control::api::{CommandError, Commands, Reload};
use crate::control::guard::{Guard, GuardOptions};
use crate::control::history::{Archive, ArchiveError, Step, Steps};
use crate::control::index::IncidentIndex;
use crate::control::intake::{Admission, Intake, IntakeOptions, Refused, RejectedSamples};
use crate::control::routes::{self, Control, Part};
use crate::control::status::{Phase, StatusBoard};
use crate::metrics::Metrics;
use crate::model::alert::Format;
use crate::model::incident::{Counts, EVENT_VERSION, Sample};
use crate::model::time::Clock;
use crate::model::{EventKind, EventReason, Fingerprint, GroupHash, IncidentEvent, IncidentId};
use crate::model::{Severity, Status, Timestamp};
use crate::pipeline::command::Command;
use crate::pipeline::sink::IncidentRecord;
use crate::pipeline::source::Answer;

/// The time at which everything in these tests happens.
pub(crate) const NOW: Timestamp = Timestamp(1_795_334_400_000);

/// What the pipeline does with the next request.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    Answer(Answer),
    Refuse,
    NeverAnswer,
}

/// A pipeline that does what it is told.
pub(crate) struct Puppet {
    pub(crate) script: Mutex<Script>,
    pub(crate) bodies: Mutex<Vec<(Format, Bytes)>>,
    pub(crate) commands: Mutex<Vec<Command>>,
    pub(crate) fault: Mutex<Option<String>>,
    /// What only the store remembers, oldest first.
    pub(crate) archived: Mutex<Vec<Arc<IncidentEvent>>>,
    waiting: Mutex<Vec<oneshot::Sender<Answer>>>,
}

impl Puppet {
    /// Answers everybody who waits.
    pub(crate) fn answer_all(&self, answer: &Answer) {
        self.waiting.lock().unwrap().drain(..).for_each(|sender| sender.send(answer.clone()).unwrap());
    }
}

impl Intake for Puppet {
    fn submit(&self, format: Format, body: Bytes) -> Result<oneshot::Receiver<Answer>, Refused> {
        let (sender, receiver) = oneshot::channel();
        match self.script.lock().unwrap().clone() {
            Script::Answer(answer) => sender.send(answer).unwrap(),
            Script::Refuse => return Err(Refused { retry_after_seconds: 7 }),
            Script::NeverAnswer => self.waiting.lock().unwrap().push(sender),
        }
        self.bodies.lock().unwrap().push((format, body));
        Ok(receiver)
    }
}

impl Commands for Puppet {
    fn append(&self, command: Command) -> Result<u64, CommandError> {
        if let Some(fault) = self.fault.lock().unwrap().clone() {
            return Err(CommandError(fault));
        }
        self.commands.lock().unwrap().push(command);
        Ok(12)
    }
}

impl Reload for Puppet {
    fn reload(&self) -> Result<(), String> {
        self.fault.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl Archive for Puppet {
    fn newest(&self, id: IncidentId) -> Result<Option<IncidentEvent>, ArchiveError> {
        let archived = self.archived.lock().unwrap();
        Ok(archived.iter().rev().find(|event| event.incident_id == id).map(|event| IncidentEvent::clone(event)))
    }

    fn steps(&self, id: IncidentId) -> Result<Steps, ArchiveError> {
        let archived = self.archived.lock().unwrap();
        let events = archived.iter().filter(|event| event.incident_id == id);
        Ok(Steps::of(events.map(|event| Step::from(&**event))))
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A daemon that runs, with a puppet for a pipeline.
pub(crate) struct House {
    pub(crate) control: Arc<Control>,
    pub(crate) puppet: Arc<Puppet>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(IntakeOptions::default())
    }

    pub(crate) fn with(options: IntakeOptions) -> Self {
        let puppet = Arc::new(Puppet {
            script: Mutex::new(Script::Answer(Answer::Durable { accepted: 1, rejected: Vec::new() })),
            bodies: Mutex::default(),
            commands: Mutex::default(),
            fault: Mutex::default(),
            archived: Mutex::default(),
            waiting: Mutex::default(),
        });
        let control = Control {
            metrics: Metrics::new(),
            index: Arc::new(IncidentIndex::new(10)),
            archive: Arc::clone(&puppet) as Arc<dyn Archive>,
            busiest: Arc::default(),
            feed: Arc::default(),
            pulse: Arc::default(),
            board: Arc::new(StatusBoard::new(NOW)),
            samples: RejectedSamples::default(),
            admission: Admission::new(options),
            intake: Arc::clone(&puppet) as Arc<dyn Intake>,
            commands: Arc::clone(&puppet) as Arc<dyn Commands>,
            reload: Arc::clone(&puppet) as Arc<dyn Reload>,
            tap: Default::default(),
            clock: Box::new(Stopped),
        };
        control.board.enter(Phase::Running);
        Self { control: Arc::new(control), puppet }
    }

    pub(crate) fn script(&self, script: Script) {
        *self.puppet.script.lock().unwrap() = script;
    }

    pub(crate) fn router(&self, part: Part) -> Router {
        routes::router(Arc::clone(&self.control), part)
    }

    /// The guarded router of a loopback listener.
    pub(crate) fn guarded(&self, token: Option<&str>, part: Part) -> Router {
        let options =
            GuardOptions { token: token.map(SecretString::from), is_loopback: true, ..GuardOptions::default() };
        Guard::new(options, self.control.metrics.clone()).protect(self.router(part))
    }

    /// The guarded router of a loopback listener without a token.
    pub(crate) fn router_with_guard(&self) -> Router {
        self.guarded(None, Part::Everything)
    }

    /// Sends a request through the guard of a loopback listener without a token.
    pub(crate) async fn call(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        answer(self.guarded(None, Part::Everything), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, _, body) = self.call(request("GET", path, "")).await;
        (status, body)
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> (StatusCode, HeaderMap, String) {
        self.call(request("POST", path, body)).await
    }
}

/// An event as the commit thread hands it to the feed.
pub(crate) fn record(event: &Arc<IncidentEvent>) -> IncidentRecord {
    IncidentRecord { group: event.group, event: Arc::clone(event), json: serde_json::to_vec(&**event).unwrap() }
}

/// A request to localhost.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path).header("host", "localhost:9093");
    builder.body(Body::from(body.to_owned())).unwrap()
}

pub(crate) async fn answer(router: Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Incident `id` of service `s<id>`: first seen in second `id`, this revision's record time `revision` ms later.
pub(crate) fn event(id: u32, revision: u64, status: Status) -> Arc<IncidentEvent> {
    let service = BTreeMap::from([("service".to_owned(), format!("s{id}"))]);
    let first_seen = Timestamp(i64::from(id) * 1_000);
    let record_time = Timestamp(first_seen.0 + i64::try_from(revision).unwrap_or(0));
    Arc::new(IncidentEvent {
        version: EVENT_VERSION,
        event: if status == Status::Firing { EventKind::Opened } else { EventKind::Resolved },
        reason: if status == Status::Firing { EventReason::FirstAlert } else { EventReason::AllResolved },
        incident_id: IncidentId(u128::from(id)),
        revision,
        epoch: 1,
        record_time,
        committed_at: record_time,
        catching_up: false,
        status,
        severity_max: Severity::Warning,
        rule: "default".to_owned(),
        group: GroupHash(u128::from(id)),
        group_labels: service.clone(),
        first_seen,
        last_seen: record_time,
        window_closed: false,
        members: 1,
        members_sum: Fingerprint(7),
        firing: u64::from(status == Status::Firing),
        counts: Counts::default(),
        resolved_by: None,
        samples: vec![Sample {
            fingerprint: Fingerprint(7),
            severity: Severity::Warning,
            first_seen,
            starts_at: None,
            labels: service,
            annotations: BTreeMap::from([("summary".to_owned(), "it <b>burns</b>".to_owned())]),
            generator_url: None,
        }]
        .into(),
        links: Vec::new(),
    })
}
