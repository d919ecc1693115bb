//! Tests of what is shown of incidents, against a store written by the sink.
#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;
use crate::model::incident::{Counts, IncidentEvent, Link, LinkKind, Sample};
use crate::model::{EventKind, EventReason, Fingerprint, IncidentId, Severity, Status, Timestamp};
use crate::pipeline::sink::samples;
use crate::pipeline::sink::sqlite::{FILE_NAME, SqliteOptions, SqliteSink};
use crate::pipeline::sink::{Epoch, EpochSink as _, IncidentRecord};

/// The time at which the tests look.
const NOW: Timestamp = Timestamp(7_500_000);

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    incident: IncidentArgs,
}

fn record(id: u128, revision: u64, status: Status, service: &str) -> IncidentRecord {
    let mut event = IncidentEvent::clone(&samples::incident(id, revision, status).event);
    event.group_labels = [("cluster".to_owned(), String::new()), ("service".to_owned(), service.to_owned())].into();
    let json = serde_json::to_vec(&event).unwrap();
    IncidentRecord { group: event.group, event: event.into(), json }
}

/// Three incidents; the first two have ids that begin alike.
fn store() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = SqliteSink::open(SqliteOptions::new(folder.path().join(FILE_NAME))).unwrap();
    let incidents = vec![
        record(1 << 124, 1, Status::Firing, "db"),
        record(1 << 124 | 5, 1, Status::Firing, "db"),
        record(7 << 124, 1, Status::Firing, "web"),
        record(7 << 124, 2, Status::Resolved, "web"),
    ];
    sink.commit(&Epoch { incidents, ..samples::epoch(1) }).unwrap();
    folder
}

/// Exit code, output, errors.
fn incident(folder: &std::path::Path, words: &[&str]) -> (u8, String, String) {
    let folder = folder.display().to_string();
    let words = ["incident"].iter().chain(words).copied().chain(["--data-dir", folder.as_str()]);
    let line = Line::try_parse_from(words).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run_to(&line.incident, &mut anstream::StripStream::new(&mut out), &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn ids(folder: &std::path::Path, words: &[&str]) -> Vec<String> {
    let (_, out, _) = incident(folder, &[&["list", "--output", "json"], words].concat());
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let incidents = listed["incidents"].as_array().unwrap();
    incidents.iter().map(|incident| incident["incident_id"].as_str().unwrap()[..1].to_owned()).collect()
}

#[test]
fn a_store_is_listed_without_a_daemon() {
    let folder = store();
    assert_eq!(ids(folder.path(), &[]), ["7", "1", "1"]);
    assert_eq!(ids(folder.path(), &["--limit", "1"]), ["7"]);
    assert_eq!(ids(folder.path(), &["--status", "resolved"]), ["7"]);
    assert_eq!(ids(folder.path(), &["--filter", "service=~\"d.*\""]), ["1", "1"]);
    assert_eq!(ids(folder.path(), &["--filter", "service=db", "--filter", "service=web"]), [""; 0]);
    assert_eq!(ids(folder.path(), &["--severity", "critical"]), [""; 0]);
    assert_eq!(ids(folder.path(), &["--since", "1m"]), [""; 0]);
    assert_eq!(ids(folder.path(), &["--since", "1970-01-01T00:00:00Z"]), ["7", "1", "1"]);
    let (_, out, _) = incident(folder.path(), &["list", "--filter", "service=none"]);
    assert_eq!(out, "no incidents\n");
    let (_, out, _) = incident(folder.path(), &["list", "--limit", "2"]);
    assert!(out.ends_with("and older ones: --limit N\n"), "{out}");
    for bad in [["--filter", "=b"], ["--since", "soon"], ["--severity", "bad"], ["--limit", "0"]] {
        assert!(Line::try_parse_from([["incident", "list"], bad].concat()).is_err(), "{bad:?}");
    }
}

#[test]
fn the_beginning_of_an_id_is_enough() {
    let folder = store();
    let (code, out, _) = incident(folder.path(), &["show", "7"]);
    assert!(code == 0 && out.contains("incident    70000000000000000000000000000000\n"), "{out}");
    let (code, _, _) = incident(folder.path(), &["show", "10000000000000000000000000000005"]);
    assert_eq!(code, 0);
    let (code, _, err) = incident(folder.path(), &["show", "1"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(err, @r"
    error: several incidents have an id that begins with 1:
      10000000000000000000000000000005  firing    service=db
      10000000000000000000000000000000  firing    service=db
    ");
    let (code, _, err) = incident(folder.path(), &["show", "ab"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(err, @r"
    error: no incident has an id that begins with ab; see: tidegate incident list
    Of incidents that are over for long, only the whole id is known.
    ");
    for bad in ["", "xyz", "123456789012345678901234567890123"] {
        assert!(Line::try_parse_from(["incident", "show", bad]).is_err(), "{bad}");
    }
}

#[test]
fn only_a_daemon_resolves_and_only_a_store_is_read() {
    let folder = store();
    let (code, _, err) = incident(folder.path(), &["resolve", "7", "--by", "ada"]);
    assert_eq!((code, err.contains("only a running daemon can resolve")), (2, true), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let (code, _, err) = incident(empty.path(), &["list"]);
    assert_eq!((code, err.contains("state.db: no such file; use --data-dir")), (2, true), "{err}");
    let file = empty.path().join("kafka.yaml");
    std::fs::write(&file, "store: kafka\nkafka: {brokers: [a:9092], namespace: ns}\n").unwrap();
    let (code, _, err) = incident(empty.path(), &["list", "--config", &file.display().to_string()]);
    assert_eq!((code, err.contains("in the Kafka topic ns.incidents, which cannot be searched")), (2, true), "{err}");
}

#[test]
fn the_table_is_aligned_and_cut_to_the_screen() {
    let mut large = IncidentEvent::clone(&record(9, 1, Status::Firing, "a service with quite a long name").event);
    large.severity_max = Severity::Critical;
    (large.firing, large.members, large.counts) = (12, 345, Counts { alerts: 67_890, ..Counts::default() });
    let incidents = [large.into(), record(1 << 124, 1, Status::Resolved, "db").event];
    let mut out = Vec::new();
    list::table(&incidents, NOW, Some(90), &mut anstream::StripStream::new(&mut out)).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    ID          STATUS    SEVERITY   AGE  FIRING  ALERTS  RULE     LABELS
    0000000000  firing    critical  2h4m  12/345   67890  default  service=a service with qui…
    1000000000  resolved  warning   2h4m     1/1       0  default  service=db
    ");
}

#[test]
fn the_sheet_tells_everything() {
    let sample = Sample {
        fingerprint: Fingerprint(0xab),
        severity: Severity::Critical,
        first_seen: Timestamp(1_000),
        starts_at: Some(Timestamp(500)),
        labels: [("alertname".to_owned(), "DiskFull".to_owned()), ("host".to_owned(), "db-1".to_owned())].into(),
        annotations: [("summary".to_owned(), "no space\nleft".to_owned())].into(),
        generator_url: Some("http://prometheus.example.org/graph".to_owned()),
    };
    let mut counts = Counts::default();
    counts.add(Severity::Critical, Status::Firing, 5);
    counts.add(Severity::Warning, Status::Resolved, 2);
    let first = record(9, 1, Status::Firing, "db").event;
    let event = IncidentEvent {
        event: EventKind::Resolved,
        reason: EventReason::Person,
        resolved_by: Some("ada".to_owned()),
        samples: vec![sample].into(),
        links: vec![Link { kind: LinkKind::Predecessor, incident_id: IncidentId(8) }],
        members: 3,
        counts,
        record_time: Timestamp(60_000),
        ..IncidentEvent::clone(&record(9, 2, Status::Resolved, "db").event)
    };
    let steps = crate::control::history::Steps::of([(&*first).into(), (&event).into()]);
    let mut out = Vec::new();
    show::sheet(&event, &steps, NOW, None, &mut anstream::StripStream::new(&mut out)).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    incident    00000000000000000000000000000009
    status      resolved
    resolved by ada
    severity    warning
    labels      service=db
    rule        default
    window      open
    first seen  1970-01-01T00:00:00.001Z (2h4m ago)
    last seen   1970-01-01T00:00:00.001Z (2h4m ago)
    members     3, of which 1 fire
    alerts      7: 5 firing, 2 resolved
    by severity 5 critical, 2 warning
    predecessor 00000000000000000000000000000008

    What happened
      #  WHEN                      WHAT      SEVERITY  FIRING  ALERTS  WHY
      1  1970-01-01T00:00:00.001Z  opened    warning      1/1       0  an alert of a group without incident
      2  1970-01-01T00:01:00.000Z  resolved  warning      1/3       7  a person said so: ada

    Alerts (the first 1 of 3 members)
      critical alertname=DiskFull host=db-1
        first seen 1970-01-01T00:00:01.000Z, began 1970-01-01T00:00:00.500Z, fingerprint 000000000000000000000000000000ab
        summary: no space
          left
        link: http://prometheus.example.org/graph
    ");
}
