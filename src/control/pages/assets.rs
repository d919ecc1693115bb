//! Style, script and icon: part of the program, named by their content so that browsers keep them.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
const ICON: &str = include_str!("assets/icon.svg");

static STYLE_TAG: LazyLock<String> = LazyLock::new(|| tag(STYLE));
static SCRIPT_TAG: LazyLock<String> = LazyLock::new(|| tag(SCRIPT));
static ICON_TAG: LazyLock<String> = LazyLock::new(|| tag(ICON));

/// The address of the style, with its content in the name.
pub(crate) fn style_url() -> String {
    format!("/assets/page.css?v={}", *STYLE_TAG)
}

/// The address of the script, with its content in the name.
pub(crate) fn script_url() -> String {
    format!("/assets/page.js?v={}", *SCRIPT_TAG)
}

pub(crate) async fn style(uri: Uri, headers: HeaderMap) -> Response {
    serve(STYLE, &STYLE_TAG, "text/css; charset=utf-8", &uri, &headers)
}

pub(crate) async fn script(uri: Uri, headers: HeaderMap) -> Response {
    serve(SCRIPT, &SCRIPT_TAG, "text/javascript; charset=utf-8", &uri, &headers)
}

pub(crate) async fn icon(uri: Uri, headers: HeaderMap) -> Response {
    serve(ICON, &ICON_TAG, "image/svg+xml", &uri, &headers)
}

fn tag(content: &str) -> String {
    format!("{:08x}", crc32fast::hash(content.as_bytes()))
}

/// Kept for a year under the address that names the content, asked for again under any other.
fn serve(content: &'static str, tag: &str, kind: &'static str, uri: &Uri, headers: &HeaderMap) -> Response {
    let etag = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known =
        known.is_some_and(|known| known.split(',').any(|known| known.trim().trim_start_matches("W/") == etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], content).into_response()
    };
    let is_named = uri.query().and_then(|query| query.strip_prefix("v=")) == Some(tag);
    let caching = if is_named { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
