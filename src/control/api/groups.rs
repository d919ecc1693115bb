//! The busiest groups: what shards tell while somebody watches, filled up with the open incidents that are quiet.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::{Deserialize, Serialize};

use crate::control::api::parameters::Parameters;
use crate::control::busiest::{GROUPS_MAX, GroupStanding};
use crate::control::index::{LIMIT_MAX, Query};
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::model::{IncidentId, Matcher, Status, Timestamp};

const LIMIT_DEFAULT: usize = 50;

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Most alerts per second.
    #[default]
    Rate,
    /// Most alerts.
    Alerts,
    /// Most members.
    Members,
    /// Worst severity.
    Severity,
}

impl Sort {
    /// Every order, in the order in which a reader goes through them.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Alerts, Self::Members, Self::Severity];

    /// The word used in questions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Alerts => "alerts",
            Self::Members => "members",
            Self::Severity => "severity",
        }
    }

    /// Which of two groups comes first. Equal ones stand by their count, then by what they are, so that a list that is
    /// asked for again does not jump.
    #[must_use]
    pub fn compare(self, one: &GroupStanding, other: &GroupStanding) -> Ordering {
        let first = match self {
            Self::Rate => other.alerts_per_second.total_cmp(&one.alerts_per_second),
            Self::Alerts => Ordering::Equal,
            Self::Members => other.members.cmp(&one.members),
            Self::Severity => other.severity_max.cmp(&one.severity_max),
        };
        let key = |group: &GroupStanding| (Reverse(group.alerts), Reverse(group.first_seen), group.incident_id);
        first.then_with(|| key(one).cmp(&key(other))).then_with(|| one.group_labels.cmp(&other.group_labels))
    }
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// When it was given.
    pub now: Timestamp,
    /// Groups that passed, of which `groups` has the first.
    pub matching: usize,
    /// In the order that was asked for.
    pub groups: Vec<GroupStanding>,
}

pub(crate) async fn list(State(control): State<Arc<Control>>, uri: Uri) -> Result<Json<Groups>, Problem> {
    let parameters = Parameters::read(&uri, &["sort", "filter", "limit"])?;
    let sort = parameters.read_as("sort", |word| {
        let known = Sort::ALL.into_iter().find(|sort| sort.name() == word);
        known.ok_or_else(|| format!("must be one of {}", Sort::ALL.map(Sort::name).join(", ")))
    })?;
    let limit = parameters.read_as("limit", |text| match text.parse() {
        Ok(limit @ 1..=GROUPS_MAX) => Ok(limit),
        _ => Err(format!("must be a number from 1 to {GROUPS_MAX}")),
    })?;
    let matchers = parameters.matchers("filter")?;
    let now = control.clock.now();
    let mut groups = gather(&control, now);
    groups.retain(|group| passes(&matchers, group));
    let sort = sort.unwrap_or_default();
    groups.sort_by(|one, other| sort.compare(one, other));
    let matching = groups.len();
    groups.truncate(limit.unwrap_or(LIMIT_DEFAULT));
    Ok(Json(Groups { now, matching, groups }))
}

fn passes(matchers: &[Matcher], group: &GroupStanding) -> bool {
    let value = |matcher: &Matcher| group.group_labels.get(matcher.name()).map_or("", String::as_str);
    matchers.iter().all(|matcher| matcher.matches_value(value(matcher)))
}

/// Groups that changed under the eyes of the watch, and the newest open incidents that did not.
fn gather(control: &Control, now: Timestamp) -> Vec<GroupStanding> {
    let mut groups = control.busiest.ask(now);
    for group in &mut groups {
        if let Some(event) = group.incident_id.and_then(|id| control.index.get(id)) {
            group.learn(&event);
        }
    }
    let known: BTreeSet<IncidentId> = groups.iter().filter_map(|group| group.incident_id).collect();
    let open = control.index.list(&Query { status: Some(Status::Firing), limit: LIMIT_MAX, ..Query::default() });
    let quiet = open.incidents.iter().filter(|event| !known.contains(&event.incident_id));
    groups.extend(quiet.map(|event| GroupStanding::of(event)));
    groups
}
