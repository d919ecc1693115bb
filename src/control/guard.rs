//! Who may pass: bearer token, Host header, no posts from foreign web pages; and the headers that keep browsers tame.
//!
//! Order of the checks: Host, token, Sec-Fetch-Site. Health and readiness need no token, so that probes need no secret.
//! Every answer counts, refusals too.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::control::problem::Problem;
use crate::control::routes::OPEN_PATHS;
use crate::metrics::{Metric, Metrics};

/// What a listener asks of its guests.
#[derive(Clone, Debug, Default)]
pub struct GuardOptions {
    /// The token that every request must bring; `None`: no token is asked for.
    pub token: Option<SecretString>,
    /// Names by which the listener may be called, besides loopback names and addresses (a reverse proxy's, say).
    pub allowed_hosts: Vec<String>,
    /// The listener is on a loopback address: a web page that had its name point here must not get through.
    pub is_loopback: bool,
}

/// The guard of one listener.
#[derive(Debug)]
pub struct Guard {
    options: ArcSwap<GuardOptions>,
    metrics: Metrics,
}

impl Guard {
    /// A guard with these rules.
    #[must_use]
    pub fn new(options: GuardOptions, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { options: ArcSwap::from_pointee(options), metrics })
    }

    /// New rules from the next request on: a reload may bring another token.
    pub fn replace(&self, options: GuardOptions) {
        self.options.store(Arc::new(options));
    }

    /// Puts the guard before every route, known or not.
    pub fn protect(self: &Arc<Self>, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::clone(self), watch))
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let options = self.options.load();
        let headers = request.headers();
        if options.is_loopback && !host_is_known(request.uri(), headers, &options.allowed_hosts) {
            let detail = "the Host header names neither this machine's loopback nor one of allowed_hosts";
            return Err(Problem::new(StatusCode::FORBIDDEN, "unknown_host", detail));
        }
        if let Some(token) = &options.token
            && !OPEN_PATHS.contains(&request.uri().path())
            && !token_is_right(headers, token)
        {
            let detail = "this listener asks for `Authorization: Bearer <token>`";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail));
        }
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if !is_safe && site.is_some_and(|site| site.eq_ignore_ascii_case(b"cross-site")) {
            let detail = "a page of another site may not change anything here";
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail));
        }
        Ok(())
    }
}

async fn watch(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    // Fixed texts only: nothing that came in goes out in a header or a label.
    let (route, code) = (route.as_ref().map_or("unknown", MatchedPath::as_str), response.status());
    guard.metrics.add(Metric::HttpRequests, &[route, code.as_str()], 1);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if code == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn token_is_right(headers: &HeaderMap, token: &SecretString) -> bool {
    let Some((scheme, given)) =
        headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
    else {
        return false;
    };
    // The time this takes tells the token's length, not its content.
    scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(token.expose_secret().as_bytes()))
}

/// Every name the request calls us by must be known: the Host header, and the target if it is absolute.
fn host_is_known(uri: &Uri, headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    name_is_known(without_port(host), allowed) && uri.host().is_none_or(|host| name_is_known(host, allowed))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn name_is_known(name: &str, allowed: &[String]) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hosts() {
        let allowed = ["alerts.example.org".to_owned()];
        let check = |host: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(host_is_known(&"/".parse().unwrap(), &headers, &allowed), expected, "{host}");
        };
        for good in ["localhost", "LOCALHOST:9093", "127.0.0.1:9093", "[::1]:9093", "[::1]", "alerts.example.org:443"] {
            check(good, true);
        }
        for bad in ["evil.example.org", "localhost.evil.org", "127.0.0.1.evil.org", "10.0.0.1", "", ":9093", "::1:x"] {
            check(bad, false);
        }
        assert!(!host_is_known(&"/".parse().unwrap(), &HeaderMap::new(), &allowed), "no Host header");
        let mut two = HeaderMap::new();
        two.append(header::HOST, "localhost".parse().unwrap());
        assert!(!host_is_known(&"http://evil.org/".parse().unwrap(), &two, &allowed), "an absolute target");
        two.append(header::HOST, "evil.org".parse().unwrap());
        assert!(!host_is_known(&"/".parse().unwrap(), &two, &allowed), "two Host headers");
    }

    #[test]
    fn tokens() {
        let token = SecretString::from("s3cret");
        let check = |value: Option<&str>, expected: bool| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(token_is_right(&headers, &token), expected, "{value:?}");
        };
        check(Some("Bearer s3cret"), true);
        check(Some("bearer s3cret"), true);
        for bad in [None, Some(""), Some("Bearer "), Some("Bearer s3cre"), Some("Bearer s3cret "), Some("Basic s3cret")]
        {
            check(bad, false);
        }
    }
}
