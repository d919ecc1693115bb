//! Who may pass: every route with no token, a bad one and the right one; foreign pages; foreign names.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};

use crate::control::example::{House, answer, event, request};
use crate::control::routes::{self, Part};
use crate::model::Status;

const TOKEN: &str = "s3cret";

/// Method, path as in the table, path to call, answer without a token, with a wrong one, with the right one.
const MATRIX: [(&str, &str, &str, [u16; 3]); 31] = [
    ("POST", "/api/v2/alerts", "/api/v2/alerts", [401, 401, 200]),
    ("POST", "/api/v1/alerts", "/api/v1/alerts", [401, 401, 200]),
    ("POST", "/api/v1/webhooks/alertmanager", "/api/v1/webhooks/alertmanager", [401, 401, 200]),
    ("GET", "/api/v1/rejected-samples", "/api/v1/rejected-samples", [401, 401, 200]),
    ("GET", "/api/v1/incidents", "/api/v1/incidents", [401, 401, 200]),
    ("GET", "/api/v1/incidents/stream", "/api/v1/incidents/stream", [401, 401, 503]),
    ("GET", "/api/v1/incidents/{id}", "/api/v1/incidents/00000000000000000000000000000001", [401, 401, 200]),
    (
        "GET",
        "/api/v1/incidents/{id}/steps",
        "/api/v1/incidents/00000000000000000000000000000001/steps",
        [401, 401, 200],
    ),
    (
        "POST",
        "/api/v1/incidents/{id}/resolve",
        "/api/v1/incidents/00000000000000000000000000000001/resolve",
        [401, 401, 202],
    ),
    ("GET", "/api/v1/groups", "/api/v1/groups", [401, 401, 200]),
    ("GET", "/api/v1/pulse", "/api/v1/pulse", [401, 401, 200]),
    ("GET", "/api/v1/tap", "/api/v1/tap?stage=none", [401, 401, 400]),
    ("GET", "/api/v1/status", "/api/v1/status", [401, 401, 200]),
    ("GET", "/api/v2/status", "/api/v2/status", [401, 401, 200]),
    ("GET", "/api/v2/receivers", "/api/v2/receivers", [401, 401, 200]),
    ("GET", "/api/v2/alerts", "/api/v2/alerts", [401, 401, 200]),
    ("GET", "/", "/", [401, 401, 200]),
    ("GET", "/live", "/live", [401, 401, 503]),
    ("GET", "/incidents/{id}", "/incidents/00000000000000000000000000000001", [401, 401, 200]),
    ("GET", "/incidents/{id}/live", "/incidents/00000000000000000000000000000001/live", [401, 401, 503]),
    ("POST", "/incidents/{id}/resolve", "/incidents/00000000000000000000000000000001/resolve", [401, 401, 400]),
    ("GET", "/login", "/login", [200, 200, 200]),
    ("POST", "/login", "/login", [401, 401, 401]),
    ("POST", "/logout", "/logout", [401, 401, 303]),
    ("GET", "/assets/page.css", "/assets/page.css", [200, 200, 200]),
    ("GET", "/assets/page.js", "/assets/page.js", [200, 200, 200]),
    ("GET", "/assets/icon.svg", "/assets/icon.svg", [200, 200, 200]),
    ("GET", "/metrics", "/metrics", [401, 401, 200]),
    ("POST", "/-/reload", "/-/reload", [401, 401, 200]),
    ("GET", "/-/healthy", "/-/healthy", [200, 200, 200]),
    ("GET", "/-/ready", "/-/ready", [200, 200, 200]),
];

fn house() -> House {
    let house = House::new();
    house.control.index.apply(&[event(1, 1, Status::Firing)]);
    house.control.feed.close(); // Streams answer at once, with a refusal.
    house
}

fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn the_matrix_has_every_route() {
    let rows: Vec<(String, &str)> = MATRIX.iter().map(|(method, path, _, _)| ((*method).to_owned(), *path)).collect();
    let routes: Vec<(String, &str)> =
        routes::list(Part::Everything).into_iter().map(|(method, path)| (method.to_string(), path)).collect();
    assert_eq!(rows, routes, "a route without a row, or a row without a route");
}

#[tokio::test]
async fn every_route_asks_for_the_token() {
    let house = house();
    for (method, _, path, expected) in MATRIX {
        for (given, expected) in [None, Some("Bearer wrong"), Some("Bearer s3cret")].into_iter().zip(expected) {
            let mut request = request(method, path, "");
            if let Some(given) = given {
                request = with_header(request, "authorization", given);
            }
            let (status, headers, body) = answer(house.guarded(Some(TOKEN), Part::Everything), request).await;
            assert_eq!(status.as_u16(), expected, "{method} {path} with {given:?}: {body}");
            assert_eq!(header(&headers, "www-authenticate"), if expected == 401 { "Bearer" } else { "" });
            let policy = header(&headers, "content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; ") && policy.ends_with("frame-ancestors 'none'"),
                "{policy}"
            );
            assert_eq!(policy.contains("script-src 'self'"), header(&headers, "content-type").starts_with("text/html"));
            assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
            let caching = if path.starts_with("/assets/") { "no-cache" } else { "no-store" };
            assert_eq!(header(&headers, "cache-control"), caching);
        }
    }
    let unknown = answer(house.guarded(Some(TOKEN), Part::Everything), request("GET", "/secret", "")).await;
    assert_eq!(unknown.0, 401, "what does not exist is not told to strangers");
    let text = house.control.metrics.render();
    for line in [
        "tidegate_http_requests_total{route=\"/api/v1/incidents/{id}\",code=\"401\"} 2",
        "tidegate_http_requests_total{route=\"/api/v1/incidents/{id}/resolve\",code=\"202\"} 1",
        "tidegate_http_requests_total{route=\"unknown\",code=\"401\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn every_route_refuses_other_names_and_foreign_pages() {
    let house = house();
    for (method, _, path, _) in MATRIX {
        let foreign_name = with_header(request(method, path, ""), "host", "rebound.example.org");
        let (status, _, body) = house.call(foreign_name).await;
        assert_eq!(status, 403, "{method} {path}");
        assert!(body.contains("unknown_host"), "{body}");
        for (site, is_refused) in [("cross-site", true), ("same-origin", false), ("none", false)] {
            let (status, _, body) = house.call(with_header(request(method, path, ""), "sec-fetch-site", site)).await;
            assert_eq!(status == StatusCode::FORBIDDEN, is_refused && method == "POST", "{method} {path} {site}");
            assert_eq!(body.contains("cross_site"), is_refused && method == "POST");
        }
    }
    assert!(house.puppet.commands.lock().unwrap().len() == 2, "only the two posts that were not from a foreign page");
}

#[tokio::test]
async fn with_two_listeners_each_serves_its_part() {
    let house = house();
    let part = |part| routes::list(part).into_iter().map(|(_, path)| path).collect::<Vec<_>>();
    assert_eq!(part(Part::Admin), ["/metrics", "/-/reload", "/-/healthy", "/-/ready"]);
    let public = part(Part::Public);
    assert!(!public.contains(&"/metrics") && !public.contains(&"/-/reload") && public.contains(&"/-/ready"));
    let metrics = |part| answer(house.guarded(None, part), request("GET", "/metrics", ""));
    assert_eq!(metrics(Part::Public).await.0, 404);
    assert_eq!(metrics(Part::Admin).await.0, 200);
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_as_json() {
    let house = house();
    let (status, headers, body) = house.post("/metrics", "").await;
    assert_eq!((status.as_u16(), header(&headers, "allow")), (405, "GET,HEAD"));
    assert!(body.contains("\"error\":\"method_not_allowed\""), "{body}");
    let (status, body) = house.get("/nowhere").await;
    assert_eq!(status, 404);
    assert_eq!(body, r#"{"error":"not_found","detail":"there is nothing at this path"}"#);
}
