//! What senders are told, and the bounds of the door.

use std::io::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::control::example::{House, Script, request};
use crate::control::intake::IntakeOptions;
use crate::control::status::Phase;
use crate::model::alert::Format;
use crate::pipeline::decode::Reject;
use crate::pipeline::source::Answer;

const DOORS: [(&str, Format); 3] = [
    ("/api/v2/alerts", Format::AlertmanagerV2),
    ("/api/v1/alerts", Format::Native),
    ("/api/v1/webhooks/alertmanager", Format::AlertmanagerWebhook),
];

fn retry_after(headers: &HeaderMap) -> Option<&str> {
    headers.get("retry-after").map(|value| value.to_str().unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: Vec<u8>) -> Request<Body> {
    let mut request = request("POST", "/api/v1/alerts", "").map(|_| Body::from(body));
    request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
    request
}

#[tokio::test]
async fn what_is_durable_is_answered_with_success() {
    for (path, format) in DOORS {
        let house = House::new();
        let (status, _, body) = house.post(path, "[{}]").await;
        let expected = if format == Format::AlertmanagerV2 { "" } else { r#"{"accepted":1}"# };
        assert_eq!((status, body.as_str()), (StatusCode::OK, expected), "{path}");
        assert_eq!(*house.puppet.bodies.lock().unwrap(), [(format, Bytes::from("[{}]"))]);
    }
}

#[tokio::test]
async fn bad_elements_are_named_and_the_others_taken() {
    let house = House::new();
    let rejected = vec![(3, Reject::NoLabels), (7, Reject::LabelNotText)];
    house.script(Script::Answer(Answer::Durable { accepted: 8, rejected }));
    for (path, _) in DOORS {
        let (status, headers, body) = house.post(path, "[]").await;
        assert_eq!((status.as_u16(), retry_after(&headers)), (400, None), "{path}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(body, @r#"{"error":"rejected","detail":"2 of 10 alerts could not be read and went to the dead letters ([3] no_labels, [7] label_not_text); the other 8 were taken","accepted":8,"rejected":[{"index":3,"reason":"no_labels","detail":"`labels` must be an object with at least one label that has a value"},{"index":7,"reason":"label_not_text","detail":"the value of every label must be a text"}]}"#);
        }
    }
    let many = (0..5_000).map(|index| (index, Reject::NoLabels)).collect();
    house.script(Script::Answer(Answer::Durable { accepted: 0, rejected: many }));
    let (_, _, body) = house.post("/api/v1/alerts", "[]").await;
    assert!(body.contains("5000 of 5000") && body.len() < 20_000, "the answer is bounded: {} bytes", body.len());
}

#[tokio::test]
async fn an_unreadable_body_is_kept_as_a_sample() {
    let house = House::new();
    house.script(Script::Answer(Answer::Unreadable(Reject::MalformedJson)));
    let (status, _, body) = house.post("/api/v2/alerts", "{\"<script>").await;
    assert_eq!(status, 400);
    insta::assert_snapshot!(body, @r#"{"error":"malformed_json","detail":"nothing was taken: this is not JSON; check quotes, commas and that the text is complete"}"#);
    let (_, samples) = house.get("/api/v1/rejected-samples").await;
    insta::assert_snapshot!(samples, @r#"[{"at":"2026-11-22T08:00:00.000Z","format":"alertmanager_v2","reason":"malformed_json","bytes_total":10,"text":"{\"<script>"}]"#);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_503_with_a_time_to_come_again() {
    let house = House::new();
    for (n_refused, (script, word, seconds)) in [
        (Script::Refuse, "the pipeline is full", "7"),
        (Script::Answer(Answer::NotTaken), "not made durable", "5"),
        (Script::NeverAnswer, "not known to be durable yet", "5"),
    ]
    .into_iter()
    .enumerate()
    {
        house.script(script);
        let (status, headers, body) = house.post("/api/v2/alerts", "[]").await;
        assert_eq!((status.as_u16(), retry_after(&headers)), (503, Some(seconds)), "{body}");
        assert!(body.contains(word), "{body}");
        let line = format!("tidegate_http_refused_total {}\n", n_refused + 1);
        assert!(house.control.metrics.render().contains(&line), "{line}");
    }
    for phase in [Phase::Starting, Phase::Standby, Phase::Restoring, Phase::Draining] {
        house.control.board.enter(phase);
        let (status, headers, body) = house.post("/api/v2/alerts", "[]").await;
        assert_eq!((status.as_u16(), retry_after(&headers)), (503, Some("5")));
        assert!(body.contains(phase.name()), "{body}");
    }
}

#[tokio::test]
async fn places_are_bounded_and_come_back() {
    let house = House::with(IntakeOptions { in_flight_max: 1, ..IntakeOptions::default() });
    let place = house.control.admission.enter().unwrap();
    let (status, _, body) = house.post("/api/v2/alerts", "[]").await;
    assert_eq!(status, 503);
    assert!(body.contains("too many senders"), "{body}");
    drop(place);
    for _ in 0..3 {
        assert_eq!(house.post("/api/v2/alerts", "[]").await.0, 200);
    }
}

#[tokio::test]
async fn bodies_are_bounded_plain_and_inflated() {
    let options = IntakeOptions { body_bytes_max: 1_000, reading_bytes_max: 1_500, ..IntakeOptions::default() };
    let house = House::with(options);
    assert_eq!(house.post("/api/v1/alerts", &"x".repeat(1_000)).await.0, 200);
    let (status, _, body) = house.post("/api/v1/alerts", &"x".repeat(1_001)).await;
    assert_eq!(status, 413);
    assert_eq!(body, r#"{"error":"too_large","detail":"a body may have 1000 bytes, inflated too: send it in parts"}"#);

    let check = async |encoding: &str, body: Vec<u8>, expected: u16| {
        let (status, _, text) = house.call(encoded(encoding, body)).await;
        assert_eq!(status.as_u16(), expected, "{encoding}: {text}");
    };
    check("gzip", gzip(&[b'x'; 1_000]), 200).await;
    check("X-GZIP", gzip(b"[]"), 200).await;
    check("identity", b"[]".to_vec(), 200).await;
    check("gzip", gzip(&[b'x'; 1_001]), 413).await;
    check("gzip", gzip(&vec![b'x'; 50 << 20]), 413).await; // A bomb: 50 MiB in some 50 kB.
    check("gzip", b"[]".to_vec(), 400).await;
    let whole = gzip(b"[{}]");
    check("gzip", whole[..whole.len() - 3].to_vec(), 400).await;
    check("br", b"[]".to_vec(), 415).await;
    check("gzip, gzip", gzip(b"[]"), 415).await;
    assert_eq!(house.puppet.bodies.lock().unwrap()[2], (Format::Native, Bytes::from("[]")), "handed on inflated");

    let room = house.control.admission.room(1_000).unwrap();
    assert_eq!(house.post("/api/v1/alerts", &"x".repeat(600)).await.0, 503, "no room for 600 bytes more");
    drop(room);
    assert_eq!(house.post("/api/v1/alerts", &"x".repeat(600)).await.0, 200);
}

/// A body that never ends, as a slow sender's: a byte, then nothing.
struct Stalled(bool);

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        if std::mem::replace(&mut self.0, true) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"[")))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let house = House::new();
    let started = tokio::time::Instant::now();
    let slow = request("POST", "/api/v2/alerts", "").map(|_| Body::new(Stalled(false)));
    let (status, _, body) = house.call(slow).await;
    assert_eq!(status, 408);
    assert_eq!(body, r#"{"error":"timeout","detail":"the body was not complete after 10 s"}"#);
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert!(house.puppet.bodies.lock().unwrap().is_empty());
    assert!(house.control.admission.room(64 << 20).is_some(), "the room is free again");
}
