//! The first page: open incidents, then those that were resolved last; filtered by what stands in the address.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use crate::control::api::parameters::Parameters;
use crate::control::guard::Guest;
use crate::control::index::{Cursor, Query};
use crate::control::pages::part::{Part, page};
use crate::control::pages::words::{Mark, When, number, shown, span};
use crate::control::pages::{assets, overview};
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::control::status::Phase;
use crate::model::incident::Sample;
use crate::model::{IncidentEvent, Matcher, Severity, Status, Timestamp};

/// Open incidents on a page.
const OPEN_ON_PAGE: usize = 50;
/// Resolved incidents below the open ones, and on a page of their own.
const RECENT: usize = 15;
/// Longest texts in a row.
const HEADLINE_MAX: usize = 160;
const LABEL_MAX: usize = 60;
/// Longest filter that is given back to be mended.
const TYPED_MAX: usize = 2_000;
/// Labels in a row; the others are on the incident's own page.
const LABELS_MAX: usize = 6;

/// What stands in the address, as it was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    status: Option<Status>,
    severity: Option<Severity>,
    /// As typed.
    labels: String,
    matchers: Vec<Matcher>,
    cursor: Option<Cursor>,
}

#[derive(Template)]
#[template(path = "list.html", config = "src/control/pages/askama.toml")]
struct ListView {
    style: String,
    script: String,
    live: String,
    can_log_out: bool,
    parts: Vec<Part>,
    statuses: Vec<Choice>,
    severities: Vec<Choice>,
    labels: String,
    fault: Option<String>,
    is_filtered: bool,
}

struct Choice {
    value: &'static str,
    text: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "rows.html", config = "src/control/pages/askama.toml")]
struct RowsView {
    title: &'static str,
    is_open: bool,
    note: String,
    rows: Vec<Row>,
    empty: &'static str,
    next: Option<String>,
    first: Option<String>,
}

/// An incident as a row.
struct Row {
    id: String,
    revision: u64,
    mark: Mark,
    is_open: bool,
    headline: String,
    labels: Vec<(String, String)>,
    more_labels: usize,
    members: String,
    firing: String,
    alerts: String,
    began: When,
    last: When,
    lasted: String,
    note: Option<&'static str>,
}

impl Filter {
    /// Reads the query of an address.
    ///
    /// # Errors
    /// The sentence for whoever typed it.
    pub(crate) fn read(uri: &Uri) -> Result<Self, Problem> {
        let parameters = Parameters::read(uri, &["status", "severity", "labels", "cursor"])?;
        // A form sends its empty fields too.
        let given = |name| parameters.last(name).map(str::trim).filter(|text| !text.is_empty());
        let fault = |name: &str, what: &str| Problem::bad_request("bad_parameter", format!("{name}: {what}"));
        let status = match given("status") {
            None => None,
            Some("open") => Some(Status::Firing),
            Some("resolved") => Some(Status::Resolved),
            Some(_) => return Err(fault("status", "must be open or resolved")),
        };
        let severity = given("severity").map(|word| {
            let known = Severity::ALL.into_iter().find(|severity| severity.name() == word);
            known.ok_or_else(|| fault("severity", "must be critical, high, warning, low, info or unknown"))
        });
        let labels = given("labels").unwrap_or_default().to_owned();
        let matchers = if labels.is_empty() { Ok(Vec::new()) } else { Matcher::parse_all(&labels) };
        let matchers = matchers.map_err(|error| {
            fault(
                "labels",
                &format!("{} at character {}; write service=\"checkout\", cluster=~\"eu.*\"", error.what, error.at + 1),
            )
        })?;
        let cursor = given("cursor").map(|text| text.parse().map_err(|what: String| fault("cursor", &what)));
        Ok(Self { status, severity: severity.transpose()?, labels, matchers, cursor: cursor.transpose()? })
    }

    /// The address again: this filter, on the page that begins at `cursor`.
    fn address(&self, path: &str, cursor: Option<Cursor>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        match self.status {
            Some(Status::Firing) => drop(query.append_pair("status", "open")),
            Some(Status::Resolved) => drop(query.append_pair("status", "resolved")),
            None => {}
        }
        if let Some(severity) = self.severity {
            query.append_pair("severity", severity.name());
        }
        if !self.labels.is_empty() {
            query.append_pair("labels", &self.labels);
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", &cursor.to_string());
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    fn is_empty(&self) -> bool {
        self.status.is_none() && self.severity.is_none() && self.labels.is_empty()
    }

    fn query(&self, status: Status, limit: usize) -> Query {
        let matchers = self.matchers.clone();
        Query {
            status: Some(status),
            severity: self.severity,
            matchers,
            limit,
            cursor: self.cursor,
            ..Query::default()
        }
    }
}

pub(crate) async fn show(
    State(control): State<Arc<Control>>,
    Extension(guest): Extension<Guest>,
    uri: Uri,
) -> Response {
    let (filter, fault) = match Filter::read(&uri) {
        Ok(filter) => (filter, None),
        // What was typed stays in the form, so that it can be mended.
        Err(problem) => {
            (Filter { labels: shown(&typed_labels(&uri), TYPED_MAX), ..Filter::default() }, Some(problem.detail))
        }
    };
    let code = if fault.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let status =
        |value, text: &str, wanted| Choice { value, text: text.to_owned(), is_chosen: filter.status == wanted };
    let severity = |severity: Severity| Choice {
        value: severity.name(),
        text: if severity == Severity::Critical {
            "critical".to_owned()
        } else {
            format!("{} and above", severity.name())
        },
        is_chosen: filter.severity == Some(severity),
    };
    let any = Choice { value: "", text: "any severity".to_owned(), is_chosen: filter.severity.is_none() };
    let ranked = [Severity::Critical, Severity::High, Severity::Warning, Severity::Low, Severity::Info];
    let view = ListView {
        style: assets::style_url(),
        script: assets::script_url(),
        live: if fault.is_none() { filter.address("/live", filter.cursor) } else { String::new() },
        can_log_out: guest == Guest::Session,
        statuses: vec![
            status("", "open and recent", None),
            status("open", "open", Some(Status::Firing)),
            status("resolved", "resolved", Some(Status::Resolved)),
        ],
        severities: std::iter::once(any).chain(ranked.into_iter().map(severity)).collect(),
        labels: filter.labels.clone(),
        is_filtered: !filter.is_empty() || fault.is_some(),
        parts: if fault.is_none() { parts(&control, &filter) } else { vec![overview::status(&control)] },
        fault: fault.map(|fault| shown(&fault, 500)),
    };
    page(code, &view)
}

/// The living parts of the page.
pub(crate) fn parts(control: &Control, filter: &Filter) -> Vec<Part> {
    let now = control.clock.now();
    let mut parts = vec![overview::status(control), overview::numbers(control)];
    if filter.status != Some(Status::Resolved) {
        parts.push(open(control, filter, now));
    }
    if filter.status != Some(Status::Firing) && (filter.cursor.is_none() || filter.status.is_some()) {
        parts.push(resolved(control, filter, now));
    }
    parts
}

fn open(control: &Control, filter: &Filter, now: Timestamp) -> Part {
    let page = control.index.list(&filter.query(Status::Firing, OPEN_ON_PAGE));
    // Before the state is back, an empty list says nothing.
    let phase = control.board.read().phase;
    let is_early = phase < Phase::Running;
    let note = match (page.next, filter.cursor) {
        (None, None) => number(page.incidents.len() as u64),
        (_, None) => format!("the newest {}", page.incidents.len()),
        (_, Some(_)) => format!("{} on this page", page.incidents.len()),
    };
    let view = RowsView {
        title: "Open incidents",
        is_open: true,
        note,
        rows: page.incidents.iter().map(|event| Row::of(event, now)).collect(),
        empty: if phase == Phase::Standby {
            "Another instance is active, and this one follows its state. Open incidents are shown there."
        } else if is_early {
            "The state is being read back. Open incidents appear when that is done."
        } else if filter.is_empty() {
            "Nothing is open. New incidents appear here by themselves."
        } else {
            "No open incident passes this filter."
        },
        next: page.next.map(|cursor| filter.address("/", Some(cursor))),
        first: filter.cursor.map(|_| filter.address("/", None)),
    };
    Part::new("open", format!("{is_early} {}", key(&page.incidents)), &view)
}

fn resolved(control: &Control, filter: &Filter, now: Timestamp) -> Part {
    let is_alone = filter.status == Some(Status::Resolved);
    let (incidents, next) = if is_alone {
        let page = control.index.list(&filter.query(Status::Resolved, OPEN_ON_PAGE));
        (page.incidents, page.next)
    } else {
        (control.index.last_resolved(&filter.query(Status::Resolved, RECENT)), None)
    };
    let all = Filter { status: Some(Status::Resolved), cursor: None, ..filter.clone() };
    let view = RowsView {
        title: if is_alone { "Resolved incidents" } else { "Recently resolved" },
        is_open: false,
        note: if is_alone { format!("{} on this page", incidents.len()) } else { String::new() },
        rows: incidents.iter().map(|event| Row::of(event, now)).collect(),
        empty: if filter.is_empty() { "Nothing was resolved yet." } else { "No resolved incident passes this filter." },
        next: match next {
            Some(cursor) => Some(filter.address("/", Some(cursor))),
            None if !is_alone && incidents.len() == RECENT => Some(all.address("/", None)),
            None => None,
        },
        first: filter.cursor.filter(|_| is_alone).map(|_| filter.address("/", None)),
    };
    Part::new("resolved", key(&incidents), &view)
}

/// Incidents and their revisions in order: as long as these are equal, only the relative times differ.
fn key(incidents: &[Arc<IncidentEvent>]) -> String {
    incidents.iter().map(|event| format!("{}.{} ", event.incident_id, event.revision)).collect()
}

fn typed_labels(uri: &Uri) -> String {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.filter(|(name, _)| name == "labels").last().map(|(_, text)| text.into_owned()).unwrap_or_default()
}

impl Row {
    fn of(event: &IncidentEvent, now: Timestamp) -> Self {
        let is_open = event.status == Status::Firing;
        let labels = event.group_labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<(String, String)> =
            labels.map(|(name, value)| (shown(name, LABEL_MAX), shown(value, LABEL_MAX))).collect();
        let end = if is_open { now } else { event.record_time };
        Self {
            id: event.incident_id.to_string(),
            revision: event.revision,
            mark: Mark(event.severity_max),
            is_open,
            headline: headline(event, HEADLINE_MAX),
            more_labels: labels.len().saturating_sub(LABELS_MAX),
            labels: labels.into_iter().take(LABELS_MAX).collect(),
            members: number(event.members),
            firing: number(event.firing),
            alerts: number(event.counts.alerts),
            began: When::new(event.first_seen, now),
            last: When::new(if is_open { event.last_seen } else { event.record_time }, now),
            lasted: span(end - event.first_seen),
            note: note(event),
        }
    }
}

/// What is worth a word beside the headline.
fn note(event: &IncidentEvent) -> Option<&'static str> {
    if event.catching_up {
        Some("from a backlog")
    } else if event.resolved_by.is_some() {
        Some("by a person")
    } else {
        None
    }
}

/// What an incident is about in one line: the name of the worst of its alerts and what that says of itself, and how many
/// other kinds there are.
pub(crate) fn headline(event: &IncidentEvent, max: usize) -> String {
    // Of equals the first to join; `max_by_key` would take the last.
    let worst = event.samples.iter().rev().max_by_key(|sample| sample.severity);
    let name = |sample: &Sample| sample.labels.get("alertname").cloned().unwrap_or_default();
    let said = worst.and_then(|sample| {
        let texts = ["summary", "title", "message", "description"].into_iter();
        texts.filter_map(|name| sample.annotations.get(name)).map(|text| text.trim()).find(|text| !text.is_empty())
    });
    let mut kinds: Vec<String> = event.samples.iter().map(name).filter(|name| !name.is_empty()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let first = worst.map(name).unwrap_or_default();
    let others = kinds.iter().filter(|kind| **kind != first).count();
    let mut line = [first.as_str(), said.unwrap_or_default()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(": ");
    match others {
        0 => {}
        1 => line.push_str(", and 1 other kind"),
        _ => line.push_str(&format!(", and {others} other kinds")),
    }
    if line.is_empty() {
        let values = event.group_labels.values().filter(|value| !value.is_empty());
        line = values.map(String::as_str).collect::<Vec<_>>().join(" ");
    }
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "an alert without a name".to_owned() } else { shown(&line, max) }
}
