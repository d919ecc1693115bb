//! For operators and their machines: metrics, health, readiness, status, reload.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::control::api::parameters::Parameters;
use crate::control::problem::Problem;
use crate::control::pulse::{self, Sample};
use crate::control::routes::Control;
use crate::control::status::Status;
use crate::model::Timestamp;

/// The version of Prometheus' text format that `Metrics::render` writes.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Samples of the pulse in an answer: one minute.
const PULSE_DEFAULT: usize = 60;

/// A probe that is told no comes again this soon.
const READY_RETRY_SECONDS: u32 = 1;

#[derive(Serialize)]
pub(crate) struct ShownStatus {
    version: &'static str,
    ready: bool,
    now: Timestamp,
    #[serde(flatten)]
    status: Status,
    incidents_open: usize,
    incidents_resolved_kept: usize,
}

#[derive(Serialize)]
pub(crate) struct ShownPulse {
    /// Time between two samples.
    every_seconds: i64,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
pub(crate) struct Word {
    status: &'static str,
}

pub(crate) async fn metrics(State(control): State<Arc<Control>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], control.metrics.render())
}

pub(crate) async fn healthy() -> Json<Word> {
    Json(Word { status: "healthy" })
}

pub(crate) async fn ready(State(control): State<Arc<Control>>) -> Result<Json<Word>, Problem> {
    let status = control.board.read();
    if status.is_ready() {
        return Ok(Json(Word { status: "ready" }));
    }
    // The trouble in words is for those with a token: see the status.
    let detail = if status.trouble.is_some() { "in trouble" } else { status.phase.name() };
    Err(Problem::unavailable("not_ready", detail, READY_RETRY_SECONDS))
}

pub(crate) async fn status(State(control): State<Arc<Control>>) -> Json<ShownStatus> {
    let status = control.board.read();
    let (incidents_open, incidents_resolved_kept) = control.index.len();
    Json(ShownStatus {
        version: env!("CARGO_PKG_VERSION"),
        ready: status.is_ready(),
        now: control.clock.now(),
        status: Status::clone(&status),
        incidents_open,
        incidents_resolved_kept,
    })
}

pub(crate) async fn pulse(State(control): State<Arc<Control>>, uri: Uri) -> Result<Json<ShownPulse>, Problem> {
    let parameters = Parameters::read(&uri, &["last"])?;
    let last = parameters.read_as("last", |text| match text.parse() {
        Ok(last @ 1..=pulse::SAMPLES_MAX) => Ok(last),
        _ => Err(format!("must be a number from 1 to {}", pulse::SAMPLES_MAX)),
    })?;
    let samples = control.pulse.last(last.unwrap_or(PULSE_DEFAULT));
    Ok(Json(ShownPulse { every_seconds: pulse::EVERY.0 / 1_000, samples }))
}

pub(crate) async fn reload(State(control): State<Arc<Control>>) -> Result<Json<Word>, Problem> {
    let reload = Arc::clone(&control.reload);
    match tokio::task::spawn_blocking(move || reload.reload()).await {
        Ok(Ok(())) => Ok(Json(Word { status: "reloaded" })),
        Ok(Err(faults)) => Err(Problem::bad_request("config_faults", faults)),
        Err(_) => {
            let detail = "the reload stopped half way; the old configuration stays";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "reload_failed", detail))
        }
    }
}
