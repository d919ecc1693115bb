//! A live sample of what passes a stage, one JSON object per line, until the client goes or the daemon drains.
//!
//! The pipeline only puts samples where this handler looks for them: it is never asked, and never waits for a client.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::control::api::parameters::Parameters;
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::control::status::Phase;
use crate::model::Timestamp;
use crate::pipeline::tap::{Listening, Question, RATE_DEFAULT, RATE_MAX, Sample, Seen, Stage};

/// Media type of lines of JSON. Source: the NDJSON specification, version 1.0.
const LINES_TYPE: &str = "application/x-ndjson";
/// Time between two looks for samples: short for the eye, and an idle listener costs next to nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks between two beats, 5 s: proxies cut a silent stream after 30 to 60 s, and a client that has gone is noticed.
const LOOKS_PER_BEAT: u32 = 100;
/// Lines written at once; with the largest samples some 2 MiB.
const LINES_AT_ONCE: usize = 256;
/// A client for whom there is no place comes again after this.
const RETRY_AFTER_SECONDS: u32 = 5;

/// A line of the answer.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    /// What passed.
    Sample(Sample),
    /// The stream lives; at its beginning, and every 5 s.
    Beat {
        at: Timestamp,
        #[serde(flatten)]
        seen: Seen,
    },
    /// Nothing more comes.
    End {
        at: Timestamp,
        reason: &'static str,
        #[serde(flatten)]
        seen: Seen,
    },
}

pub(crate) async fn listen(State(control): State<Arc<Control>>, uri: Uri) -> Result<Response, Problem> {
    let (question, limit) = question(&uri)?;
    let (stage, rate) = (question.stage.name(), question.rate);
    let listening = control.tap.listen(question);
    let listening =
        listening.map_err(|crowded| Problem::unavailable("crowded", crowded.to_string(), RETRY_AFTER_SECONDS))?;
    // It shows what alerts say: who runs the daemon can see that somebody looks.
    tracing::info!(stage, rate, "somebody listens at the tap: stage {stage}, {rate} samples per second");
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let telling = Telling { control, listening, limit, looks, looks_to_beat: 0, is_over: false };
    let lines = stream::unfold(telling, async |mut telling| {
        let lines = telling.next_lines().await?;
        Some((Ok::<Bytes, Infallible>(lines), telling))
    });
    // Proxies of nginx's kind gather an answer before they pass it on, unless told not to.
    let headers = [(header::CONTENT_TYPE, LINES_TYPE), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

fn question(uri: &Uri) -> Result<(Question, u64), Problem> {
    let parameters = Parameters::read(uri, &["stage", "rate", "filter", "limit"])?;
    let stage = parameters.read_as("stage", |word| {
        let known = Stage::ALL.into_iter().find(|stage| stage.name() == word);
        known.ok_or_else(|| format!("must be one of {}", Stage::ALL.map(Stage::name).join(", ")))
    })?;
    let rate = parameters.read_as("rate", |text| match text.parse() {
        Ok(rate @ 1..=RATE_MAX) => Ok(rate),
        _ => Err(format!("must be a number of samples per second from 1 to {RATE_MAX}")),
    })?;
    let limit = parameters.read_as("limit", |text| match text.parse() {
        Ok(limit @ 1_u64..) => Ok(limit),
        _ => Err("must be a number of samples, 1 or more".to_owned()),
    })?;
    let matchers = parameters.matchers("filter")?;
    let stage = stage.unwrap_or(Stage::Shard);
    if stage == Stage::Record && !matchers.is_empty() {
        let detail = "filter: a record that is not decoded yet has no labels; listen to the stage decode instead";
        return Err(Problem::bad_request("bad_parameter", detail));
    }
    Ok((Question { stage, rate: rate.unwrap_or(RATE_DEFAULT), matchers }, limit.unwrap_or(u64::MAX)))
}

/// What is told to one client.
struct Telling {
    control: Arc<Control>,
    listening: Listening,
    /// Samples still to be shown.
    limit: u64,
    looks: Interval,
    looks_to_beat: u32,
    is_over: bool,
}

impl Telling {
    /// The next lines once there are any; `None` after the end.
    async fn next_lines(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut lines = Vec::new();
        while lines.is_empty() {
            self.looks.tick().await;
            self.look(&mut lines);
        }
        Some(Bytes::from(lines))
    }

    fn look(&mut self, lines: &mut Vec<u8>) {
        // Asked before the samples are taken: what came before the drain is still told.
        let is_draining = self.control.board.read().phase >= Phase::Draining;
        for _ in 0..LINES_AT_ONCE {
            if self.limit == 0 {
                break;
            }
            let Some(sample) = self.listening.next_sample() else { break };
            self.limit -= 1;
            push(lines, &Line::Sample(sample));
        }
        let (at, seen) = (self.control.clock.now(), self.listening.seen());
        let end = match (self.limit, is_draining) {
            (0, _) => Some("limit"),
            (_, true) => Some("draining"),
            (_, false) => None,
        };
        if let Some(reason) = end {
            self.is_over = true;
            push(lines, &Line::End { at, reason, seen });
        } else if self.looks_to_beat == 0 {
            self.looks_to_beat = LOOKS_PER_BEAT - 1;
            push(lines, &Line::Beat { at, seen });
        } else {
            self.looks_to_beat -= 1;
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let Seen { shown, over_rate, dropped } = self.listening.seen();
        tracing::info!(
            shown,
            over_rate,
            dropped,
            "a listener has left the tap: {shown} samples shown, {over_rate} over the rate, {dropped} read too slowly"
        );
    }
}

fn push(lines: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *lines, line).expect("a line is texts, numbers and maps with text keys");
    lines.push(b'\n');
}
