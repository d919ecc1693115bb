//! Incidents: the list, one of them, and a person's word that one is over.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};

use crate::control::api::parameters::Parameters;
use crate::control::history::{Archive, ArchiveError, Steps};
use crate::control::index::{LIMIT_MAX, Query};
use crate::control::intake::read_body;
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::control::status::Phase;
use crate::model::{IncidentEvent, IncidentId, Severity, Status, Timestamp};
use crate::pipeline::command::{Action, Command};

const LIMIT_DEFAULT: usize = 100;
const BODY_BYTES_MAX: usize = 16 << 10;
const BY_CHARS_MAX: usize = 128;

#[derive(Serialize)]
pub(crate) struct List {
    incidents: Vec<Arc<IncidentEvent>>,
    /// Give it back as `cursor` for what comes after.
    next: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct ShownSteps {
    incident_id: IncidentId,
    #[serde(flatten)]
    steps: Steps,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ResolveRequest {
    by: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Accepted {
    /// Position of the command in its log.
    command: u64,
    detail: &'static str,
}

pub(crate) async fn list(State(control): State<Arc<Control>>, uri: Uri) -> Result<Json<List>, Problem> {
    let page = control.index.list(&query(&uri)?);
    Ok(Json(List { incidents: page.incidents, next: page.next.map(|cursor| cursor.to_string()) }))
}

pub(crate) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Arc<IncidentEvent>>, Problem> {
    Ok(Json(find(&control, &id).await?))
}

pub(crate) async fn steps(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<ShownSteps>, Problem> {
    let id = parse(&id)?;
    let steps = all_steps(&control, id).await?;
    Ok(Json(ShownSteps { incident_id: id, steps }))
}

/// The steps of an incident: from memory where these are all, else from the store.
///
/// # Errors
/// When nobody knows the incident, or the store cannot be read.
pub(crate) async fn all_steps(control: &Arc<Control>, id: IncidentId) -> Result<Steps, Problem> {
    let known = control.index.steps(id);
    if known.complete {
        return Ok(known);
    }
    let stored = ask(control, move |archive| archive.steps(id)).await?;
    let steps = if stored.steps.len() > known.steps.len() { stored } else { known };
    if steps.steps.is_empty() { Err(unknown()) } else { Ok(steps) }
}

pub(crate) async fn resolve(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let body = read_body(request, BODY_BYTES_MAX, &control.admission).await?;
    let by = by(&body.bytes)?;
    let command = order_resolve(&control, &id, by).await?;
    let detail = "written to the command log; the incident is resolved with one of the next epochs";
    Ok((StatusCode::ACCEPTED, Json(Accepted { command, detail })))
}

/// Writes to the command log that a person says that an incident is over; the position in that log.
///
/// # Errors
/// When nobody knows the incident, it is over, the daemon does not run, or the log cannot be written.
pub(crate) async fn order_resolve(control: &Arc<Control>, id: &str, by: String) -> Result<u64, Problem> {
    let wait = control.admission.options().retry_after_seconds;
    let phase = control.board.read().phase;
    if phase != Phase::Running {
        return Err(Problem::unavailable("not_taken", format!("the daemon is {}", phase.name()), wait));
    }
    let incident = find(control, id).await?;
    if incident.status == Status::Resolved {
        return Err(Problem::new(StatusCode::CONFLICT, "already_resolved", "this incident is over"));
    }
    let told = by.escape_debug().to_string();
    let action = Action::Resolve { incident_id: incident.incident_id };
    let command = Command { at: control.clock.now(), by, action };
    let log = Arc::clone(&control.commands);
    let appended = tokio::task::spawn_blocking(move || log.append(command)).await;
    match appended {
        Ok(Ok(command)) => {
            let incident_id = incident.incident_id;
            tracing::info!(%incident_id, by = told, command, "{told} resolves incident {incident_id}");
            Ok(command)
        }
        Ok(Err(error)) => Err(Problem::unavailable("not_taken", format!("write the command: {error}"), wait)),
        Err(_) => Err(Problem::unavailable("not_taken", "the writer of commands stopped", wait)),
    }
}

fn query(uri: &Uri) -> Result<Query, Problem> {
    let known = ["status", "severity", "filter", "since", "id", "limit", "cursor"];
    let parameters = Parameters::read(uri, &known)?;
    let status = parameters.read_as("status", |word| match word {
        "firing" => Ok(Status::Firing),
        "resolved" => Ok(Status::Resolved),
        _ => Err("must be firing or resolved".to_owned()),
    })?;
    let severity = parameters.read_as("severity", |word| {
        let known = Severity::ALL.into_iter().find(|severity| severity.name() == word);
        known.ok_or_else(|| format!("must be one of {}", Severity::ALL.map(Severity::name).join(", ")))
    })?;
    let since = parameters.read_as("since", |text| {
        Timestamp::parse(text).ok_or_else(|| "must be a time such as 2026-01-31T08:00:00Z".to_owned())
    })?;
    let id_prefix = parameters.read_as("id", |text| {
        let is_prefix = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_prefix { Ok(text.to_ascii_lowercase()) } else { Err("must be 1 to 32 hexadecimal digits".to_owned()) }
    })?;
    let limit = parameters.read_as("limit", |text| match text.parse() {
        Ok(limit @ 1..=LIMIT_MAX) => Ok(limit),
        _ => Err(format!("must be a number from 1 to {LIMIT_MAX}")),
    })?;
    let cursor = parameters.read_as("cursor", str::parse)?;
    let matchers = parameters.matchers("filter")?;
    Ok(Query { status, severity, matchers, since, id_prefix, limit: limit.unwrap_or(LIMIT_DEFAULT), cursor })
}

/// The newest event of an incident, from memory or the store.
///
/// # Errors
/// When the id is none, nobody knows it, or the store cannot be read.
pub(crate) async fn find(control: &Arc<Control>, id: &str) -> Result<Arc<IncidentEvent>, Problem> {
    let id = parse(id)?;
    if let Some(event) = control.index.get(id) {
        return Ok(event);
    }
    ask(control, move |archive| archive.newest(id)).await?.map(Arc::new).ok_or_else(unknown)
}

fn parse(id: &str) -> Result<IncidentId, Problem> {
    id.parse().map_err(|fault: String| Problem::bad_request("bad_incident_id", fault))
}

fn unknown() -> Problem {
    let detail = "no such incident, or it is over for so long that it was forgotten";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

/// Reads the store on a thread that may block.
async fn ask<T: Send + 'static>(
    control: &Arc<Control>,
    question: impl FnOnce(&dyn Archive) -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, Problem> {
    let archive = Arc::clone(&control.archive);
    let failed = |detail: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store_unreadable", detail);
    match tokio::task::spawn_blocking(move || question(&*archive)).await {
        Ok(answer) => answer.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed("the reader of the store stopped".to_owned())),
    }
}

/// Who resolves: the body `{"by": "..."}`, or an empty one.
fn by(body: &[u8]) -> Result<String, Problem> {
    if body.is_empty() {
        return Ok("api".to_owned());
    }
    let fault = |detail: String| Problem::bad_request("bad_body", detail);
    let request: ResolveRequest = serde_json::from_slice(body)
        .map_err(|error| fault(format!("expected nothing or {{\"by\": \"name\"}}: {error}")))?;
    check_by(request.by.unwrap_or_else(|| "api".to_owned()))
}

/// A name that can be shown on one line.
///
/// # Errors
/// When it is empty, too long or has control characters.
pub(crate) fn check_by(by: String) -> Result<String, Problem> {
    if by.is_empty() || by.chars().count() > BY_CHARS_MAX || by.chars().any(char::is_control) {
        let detail = format!("`by` must be a name of 1 to {BY_CHARS_MAX} characters");
        return Err(Problem::bad_request("bad_body", detail));
    }
    Ok(by)
}
