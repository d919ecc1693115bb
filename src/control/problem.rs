//! How a request is told that it failed: a status, a fixed word, a sentence. JSON `{error, detail}`;
//! browsers get a page instead (`pages::fault`).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A request that was not served, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// A word for programs.
    pub error: &'static str,
    /// A sentence for people.
    pub detail: String,
    /// When to come again, for 503.
    pub retry_after_seconds: Option<u32>,
}

#[derive(Serialize)]
struct Shown<'a> {
    error: &'a str,
    detail: &'a str,
}

impl Problem {
    /// A problem with that status.
    #[must_use]
    pub fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Self {
        Self { status, error, detail: detail.into(), retry_after_seconds: None }
    }

    /// The request is wrong.
    #[must_use]
    pub fn bad_request(error: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, detail)
    }

    /// Not now: 503 with Retry-After, which senders of alerts understand; never 429, which they take as final.
    #[must_use]
    pub fn unavailable(error: &'static str, detail: impl Into<String>, retry_after_seconds: u32) -> Self {
        let retry_after_seconds = Some(retry_after_seconds);
        Self { retry_after_seconds, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, error, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let shown = Shown { error: self.error, detail: &self.detail };
        let mut response = (self.status, Json(shown)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // For whoever would rather show it as a page.
        response.extensions_mut().insert(self);
        response
    }
}
