//! A part of a page that lives: rendered by the server, sent again when what it shows has changed.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};

/// What a page may load and do: its own style and script, nothing else; shown in no frame; forms go to ourselves.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A rendered part.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The element that holds it.
    pub(crate) name: &'static str,
    /// Two parts with equal keys show the same.
    pub(crate) key: String,
    /// Markup; everything of unknown origin in it is escaped.
    pub(crate) html: String,
}

impl Part {
    pub(crate) fn new(name: &'static str, key: String, view: &impl Template) -> Self {
        Self { name, key, html: text(view) }
    }
}

/// A template as text. Ours do not fail: they only write to memory.
pub(crate) fn text(view: &impl Template) -> String {
    view.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a template failed");
        String::new()
    })
}

/// A whole page with the headers that keep browsers tame.
pub(crate) fn page(status: StatusCode, view: &impl Template) -> Response {
    let mut response = (status, Html(text(view))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Our own forms must say where they come from, other sites learn nothing.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
