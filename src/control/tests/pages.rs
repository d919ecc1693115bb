//! The pages as a browser meets them: faults as HTML, the login and its cookie, forms, filters, caching.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};

use crate::control::example::{House, answer, event, request};
use crate::control::routes::Part;
use crate::control::status::Phase;
use crate::model::{IncidentId, Status};
use crate::pipeline::command::Action;

const ONE: &str = "/incidents/00000000000000000000000000000001";
const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn house() -> House {
    let house = House::new();
    house.control.index.apply(&[event(1, 1, Status::Firing), event(2, 1, Status::Resolved)]);
    house
}

fn with(mut request: Request<Body>, headers: &[(&'static str, &str)]) -> Request<Body> {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Status, the place it leads to, and the body.
async fn browse(router: Router, request: Request<Body>) -> (u16, String, String) {
    let (status, headers, body) = answer(router, with(request, &[HTML])).await;
    (status.as_u16(), header(&headers, "location").to_owned(), body)
}

#[tokio::test]
async fn browsers_are_told_of_faults_in_html_and_programs_in_json() {
    let house = house();
    for (path, code, title) in [
        ("/nowhere", 404, "Nothing here"),
        ("/incidents/000000000000000000000000000000ff", 404, "Nothing here"),
        ("/incidents/%3Cscript%3E", 400, "This request cannot be read"),
        ("/live?status=strange", 400, "This request cannot be read"),
    ] {
        let (status, _, body) = browse(house.router_with_guard(), request("GET", path, "")).await;
        assert_eq!(status, code, "{path}: {body}");
        assert!(body.contains(&format!("<h1>{title}</h1>")) && !body.contains("<script>"), "{path}: {body}");
        let (status, body) = house.get(path).await;
        assert_eq!(status.as_u16(), code);
        assert!(body.starts_with("{\"error\":"), "{body}");
    }
    *house.puppet.fault.lock().unwrap() = Some("disk full".to_owned());
    let (status, _, body) =
        browse(house.router_with_guard(), request("POST", &format!("{ONE}/resolve"), "by=ada")).await;
    assert_eq!(status, 503);
    assert!(body.contains("Not now") && body.contains("disk full"), "{body}");
    let (status, headers, body) = answer(house.router_with_guard(), with(request("POST", ONE, ""), &[HTML])).await;
    assert_eq!((status.as_u16(), header(&headers, "allow")), (405, "GET,HEAD"));
    assert!(body.contains("Not this way"), "{body}");
    let (_, _, body) = browse(house.router_with_guard(), request("GET", "/api/v1/nothing", "")).await;
    assert!(body.starts_with("{\"error\":"), "the API stays JSON: {body}");
}

#[tokio::test]
async fn the_list_shows_open_incidents_then_resolved_ones() {
    let house = house();
    let (status, body) = house.get("/").await;
    assert_eq!(status, 200);
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is not in {body}"));
    assert!(at("Open incidents <span") < at("i-00000000000000000000000000000001"));
    assert!(at("i-00000000000000000000000000000001") < at("Recently resolved"));
    assert!(at("Recently resolved") < at("i-00000000000000000000000000000002"));
    assert!(at("http-equiv=\"refresh\"") < at("</head>"));
    for (query, shown, missing) in [
        ("status=open&severity=&labels=", "i-00000000000000000000000000000001", "Recently resolved"),
        ("status=resolved", "i-00000000000000000000000000000002", "id=\"open\""),
        ("severity=critical", "No open incident passes this filter", "i-0000"),
        ("labels=service%3Ds2", "i-00000000000000000000000000000002", "i-00000000000000000000000000000001"),
    ] {
        let (status, body) = house.get(&format!("/?{query}")).await;
        assert_eq!(status, 200);
        assert!(body.contains(shown) && !body.contains(missing), "{query}: {body}");
        assert!(body.contains("data-live=\"/live"), "{body}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_stays_in_its_field() {
    let house = house();
    let (status, body) = house.get("/?labels=service%3D%22a%22%20%3Cb%3E").await;
    assert_eq!(status, 400);
    assert!(body.contains("value=\"service=&#34;a&#34; &#60;b&#62;\""), "{body}");
    assert!(body.contains("id=\"fault\"") && body.contains("data-live=\"\""), "{body}");
    let (status, body) = house.get("/?status=strange").await;
    assert_eq!(status, 400);
    assert!(body.contains("status: must be open or resolved"), "{body}");
}

#[tokio::test]
async fn long_lists_have_pages_that_keep_the_filter() {
    let house = House::new();
    let events: Vec<_> = (1..=51).map(|id| event(id, 1, Status::Firing)).collect();
    house.control.index.apply(&events);
    let (_, body) = house.get("/?severity=low").await;
    let link = body.split("<a href=\"").find(|part| part.contains(">Older</a>")).unwrap();
    let link = link.split('"').next().unwrap().replace("&#38;", "&");
    assert!(link.starts_with("/?severity=low&cursor=2000."), "{link}");
    let (_, body) = house.get(&link).await;
    assert!(body.contains("i-00000000000000000000000000000001") && body.contains(">Newest</a>"), "{body}");
    assert!(!body.contains(">Older</a>") && !body.contains("Recently resolved"), "{body}");
}

#[tokio::test]
async fn the_form_writes_a_command_and_leads_back() {
    let house = house();
    let post = |body: &str| request("POST", &format!("{ONE}/resolve"), body);
    let (status, to, _) = browse(house.router_with_guard(), post("by=+Ada+Lovelace+")).await;
    assert_eq!((status, to.as_str()), (303, "/incidents/00000000000000000000000000000001?asked"));
    let commands = house.puppet.commands.lock().unwrap().clone();
    assert_eq!((commands.len(), commands[0].by.as_str()), (1, "Ada Lovelace"));
    assert!(matches!(commands[0].action, Action::Resolve { incident_id: IncidentId(1) }));
    let (_, body) = house.get(&to).await;
    assert!(body.contains("id=\"asked\""), "{body}");
    for bad in ["", "by=", "by=%00", "other=x"] {
        let (status, _, body) = browse(house.router_with_guard(), post(bad)).await;
        assert_eq!(status, 400, "{bad:?}");
        assert!(body.contains("must be a name of 1 to 128 characters"), "{body}");
    }
    let over = request("POST", "/incidents/00000000000000000000000000000002/resolve", "by=ada");
    let (status, to, _) = browse(house.router_with_guard(), over).await;
    assert_eq!((status, to.as_str()), (303, "/incidents/00000000000000000000000000000002"), "what was wanted is so");
    house.control.board.enter(Phase::Draining);
    assert_eq!(browse(house.router_with_guard(), post("by=ada")).await.0, 503);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused_with_and_without_fetch_metadata() {
    let house = house();
    for (headers, is_let_in) in [
        (&[("sec-fetch-site", "cross-site")][..], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
        (&[("origin", "http://localhost:9093")], true),
        (&[("origin", "http://localhost:9999")], false),
        (&[("origin", "https://evil.example.org")], false),
        (&[("origin", "null")], false),
        (&[], true),
    ] {
        let request = with(request("POST", &format!("{ONE}/resolve"), "by=ada"), headers);
        let (status, _, _) = browse(house.router_with_guard(), request).await;
        assert_eq!(status, if is_let_in { 303 } else { 403 }, "{headers:?}");
    }
}

#[tokio::test]
async fn a_browser_shows_the_token_once() {
    let house = house();
    let router = house.guarded(Some("s3cret"), Part::Everything);
    let (status, to, _) = browse(router.clone(), request("GET", "/?severity=high", "")).await;
    assert_eq!((status, to.as_str()), (303, "/login?to=%2F%3Fseverity%3Dhigh"));
    let (_, _, body) = browse(router.clone(), request("GET", &to, "")).await;
    assert!(body.contains("name=\"to\" value=\"/?severity=high\""), "{body}");
    let (status, _, body) = browse(router.clone(), request("POST", "/login", "token=wrong&to=/")).await;
    assert!(status == 401 && body.contains("This is not the token.") && !body.contains("wrong\""), "{body}");

    let login = with(request("POST", "/login", "token=s3cret&to=//evil.org"), &[HTML]);
    let (status, headers, _) = answer(router.clone(), login).await;
    assert_eq!((status.as_u16(), header(&headers, "location")), (303, "/"));
    let cookie = header(&headers, "set-cookie").to_owned();
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains("s3cret"));
    let cookie = cookie.split(';').next().unwrap();
    let known = |method: &str, path: &str, body: &str| with(request(method, path, body), &[("cookie", cookie)]);

    let (status, _, body) = browse(router.clone(), known("GET", "/", "")).await;
    assert!(status == 200 && body.contains("action=\"/logout\""), "{body}");
    assert_eq!(browse(router.clone(), known("GET", "/nowhere", "")).await.0, 404);
    for path in ["/api/v1/incidents", "/metrics"] {
        assert_eq!(answer(router.clone(), known("GET", path, "")).await.0, 401, "{path} is for programs");
    }
    assert_eq!(answer(router.clone(), known("POST", "/-/reload", "")).await.0, 401);
    let resolve = format!("{ONE}/resolve");
    for (site, code) in [("same-origin", 303), ("same-site", 403), ("cross-site", 403)] {
        let request = with(known("POST", &resolve, "by=ada"), &[("sec-fetch-site", site)]);
        assert_eq!(browse(router.clone(), request).await.0, code, "{site}");
    }
    assert_eq!(browse(router.clone(), known("POST", &resolve, "by=ada")).await.0, 403, "no browser says nothing");

    let out = with(known("POST", "/logout", ""), &[("sec-fetch-site", "same-origin"), HTML]);
    let (status, headers, _) = answer(router.clone(), out).await;
    assert_eq!((status.as_u16(), header(&headers, "location")), (303, "/login"));
    assert!(header(&headers, "set-cookie").starts_with("tidegate_session=; Path=/; Max-Age=0"));
    assert_eq!(browse(router, known("GET", "/", "")).await.0, 303, "the session is over");
}

#[tokio::test]
async fn guessing_tokens_is_slow() {
    let house = house();
    let router = house.guarded(Some("s3cret"), Part::Everything);
    for _ in 0..10 {
        assert_eq!(browse(router.clone(), request("POST", "/login", "token=guess")).await.0, 401);
    }
    let (status, headers, _) = answer(router, with(request("POST", "/login", "token=s3cret"), &[HTML])).await;
    assert_eq!((status, header(&headers, "retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
}

#[tokio::test]
async fn without_a_token_there_is_nothing_to_log_in_to() {
    let house = house();
    for request in [request("GET", "/login?to=/x", ""), request("POST", "/login", "token=x&to=/x")] {
        assert_eq!(browse(house.router_with_guard(), request).await.1, "/x");
    }
}

#[tokio::test]
async fn assets_are_kept_under_the_name_of_their_content() {
    let house = house();
    let (_, page) = house.get("/").await;
    for (start, kind) in [("/assets/page.css?v=", "text/css"), ("/assets/page.js?v=", "text/javascript")] {
        let at = page.find(start).unwrap();
        let url = page[at..].split('"').next().unwrap();
        let (status, headers, body) = house.call(request("GET", url, "")).await;
        assert!(status == 200 && header(&headers, "content-type").starts_with(kind) && !body.is_empty());
        assert_eq!(header(&headers, "cache-control"), "public, max-age=31536000, immutable");
        let tag = header(&headers, "etag").to_owned();
        let again = with(request("GET", url.split('?').next().unwrap(), ""), &[("if-none-match", &tag)]);
        let (status, headers, body) = house.call(again).await;
        assert_eq!((status.as_u16(), header(&headers, "cache-control"), body.as_str()), (304, "no-cache", ""));
    }
}
