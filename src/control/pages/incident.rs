//! One incident: what it is, how much of it, what happened when, the first of its alerts; and a person's word that it is over.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};

use crate::control::api::incidents::{all_steps, check_by, find, order_resolve};
use crate::control::guard::Guest;
use crate::control::history::{Step, Steps};
use crate::control::pages::list::headline;
use crate::control::pages::login::read_form;
use crate::control::pages::part::{Part, page};
use crate::control::pages::plot::{Plot, Shape};
use crate::control::pages::words::{self, Clock, Mark, When, number, shown, span};
use crate::control::pages::{assets, overview};
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::model::incident::{LinkKind, Sample};
use crate::model::{EventKind, EventReason, IncidentEvent, Severity, Status, Timestamp};

/// Longest texts: names and values of labels, and annotations, of which the whole is in the API.
const LABEL_MAX: usize = 500;
const ANNOTATION_MAX: usize = 4_000;
const HEADLINE_MAX: usize = 300;
/// Entries of the timeline, the newest ones; all of them are in the API.
const STEPS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "incident.html", config = "src/control/pages/askama.toml")]
struct IncidentView {
    style: String,
    script: String,
    live: String,
    can_log_out: bool,
    id: String,
    title: String,
    was_asked: bool,
    parts: Vec<Part>,
}

#[derive(Template)]
#[template(path = "facts.html", config = "src/control/pages/askama.toml")]
struct FactsView {
    id: String,
    mark: Mark,
    is_open: bool,
    headline: String,
    labels: Vec<(String, String)>,
    rule: String,
    began: When,
    last: When,
    ended: Option<When>,
    lasted: String,
    resolved_by: Option<String>,
    catching_up: bool,
    window_closed: bool,
    members: String,
    firing: String,
    alerts: String,
    by_severity: Vec<(Mark, String, u64)>,
    by_status: [(&'static str, String); 2],
    predecessors: Vec<String>,
}

#[derive(Template)]
#[template(path = "timeline.html", config = "src/control/pages/askama.toml")]
struct TimelineView {
    plot: Plot,
    top: String,
    from: Clock,
    to: Clock,
    steps: Vec<StepView>,
    complete: bool,
    earlier: usize,
    id: String,
}

struct StepView {
    /// The revisions it stands for.
    first: u64,
    last: u64,
    kind: &'static str,
    word: &'static str,
    /// How many steps, and over which time, if more than one.
    times: Option<(usize, String)>,
    at: Clock,
    ago: When,
    reason: String,
    members: Change,
    firing: Change,
    alerts: Change,
}

/// A number of a step, and by how much it grew since the step before.
struct Change {
    now: String,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "samples.html", config = "src/control/pages/askama.toml")]
struct SamplesView {
    samples: Vec<SampleView>,
    members: String,
    is_part: bool,
}

struct SampleView {
    key: String,
    mark: Mark,
    name: String,
    said: String,
    began: When,
    labels: Vec<(String, String)>,
    annotations: Vec<Annotation>,
    generator: Option<String>,
    generator_text: Option<String>,
}

struct Annotation {
    name: String,
    text: String,
    link: Option<String>,
}

#[derive(Template)]
#[template(path = "resolve.html", config = "src/control/pages/askama.toml")]
struct ResolveView {
    id: String,
    is_open: bool,
}

pub(crate) async fn show(
    State(control): State<Arc<Control>>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let event = find(&control, &id).await?;
    let steps = all_steps(&control, event.incident_id).await?;
    let mut parts = vec![overview::status(&control)];
    parts.extend(incident_parts(&event, &steps, control.clock.now()));
    let view = IncidentView {
        style: assets::style_url(),
        script: assets::script_url(),
        live: format!("/incidents/{}/live", event.incident_id),
        can_log_out: guest == Guest::Session,
        id: event.incident_id.to_string(),
        title: headline(&event, 80),
        was_asked: uri.query() == Some("asked") && event.status == Status::Firing,
        parts,
    };
    Ok(page(StatusCode::OK, &view))
}

/// The form: a name, and the incident's page again. Anybody who may read may also say that something is over.
pub(crate) async fn resolve(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let form = read_form(&control, request).await?;
    let by = form.into_iter().find(|(name, _)| name == "by").map(|(_, by)| by.trim().to_owned());
    let by = check_by(by.unwrap_or_default())?;
    match order_resolve(&control, &id, by).await {
        Ok(_) => Ok(Redirect::to(&format!("/incidents/{id}?asked")).into_response()),
        // Two people, or one with a second click: what was wanted is so.
        Err(problem) if problem.error == "already_resolved" => {
            Ok(Redirect::to(&format!("/incidents/{id}")).into_response())
        }
        Err(problem) => Err(problem),
    }
}

/// The living parts of an incident's page.
pub(crate) fn incident_parts(event: &IncidentEvent, steps: &Steps, now: Timestamp) -> Vec<Part> {
    let key = format!("{}", event.revision);
    let is_open = event.status == Status::Firing;
    let id = event.incident_id.to_string();
    vec![
        Part::new("facts", key.clone(), &facts(event, now)),
        Part::new("resolve", is_open.to_string(), &ResolveView { id: id.clone(), is_open }),
        Part::new("samples", key.clone(), &samples(event, now)),
        Part::new("timeline", format!("{key} {}", steps.steps.len()), &timeline(event, steps, now)),
    ]
}

fn labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<(String, String)> {
    labels.into_iter().map(|(name, value)| (shown(name, LABEL_MAX), shown(value, LABEL_MAX))).collect()
}

fn facts(event: &IncidentEvent, now: Timestamp) -> FactsView {
    let is_open = event.status == Status::Firing;
    let end = if is_open { now } else { event.record_time };
    let all = event.counts.alerts.max(1);
    let counted = Severity::ALL.into_iter().zip(event.counts.severity).rev().filter(|(_, n)| *n > 0);
    let [firing, resolved] = event.counts.status;
    let earlier = event.links.iter().filter(|link| link.kind == LinkKind::Predecessor);
    FactsView {
        id: event.incident_id.to_string(),
        mark: Mark(event.severity_max),
        is_open,
        headline: headline(event, HEADLINE_MAX),
        labels: labels(&event.group_labels),
        rule: shown(&event.rule, LABEL_MAX),
        began: When::new(event.first_seen, now),
        last: When::new(event.last_seen, now),
        ended: (!is_open).then(|| When::new(event.record_time, now)),
        lasted: span(end - event.first_seen),
        resolved_by: event.resolved_by.as_deref().map(|by| shown(by, LABEL_MAX)),
        catching_up: event.catching_up,
        window_closed: event.window_closed,
        members: number(event.members),
        firing: number(event.firing),
        alerts: number(event.counts.alerts),
        // Width in hundredths, at least one where there is anything.
        by_severity: counted.map(|(severity, n)| (Mark(severity), number(n), (n * 100 / all).max(1))).collect(),
        by_status: [("firing", number(firing)), ("resolved", number(resolved))],
        predecessors: earlier.map(|link| link.incident_id.to_string()).collect(),
    }
}

fn timeline(event: &IncidentEvent, steps: &Steps, now: Timestamp) -> TimelineView {
    let second = |at: Timestamp| at.0 as f64 / 1_000.0;
    let end = if event.status == Status::Firing { now } else { event.record_time };
    let first = steps.steps.first();
    let from = first.map_or(event.first_seen, |step| if steps.complete { event.first_seen } else { step.record_time });
    let mut points: Vec<(f64, f64)> = vec![(second(from), first.map_or(0.0, |step| step.firing as f64))];
    points.extend(steps.steps.iter().map(|step| (second(step.record_time.max(from)), step.firing as f64)));
    points.push((second(end.max(from)), event.firing as f64));
    let top = points.iter().map(|(_, firing)| *firing).fold(0.0, f64::max);
    let top = number(top as u64);
    let label = format!("Firing members over the life of the incident: now {}, at most {top}", number(event.firing));
    let runs = runs(&steps.steps);
    let earlier = runs.len().saturating_sub(STEPS_MAX);
    let shown_steps = runs.iter().rev().take(STEPS_MAX).map(|run| step_view(run, now)).collect();
    TimelineView {
        plot: Plot::new(&points, Shape::Steps, 1.0, label),
        top,
        from: Clock(from),
        to: Clock(end),
        steps: shown_steps,
        complete: steps.complete,
        earlier,
        id: event.incident_id.to_string(),
    }
}

/// Steps of the same kind, one after the other: what a steady trickle of alerts makes of a timeline.
struct Run<'s> {
    before: Option<&'s Step>,
    first: &'s Step,
    last: &'s Step,
    n_steps: usize,
}

/// Updates in a row that say the same become one; openings and ends stay by themselves.
fn runs(steps: &[Step]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for step in steps {
        let before = runs.last().map(|run| run.last);
        match runs.last_mut() {
            Some(run)
                if step.event == EventKind::Updated
                    && (run.last.event, run.last.reason) == (step.event, step.reason) =>
            {
                run.last = step;
                run.n_steps += 1;
            }
            _ => runs.push(Run { before, first: step, last: step, n_steps: 1 }),
        }
    }
    runs
}

fn step_view(run: &Run<'_>, now: Timestamp) -> StepView {
    let step = run.last;
    let change = |of: fn(&Step) -> u64| {
        let grown = of(step).saturating_sub(run.before.map_or(0, of));
        Change { now: number(of(step)), more: (run.before.is_some() && grown > 0).then(|| number(grown)) }
    };
    let reason = match &step.resolved_by {
        Some(by) if step.event == EventKind::Resolved => format!("{} said that it is over", shown(by, LABEL_MAX)),
        _ if step.reason == EventReason::SeverityRose => {
            format!("{} to {}", words::reason(step.reason), step.severity_max.name())
        }
        _ => words::reason(step.reason).to_owned(),
    };
    let word = match step.event {
        EventKind::Opened => "Opened",
        EventKind::Updated => "Updated",
        EventKind::Resolved => "Resolved",
        EventKind::Reopened => "Reopened",
        EventKind::Merged => "Merged",
    };
    StepView {
        first: run.first.revision,
        last: step.revision,
        kind: step.event.name(),
        word,
        times: (run.n_steps > 1).then(|| (run.n_steps, span(step.record_time - run.first.record_time))),
        at: Clock(step.record_time),
        ago: When::new(step.record_time, now),
        reason,
        members: change(|step| step.members),
        firing: change(|step| step.firing),
        alerts: change(|step| step.alerts),
    }
}

fn samples(event: &IncidentEvent, now: Timestamp) -> SamplesView {
    let mut samples: Vec<&Sample> = event.samples.iter().collect();
    samples.sort_by_key(|sample| std::cmp::Reverse(sample.severity)); // Of equals the first to join stays first.
    SamplesView {
        samples: samples.iter().map(|sample| sample_view(sample, now)).collect(),
        members: number(event.members),
        is_part: event.members > event.samples.len() as u64,
    }
}

fn sample_view(sample: &Sample, now: Timestamp) -> SampleView {
    let annotations = sample.annotations.iter().map(|(name, text)| Annotation {
        name: shown(name, LABEL_MAX),
        link: words::link(text).map(str::to_owned),
        text: shown(text, ANNOTATION_MAX),
    });
    let name = sample.labels.get("alertname").filter(|name| !name.is_empty());
    let said = sample.annotations.get("summary").or_else(|| sample.annotations.get("description"));
    let generator = sample.generator_url.as_deref();
    SampleView {
        key: sample.fingerprint.to_string(),
        mark: Mark(sample.severity),
        name: name.map_or_else(|| "alert".to_owned(), |name| shown(name, LABEL_MAX)),
        said: said.map(|text| shown(text.lines().next().unwrap_or_default(), 200)).unwrap_or_default(),
        began: When::new(sample.first_seen, now),
        labels: labels(&sample.labels),
        annotations: annotations.collect(),
        generator: generator.and_then(words::link).map(str::to_owned),
        generator_text: generator
            .filter(|url| !url.is_empty() && words::link(url).is_none())
            .map(|url| shown(url, LABEL_MAX)),
    }
}
