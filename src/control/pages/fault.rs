//! Problems as browsers show them: a page that says what is wrong and where to go on, or the way to the login.

use askama::Template;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};

use crate::control::pages::part::page;
use crate::control::pages::{assets, words};
use crate::control::problem::Problem;

/// Longest text that is repeated to whoever sent it.
const TEXT_MAX: usize = 1_000;

/// A request of somebody who looks at pages, not of a program.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    /// Where to come back to after the login.
    target: String,
}

#[derive(Template)]
#[template(path = "fault.html", config = "src/control/pages/askama.toml")]
struct FaultView {
    style: String,
    code: u16,
    title: &'static str,
    detail: String,
    word: &'static str,
}

impl Browser {
    /// Whether the request accepts HTML by name, and does not ask the API.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let path = request.uri().path();
        let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !accepted.contains("text/html") || path.starts_with("/api/") || path.starts_with("/-/") {
            return None;
        }
        let is_page = *request.method() == Method::GET && path != "/login";
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        Some(Self { target: if is_page { target.to_owned() } else { "/".to_owned() } })
    }

    /// The answer as a browser shows it; those that are no problem stay as they are.
    pub(crate) fn show(&self, response: Response) -> Response {
        let Some(problem) = response.extensions().get::<Problem>() else { return response };
        if problem.error == "unauthorized" {
            let to: String = form_urlencoded::byte_serialize(self.target.as_bytes()).collect();
            return Redirect::to(&format!("/login?to={to}")).into_response();
        }
        let view = FaultView {
            style: assets::style_url(),
            code: problem.status.as_u16(),
            title: title(problem.status),
            detail: words::shown(&problem.detail, TEXT_MAX),
            word: problem.error,
        };
        let mut shown = page(problem.status, &view);
        for name in [header::RETRY_AFTER, header::ALLOW] {
            if let Some(value) = response.headers().get(&name).cloned() {
                shown.headers_mut().insert(name, value);
            }
        }
        shown
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Nothing here",
        StatusCode::GONE => "No longer here",
        StatusCode::BAD_REQUEST => "This request cannot be read",
        StatusCode::CONFLICT => "Already over",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::METHOD_NOT_ALLOWED => "Not this way",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        status if status.is_server_error() => "Something failed on our side",
        _ => "This did not work",
    }
}
