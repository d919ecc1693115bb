//! The tap over HTTP: lines of JSON as they come, beats, an end; places, faults.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::control::example::{House, NOW, event, request};
use crate::control::routes::Part;
use crate::control::status::Phase;
use crate::model::{GroupHash, Status};
use crate::pipeline::sink::IncidentRecord;
use crate::pipeline::tap::{LISTENERS_MAX, Stage};

async fn open(house: &House, query: &str) -> Body {
    let request = request("GET", &format!("/api/v1/tap{query}"), "");
    let response = house.guarded(None, Part::Everything).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-accel-buffering"], "no", "proxies pass lines on as they come");
    response.into_body()
}

/// The lines of the next piece of the stream; none after its end.
async fn lines(body: &mut Body) -> Vec<Value> {
    let Some(frame) = body.frame().await else { return Vec::new() };
    let bytes = frame.unwrap().into_data().unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'), "lines are whole");
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(read).collect()
}

fn read(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap()
}

/// Incidents become durable.
fn commit(house: &House, incidents: &[(u32, u64)]) {
    let record = |(id, revision): &(u32, u64)| {
        let event = event(*id, *revision, Status::Firing);
        IncidentRecord { group: GroupHash(1), event, json: Vec::new() }
    };
    let records: Vec<IncidentRecord> = incidents.iter().map(record).collect();
    if let Some(look) = house.control.tap.look(&[Stage::Incident], NOW) {
        look.show_incidents(&records);
    }
}

#[tokio::test(start_paused = true)]
async fn samples_beats_and_an_end() {
    let house = House::new();
    let begun = tokio::time::Instant::now();
    let mut body = open(&house, "?stage=incident&rate=2&filter=service%3Ds1").await;
    let beat = lines(&mut body).await;
    insta::assert_snapshot!(beat[0], @r#"{"at":"2026-11-22T08:00:00.000Z","dropped":0,"over_rate":0,"shown":0,"type":"beat"}"#);
    commit(&house, &[(1, 1), (2, 1), (1, 2), (1, 3), (1, 4)]);
    let samples = lines(&mut body).await;
    insta::assert_snapshot!(samples[0], @r#"{"alerts":0,"at":"1970-01-01T00:00:01.001Z","decision":"opened","epoch":1,"firing":1,"group_labels":{"service":"s1"},"incident_id":"00000000000000000000000000000001","members":1,"reason":"first_alert","record_time":"1970-01-01T00:00:01.001Z","revision":1,"rule":"default","severity":"warning","stage":"incident","status":"firing","type":"sample"}"#);
    let revisions: Vec<_> = samples.iter().map(|line| line["revision"].as_u64()).collect();
    assert_eq!(revisions, [Some(1), Some(2)], "as many as the rate says, of the service that was asked for");
    let beat = lines(&mut body).await;
    insta::assert_snapshot!(beat[0], @r#"{"at":"2026-11-22T08:00:00.000Z","dropped":0,"over_rate":2,"shown":2,"type":"beat"}"#);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert!(lines(&mut body).await[0]["type"] == "beat" && begun.elapsed() == Duration::from_secs(10));
    house.control.board.enter(Phase::Draining);
    let end = lines(&mut body).await;
    assert_eq!(end.len(), 1);
    insta::assert_snapshot!(end[0], @r#"{"at":"2026-11-22T08:00:00.000Z","dropped":0,"over_rate":2,"reason":"draining","shown":2,"type":"end"}"#);
    assert_eq!(lines(&mut body).await, [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_ends_the_stream_and_frees_the_place() {
    let house = House::new();
    let mut body = open(&house, "?stage=incident&limit=2").await;
    lines(&mut body).await;
    commit(&house, &[(1, 1), (2, 1), (3, 1)]);
    let told = lines(&mut body).await;
    let words: Vec<_> = told.iter().map(|line| (line["type"].as_str(), line["reason"].as_str())).collect();
    let sample = (Some("sample"), Some("first_alert"));
    assert_eq!(words, [sample, sample, (Some("end"), Some("limit"))]);
    assert_eq!(told[2]["shown"], 2);
    assert_eq!(lines(&mut body).await, [Value::Null; 0]);
    drop(body);
    assert_eq!(house.control.tap.n_listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn places_are_bounded_and_free_when_the_client_goes() {
    let house = House::new();
    let mut bodies = Vec::new();
    for _ in 0..LISTENERS_MAX {
        bodies.push(open(&house, "").await);
    }
    let (status, headers, body) = house.call(request("GET", "/api/v1/tap", "")).await;
    assert_eq!((status.as_u16(), headers["retry-after"].to_str().unwrap()), (503, "5"));
    insta::assert_snapshot!(body, @r#"{"error":"crowded","detail":"4 listeners are at the tap already"}"#);
    bodies.pop();
    let _fits = open(&house, "").await;
    assert_eq!(Arc::clone(&house.control.tap).n_listeners(), LISTENERS_MAX);
}

#[tokio::test]
async fn wrong_questions_are_told_what_would_be_right() {
    let house = House::new();
    for (query, detail) in [
        ("stage=epoch", "stage: must be one of record, decode, shard, incident"),
        ("rate=0", "rate: must be a number of samples per second from 1 to 1000"),
        ("rate=1001", "rate: must be a number of samples per second from 1 to 1000"),
        ("limit=0", "limit: must be a number of samples, 1 or more"),
        ("filter=a", "filter: at byte 1: expected one of =, !=, =~, !~"),
        (
            "stage=record&filter=a%3Db",
            "filter: a record that is not decoded yet has no labels; listen to the stage decode instead",
        ),
        ("stages=shard", "unknown parameter \"stages\"; known: stage, rate, filter, limit"),
    ] {
        let (status, body) = house.get(&format!("/api/v1/tap?{query}")).await;
        assert_eq!((status.as_u16(), read(body.as_bytes())["detail"].as_str()), (400, Some(detail)), "{query}");
    }
    assert_eq!(house.control.tap.n_listeners(), 0);
}
