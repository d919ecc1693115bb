//! The tap of a running daemon: under a storm, across a reload, at a stop; and what the command line makes of it.

mod page;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::model::time::Stopwatch;
use tidegate::model::{Millis, Timestamp};

use crate::daemon::ledger::Ledger;
use crate::daemon::sender::{NATIVE, Plan, Senders};
use crate::daemon::{Home, http, wait_for};
use crate::program;

const CONFIG: &str = "
sources: [{name: http, type: http}]
windows: [{name: default, wait: 0s, update_every: 500ms, gap: 1h}]
";

const PLAN: Plan = Plan { connections: 8, batch: 50, pause: Duration::ZERO, repeats: true };

/// A client of the tap, as simple as it can be.
struct Client {
    lines: Lines<BufReader<TcpStream>>,
}

impl Client {
    /// Listens from the first beat on.
    fn open(address: SocketAddr, query: &str) -> Self {
        let stream = Self::ask(address, query);
        let mut client = Self { lines: BufReader::new(stream).lines() };
        let head: Vec<String> = client.lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        assert!(head[0].ends_with("200 OK"), "{head:?}");
        assert_eq!(client.next_line().unwrap()["type"], "beat");
        client
    }

    /// Sends the question and reads nothing.
    fn ask(address: SocketAddr, query: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(stream, "GET /api/v1/tap?{query} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        stream
    }

    /// The next line of JSON, whatever the chunks of the transfer are; `None` at its end.
    fn next_line(&mut self) -> Option<Value> {
        loop {
            let line = self.lines.next()?.unwrap();
            if line.starts_with('{') {
                return Some(serde_json::from_str(&line).unwrap());
            }
            if line == "0" {
                return None;
            }
        }
    }

    fn next_sample(&mut self) -> Value {
        loop {
            let line = self.next_line().expect("the stream goes on");
            assert_ne!(line["type"], "end", "{line}");
            if line["type"] == "sample" {
                return line;
            }
        }
    }
}

fn time_of(line: &Value) -> Timestamp {
    Timestamp::parse(line["at"].as_str().unwrap()).unwrap()
}

/// Every line that the command writes, and its exit code.
fn lines_of(output: &std::process::Output) -> (Vec<Value>, Option<i32>) {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.code())
}

#[test]
fn under_a_storm_the_rate_holds_and_nothing_is_lost() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let url = format!("http://{}", home.address());
    let senders = Senders::start(home.address(), "storm", PLAN);
    wait_for("a storm", || senders.answered() >= 1_000);
    let tap = |stage: &str| {
        program::tidegate(&["tap", stage, "--url", &url, "--rate", "20", "--limit", "60", "--output", "json"])
    };
    for stage in ["record", "decode", "shard"] {
        let (lines, code) = lines_of(&tap(stage));
        assert_eq!(code, Some(0), "{stage}");
        let samples: Vec<&Value> = lines.iter().filter(|line| line["type"] == "sample").collect();
        assert_eq!(samples.len(), 60, "{stage}");
        assert!(samples.iter().all(|sample| sample["stage"] == stage), "{stage}");
        // A second's worth at once, then 20 a second: 60 are not there before two seconds have passed.
        let took = time_of(samples[59]) - time_of(samples[0]);
        assert!(took >= Millis(1_950), "{stage}: 60 samples within {took:?}");
        let end = lines.last().unwrap();
        assert_eq!((end["type"].as_str(), end["reason"].as_str()), (Some("end"), Some("limit")), "{stage}");
        assert!(end["over_rate"].as_u64() > Some(0), "{stage}: {end}");
        println!("{stage}: {end}");
    }
    let sent = senders.finish();
    wait_for("everything that was answered", || daemon.scrape().received() >= sent.answered);
    let scrape = daemon.scrape();
    scrape.assert_conserved();
    wait_for("the last counts in incidents", || Ledger::read(&home.data()).alerts() == scrape.received());
    daemon.stop();
}

#[test]
fn a_filter_at_another_stage_shows_only_what_was_asked_for() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let mut decoded = Client::open(home.address(), "stage=decode&rate=1000&filter=service%3D%22shop-3%22");
    let mut told = Client::open(home.address(), "stage=incident&rate=1000&filter=service%3D~%22shop-%5B12%5D%22");
    let senders = Senders::start(home.address(), "filter", PLAN);
    for _ in 0..100 {
        assert_eq!(decoded.next_sample()["labels"]["service"], "shop-3");
    }
    for _ in 0..4 {
        let event = told.next_sample();
        assert!(["shop-1", "shop-2"].contains(&event["group_labels"]["service"].as_str().unwrap()), "{event}");
    }
    senders.finish();
    daemon.scrape().assert_conserved();
    daemon.stop();
}

#[test]
fn a_reload_goes_unnoticed_by_who_listens() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let mut shard = Client::open(home.address(), "stage=shard&rate=1000");
    let post = |service: &str| {
        let alert = json!({"labels": {"service": service}}).to_string();
        assert_eq!(http::post(home.address(), NATIVE, alert.as_bytes()).unwrap().status, 200);
    };
    post("before");
    let before = shard.next_sample();
    assert_eq!((before["rule"].as_str(), before["labels"]["service"].as_str()), (Some("default"), Some("before")));
    home.configure(&CONFIG.replace("windows: [", "windows: [{name: special, match: 'service=\"after\"', wait: 0s}, "));
    assert_eq!(http::post(home.address(), "/-/reload", b"").unwrap().status, 200);
    post("after");
    let after = shard.next_sample();
    assert_eq!((after["rule"].as_str(), after["labels"]["service"].as_str()), (Some("special"), Some("after")));
    assert_eq!((&after["decision"], &after["reason"]), (&json!("opened"), &json!("first_alert")));
    daemon.stop();
}

/// Posts an alert until the command that waits for it has ended.
fn until_seen(home: &Home, arguments: &[&str], alert: &Value) -> std::process::Output {
    let program = std::env::var_os("TIDEGATE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tidegate").into());
    let mut command = Command::new(program);
    command.arg("tap").args(arguments).env("TIDEGATE_URL", format!("http://{}", home.address()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the command has seen its alert", || {
        assert_eq!(http::post(home.address(), NATIVE, alert.to_string().as_bytes()).unwrap().status, 200);
        child.try_wait().unwrap().is_some()
    });
    child.wait_with_output().unwrap()
}

#[test]
fn hostile_labels_are_shown_escaped() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt\r\n\u{200b}";
    let alert = json!({"labels": {"service": "evil", "alertname": hostile, hostile: "x"}});
    let filter = ["--filter", "service=evil", "--limit", "1"];
    for stage in ["decode", "shard"] {
        let output = until_seen(&home, &[&[stage][..], &filter].concat(), &alert);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(0), "{err}");
        assert_eq!(out.lines().count(), 1, "{out:?}");
        let is_harmless = |c: char| !c.is_control() && !"\u{202e}\u{200b}".contains(c);
        assert!(out.trim_end().chars().all(is_harmless), "{out:?}");
        assert!(out.contains(r"\x1b]0;owned\x07\x1b[2J\x9b31m\u{202e}txt\x0d\x0a\u{200b}"), "{out}");
        assert!(err.starts_with("1 shown, ") && err.contains("over the rate of 10 per second"), "{err}");
    }
    let output = until_seen(&home, &[&["decode", "--output", "json"][..], &filter].concat(), &alert);
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && !"\u{202e}\u{200b}".contains(c))), "{text:?}");
    let (lines, code) = lines_of(&output);
    let sample = lines.iter().find(|line| line["type"] == "sample").unwrap();
    assert_eq!((code, sample["labels"]["alertname"].as_str()), (Some(0), Some(hostile)), "escaped, and still the same");
    let output = until_seen(&home, &["record", "--limit", "1"], &alert);
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains(" record   taken ") && out.trim_end().chars().all(|c| !c.is_control()), "{out:?}");
    daemon.stop();
}

#[test]
fn a_stop_ends_the_stream_in_order() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let mut shard = Client::open(home.address(), "stage=shard&rate=100");
    let senders = Senders::start(home.address(), "stop", Plan { repeats: false, ..PLAN });
    shard.next_sample();
    let watch = Stopwatch::start();
    daemon.stop();
    let took = watch.elapsed();
    let last = std::iter::from_fn(|| shard.next_line()).last().unwrap();
    assert_eq!((last["type"].as_str(), last["reason"].as_str()), (Some("end"), Some("draining")), "{last}");
    assert!(took < Duration::from_secs(5), "it took {took:?}, as if the listener had been waited for");
    senders.finish();
}

#[test]
fn a_listener_that_does_not_read_is_counted_and_holds_up_nothing() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let deaf = Client::ask(home.address(), "stage=decode&rate=1000");
    // A request is a second's worth of the largest samples, 6 MB: so the buffers on the way fill within seconds.
    let long = "x".repeat(1_000);
    let alert =
        |n: u32| json!({"labels": {"service": n.to_string(), "a": long, "b": long, "c": long, "d": long, "e": long}});
    let body = serde_json::to_vec(&(0..1_000).map(alert).collect::<Vec<_>>()).unwrap();
    let mut sent = 0;
    wait_for("samples without room", || {
        assert_eq!(http::post(home.address(), NATIVE, &body).unwrap().status, 200);
        sent += 1_000;
        daemon.scrape().sum("tidegate_tap_dropped_total") > 0
    });
    let scrape = daemon.scrape();
    scrape.assert_conserved();
    assert_eq!(scrape.received(), sent);
    let watch = Stopwatch::start();
    daemon.stop();
    let took = watch.elapsed();
    // The grace of requests in hand, 5 s, and a slow machine's own time.
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    drop(deaf);
}

#[test]
fn what_cannot_be_asked_is_named() {
    let home = Home::new(CONFIG);
    let url = format!("http://{}", home.address());
    for (arguments, code, message) in [
        (&["tap", "epoch"][..], 2, "[possible values: record, decode, shard, incident]"),
        (&["tap", "--rate", "1001"], 2, "1001 is not in 1..=1000"),
        (&["tap", "--filter", "a"], 2, "at byte 1: expected one of =, !=, =~, !~"),
        (&["tap", "--url", &url], 1, "nothing answers there"),
    ] {
        let output = program::tidegate(arguments);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(err.contains(message), "{err}");
    }
    let daemon = home.start();
    let _full: Vec<Client> = (0..4).map(|_| Client::open(home.address(), "")).collect();
    let output = program::tidegate(&["tap", "--url", &url]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("4 listeners are at the tap already (crowded)"), "{err}");
    let output = program::tidegate(&["tap", "record", "--filter", "a=b", "--url", &url]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("a record that is not decoded yet has no labels"), "{err}");
    daemon.stop();
}
