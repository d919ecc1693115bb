//! Alertmanager's v2 API as far as its tools read it: status, receivers, the alerts of open incidents.
//!
//! The alerts are the samples that incidents carry, so a large incident shows only its first members here.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;

use crate::control::api::parameters::Parameters;
use crate::control::index::{LIMIT_MAX, Query};
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::model::fingerprint::alertmanager_fingerprint;
use crate::model::incident::Sample;
use crate::model::{IncidentEvent, Matcher, Millis, Status, Timestamp};

/// The one receiver there is: alerts go into incidents.
const RECEIVER: &str = "tidegate";

/// Alertmanager gives every alert an end; ours is a repeat interval and some slack after it was last seen.
const ASSUMED_END: Millis = Millis::minutes(5);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertmanagerStatus {
    cluster: ClusterStatus,
    version_info: VersionInfo,
    config: ConfigText,
    uptime: Timestamp,
}

#[derive(Serialize)]
struct ClusterStatus {
    status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

#[derive(Serialize)]
struct ConfigText {
    original: &'static str,
}

#[derive(Serialize)]
pub(crate) struct Receiver {
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownAlert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    receivers: [Receiver; 1],
    fingerprint: String,
    starts_at: Timestamp,
    updated_at: Timestamp,
    ends_at: Timestamp,
    status: AlertStatus,
    #[serde(rename = "generatorURL")]
    generator_url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertStatus {
    state: &'static str,
    silenced_by: [&'static str; 0],
    inhibited_by: [&'static str; 0],
    muted_by: [&'static str; 0],
}

pub(crate) async fn status(State(control): State<Arc<Control>>) -> Json<AlertmanagerStatus> {
    Json(AlertmanagerStatus {
        cluster: ClusterStatus { status: "disabled" },
        version_info: VersionInfo {
            version: env!("CARGO_PKG_VERSION"),
            revision: "",
            branch: "",
            build_user: "",
            build_date: "",
            go_version: "",
        },
        // Alertmanager shows its whole configuration here; ours may name things that are nobody's business.
        config: ConfigText { original: "" },
        uptime: control.board.read().started_at,
    })
}

pub(crate) async fn receivers() -> Json<[Receiver; 1]> {
    Json([Receiver { name: RECEIVER }])
}

pub(crate) async fn alerts(State(control): State<Arc<Control>>, uri: Uri) -> Result<Json<Vec<ShownAlert>>, Problem> {
    let known = ["active", "silenced", "inhibited", "unprocessed", "muted", "filter", "receiver"];
    let parameters = Parameters::read(&uri, &known)?;
    let filter = parameters.matchers("filter")?;
    let receiver = parameters.read_as("receiver", |text| {
        let matcher = Matcher::parse_all(&format!("receiver=~{text:?}")).map_err(|error| error.what)?;
        Ok(matcher.iter().all(|matcher| matcher.matches_value(RECEIVER)))
    })?;
    if parameters.last("active") == Some("false") || receiver == Some(false) {
        return Ok(Json(Vec::new())); // Nothing is muted yet, so without the active ones nothing is left.
    }
    let query = Query { status: Some(Status::Firing), limit: LIMIT_MAX, ..Query::default() };
    let incidents = control.index.list(&query).incidents;
    let shown = incidents.iter().flat_map(|incident| {
        let samples = incident.samples.iter().filter(|sample| passes(sample, &filter));
        samples.map(|sample| shown_alert(incident, sample))
    });
    Ok(Json(shown.collect()))
}

fn passes(sample: &Sample, filter: &[Matcher]) -> bool {
    filter.iter().all(|matcher| matcher.matches_value(sample.labels.get(matcher.name()).map_or("", String::as_str)))
}

fn shown_alert(incident: &IncidentEvent, sample: &Sample) -> ShownAlert {
    let labels = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ShownAlert {
        fingerprint: format!("{:016x}", alertmanager_fingerprint(labels)),
        labels: sample.labels.clone(),
        annotations: sample.annotations.clone(),
        receivers: [Receiver { name: RECEIVER }],
        starts_at: sample.starts_at.unwrap_or(sample.first_seen),
        updated_at: incident.last_seen,
        ends_at: incident.last_seen + ASSUMED_END,
        status: AlertStatus { state: "active", silenced_by: [], inhibited_by: [], muted_by: [] },
        generator_url: sample.generator_url.clone().unwrap_or_default(),
    }
}
