//! Questions and answers of the JSON API.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::control::example::{House, NOW, event, request};
use crate::control::status::{Phase, SourceStatus};
use crate::model::{GroupHash, IncidentId, Severity, Status, Timestamp};
use crate::pipeline::command::{Action, Command};
use crate::pipeline::shard::busiest::BusyGroup;

fn house() -> House {
    let house = House::new();
    let events: Vec<_> = [1, 2].into_iter().map(|id| event(id, 1, Status::Firing)).collect();
    house.control.index.apply(&events);
    house.control.index.apply(&[event(3, 1, Status::Resolved)]);
    house
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn id(number: u32) -> String {
    IncidentId(u128::from(number)).to_string()
}

#[tokio::test]
async fn incidents_are_listed_page_by_page() {
    let house = house();
    let list = async |query: &str| {
        let (status, body) = house.get(&format!("/api/v1/incidents{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        let page = read(&body);
        let incidents = page["incidents"].as_array().unwrap().clone();
        let ids = incidents.iter().map(|incident| incident["incident_id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(list("").await, (vec![id(3), id(2), id(1)], Value::Null));
    let (first, next) = list("?limit=2").await;
    assert_eq!(first, [id(3), id(2)]);
    assert_eq!(list(&format!("?limit=2&cursor={}", next.as_str().unwrap())).await, (vec![id(1)], Value::Null));
    for (query, expected) in [
        ("?status=firing", vec![id(2), id(1)]),
        ("?severity=critical", vec![]),
        ("?severity=low&status=resolved", vec![id(3)]),
        ("?filter=service%3D~%22s1%7Cs3%22&filter=service!=s3", vec![id(1)]),
        ("?since=1970-01-01T00:00:02Z", vec![id(3), id(2)]),
    ] {
        assert_eq!(list(query).await.0, expected, "{query}");
    }
}

#[tokio::test]
async fn wrong_questions_are_told_what_would_be_right() {
    let house = house();
    for (path, status, detail) in [
        (
            "/api/v1/incidents?state=x",
            400,
            "unknown parameter \"state\"; known: status, severity, filter, since, id, limit",
        ),
        ("/api/v1/incidents?status=open", 400, "status: must be firing or resolved"),
        ("/api/v1/incidents?severity=bad", 400, "severity: must be one of unknown, info, low, warning, high, critical"),
        ("/api/v1/incidents?limit=0", 400, "limit: must be a number from 1 to 1000"),
        ("/api/v1/incidents?limit=1001", 400, "limit: must be a number from 1 to 1000"),
        ("/api/v1/incidents?since=monday", 400, "since: must be a time such as 2026-01-31T08:00:00Z"),
        ("/api/v1/incidents?cursor=x", 400, "cursor: \"x\" is no cursor"),
        ("/api/v1/incidents?filter=service", 400, "filter: at byte 7: expected one of =, !=, =~, !~"),
        ("/api/v1/incidents/nonsense", 400, "is not 32 hexadecimal digits"),
        ("/api/v1/incidents/000000000000000000000000000000ff", 404, "no such incident"),
        ("/api/v2/alerts?filter=%7B", 400, "filter: at byte 1"),
    ] {
        let (got, body) = house.get(path).await;
        assert_eq!(got.as_u16(), status, "{path}: {body}");
        let answer = read(&body);
        assert!(answer["detail"].as_str().unwrap().contains(detail), "{path}: {body}");
        assert!(answer["error"].is_string(), "{path}: {body}");
    }
}

#[tokio::test]
async fn one_incident_is_its_newest_event() {
    let house = house();
    house.control.index.apply(&[event(1, 2, Status::Resolved)]);
    let (status, body) = house.get(&format!("/api/v1/incidents/{}", id(1))).await;
    assert_eq!(status, 200);
    assert_eq!(read(&body), serde_json::to_value(event(1, 2, Status::Resolved).as_ref()).unwrap());
}

#[tokio::test]
async fn a_person_resolves_through_the_command_log() {
    let house = house();
    let path = format!("/api/v1/incidents/{}/resolve", id(1));
    let check = async |path: &str, body: &str, status: u16, answer: Value| {
        let (got, _, text) = house.post(path, body).await;
        assert_eq!(got.as_u16(), status, "{body}: {text}");
        let text = read(&text);
        for (key, value) in answer.as_object().unwrap() {
            assert_eq!(&text[key], value, "{body}: {text}");
        }
    };
    check(&path, r#"{"by": "ada"}"#, 202, json!({"command": 12})).await;
    check(&path, "", 202, json!({"command": 12})).await;
    let written = house.puppet.commands.lock().unwrap().clone();
    let action = Action::Resolve { incident_id: IncidentId(1) };
    assert_eq!(written[0], Command { at: NOW, by: "ada".to_owned(), action: action.clone() });
    assert_eq!(written[1].by, "api");

    check(&path, r#"{"by": ""}"#, 400, json!({"error": "bad_body"})).await;
    check(&path, r#"{"by": "a\nb"}"#, 400, json!({"error": "bad_body"})).await;
    check(&path, r#"{"who": "ada"}"#, 400, json!({"error": "bad_body"})).await;
    check(&path, &" ".repeat(20_000), 413, json!({"error": "too_large"})).await;
    check(&format!("/api/v1/incidents/{}/resolve", id(3)), "", 409, json!({"error": "already_resolved"})).await;
    check(&format!("/api/v1/incidents/{}/resolve", id(9)), "", 404, json!({"error": "not_found"})).await;
    *house.puppet.fault.lock().unwrap() = Some("disk full".to_owned());
    check(&path, "", 503, json!({"detail": "write the command: disk full"})).await;
    house.control.board.enter(Phase::Restoring);
    check(&path, "", 503, json!({"detail": "the daemon is restoring"})).await;
    assert_eq!(house.puppet.commands.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn readiness_follows_the_phase_and_trouble() {
    let house = house();
    let check = async |expected: u16, word: &str| {
        let (status, _, body) = house.call(request("GET", "/-/ready", "")).await;
        assert_eq!(status.as_u16(), expected, "{body}");
        assert!(body.contains(word), "{body}");
        assert_eq!(house.get("/-/healthy").await, (StatusCode::OK, r#"{"status":"healthy"}"#.to_owned()));
    };
    for phase in [Phase::Starting, Phase::Standby, Phase::Restoring, Phase::Draining, Phase::Stopped] {
        house.control.board.enter(phase);
        check(503, phase.name()).await;
    }
    house.control.board.enter(Phase::Running);
    check(200, "ready").await;
    house.control.board.update(|status| status.trouble = Some("broker db7.internal is down".to_owned()));
    check(503, "in trouble").await;
    assert!(!house.get("/-/ready").await.1.contains("db7"), "no details without a token");
}

#[tokio::test]
async fn the_status_tells_what_an_operator_asks_first() {
    let house = house();
    house.control.board.update(|status| {
        status.config_hash = "00c0ffee00c0ffee".to_owned();
        status.last_reload_fault = Some("tidegate.yaml:3:1: unknown key".to_owned());
        status.sources = vec![SourceStatus { name: "http".to_owned(), clock: Some(Timestamp(0)), delay_seconds: 1.5 }];
    });
    let (_, body) = house.get("/api/v1/status").await;
    let mut status = read(&body);
    assert_eq!(status["version"].take(), env!("CARGO_PKG_VERSION"));
    insta::assert_snapshot!(status, @r#"{"config_hash":"00c0ffee00c0ffee","config_since":"2026-11-22T08:00:00.000Z","incidents_open":2,"incidents_resolved_kept":1,"last_reload_fault":"tidegate.yaml:3:1: unknown key","now":"2026-11-22T08:00:00.000Z","phase":"running","ready":true,"sources":[{"clock":"1970-01-01T00:00:00.000Z","delay_seconds":1.5,"name":"http"}],"started_at":"2026-11-22T08:00:00.000Z","trouble":null,"version":null}"#);
}

#[tokio::test]
async fn a_reload_is_taken_or_all_faults_are_shown() {
    let house = house();
    let (status, _, body) = house.post("/-/reload", "").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, r#"{"status":"reloaded"}"#));
    *house.puppet.fault.lock().unwrap() = Some("a.yaml:1:1: one\n1 fault, nothing was changed".to_owned());
    let (status, _, body) = house.post("/-/reload", "").await;
    assert_eq!(status, 400);
    assert_eq!(body, r#"{"error":"config_faults","detail":"a.yaml:1:1: one\n1 fault, nothing was changed"}"#);
}

#[tokio::test]
async fn alertmanagers_tools_find_what_they_read() {
    let house = house();
    let (_, body) = house.get("/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=false").await;
    let alerts = read(&body);
    assert_eq!(alerts.as_array().unwrap().len(), 2, "the samples of the two open incidents");
    let fingerprint = &alerts[1]["fingerprint"];
    assert_eq!(fingerprint.as_str().unwrap().len(), 16);
    let expected = json!({
        "labels": {"service": "s1"}, "annotations": {"summary": "it <b>burns</b>"}, "receivers": [{"name": "tidegate"}],
        "fingerprint": fingerprint, "startsAt": "1970-01-01T00:00:01.000Z", "updatedAt": "1970-01-01T00:00:01.001Z",
        "endsAt": "1970-01-01T00:05:01.001Z", "generatorURL": "",
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
    });
    assert_eq!(alerts[1], expected);
    for (query, expected) in [
        ("?filter=service%3Ds2", 1),
        ("?filter=service%3Ds2&filter=service!%3Ds2", 0),
        ("?active=false", 0),
        ("?receiver=tide.*", 2),
        ("?receiver=tide", 0),
    ] {
        let (status, body) = house.get(&format!("/api/v2/alerts{query}")).await;
        assert_eq!((status.as_u16(), read(&body).as_array().unwrap().len()), (200, expected), "{query}");
    }
    let (_, body) = house.get("/api/v2/status").await;
    let status = read(&body);
    assert_eq!(status["cluster"]["status"], "disabled");
    assert_eq!(status["versionInfo"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["config"]["original"].is_string() && status["uptime"].is_string());
    assert_eq!(house.get("/api/v2/receivers").await.1, r#"[{"name":"tidegate"}]"#);
}

#[tokio::test]
async fn metrics_are_in_prometheus_text() {
    let (status, headers, body) = house().call(request("GET", "/metrics", "")).await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(body.contains("# TYPE tidegate_build_info gauge"), "{body}");
}

#[tokio::test]
async fn steps_come_from_memory_or_from_the_store() {
    let house = house();
    let steps = async |number: u32| {
        let (status, body) = house.get(&format!("/api/v1/incidents/{}/steps", id(number))).await;
        let answer = read(&body);
        let revisions = answer["steps"]
            .as_array()
            .map(|steps| steps.iter().filter_map(|step| step["revision"].as_u64()).collect::<Vec<_>>());
        (status, answer["complete"].as_bool(), revisions.unwrap_or_default())
    };
    house.control.index.apply(&[event(1, 2, Status::Resolved)]);
    assert_eq!(steps(1).await, (StatusCode::OK, Some(true), vec![1, 2]));
    // Restored without its first step: the store has them all.
    house.control.index.apply(&[event(4, 2, Status::Firing)]);
    assert_eq!(steps(4).await, (StatusCode::OK, Some(false), vec![2]));
    *house.puppet.archived.lock().unwrap() =
        vec![event(4, 1, Status::Firing), event(4, 2, Status::Firing), event(5, 1, Status::Resolved)];
    assert_eq!(steps(4).await, (StatusCode::OK, Some(true), vec![1, 2]));
    assert_eq!(steps(5).await, (StatusCode::OK, Some(true), vec![1]));
    assert_eq!(house.get(&format!("/api/v1/incidents/{}", id(5))).await.0, 200, "only the store remembers it");
    assert_eq!(steps(6).await.0, 404);
    assert_eq!(house.get("/api/v1/incidents/x/steps").await.0, 400);
}

#[tokio::test]
async fn the_pulse_is_read_by_its_newest_samples() {
    let house = house();
    for second in 0..3 {
        house.control.metrics.restore(crate::metrics::Metric::AlertsReceived, &["http"], second * 10);
        let at = Timestamp(i64::try_from(second).unwrap() * 1_000);
        house.control.pulse.beat(at, &house.control.metrics);
    }
    let (status, body) = house.get("/api/v1/pulse?last=2").await;
    let answer = read(&body);
    assert_eq!((status, &answer["every_seconds"]), (StatusCode::OK, &json!(1)));
    let received: Vec<_> = answer["samples"].as_array().unwrap().iter().map(|sample| &sample["received"]).collect();
    assert_eq!(received, [&json!(10.0), &json!(20.0)]);
    assert_eq!(house.get("/api/v1/pulse?last=0").await.0, 400);
}

#[tokio::test]
async fn the_busiest_groups_are_those_told_and_the_quiet_open_incidents() {
    let house = house();
    let list = async |query: &str| {
        let (status, body) = house.get(&format!("/api/v1/groups{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        let answer = read(&body);
        let groups = answer["groups"].as_array().unwrap().clone();
        let shown =
            |group: &Value| format!("{} {} {}", group["group_labels"]["service"], group["status"], group["alerts"]);
        (groups.iter().map(shown).collect::<Vec<_>>(), answer["matching"].as_u64().unwrap())
    };
    let quiet = [r#""s2" "firing" 0"#, r#""s1" "firing" 0"#].map(str::to_owned).to_vec();
    assert_eq!(list("").await, (quiet, 2), "nothing was told yet");
    let told = BusyGroup {
        group: GroupHash(7),
        incident: Some(IncidentId(1)),
        rule: "default".to_owned(),
        labels: [("service".to_owned(), "s1".to_owned())].into(),
        status: Status::Firing,
        severity_max: Severity::Warning,
        alerts: 40,
        members: 3,
        firing: 3,
        first_seen: Timestamp(1_000),
        last_seen: NOW,
    };
    let unannounced = BusyGroup {
        group: GroupHash(8),
        incident: Some(IncidentId(9)),
        labels: [("service".to_owned(), "s9".to_owned())].into(),
        alerts: 5,
        ..told.clone()
    };
    house.control.busiest.take(NOW, &[told, unannounced]);
    let all = [r#""s1" "firing" 40"#, r#""s9" "waiting" 5"#, r#""s2" "firing" 0"#].map(str::to_owned).to_vec();
    assert_eq!(list("?sort=alerts").await, (all.clone(), 3));
    assert_eq!(list("?limit=1").await, (all[..1].to_vec(), 3));
    assert_eq!(list("?filter=service%3D~%22s[29]%22").await, (all[1..].to_vec(), 2));
    for query in ["?limit=0", "?limit=1001", "?sort=name", "?filter=%22", "?cursor=1"] {
        assert_eq!(house.get(&format!("/api/v1/groups{query}")).await.0, 400, "{query}");
    }
}
