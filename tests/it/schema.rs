//! `docs/incident-event.schema.json` says exactly what the program writes: real events pass, anything else does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use tidegate::model::alert::Format;
use tidegate::model::fingerprint::{HashKey, IncidentId};
use tidegate::model::incident::{EventKind, EventReason, IncidentEvent, LinkKind};
use tidegate::model::time::{Millis, Timestamp};
use tidegate::model::{Severity, Status};
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, Options, RecordTime, SourceOptions, WindowRule};
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::{Flood, FloodOptions, Shape};

const SCHEMA: &str = include_str!("../../docs/incident-event.schema.json");

/// The schema, compiled. Compiling also checks it against the meta-schema of its draft.
struct Checker {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Checker {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("event.json", schema()).unwrap();
        let index = compiler.compile("event.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn check(&self, event: &Value) -> Result<(), String> {
        self.schemas.validate(event, self.index).map_err(|error| format!("{error:#}\n{event:#}"))
    }
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn examples() -> Vec<Value> {
    schema()["examples"].as_array().unwrap().clone()
}

fn engine() -> Engine {
    let source = SourceOptions { time: RecordTime::Payload, ..SourceOptions::named("alerts") };
    let options = Options {
        decoders: 1,
        shards: 1,
        epoch: EpochOptions::default(),
        rules: vec![WindowRule { wait: Millis(0), ..WindowRule::named("default") }].into(),
        sources: vec![source].into(),
        samples: 3,
        config_version: 1,
    };
    let start = Start::new(Arc::new(options), Restored::default(), HashKey::FIXED).unwrap();
    Engine::new(start, false)
}

/// Feeds lines as records and ends the epoch.
fn feed<'a>(engine: &mut Engine, lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<Value> {
    let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
    let first = engine.next_record();
    for (position, line) in (first..).zip(lines) {
        let (time, format) = (Timestamp::MIN, Format::Native);
        batch.push(line, RecordRef { start: 0, len: 0, partition: 0, position, next: position + 1, time, format });
    }
    engine.feed(SourceIndex(0), batch, Vec::new(), Timestamp(0));
    end_epoch(engine)
}

fn end_epoch(engine: &mut Engine) -> Vec<Value> {
    let (epoch, _) = engine.end_epoch(Timestamp(1_795_335_000_000)).unwrap();
    epoch.incidents.iter().map(|record| serde_json::from_slice(&record.json).unwrap()).collect()
}

/// A small story with what floods do not have: a reopening, a person, a successor, and few fields given.
fn story() -> Vec<Value> {
    let alert = |time: &str, status: &str, more: &str| {
        let (service, url) = (r#""alertname":"DiskFull","service":"db""#, "http://prometheus.example.org/graph");
        format!(
            r#"{{"labels":{{{service}{more}}},"annotations":{{"summary":"no space left"}},"status":"{status}",
            "startsAt":"2026-11-22T07:59:30Z","generatorURL":"{url}","receivedAt":"2026-11-22T{time}Z"}}"#
        )
    };
    let (warning, critical) = (r#","severity":"warning""#, r#","severity":"critical","host":"db-1""#);
    let lines = [
        alert("08:00:00", "firing", warning),
        alert("08:01:00", "firing", critical),
        alert("08:02:00", "resolved", warning),
        alert("08:03:00", "resolved", critical),
        alert("08:04:00", "firing", warning),
    ];
    let mut engine = engine();
    let mut events = feed(&mut engine, lines.iter().map(String::as_bytes));
    let incident: IncidentId = events[0]["incident_id"].as_str().unwrap().parse().unwrap();
    engine.step(StepKind::Resolve { incident, by: "ada".to_owned() });
    events.extend(end_epoch(&mut engine));
    let bare = r#"{"labels":{"alertname":"DiskFull","service":"db"},"receivedAt":"2026-11-22T08:06:00Z"}"#;
    events.extend(feed(&mut engine, [bare.as_bytes()]));
    engine.step(StepKind::RunOut);
    events.extend(end_epoch(&mut engine));
    events
}

fn names<'a>(events: &'a [Value], field: &str) -> BTreeSet<&'a str> {
    events.iter().filter_map(|event| event[field].as_str()).collect()
}

#[test]
fn events_of_every_flood_pass() {
    let checker = Checker::new();
    for shape in Shape::ALL {
        let mut engine = engine();
        let flood = Flood::new(FloodOptions { shape, alerts: 5_000, rate: 10.0, ..FloodOptions::default() });
        let lines: Vec<Vec<u8>> = flood.map(|alert| alert.json).collect();
        let mut events = Vec::new();
        for lines in lines.chunks(1_000) {
            events.extend(feed(&mut engine, lines.iter().map(Vec::as_slice)));
        }
        engine.step(StepKind::RunOut);
        events.extend(end_epoch(&mut engine));
        assert!(names(&events, "event").contains("opened"), "{shape}");
        for event in &events {
            checker.check(event).unwrap_or_else(|fault| panic!("{shape}: {fault}"));
        }
    }
}

#[test]
fn a_story_with_every_kind_of_event_passes() {
    let (checker, events) = (Checker::new(), story());
    events.iter().for_each(|event| checker.check(event).unwrap());
    let kinds: BTreeSet<&str> =
        EventKind::ALL.iter().map(|kind| kind.name()).filter(|name| *name != "merged").collect();
    assert_eq!(names(&events, "event"), kinds);
    assert!(events.iter().any(|event| event["resolved_by"] == "ada"));
    assert!(events.iter().any(|event| event["links"][0]["kind"] == "predecessor"));
}

#[test]
fn examples_pass_and_are_what_the_program_writes() {
    let (checker, story) = (Checker::new(), story());
    let written = Value::Array(story.clone());
    assert!(!examples().is_empty(), "choose among {written:#}");
    for example in examples() {
        checker.check(&example).unwrap();
        let event: IncidentEvent = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), example);
        assert!(story.contains(&example), "no longer written: {example:#}\nchoose among {written:#}");
    }
}

#[test]
fn nothing_more_and_nothing_less_passes() {
    let checker = Checker::new();
    let example = examples().remove(0);
    for place in ["", "/counts", "/counts/severity", "/counts/status", "/samples/0"] {
        let mut more = example.clone();
        more.pointer_mut(place).unwrap()["surprise"] = json!(1);
        assert!(checker.check(&more).is_err(), "an unknown field passes at {place:?}");
        for field in example.pointer(place).unwrap().as_object().unwrap().keys() {
            if ["starts_at", "generator_url", "resolved_by"].contains(&field.as_str()) {
                continue;
            }
            let mut less = example.clone();
            less.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(field);
            assert!(checker.check(&less).is_err(), "{field} may be missing at {place:?}");
        }
    }
    for (place, value) in [
        ("/version", json!(2)),
        ("/incident_id", json!("17")),
        ("/revision", json!(0)),
        ("/record_time", json!("yesterday")),
        ("/firing", json!(-1)),
        ("/severity_max", json!("bad")),
    ] {
        let mut wrong = example.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        assert!(checker.check(&wrong).is_err(), "{wrong:#}");
    }
}

/// The words that serde knows for an enum, from the message with which it refuses another.
fn words<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
    let Err(error) = serde_json::from_value::<T>(json!("?")) else { panic!("? is no word") };
    error.to_string().split('`').skip(1).step_by(2).filter(|word| *word != "?").map(str::to_owned).collect()
}

#[test]
fn enums_are_complete() {
    let schema = schema();
    let listed = |place: &str| -> BTreeSet<String> {
        let list = schema.pointer(place).unwrap().as_array().unwrap();
        let word = |entry: &Value| entry.as_str().or(entry["const"].as_str()).unwrap().to_owned();
        list.iter().map(word).collect()
    };
    assert_eq!(listed("/properties/event/enum"), words::<EventKind>());
    assert_eq!(listed("/properties/reason/oneOf"), words::<EventReason>());
    assert_eq!(listed("/$defs/status/enum"), words::<Status>());
    assert_eq!(listed("/$defs/severity/enum"), words::<Severity>());
    assert_eq!(listed("/$defs/link/properties/kind/enum"), words::<LinkKind>());
}
