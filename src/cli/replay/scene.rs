//! What is to be seen: groups of lanes, alerts as marks, incidents with their windows and events, all in record time.
//!
//! Nothing is decided here. Where a window ended and a member stopped is what the shard noted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cli::replay::picture::Seen;
use crate::model::alert::Status;
use crate::model::fingerprint::{Fingerprint, GroupHash, IncidentId};
use crate::model::incident::{EventKind, EventReason, IncidentEvent};
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::options::{WindowKind, WindowRule};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::shard::EndCause;
use crate::pipeline::shard::event::{Landmark, LandmarkKind};

/// From and to; `Timestamp::MAX` means that it goes on.
pub(super) type Span = (Timestamp, Timestamp);

/// Everything on the picture.
pub(super) struct Scene {
    pub(super) groups: Vec<Group>,
    pub(super) n_incidents: usize,
    /// What the time axis shows.
    pub(super) axis: Span,
    /// Whether a name of a rule says anything: there are alerts of several.
    pub(super) names_rules: bool,
}

/// The lanes of a group and the incidents it had.
pub(super) struct Group {
    pub(super) label: String,
    pub(super) rule: WindowRule,
    pub(super) lanes: Vec<Lane>,
    pub(super) incidents: Vec<Incident>,
    /// Rows that its incidents take.
    pub(super) n_rows: usize,
}

/// A fingerprint in a group.
pub(super) struct Lane {
    pub(super) label: String,
    pub(super) marks: Vec<(Timestamp, Mark)>,
    /// When it fires.
    pub(super) fires: Vec<Span>,
    /// Where time ended that.
    pub(super) stops: Vec<(Timestamp, EventReason)>,
    /// When it is a member of which incident (index in the group), as long as that is open.
    pub(super) bands: Vec<(usize, Span)>,
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// It opened or reopened an incident.
    Opened,
    /// It joined one.
    Joined,
    /// A repeat.
    Repeat,
    /// Held back and never told.
    Held,
    /// It ended the firing of a member.
    Resolved,
    /// A resolve of what did not fire.
    Idle,
}

/// An incident.
pub(super) struct Incident {
    /// A, B and so on, in the order of the first alerts.
    pub(super) name: String,
    /// Every other one has another tint.
    pub(super) is_even: bool,
    /// Row within its group.
    pub(super) row: usize,
    /// When it is open: from opening or reopening to resolve.
    pub(super) open: Vec<Span>,
    pub(super) windows: Vec<Window>,
    pub(super) events: Vec<Arc<IncidentEvent>>,
    /// Where `reopen` decides: from the quiet on, and whether the group came back in time.
    pub(super) reopens: Vec<Span>,
}

/// A window, from opening or continuation.
pub(super) struct Window {
    pub(super) span: Span,
    /// Its last firing alert: from there on it is silent.
    pub(super) silent_from: Timestamp,
    pub(super) cause: Option<EndCause>,
}

type Key = (GroupHash, Fingerprint);

impl Scene {
    /// Puts together what belongs together.
    pub(super) fn new(
        alerts: &[&Seen],
        events: &[Arc<IncidentEvent>],
        landmarks: &[Landmark],
        rules: &[WindowRule],
    ) -> Self {
        let mut order: Vec<GroupHash> = Vec::new();
        let mut by_group: BTreeMap<GroupHash, Vec<&Seen>> = BTreeMap::new();
        for alert in alerts {
            if !by_group.contains_key(&alert.group) {
                order.push(alert.group);
            }
            by_group.entry(alert.group).or_default().push(alert);
        }
        let mut numbers: Vec<IncidentId> = Vec::new();
        for alert in alerts {
            numbers.extend(alert.incident.filter(|incident| !numbers.contains(incident)));
        }
        let mut groups = Vec::new();
        for hash in &order {
            let Some(alerts) = by_group.get(hash) else { continue };
            let Some(rule) = alerts.first().and_then(|alert| rules.get(usize::from(alert.rule))) else { continue };
            groups.push(group(alerts, events, landmarks, rule, &numbers));
        }
        let names_rules = groups.iter().any(|group| groups.iter().any(|other| group.rule.name != other.rule.name));
        let axis = axis(alerts, &groups);
        Self { groups, n_incidents: numbers.len(), axis, names_rules }
    }
}

fn group(
    alerts: &[&Seen],
    events: &[Arc<IncidentEvent>],
    landmarks: &[Landmark],
    rule: &WindowRule,
    numbers: &[IncidentId],
) -> Group {
    let ids: Vec<IncidentId> =
        numbers.iter().copied().filter(|id| alerts.iter().any(|alert| alert.incident == Some(*id))).collect();
    let mut incidents: Vec<Incident> = Vec::new();
    for id in &ids {
        let own = |alert: &&&Seen| alert.incident == Some(*id);
        let own: Vec<&Seen> = alerts.iter().filter(own).copied().collect();
        let events = events.iter().filter(|event| event.incident_id == *id).cloned().collect();
        let number = numbers.iter().position(|known| known == id).unwrap_or(0);
        let turns: Vec<&Landmark> = landmarks.iter().filter(|landmark| landmark.incident == *id).collect();
        incidents.push(incident(number, &own, events, &turns));
    }
    note_reopens(&mut incidents, rule);
    let n_rows = put_in_rows(&mut incidents);
    let mut keys: Vec<Key> = Vec::new();
    for alert in alerts {
        let key = (alert.group, alert.fingerprint);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let of_key = |key: &Key| -> Vec<&Seen> {
        alerts.iter().filter(|alert| (alert.group, alert.fingerprint) == *key).copied().collect()
    };
    let of_lanes: Vec<Vec<&Seen>> = keys.iter().map(of_key).collect();
    let group_labels: BTreeMap<&str, &str> = alerts
        .first()
        .map(|alert| rule.group_labels(|name| alert.labels.get(name).map(String::as_str)).collect())
        .unwrap_or_default();
    let labels = lane_labels(&of_lanes, &group_labels);
    let lanes = of_lanes.iter().zip(labels).map(|(alerts, label)| lane(alerts, label, landmarks, &ids, &incidents));
    let lanes = lanes.collect();
    let values: Vec<&str> = group_labels.values().copied().filter(|value| !value.is_empty()).collect();
    Group { label: values.join(" "), rule: rule.clone(), lanes, incidents, n_rows }
}

fn incident(number: usize, alerts: &[&Seen], events: Vec<Arc<IncidentEvent>>, turns: &[&Landmark]) -> Incident {
    let first = alerts.iter().map(|alert| alert.time).min().unwrap_or(Timestamp::MIN);
    let opening = alerts.iter().find(|alert| alert.outcome == Outcome::Opened).map_or(first, |alert| alert.time);
    let mut open = vec![(first, Timestamp::MAX)];
    for event in &events {
        match (event.event, open.last_mut()) {
            (EventKind::Resolved, Some(last)) => last.1 = event.record_time,
            (EventKind::Reopened, _) => open.push((event.record_time, Timestamp::MAX)),
            _ => {}
        }
    }
    let mut windows = vec![Window { span: (opening, Timestamp::MAX), silent_from: opening, cause: None }];
    for turn in turns {
        match (turn.kind, windows.last_mut()) {
            (LandmarkKind::WindowEnded(cause), Some(window)) => {
                window.span.1 = turn.at;
                window.cause = Some(cause);
            }
            (LandmarkKind::WindowContinued, Some(window)) if turn.at < window.span.1 => {
                window.span.1 = Timestamp::MAX; // A late record: it never ended.
                window.cause = None;
            }
            (LandmarkKind::WindowContinued, _) => {
                windows.push(Window { span: (turn.at, Timestamp::MAX), silent_from: turn.at, cause: None });
            }
            _ => {}
        }
    }
    for window in &mut windows {
        let within = |alert: &&&Seen| {
            alert.status == Status::Firing && alert.time >= window.span.0 && alert.time < window.span.1
        };
        window.silent_from = alerts.iter().filter(within).map(|alert| alert.time).max().unwrap_or(window.span.0);
    }
    let is_even = number.is_multiple_of(2);
    Incident { name: name_of(number), is_even, row: 0, open, windows, events, reopens: Vec::new() }
}

/// A to Z, then A1 to Z1, and so on.
fn name_of(number: usize) -> String {
    let letter = char::from(b'A' + (number % 26) as u8);
    if number < 26 { letter.to_string() } else { format!("{letter}{}", number / 26) }
}

/// Where `reopen` decides: after each quiet that something of the same group followed.
fn note_reopens(incidents: &mut [Incident], rule: &WindowRule) {
    let starts: Vec<Timestamp> = incidents.iter().map(start_of).collect();
    if rule.reopen == Millis::ZERO {
        return;
    }
    for incident in incidents {
        let mut reopens = Vec::new();
        for (at, window) in incident.windows.iter().enumerate() {
            if !matches!(window.cause, Some(EndCause::Gap | EndCause::Resolved)) {
                continue;
            }
            let next = incident.windows.get(at + 1).map(|next| next.span.0);
            let came_back = next.or_else(|| starts.iter().copied().filter(|start| *start >= window.span.1).min());
            let Some(came_back) = came_back else { continue };
            let resolved = incident.open.iter().map(|(_, to)| *to).filter(|to| *to <= came_back).max();
            let quiet = resolved.map_or(window.span.1, |at| at.max(window.span.1));
            reopens.push((quiet, came_back.min(quiet + rule.reopen)));
        }
        incident.reopens = reopens;
    }
}

fn start_of(incident: &Incident) -> Timestamp {
    incident.open.first().map_or(Timestamp::MIN, |span| span.0)
}

/// Incidents that overlap get rows of their own.
fn put_in_rows(incidents: &mut [Incident]) -> usize {
    let mut ends: Vec<Timestamp> = Vec::new();
    for incident in incidents {
        let start = start_of(incident);
        let closed = incident.windows.iter().map(|window| window.span.1);
        let resolved = incident.open.iter().chain(&incident.reopens).map(|span| span.1);
        let end = closed.chain(resolved).max().unwrap_or(start);
        match ends.iter_mut().enumerate().find(|(_, taken)| **taken <= start) {
            Some((row, taken)) => (incident.row, *taken) = (row, end),
            None => {
                incident.row = ends.len();
                ends.push(end);
            }
        }
    }
    ends.len().max(1)
}

fn lane(alerts: &[&Seen], label: String, landmarks: &[Landmark], ids: &[IncidentId], incidents: &[Incident]) -> Lane {
    let fingerprint = alerts.first().map(|alert| alert.fingerprint);
    let stopped = |landmark: &Landmark| match landmark.kind {
        LandmarkKind::MemberStopped(member, reason)
            if Some(member) == fingerprint && ids.contains(&landmark.incident) =>
        {
            Some((landmark.at, reason))
        }
        _ => None,
    };
    let stops: Vec<(Timestamp, EventReason)> = landmarks.iter().filter_map(stopped).collect();
    let mut lane = Lane { label, marks: Vec::new(), fires: Vec::new(), stops, bands: Vec::new() };
    let mut member: Vec<(usize, Timestamp, Timestamp)> = Vec::new();
    for alert in alerts {
        let mark = match (alert.status, alert.outcome, alert.incident) {
            (_, Outcome::Opened, _) => Mark::Opened,
            (_, Outcome::Joined, _) => Mark::Joined,
            (_, Outcome::Resolved, _) => Mark::Resolved,
            (Status::Resolved, ..) => Mark::Idle,
            (Status::Firing, _, Some(_)) => Mark::Repeat,
            (Status::Firing, _, None) => Mark::Held,
        };
        lane.marks.push((alert.time, mark));
        let Some(index) = alert.incident.and_then(|id| ids.iter().position(|known| *known == id)) else { continue };
        match member.last_mut() {
            Some((known, ..)) if *known == index => {}
            before => {
                let start = incidents.get(index).map_or(alert.time, start_of);
                let left = before.map_or(start, |(_, _, until)| {
                    *until = alert.time;
                    if start < alert.time { alert.time } else { start }
                });
                member.push((index, left.max(start), Timestamp::MAX));
            }
        }
    }
    for (index, from, until) in member {
        for span in incidents.get(index).map(|incident| incident.open.as_slice()).unwrap_or_default() {
            let (from, until) = (span.0.max(from), span.1.min(until));
            if from <= until {
                lane.bands.push((index, (from, until)));
            }
        }
    }
    lane.fires = fires(&lane);
    lane
}

fn fires(lane: &Lane) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut stops = lane.stops.iter().map(|(at, _)| *at).peekable();
    let mut since = None;
    for (at, mark) in &lane.marks {
        while let Some(stop) = stops.next_if(|stop| *stop <= *at) {
            spans.extend(since.take().map(|since| (since, stop)));
        }
        match mark {
            Mark::Opened | Mark::Joined | Mark::Repeat => since = since.or(Some(*at)),
            Mark::Resolved => spans.extend(since.take().map(|since| (since, *at))),
            Mark::Held | Mark::Idle => {}
        }
    }
    spans.extend(since.map(|since| (since, stops.next().unwrap_or(Timestamp::MAX))));
    spans
}

/// What tells the lanes of a group apart, as short as it can be said; a value that changes within a lane is a `*`.
fn lane_labels(lanes: &[Vec<&Seen>], group_labels: &BTreeMap<&str, &str>) -> Vec<String> {
    let value = |lane: &[&Seen], name: &str| -> Option<String> {
        let values: BTreeSet<Option<&String>> = lane.iter().map(|alert| alert.labels.get(name)).collect();
        match (values.len(), values.first()) {
            (1, Some(Some(value))) => Some((*value).clone()),
            (1, _) => None,
            _ => Some("*".to_owned()),
        }
    };
    let names: BTreeSet<&str> =
        lanes.iter().flatten().flat_map(|alert| alert.labels.keys()).map(String::as_str).collect();
    let differs = |name: &&str| {
        let values: BTreeSet<Option<String>> = lanes.iter().map(|lane| value(lane, name)).collect();
        values.len() > 1 || values.contains(&Some("*".to_owned()))
    };
    let telling: Vec<&str> = names.iter().copied().filter(differs).collect();
    let label = |lane: &Vec<&Seen>| {
        let text = |name: &&str| {
            let everywhere = lanes.iter().all(|lane| value(lane, name).is_some());
            let is_said = everywhere && value(lane, name).is_some_and(|value| value != "*");
            value(lane, name).map(|value| if is_said { value } else { format!("{name}={value}") })
        };
        let texts: Vec<String> = telling.iter().filter_map(text).collect();
        if !texts.is_empty() {
            return texts.join(" ");
        }
        let rest = names.iter().copied().filter(|name| !group_labels.contains_key(name));
        let name = ["alertname", "host", "instance"].into_iter().find(|name| names.contains(name));
        name.or_else(|| rest.into_iter().next()).and_then(|name| value(lane, name)).unwrap_or_default()
    };
    lanes.iter().map(label).collect()
}

/// From the first alert to the last, and on to what follows from them, as long as that leaves room for the alerts.
fn axis(alerts: &[&Seen], groups: &[Group]) -> Span {
    let first = alerts.iter().map(|alert| alert.time).min().unwrap_or_default();
    let last = alerts.iter().map(|alert| alert.time).max().unwrap_or_default();
    let length = Millis((last - first).0.max(Millis::minutes(1).0));
    let incidents = || groups.iter().flat_map(|group| &group.incidents);
    let windows = incidents().flat_map(|incident| &incident.windows).map(|window| window.span.1);
    let events = incidents().flat_map(|incident| &incident.events).map(|event| event.record_time);
    let follow = windows.chain(events).filter(|at| *at <= last + length).max().unwrap_or(last);
    let until = follow.max(last);
    (first, until + Millis((until - first).0 / 25))
}

/// The words for what ended a window, with the value of the setting.
pub(super) fn end_words(window: &Window, rule: &WindowRule) -> Option<String> {
    use crate::control::config::duration::show;
    let length = window.span.1 - window.span.0;
    match window.cause? {
        EndCause::Gap => Some(format!("gap {}", show(rule.gap))),
        EndCause::Cap => match (rule.max_age, rule.max_alerts) {
            (Some(age), _) if age == length || rule.kind == WindowKind::Fixed => Some(format!("max_age {}", show(age))),
            (_, Some(alerts)) => Some(format!("max_alerts {alerts}")),
            _ => Some("cap".to_owned()),
        },
        EndCause::Resolved => None,
        EndCause::Person => Some("a person".to_owned()),
        EndCause::RuleGone => Some("rule gone".to_owned()),
    }
}
