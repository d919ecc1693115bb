//! The door for senders: three formats, answered with success only when the alerts are durable.
//!
//! 200: everything was taken. 400: something could not be read; the rest was taken, and the answer says which is which.
//! 503 with Retry-After: nothing is known to be taken, send again. Never 429: senders of alerts take it as final.

mod admission;
mod body;
mod reasons;
mod samples;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body::Body;
use serde::Serialize;
use tokio::sync::oneshot;

pub use crate::control::intake::admission::{Admission, IntakeOptions};
pub(crate) use crate::control::intake::body::read as read_body;
pub use crate::control::intake::reasons::advice;
pub use crate::control::intake::samples::{RejectedSample, RejectedSamples};
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::control::status::Phase;
use crate::metrics::Metric;
use crate::model::alert::Format;
use crate::pipeline::decode::Reject;
use crate::pipeline::source::Answer;

/// Bad elements named in one answer; the rest is counted.
const NAMED_MAX: usize = 100;

/// There is no room for a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When the sender should come again.
    pub retry_after_seconds: u32,
}

/// The way into the pipeline.
pub trait Intake: Send + Sync {
    /// Hands a body over without waiting. The answer comes when the epoch that holds it is durable; a channel that closes
    /// without an answer means that nothing was taken.
    ///
    /// # Errors
    /// When there is no room; the body is then not looked at.
    fn submit(&self, format: Format, body: Bytes) -> Result<oneshot::Receiver<Answer>, Refused>;
}

#[derive(Serialize)]
struct Taken {
    accepted: u32,
}

#[derive(Serialize)]
struct PartlyTaken {
    error: &'static str,
    detail: String,
    accepted: u32,
    rejected: Vec<BadElement>,
}

#[derive(Serialize)]
struct BadElement {
    index: u32,
    reason: &'static str,
    detail: &'static str,
}

/// The doors: where alerts are posted to, and in which format.
const DOORS: [(&str, Format); 3] = [
    ("/api/v2/alerts", Format::AlertmanagerV2),
    ("/api/v1/alerts", Format::Native),
    ("/api/v1/webhooks/alertmanager", Format::AlertmanagerWebhook),
];

/// The door at a path, as the table of routes names it.
pub(crate) fn door(path: &str) -> Option<(&'static str, Format)> {
    DOORS.into_iter().find(|(known, _)| *known == path)
}

pub(crate) async fn alertmanager_v2(State(control): State<Arc<Control>>, request: Request) -> Response {
    take(&control, Format::AlertmanagerV2, request).await
}

pub(crate) async fn native(State(control): State<Arc<Control>>, request: Request) -> Response {
    take(&control, Format::Native, request).await
}

pub(crate) async fn alertmanager_webhook(State(control): State<Arc<Control>>, request: Request) -> Response {
    take(&control, Format::AlertmanagerWebhook, request).await
}

pub(crate) async fn rejected_samples(State(control): State<Arc<Control>>) -> Json<Vec<RejectedSample>> {
    Json(control.samples.list())
}

/// Takes the alerts of a request, and answers when they are durable.
pub(crate) async fn take<B>(control: &Control, format: Format, request: http::Request<B>) -> Response
where
    B: Body<Data = Bytes> + Unpin,
{
    let response = match try_take(control, format, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        control.metrics.add(Metric::HttpRefused, &[], 1);
    }
    response
}

async fn try_take<B>(control: &Control, format: Format, request: http::Request<B>) -> Result<Response, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let options = control.admission.options();
    let refused = |detail: String| Problem::unavailable("not_taken", detail, options.retry_after_seconds);
    let phase = control.board.read().phase;
    if phase != Phase::Running {
        return Err(refused(format!("the daemon is {}: send again", phase.name())));
    }
    let _place = control.admission.enter().ok_or_else(|| refused("too many senders at once: send again".to_owned()))?;
    let body = read_body(request, options.body_bytes_max, &control.admission).await?;
    let sample = control.samples.beginning_of(&body.bytes);
    let answer = control.intake.submit(format, body.bytes).map_err(|busy| {
        let detail = "the pipeline is full: send again";
        Problem::unavailable("not_taken", detail, busy.retry_after_seconds)
    })?;
    drop(body.room); // From here on the pipeline's own bound holds.
    match tokio::time::timeout(options.answer_timeout, answer).await {
        Ok(Ok(Answer::Durable { accepted, rejected })) => Ok(durable(format, accepted, &rejected)),
        Ok(Ok(Answer::Unreadable(reason))) => {
            control.samples.keep(RejectedSample::new(control.clock.now(), format, reason, sample));
            Err(Problem::bad_request(reason.name(), format!("nothing was taken: {}", advice(reason))))
        }
        Ok(Ok(Answer::NotTaken) | Err(_)) => Err(refused("the alerts were not made durable: send again".to_owned())),
        Err(_) => Err(refused("the alerts are not known to be durable yet: send again".to_owned())),
    }
}

fn durable(format: Format, accepted: u32, rejected: &[(u32, Reject)]) -> Response {
    if rejected.is_empty() {
        return match format {
            Format::AlertmanagerV2 => StatusCode::OK.into_response(), // As Alertmanager: an empty body.
            Format::Native | Format::AlertmanagerWebhook => Json(Taken { accepted }).into_response(),
        };
    }
    let named: Vec<BadElement> = rejected
        .iter()
        .take(NAMED_MAX)
        .map(|(index, reason)| BadElement { index: *index, reason: reason.name(), detail: advice(*reason) })
        .collect();
    let first: Vec<String> = named.iter().take(3).map(|bad| format!("[{}] {}", bad.index, bad.reason)).collect();
    let detail = format!(
        "{} of {} alerts could not be read and went to the dead letters ({}{}); the other {accepted} were taken",
        rejected.len(),
        rejected.len() + accepted as usize,
        first.join(", "),
        if rejected.len() > first.len() { ", ..." } else { "" },
    );
    (StatusCode::BAD_REQUEST, Json(PartlyTaken { error: "rejected", detail, accepted, rejected: named }))
        .into_response()
}
