//! Streams without sockets: what a program and a page get, in which order, and what they are told when it is too much.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::control::example::{House, event, record, request};
use crate::control::routes::Part;
use crate::model::Status;

/// A stream that was answered with 200.
async fn open(house: &House, request: Request<Body>) -> Body {
    let response = house.guarded(None, Part::Everything).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    response.into_body()
}

/// The next event as its name, its id and its data.
async fn next(stream: &mut Body) -> Option<(String, String, String)> {
    let frame = stream.frame().await?.unwrap().into_data().unwrap();
    let text = String::from_utf8(frame.to_vec()).unwrap();
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        lines.collect::<Vec<_>>().join("\n")
    };
    Some((field("event"), field("id"), field("data")))
}

async fn name_and_id(stream: &mut Body) -> (String, String) {
    let (name, id, _) = next(stream).await.unwrap();
    (name, id)
}

fn resuming(id: &str) -> Request<Body> {
    let mut request = request("GET", "/api/v1/incidents/stream", "");
    request.headers_mut().insert("last-event-id", id.parse().unwrap());
    request
}

fn publish(house: &House, epoch: u64, ids: &[u32]) {
    let events: Vec<_> = ids.iter().map(|&id| event(id, epoch, Status::Firing)).collect();
    house.control.index.apply(&events);
    house.control.feed.publish(epoch, &events.iter().map(record).collect::<Vec<_>>());
}

#[tokio::test]
async fn programs_get_every_event_from_then_on() {
    let house = House::new();
    publish(&house, 7, &[1]);
    let mut stream = open(&house, request("GET", "/api/v1/incidents/stream", "")).await;
    publish(&house, 8, &[2, 3]);
    let (name, id, data) = next(&mut stream).await.unwrap();
    assert_eq!((name.as_str(), id.as_str()), ("incident", "8.1"));
    let told: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(told["group_labels"]["service"], "s2");
    assert_eq!(name_and_id(&mut stream).await, ("incident".to_owned(), "8.2".to_owned()));
    house.control.feed.close();
    assert!(next(&mut stream).await.is_none(), "the end of the daemon ends the stream");
}

#[tokio::test]
async fn whoever_comes_back_goes_on_or_is_told_to_begin_anew() {
    let house = House::new();
    publish(&house, 7, &[1, 2]);
    let mut stream = open(&house, resuming("7.1")).await;
    assert_eq!(name_and_id(&mut stream).await.1, "7.2");
    for unknown in ["6.9", "99.1"] {
        let mut stream = open(&house, resuming(unknown)).await;
        assert_eq!(name_and_id(&mut stream).await, ("reset".to_owned(), "7.2".to_owned()), "{unknown}");
    }
    let (status, _, body) = house.call(resuming("yesterday")).await;
    assert_eq!(status, 400);
    assert!(body.contains("bad_last_event_id"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_page_gets_the_parts_that_changed_at_its_own_pace() {
    let house = House::new();
    publish(&house, 7, &[1]);
    let began = tokio::time::Instant::now();
    let mut stream = open(&house, request("GET", "/live", "")).await;
    let mut names = Vec::new();
    for _ in 0..5 {
        names.push(next(&mut stream).await.unwrap().0);
    }
    assert_eq!(names, ["status", "numbers", "open", "resolved", "beat"], "everything at first");
    publish(&house, 8, &[2]);
    publish(&house, 9, &[3]);
    names.clear();
    let mut html = String::new();
    while names.last().is_none_or(|name| name != "beat") {
        let (name, _, data) = next(&mut stream).await.unwrap();
        html.push_str(&data);
        names.push(name);
    }
    assert_eq!(names, ["numbers", "open", "beat"], "both epochs in one update");
    assert!(html.contains("s2") && html.contains("s3"), "{html}");
    assert_eq!(began.elapsed(), Duration::from_millis(500));
    assert_eq!(next(&mut stream).await.unwrap().0, "beat", "without news");
    assert_eq!(began.elapsed(), Duration::from_millis(2_500));
    house.control.feed.close();
    assert!(next(&mut stream).await.is_none());
    assert_eq!(began.elapsed(), Duration::from_millis(2_500), "the end does not wait for the pace");
}

#[tokio::test(start_paused = true)]
async fn the_page_of_an_incident_follows_that_incident() {
    let house = House::new();
    publish(&house, 1, &[1]);
    let mut stream = open(&house, request("GET", "/incidents/00000000000000000000000000000001/live", "")).await;
    let mut names = Vec::new();
    for _ in 0..6 {
        names.push(next(&mut stream).await.unwrap().0);
    }
    assert_eq!(names, ["status", "facts", "resolve", "samples", "timeline", "beat"]);
    publish(&house, 2, &[9]);
    assert_eq!(next(&mut stream).await.unwrap().0, "beat", "news of another incident");
    let over = event(1, 3, Status::Resolved);
    house.control.index.apply(std::slice::from_ref(&over));
    house.control.feed.publish(3, &[record(&over)]);
    let (name, _, html) = next(&mut stream).await.unwrap();
    assert!(name == "facts" && html.contains("resolved"), "{html}");
    let (name, _, html) = next(&mut stream).await.unwrap();
    assert!(name == "resolve" && !html.contains("<form"), "{html}");
    assert!(!html.trim().is_empty(), "browsers pass over events without data");
}

#[tokio::test]
async fn streams_are_bounded() {
    let house = House::new();
    let mut streams = Vec::new();
    loop {
        let call = house.guarded(None, Part::Everything).oneshot(request("GET", "/live", ""));
        let response = call.await.unwrap();
        if response.status() == 503 {
            assert_eq!(response.headers()["retry-after"], "10");
            break;
        }
        streams.push(response.into_body());
    }
    assert_eq!(streams.len(), 100);
    streams.pop();
    drop(open(&house, request("GET", "/api/v1/incidents/stream", "")).await);
}
