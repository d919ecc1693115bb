//! Who may pass: bearer token or session, Host header, no posts from foreign web pages; and the headers that keep browsers
//! tame.
//!
//! Order of the checks: Host, token, origin. What `OPEN_PATHS` names needs no token: probes have no secret, and a browser
//! must reach the page where it shows the token. A session opens the pages and nothing else; programs bring the token.
//! Every answer counts, refusals too.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::control::pages;
use crate::control::problem::Problem;
use crate::control::routes::{OPEN_PATHS, PAGE_PATHS};
use crate::control::session::{LIFETIME, Sessions};
use crate::metrics::{Counter, Metric, Metrics};
use crate::model::time::{Clock as _, SystemClock};

/// The cookie that holds the name of a session.
const COOKIE: &str = "tidegate_session";
/// Seconds after which a browser may try another token.
const LOGIN_RETRY_SECONDS: u32 = 60;

/// What a listener asks of its guests.
#[derive(Clone, Debug, Default)]
pub struct GuardOptions {
    /// The token that every request must bring; `None`: no token is asked for.
    pub token: Option<SecretString>,
    /// Names by which the listener may be called, besides loopback names and addresses (a reverse proxy's, say).
    pub allowed_hosts: Vec<String>,
    /// The listener is on a loopback address: a web page that had its name point here must not get through.
    pub is_loopback: bool,
    /// The listener speaks TLS: cookies are for TLS only.
    pub is_tls: bool,
}

/// As whom the guard let a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    /// No token is asked for, or not here.
    Anyone,
    /// Brought the token.
    Bearer,
    /// A browser that showed the token before.
    Session,
}

/// The guard of one listener.
#[derive(Debug)]
pub struct Guard {
    options: ArcSwap<GuardOptions>,
    sessions: Sessions,
    metrics: Metrics,
    answers: RwLock<Vec<Answers>>,
}

/// The counter of the answers of a route with one status: a handful of each, so that looking through them costs less than
/// finding the metric by its name and labels with every request.
#[derive(Debug)]
struct Answers {
    route: String,
    code: StatusCode,
    counter: Counter,
}

impl Guard {
    /// A guard with these rules.
    #[must_use]
    pub fn new(options: GuardOptions, metrics: Metrics) -> Arc<Self> {
        let (options, sessions) = (ArcSwap::from_pointee(options), Sessions::default());
        Arc::new(Self { options, sessions, metrics, answers: RwLock::default() })
    }

    /// New rules from the next request on: a reload may bring another token, which ends every session.
    pub fn replace(&self, options: GuardOptions) {
        let secret = |options: &GuardOptions| options.token.as_ref().map(|token| token.expose_secret().to_owned());
        let is_same = secret(&self.options.load()) == secret(&options);
        self.options.store(Arc::new(options));
        if !is_same {
            self.sessions.clear();
        }
    }

    /// Whether a token is asked for.
    pub(crate) fn asks_for_token(&self) -> bool {
        self.options.load().token.is_some()
    }

    /// Opens a session for a browser that shows the token; the value of `Set-Cookie`.
    ///
    /// # Errors
    /// When the token is wrong, too many wrong ones came of late, or no session can be made.
    pub(crate) fn log_in(&self, given: &str) -> Result<String, Problem> {
        let (options, now) = (self.options.load(), SystemClock.now());
        if !self.sessions.may_try(now) {
            let detail = "Too many wrong tokens came within a minute. Wait one and try again.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", detail);
            return Err(Problem { retry_after_seconds: Some(LOGIN_RETRY_SECONDS), ..problem });
        }
        if !options.token.as_ref().is_some_and(|token| is_same(given.as_bytes(), token)) {
            self.sessions.note_wrong(now);
            tracing::warn!("somebody sent a wrong token to the login page");
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_token", "This is not the token."));
        }
        let name = self.sessions.open(now).ok_or_else(|| {
            let detail = "the system gives no random numbers for a session";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no_session", detail)
        })?;
        Ok(cookie(&name, LIFETIME.0 / 1_000, options.is_tls))
    }

    /// Ends the session of a request; the value of `Set-Cookie` that makes the browser forget it.
    pub(crate) fn log_out(&self, headers: &HeaderMap) -> String {
        if let Some(name) = session_name(headers) {
            self.sessions.close(name);
        }
        cookie("", 0, self.options.load().is_tls)
    }

    /// Puts the guard before every route, known or not.
    pub fn protect(self: &Arc<Self>, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::clone(self), watch))
    }

    /// Whether a request may pass, and as whom; `is_page`: it is for a page, see `is_page`.
    ///
    /// # Errors
    /// What the sender is told when it may not.
    pub(crate) fn check<B>(&self, request: &axum::http::Request<B>, is_page: bool) -> Result<Guest, Problem> {
        let options = self.options.load();
        let headers = request.headers();
        if options.is_loopback && !host_is_known(request.uri(), headers, &options.allowed_hosts) {
            let detail = "the Host header names neither this machine's loopback nor one of allowed_hosts";
            return Err(Problem::new(StatusCode::FORBIDDEN, "unknown_host", detail));
        }
        let guest = self.recognise(request, options.token.as_ref(), is_page)?;
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !is_safe && !is_from_here(headers, &options.allowed_hosts, guest, is_page) {
            let detail = "a page of another site may not change anything here";
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail));
        }
        Ok(guest)
    }

    fn recognise<B>(
        &self,
        request: &axum::http::Request<B>,
        token: Option<&SecretString>,
        is_page: bool,
    ) -> Result<Guest, Problem> {
        let Some(token) = token else { return Ok(Guest::Anyone) };
        if token_is_right(request.headers(), token) {
            return Ok(Guest::Bearer);
        }
        let name = session_name(request.headers());
        if is_page && name.is_some_and(|name| self.sessions.knows(name, SystemClock.now())) {
            return Ok(Guest::Session);
        }
        if OPEN_PATHS.contains(&request.uri().path()) {
            return Ok(Guest::Anyone);
        }
        let detail = "this listener asks for `Authorization: Bearer <token>`";
        Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail))
    }

    /// Counts an answer and puts the headers on it that every answer has.
    pub(crate) fn finish(&self, route: &str, response: Response) -> Response {
        let code = response.status();
        self.finish_as(route, code, response)
    }

    /// The same, for what is shown in another way than it is counted.
    fn finish_as(&self, route: &str, code: StatusCode, mut response: Response) -> Response {
        self.count(route, code);
        // Fixed texts only: nothing that came in goes out in a header or a label.
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn count(&self, route: &str, code: StatusCode) {
        let known = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(answers) = known.iter().find(|answers| answers.code == code && answers.route == route) {
            return answers.counter.increment(1);
        }
        drop(known);
        let counter = self.metrics.counter(Metric::HttpRequests, &[route, code.as_str()]);
        counter.increment(1);
        let mut known = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        known.push(Answers { route: route.to_owned(), code, counter });
    }
}

async fn watch(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let browser = pages::Browser::of(&request);
    let response = match guard.check(&request, is_page(&request)) {
        Ok(guest) => {
            request.extensions_mut().insert(guest);
            request.extensions_mut().insert(Arc::clone(&guard));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let code = response.status();
    let shown = match browser {
        Some(browser) => browser.show(response),
        None => response,
    };
    guard.finish_as(route.as_ref().map_or("unknown", MatchedPath::as_str), code, shown)
}

fn token_is_right(headers: &HeaderMap, token: &SecretString) -> bool {
    let Some((scheme, given)) =
        headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
    else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"bearer ") && is_same(given, token)
}

/// The time this takes tells the token's length, not its content.
fn is_same(given: &[u8], token: &SecretString) -> bool {
    bool::from(given.ct_eq(token.expose_secret().as_bytes()))
}

fn session_name(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// `name` is ours: hexadecimal digits or nothing.
fn cookie(name: &str, seconds: i64, is_tls: bool) -> String {
    let secure = if is_tls { "; Secure" } else { "" };
    format!("{COOKIE}={name}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Whether a request asks for a page; one that does not exist is a page too, the one that says so.
fn is_page(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    route.is_none_or(|route| PAGE_PATHS.contains(&route))
}

/// Whether a request that changes something comes from our own pages, or from no page at all. Browsers say so in
/// `Sec-Fetch-Site`, but only to servers on loopback or behind TLS; else the page's origin must be a name of ours.
/// Our forms are on our pages only; the API is also for other pages of this site.
fn is_from_here(headers: &HeaderMap, allowed: &[String], guest: Guest, is_page: bool) -> bool {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) if is_page => matches!(site, b"same-origin" | b"none"),
        (Some(site), _) => !site.eq_ignore_ascii_case(b"cross-site"),
        (None, Some(origin)) => {
            let origin = str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, origin)| {
                text("host").is_some_and(|host| host.eq_ignore_ascii_case(origin.as_bytes()))
                    || allowed.iter().any(|known| known.eq_ignore_ascii_case(without_port(origin)))
            })
        }
        // No browser: these send one of the two with everything that changes something. With a session it must be one.
        (None, None) => guest != Guest::Session,
    }
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
    fn a_cookie_is_for_us_alone() {
        let plain = "tidegate_session=ab; Path=/; Max-Age=5; HttpOnly; SameSite=Strict";
        assert_eq!(cookie("ab", 5, false), plain);
        assert_eq!(cookie("ab", 5, true), format!("{plain}; Secure"));
        let name = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            session_name(&headers).map(str::to_owned)
        };
        assert_eq!(name("a=1; tidegate_session=ab;b=2").as_deref(), Some("ab"));
        assert_eq!((name("a=1"), name("x_tidegate_session=ab"), name("tidegate_session")), (None, None, None));
    }

    #[test]
    fn another_token_ends_every_session() {
        let options = |token: &str| GuardOptions { token: Some(SecretString::from(token)), ..GuardOptions::default() };
        let guard = Guard::new(options("old"), Metrics::new());
        let cookie = guard.log_in("old").unwrap();
        let name = cookie.split(['=', ';']).nth(1).unwrap();
        guard.replace(options("old"));
        assert!(guard.sessions.knows(name, SystemClock.now()), "a reload with the same token changes nothing");
        guard.replace(options("new"));
        assert!(!guard.sessions.knows(name, SystemClock.now()));
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
