//! `tidegate top` beside a real daemon, and the watch behind it: what it shows is what the flood is known to have, it ends
//! by itself, and it changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam::channel::{Sender, bounded};
use serde_json::Value;
use tidegate::control::busiest::Busiest;
use tidegate::model::alert::Format;
use tidegate::model::time::Clock;
use tidegate::model::{HashKey, Millis, Timestamp};
use tidegate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
use tidegate::pipeline::run::{Outside, start};
use tidegate::pipeline::sink::EpochSink as _;
use tidegate::pipeline::sink::memory::MemoryStore;
use tidegate::pipeline::source::{Batch, RecordRef, Reply, SourceEvent};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::{GroupTruth, Truth};

use crate::daemon::{Home, http, wait_for};
use crate::program::tidegate;

/// Long enough for a loaded machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "sources: [{name: http, type: http}]";
const ALERTS: u64 = 3_000;

fn top(url: &str, arguments: &[&str]) -> Output {
    let output = tidegate(&[&["top", "--url", url], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The values of a group's labels: what both sides call it.
fn name<'a>(values: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    values.into_iter().filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// Alerts and members of each group.
type Counts = BTreeMap<BTreeSet<String>, (u64, u64)>;

fn expected(truth: &Truth) -> Counts {
    let group = |group: &GroupTruth| (name(group.labels.values().map(String::as_str)), (group.alerts, group.members));
    truth.groups.iter().map(group).collect()
}

fn counts(groups: &[Value]) -> Counts {
    let group = |group: &Value| {
        let labels = group["group_labels"].as_object().unwrap();
        let counts = (group["alerts"].as_u64().unwrap(), group["members"].as_u64().unwrap());
        (name(labels.values().filter_map(Value::as_str)), counts)
    };
    groups.iter().map(group).collect()
}

#[test]
fn the_groups_of_a_flood_are_shown_with_their_right_totals() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let url = format!("http://{}", home.address());
    let truth = home.path("truth.json");
    let mut storm = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args([
            "storm",
            "--to",
            &url,
            "--alerts",
            &ALERTS.to_string(),
            "--seed",
            "7",
            "--truth",
            truth.to_str().unwrap(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Watched from before the first alert on: otherwise what is told of a group is as old as its last event.
    wait_for("the end of the flood", || {
        assert_eq!(http::get(home.address(), "/api/v1/groups").unwrap().status, 200);
        storm.try_wait().unwrap().is_some()
    });
    let scrape = daemon.scrape();
    assert_eq!(scrape.received(), ALERTS, "the flood was answered, so it is durable");
    scrape.assert_conserved();

    let truth: Truth = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
    let expected = expected(&truth);
    let output = text(&top(&url, &["--output", "json", "--sort", "alerts", "--limit", "1000"]));
    let shown: Value = serde_json::from_str(&output).unwrap();
    let groups = shown["groups"].as_array().unwrap();
    let found = counts(groups);
    assert_eq!(found, expected);
    assert_eq!(groups.len(), expected.len(), "each once");
    let totals: Vec<u64> = groups.iter().map(|group| group["alerts"].as_u64().unwrap()).collect();
    assert!(totals.is_sorted_by(|one, next| one >= next), "{totals:?}");
    assert_eq!(totals.iter().sum::<u64>(), ALERTS);
    assert_eq!(shown["sample"]["received"].as_f64(), Some(ALERTS as f64));

    // Standard output is no terminal here: text without being asked for.
    let printed = text(&top(&url, &["--sort", "alerts", "--limit", "3"]));
    assert!(printed.starts_with(&format!("tidegate {} at {url}: running, ready, up ", env!("CARGO_PKG_VERSION"))));
    let rows: Vec<&str> = printed.lines().skip_while(|line| !line.starts_with("STATUS")).skip(1).collect();
    assert_eq!(rows.len(), 3, "{printed}");
    let filtered = text(&top(&url, &["--once", "--filter", "cluster=\"nowhere\""]));
    assert!(filtered.contains(&format!("groups: 0 of {}", expected.len())), "{filtered}");

    let picture = home.path("top.svg");
    top(&url, &["--svg", picture.to_str().unwrap()]);
    assert!(std::fs::read_to_string(picture).unwrap().ends_with("</svg>\n"));
    daemon.scrape().assert_conserved();
    daemon.stop();

    a_restart_loses_nothing_of_it(&home, &expected);
}

/// What is known of quiet groups after a restart comes from the state; a stop loses nothing of it.
fn a_restart_loses_nothing_of_it(home: &Home, expected: &BTreeMap<BTreeSet<String>, (u64, u64)>) {
    let daemon = home.start();
    let url = format!("http://{}", home.address());
    let output = text(&top(&url, &["--output", "json", "--limit", "1000"]));
    let shown: Value = serde_json::from_str(&output).unwrap();
    for (labels, counts) in counts(shown["groups"].as_array().unwrap()) {
        assert_eq!(expected.get(&labels), Some(&counts), "{labels:?}");
    }
    let firing = shown["groups"].as_array().unwrap().iter().filter(|group| group["status"] == "firing").count();
    let open = shown["sample"]["open_incidents"].as_f64();
    assert_eq!((firing > 0, Some(firing as f64)), (true, open), "{output}");
    daemon.stop();
}

#[test]
fn a_daemon_that_is_not_there_is_an_error_and_no_screen() {
    let output = tidegate(&["top", "--once", "--url", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is the daemon running"), "{output:?}");
}

#[derive(Clone)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// One alert of the one group, and the answer that it is durable.
fn send(sender: &Sender<SourceEvent>, position: u64) {
    let (answered, answer) = bounded(1);
    let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
    let (time, format, next) = (Timestamp::MIN, Format::Native, position + 1);
    let line = format!(r#"{{"labels":{{"service":"shop","instance":"i{position}"}}}}"#);
    batch.push(line.as_bytes(), RecordRef { start: 0, len: 0, partition: 0, position, next, time, format });
    batch.replies.push((0, Reply::new(move |what| answered.send(what).unwrap())));
    sender.send_timeout(SourceEvent::Records(batch), PATIENCE).unwrap();
    answer.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn shards_tell_while_somebody_watches_and_a_watch_ends_by_itself() {
    let clock = HandClock(Arc::new(AtomicI64::new(1_800_000_000_000)));
    let options = Arc::new(Options {
        decoders: 2,
        shards: 2,
        epoch: EpochOptions::default(),
        rules: vec![WindowRule::named("default")].into(),
        sources: vec![SourceOptions::named("http")].into(),
        samples: 1,
        config_version: 1,
    });
    let busiest = Arc::new(Busiest::default());
    let told = Arc::new(Mutex::new(0));
    let (told_by_commit, taken_by) = (told.clone(), busiest.clone());
    let mut sink = MemoryStore::new().sink();
    sink.restore(&mut |_| Ok(())).unwrap();
    let (sender, input) = bounded(4);
    let outside = Outside {
        valves: Arc::default(),
        inputs: vec![input],
        sink: Box::new(sink),
        clock: Arc::new(clock.clone()),
        on_commit: Box::new(move |epoch, attached| {
            *told_by_commit.lock().unwrap() += attached.busiest.len();
            taken_by.take(epoch.committed_at, &attached.busiest);
        }),
        refusing: Arc::default(),
        watched: busiest.watched(),
        suspicion: Default::default(),
        tap: Arc::default(),
    };
    let running = start(Start::new(options, Restored::default(), HashKey::FIXED).unwrap(), outside, None);
    let told = || std::mem::take(&mut *told.lock().unwrap());

    send(&sender, 0);
    assert_eq!(told(), 0, "nobody watches");
    assert!(busiest.ask(clock.now()).is_empty());
    send(&sender, 1);
    assert_eq!(told(), 1);
    let groups = busiest.ask(clock.now());
    assert_eq!(groups.iter().map(|group| (group.alerts, group.members)).collect::<Vec<_>>(), [(2, 2)]);

    clock.0.fetch_add(Millis::seconds(11).0, Ordering::SeqCst);
    send(&sender, 2);
    send(&sender, 3);
    assert!(!busiest.watched().load(Ordering::Relaxed), "nobody asked for eleven seconds");
    let _ = told();
    send(&sender, 4);
    assert_eq!(told(), 0);
    running.stop();
    let (_, outside) = running.join().unwrap();
    assert!(Arc::ptr_eq(&outside.watched, &busiest.watched()), "a reload goes on with the same watch");
}
