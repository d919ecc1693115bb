//! The way in for browsers where the listener asks for a token: shown once, answered by a session cookie.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};

use crate::control::guard::Guard;
use crate::control::intake::read_body;
use crate::control::pages::assets;
use crate::control::pages::part::page;
use crate::control::problem::Problem;
use crate::control::routes::Control;

/// A token and a path.
const BODY_BYTES_MAX: usize = 16 << 10;

#[derive(Template)]
#[template(path = "login.html", config = "src/control/pages/askama.toml")]
struct LoginView {
    style: String,
    to: String,
    fault: Option<String>,
}

pub(crate) async fn show(Extension(guard): Extension<Arc<Guard>>, uri: Uri) -> Response {
    let given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).find(|(name, _)| name == "to");
    let to = given.map_or_else(|| "/".to_owned(), |(_, to)| target(&to));
    if !guard.asks_for_token() {
        return Redirect::to(&to).into_response();
    }
    page(StatusCode::OK, &LoginView { style: assets::style_url(), to, fault: None })
}

pub(crate) async fn log_in(
    State(control): State<Arc<Control>>,
    Extension(guard): Extension<Arc<Guard>>,
    request: Request,
) -> Result<Response, Problem> {
    let form = read_form(&control, request).await?;
    let given = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let to = target(given("to").unwrap_or("/"));
    if !guard.asks_for_token() {
        return Ok(Redirect::to(&to).into_response());
    }
    match guard.log_in(given("token").unwrap_or_default().trim()) {
        Ok(cookie) => Ok(with_cookie(Redirect::to(&to).into_response(), &cookie)),
        Err(problem) => {
            let view = LoginView { style: assets::style_url(), to, fault: Some(problem.detail) };
            let mut response = page(problem.status, &view);
            if let Some(seconds) = problem.retry_after_seconds {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(response)
        }
    }
}

pub(crate) async fn log_out(Extension(guard): Extension<Arc<Guard>>, headers: HeaderMap) -> Response {
    let cookie = guard.log_out(&headers);
    with_cookie(Redirect::to("/login").into_response(), &cookie)
}

/// The fields of a form.
///
/// # Errors
/// As `read_body`.
pub(crate) async fn read_form(control: &Control, request: Request) -> Result<Vec<(String, String)>, Problem> {
    let body = read_body(request, BODY_BYTES_MAX, &control.admission).await?;
    Ok(form_urlencoded::parse(&body.bytes).into_owned().collect())
}

/// A path of ours to go on to, never the address of another site.
fn target(given: &str) -> String {
    let is_path = given.starts_with('/') && !given.starts_with("//");
    let is_plain = given.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { given.to_owned() } else { "/".to_owned() }
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    // Ours are plain ASCII; one that is not would be left out, and the login would be asked for again.
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_path_of_ours() {
        for good in ["/", "/incidents/1?x=%22", "/?labels=a%3D%22b%22"] {
            assert_eq!(target(good), good);
        }
        for bad in
            ["", "//evil.org", "/\\evil.org", "https://evil.org", "javascript:x", "/a b", "/\r\nSet-Cookie: x", "/ü"]
        {
            assert_eq!(target(bad), "/", "{bad:?}");
        }
    }
}
