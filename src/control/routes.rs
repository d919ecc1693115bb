//! Every route of the HTTP interface in one table: method, path, which listener, handler.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodRouter, get, post};

use crate::control::api::{Commands, Reload, alertmanager, groups, incidents, operations, stream, tap};
use crate::control::busiest::Busiest;
use crate::control::feed::Feed;
use crate::control::history::Archive;
use crate::control::index::IncidentIndex;
use crate::control::intake::{self, Admission, Intake, RejectedSamples};
use crate::control::pages::{assets, incident, list, live, login};
use crate::control::problem::Problem;
use crate::control::pulse::Pulse;
use crate::control::status::StatusBoard;
use crate::metrics::Metrics;
use crate::model::time::Clock;
use crate::pipeline::tap::Tap;

/// Paths that need no token: a probe has no secret, and they tell no more than a word; and what a browser needs to ask its
/// user for the token.
pub const OPEN_PATHS: [&str; 6] =
    ["/-/healthy", "/-/ready", "/login", "/assets/page.css", "/assets/page.js", "/assets/icon.svg"];

/// Routes that a session opens, besides the token.
pub const PAGE_PATHS: [&str; 7] =
    ["/", "/live", "/incidents/{id}", "/incidents/{id}/live", "/incidents/{id}/resolve", "/login", "/logout"];

/// Everything the handlers work with.
pub struct Control {
    /// What is counted.
    pub metrics: Metrics,
    /// Incidents to read.
    pub index: Arc<IncidentIndex>,
    /// Incidents that the index does not hold any more.
    pub archive: Arc<dyn Archive>,
    /// The groups that take most alerts, while somebody watches.
    pub busiest: Arc<Busiest>,
    /// Incident events as they come.
    pub feed: Arc<Feed>,
    /// The last minutes in numbers.
    pub pulse: Arc<Pulse>,
    /// What the daemon says of itself.
    pub board: Arc<StatusBoard>,
    /// The last bodies that could not be read.
    pub samples: RejectedSamples,
    /// Bounds on requests with alerts.
    pub admission: Admission,
    /// The way into the pipeline.
    pub intake: Arc<dyn Intake>,
    /// The command log.
    pub commands: Arc<dyn Commands>,
    /// Reads the configuration again.
    pub reload: Arc<dyn Reload>,
    /// Samples of what passes the stages of the pipeline.
    pub tap: Arc<Tap>,
    /// The wall clock.
    pub clock: Box<dyn Clock + Sync>,
}

/// Which listener a router is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The one listener.
    Everything,
    /// The listener for senders and readers where there is a second one.
    Public,
    /// The second listener, `admin_listen`: metrics and reload.
    Admin,
}

/// Where a route is served when there are two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Public,
    Admin,
    Both,
}

struct Endpoint {
    method: Method,
    path: &'static str,
    side: Side,
    handler: MethodRouter<Arc<Control>>,
}

fn endpoints() -> Vec<Endpoint> {
    let read = |path, side, handler| Endpoint { method: Method::GET, path, side, handler };
    let write = |path, side, handler| Endpoint { method: Method::POST, path, side, handler };
    vec![
        write("/api/v2/alerts", Side::Public, post(intake::alertmanager_v2)),
        write("/api/v1/alerts", Side::Public, post(intake::native)),
        write("/api/v1/webhooks/alertmanager", Side::Public, post(intake::alertmanager_webhook)),
        read("/api/v1/rejected-samples", Side::Public, get(intake::rejected_samples)),
        read("/api/v1/incidents", Side::Public, get(incidents::list)),
        read("/api/v1/incidents/stream", Side::Public, get(stream::incidents)),
        read("/api/v1/incidents/{id}", Side::Public, get(incidents::show)),
        read("/api/v1/incidents/{id}/steps", Side::Public, get(incidents::steps)),
        write("/api/v1/incidents/{id}/resolve", Side::Public, post(incidents::resolve)),
        read("/api/v1/groups", Side::Public, get(groups::list)),
        read("/api/v1/pulse", Side::Public, get(operations::pulse)),
        read("/api/v1/tap", Side::Public, get(tap::listen)),
        read("/api/v1/status", Side::Public, get(operations::status)),
        read("/api/v2/status", Side::Public, get(alertmanager::status)),
        read("/api/v2/receivers", Side::Public, get(alertmanager::receivers)),
        read("/api/v2/alerts", Side::Public, get(alertmanager::alerts)),
        read("/", Side::Public, get(list::show)),
        read("/live", Side::Public, get(live::list)),
        read("/incidents/{id}", Side::Public, get(incident::show)),
        read("/incidents/{id}/live", Side::Public, get(live::incident)),
        write("/incidents/{id}/resolve", Side::Public, post(incident::resolve)),
        read("/login", Side::Public, get(login::show)),
        write("/login", Side::Public, post(login::log_in)),
        write("/logout", Side::Public, post(login::log_out)),
        read("/assets/page.css", Side::Public, get(assets::style)),
        read("/assets/page.js", Side::Public, get(assets::script)),
        read("/assets/icon.svg", Side::Public, get(assets::icon)),
        read("/metrics", Side::Admin, get(operations::metrics)),
        write("/-/reload", Side::Admin, post(operations::reload)),
        read("/-/healthy", Side::Both, get(operations::healthy)),
        read("/-/ready", Side::Both, get(operations::ready)),
    ]
}

/// Method and path of every route of that part, in the order of the table.
pub fn list(part: Part) -> Vec<(Method, &'static str)> {
    served(part).map(|endpoint| (endpoint.method, endpoint.path)).collect()
}

/// The routes of that part, unguarded: `Guard::protect` or `server::serve` puts the guard before them.
pub fn router(control: Arc<Control>, part: Part) -> Router {
    served(part)
        .fold(Router::new(), |router, endpoint| router.route(endpoint.path, endpoint.handler))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            let detail = "this path has other methods; see the Allow header";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .with_state(control)
}

fn served(part: Part) -> impl Iterator<Item = Endpoint> {
    endpoints().into_iter().filter(move |endpoint| match part {
        Part::Everything => true,
        Part::Public => endpoint.side != Side::Admin,
        Part::Admin => endpoint.side != Side::Public,
    })
}
