//! The tap on a small flood: what each stage shows, with its decision and reason.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::matcher::Matcher;
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{OpenAfter, WindowRule};
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::pipeline::tap::{Listening, Question, Stage, Tap};

use crate::engine::alert::second;
use crate::engine::world::{options, quick};

const SOURCE: SourceIndex = SourceIndex(0);

/// An engine with a tap, as the daemon runs it: repeats are folded.
struct Tapped {
    engine: Engine,
    tap: Arc<Tap>,
    position: u64,
}

impl Tapped {
    fn new(rule: WindowRule) -> Self {
        let tap = Arc::new(Tap::default());
        let start = Start::new(Arc::new(options(rule)), Restored::default(), HashKey::FIXED).unwrap();
        let mut tapped = Self { engine: Engine::new(start, false).tapped(tap.clone()), tap, position: 0 };
        tapped.at(0);
        tapped
    }

    fn listen(&self, stage: Stage, rate: u32, filter: &str) -> Listening {
        self.tap.listen(Question { stage, rate, matchers: Matcher::parse_all(filter).unwrap() }).unwrap()
    }

    /// Records of one moment, as one chunk.
    fn send(&mut self, seconds: i64, records: &[&str]) {
        let mut batch = Batch { partitions: vec!["alerts/0".into()], ..Batch::default() };
        for record in records {
            let (position, time) = (self.position, second(seconds));
            self.position += 1;
            let next = self.position;
            let at = RecordRef { start: 0, len: 0, partition: 0, position, next, time, format: Format::Native };
            batch.push(record.as_bytes(), at);
        }
        self.engine.feed(SOURCE, batch, Vec::new(), second(seconds));
    }

    fn at(&mut self, seconds: i64) {
        self.engine.step(StepKind::Clock { source: SOURCE, to: second(seconds) });
    }

    /// Ends the epoch and makes it durable.
    fn commit(&mut self, seconds: i64) {
        let (epoch, attached) = self.engine.end_epoch(second(seconds)).unwrap();
        assert!(attached.summary.totals.iter().all(|totals| totals.counts.is_conserved()));
        assert!(attached.decisions.is_empty(), "the tap leaves no decisions behind");
        if let Some(look) = self.tap.look(&[Stage::Incident], epoch.committed_at) {
            look.show_incidents(&epoch.incidents);
        }
    }
}

fn firing(service: &str, instance: &str) -> String {
    json!({"labels": {"service": service, "instance": instance}}).to_string()
}

fn resolved(service: &str, instance: &str) -> String {
    json!({"labels": {"service": service, "instance": instance}, "status": "resolved"}).to_string()
}

/// Everything that waits, as JSON.
fn shown(listening: &mut Listening) -> Vec<Value> {
    std::iter::from_fn(|| listening.next_sample()).map(|sample| serde_json::to_value(sample).unwrap()).collect()
}

/// `decision reason alerts instance` of everything that waits.
fn fates(listening: &mut Listening) -> Vec<String> {
    let words = |sample: Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let (decision, reason) = (text(&sample["decision"]), text(&sample["reason"]));
        format!("{decision} {reason} {} {}", sample["alerts"], text(&sample["labels"]["instance"]))
    };
    shown(listening).into_iter().map(words).collect()
}

#[test]
fn every_stage_shows_what_it_did() {
    let mut tapped = Tapped::new(quick());
    let mut taps = Stage::ALL.map(|stage| tapped.listen(stage, 1_000, ""));
    let broken = r#"[{"labels":{"service":"shop","instance":"a"}},{"labels":{}}]"#;
    tapped.send(1, &[&firing("shop", "a"), &firing("shop", "a"), &firing("shop", "a"), broken, "{"]);
    tapped.at(2);
    tapped.commit(3);
    let [record, decode, shard, incident] = &mut taps;

    let records = shown(record);
    assert_eq!(records.len(), 5);
    insta::assert_snapshot!(records[4], @r#"{"at":"2023-11-14T22:13:21.000Z","bytes":1,"format":"native","partition":"alerts/0","position":4,"record_time":"2023-11-14T22:13:21.000Z","source":"test","stage":"record","text":"{"}"#);

    let decoded = shown(decode);
    assert_eq!(decoded.len(), 6);
    insta::assert_snapshot!(decoded[0], @r#"{"at":"2023-11-14T22:13:21.000Z","decision":"alert","index":0,"labels":{"instance":"a","service":"shop"},"partition":"alerts/0","position":0,"severity":"unknown","source":"test","stage":"decode","status":"firing"}"#);
    insta::assert_snapshot!(decoded[4], @r#"{"at":"2023-11-14T22:13:21.000Z","decision":"reject","index":1,"partition":"alerts/0","position":3,"reason":"no_labels","source":"test","stage":"decode","text":"{\"labels\":{}}"}"#);
    insta::assert_snapshot!(decoded[5], @r#"{"at":"2023-11-14T22:13:21.000Z","decision":"reject","partition":"alerts/0","position":4,"reason":"malformed_json","source":"test","stage":"decode","text":"{"}"#);

    let fates = shown(shard);
    assert_eq!(fates.len(), 2, "{fates:?}");
    insta::assert_snapshot!(fates[0], @r#"{"alerts":1,"at":"2023-11-14T22:13:21.000Z","decision":"opened","fingerprint":"eed5f2865abeeeb4eed9ff22f94e7757","group_labels":{"cluster":"","service":"shop"},"incident_id":"fe94dee66539f137b9c906c39ef40577","index":0,"labels":{"instance":"a","service":"shop"},"position":0,"reason":"first_alert","record_time":"2023-11-14T22:13:21.000Z","rule":"default","severity":"unknown","source":"test","stage":"shard","status":"firing"}"#);
    insta::assert_snapshot!(fates[1], @r#"{"alerts":3,"at":"2023-11-14T22:13:21.000Z","decision":"folded","fingerprint":"eed5f2865abeeeb4eed9ff22f94e7757","group_labels":{"cluster":"","service":"shop"},"incident_id":"fe94dee66539f137b9c906c39ef40577","index":0,"labels":{"instance":"a","service":"shop"},"position":0,"reason":"repeat","record_time":"2023-11-14T22:13:21.000Z","rule":"default","severity":"unknown","source":"test","stage":"shard","status":"firing"}"#);

    let incidents = shown(incident);
    let kinds: Vec<_> = incidents.iter().map(|event| event["decision"].as_str()).collect();
    assert_eq!(kinds, [Some("opened"), Some("updated")]);
    insta::assert_snapshot!(incidents[0], @r#"{"alerts":1,"at":"2023-11-14T22:13:23.000Z","decision":"opened","epoch":1,"firing":1,"group_labels":{"cluster":"","service":"shop"},"incident_id":"fe94dee66539f137b9c906c39ef40577","members":1,"reason":"first_alert","record_time":"2023-11-14T22:13:21.000Z","revision":1,"rule":"default","severity":"unknown","stage":"incident","status":"firing"}"#);
    assert_eq!(incidents[0]["incident_id"], fates[0]["incident_id"]);
    assert!(taps.iter().all(|tap| (tap.seen().over_rate, tap.seen().dropped) == (0, 0)));
}

#[test]
fn every_outcome_has_its_reason() {
    let mut tapped = Tapped::new(WindowRule { gap: Millis::minutes(5), ..quick() });
    let mut shard = tapped.listen(Stage::Shard, 1_000, "");
    let check = |shard: &mut Listening, expected: &[&str]| assert_eq!(fates(shard), expected);
    tapped.send(1, &[&firing("shop", "a"), &firing("shop", "b"), &resolved("shop", "x")]);
    check(&mut shard, &["opened first_alert 1 a", "joined new_member 1 b", "folded nothing_fires 1 x"]);
    tapped.send(2, &[&firing("shop", "a"), &firing("shop", "a"), &resolved("shop", "b"), &resolved("shop", "b")]);
    check(&mut shard, &["folded repeat 2 a", "resolved member_resolved 1 b", "folded nothing_fires 1 b"]);
    tapped.send(3, &[&firing("shop", "b"), &resolved("shop", "a"), &resolved("shop", "b")]);
    check(&mut shard, &["joined fires_again 1 b", "resolved member_resolved 1 a", "resolved member_resolved 1 b"]);
    tapped.send(4, &[&firing("shop", "a")]);
    check(&mut shard, &["opened firing_again 1 a"]);
    tapped.send(10_000, &[&firing("shop", "a")]);
    check(&mut shard, &["opened after_gap 1 a"]);
    tapped.commit(10_001);
}

#[test]
fn what_is_held_back_is_shown_twice() {
    let three = WindowRule { open_after: OpenAfter { count: 3, within: Millis::seconds(60) }, ..quick() };
    let mut tapped = Tapped::new(three);
    let mut shard = tapped.listen(Stage::Shard, 1_000, r#"service="shop""#);
    tapped.send(1, &[&firing("shop", "a"), &firing("other", "z"), &firing("shop", "b")]);
    assert_eq!(fates(&mut shard), ["held - 1 a", "held - 1 b"]);
    tapped.send(2, &[&firing("shop", "a")]);
    let opening = shown(&mut shard);
    let words = |name: &str| opening.iter().map(|sample| sample[name].as_str().unwrap_or("-")).collect::<Vec<_>>();
    assert_eq!(words("decision"), ["joined", "joined", "opened"]);
    assert_eq!(words("reason"), ["back_filled", "back_filled", "threshold"]);
    assert_eq!(
        opening.iter().map(|sample| sample["labels"]["instance"].as_str()).collect::<Vec<_>>(),
        [Some("a"), Some("b"), Some("a")]
    );
    assert_eq!(opening[0]["rule"], "default");
    tapped.send(3, &[&firing("shop/two", "q")]);
    assert_eq!(fates(&mut shard), [""; 0], "the filter is for another service");
    tapped.commit(4);
}

#[test]
fn what_stays_below_the_threshold_is_found_by_its_group() {
    let three = WindowRule { open_after: OpenAfter { count: 3, within: Millis::seconds(60) }, ..quick() };
    let mut tapped = Tapped::new(three);
    let mut shard = tapped.listen(Stage::Shard, 1_000, r#"service="shop""#);
    tapped.send(1, &[&firing("shop", "a"), &firing("other", "z")]);
    tapped.at(30);
    tapped.send(30, &[&firing("shop", "b"), &firing("other", "y")]);
    assert_eq!(fates(&mut shard), ["held - 1 a", "held - 1 b"]);
    tapped.at(62);
    let left = shown(&mut shard);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((left[0]["decision"].as_str(), left[0]["reason"].as_str()), (Some("folded"), Some("below_threshold")));
    assert_eq!(left[0]["labels"], Value::Null, "its labels have left the state with it");
    assert_eq!(left[0]["group_labels"]["service|alertname"], Value::Null);
    assert_eq!(left[0]["group_labels"]["service"], "shop");
    tapped.commit(63);
}

#[test]
fn the_rate_is_exact_and_the_rest_is_counted() {
    let mut tapped = Tapped::new(quick());
    let mut decode = tapped.listen(Stage::Decode, 5, "");
    let mut shard = tapped.listen(Stage::Shard, 2, r#"instance!="0""#);
    let records: Vec<String> = (0..100).map(|instance| firing("shop", &instance.to_string())).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    for seconds in 1..=10 {
        tapped.send(seconds, &records);
    }
    tapped.commit(11);
    assert_eq!((shown(&mut decode).len(), shown(&mut shard).len()), (50, 20));
    assert_eq!((decode.seen().over_rate, shard.seen().over_rate), (950, 970));
    assert_eq!(tapped.tap.dropped(), 0);
}

#[test]
fn a_tap_changes_no_result() {
    let run = |listens: bool| {
        let mut tapped = Tapped::new(quick());
        let taps = listens.then(|| Stage::ALL.map(|stage| tapped.listen(stage, 1_000, "")));
        let mut events = Vec::new();
        for seconds in 1..50 {
            let instance = (seconds % 7).to_string();
            let status = if seconds % 5 == 0 { resolved("shop", &instance) } else { firing("shop", &instance) };
            tapped.send(seconds, &[&status, &status, "nonsense"]);
            tapped.at(seconds);
            let (epoch, _) = tapped.engine.end_epoch(Timestamp(second(seconds).0 + 1)).unwrap();
            events.extend(epoch.incidents.into_iter().map(|record| record.json));
        }
        drop(taps);
        events
    };
    assert_eq!(run(true), run(false));
}
