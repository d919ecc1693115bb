//! Tests of the ways out, against a receiver in the test itself.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use clap::Parser;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value;

use super::*;
use crate::model::Timestamp;
use crate::model::time::Stopwatch;
use crate::storm::{FloodOptions, Shape};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    storm: StormArgs,
}

fn args(line: &str) -> StormArgs {
    Line::try_parse_from(format!("storm {line}").split(' ')).unwrap().storm
}

fn usage_error(line: &str) -> String {
    let Err(error) = Line::try_parse_from(format!("storm {line}").split(' ')) else { panic!("{line} is accepted") };
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

/// A receiver on a free port. It answers the first `refusals` requests of the flood with 503, the others with
/// `status`, and returns the bodies that it took.
fn receive(refusals: usize, status: &'static str) -> (String, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::Builder::new().name("receiver".to_owned()).spawn(move || {
        let mut bodies = Vec::new();
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut requests = 0;
        while let Some(body) = read_request(&mut reader) {
            requests += 1;
            if requests <= refusals {
                answer(&stream, "503 Service Unavailable\r\nRetry-After: 0", "later");
            } else {
                bodies.push(body);
                answer(&stream, status, "");
            }
        }
        bodies
    });
    (url, thread.unwrap())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 0 {
        if line == "\r\n" {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            return Some(body);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    None
}

fn answer(mut stream: &TcpStream, status: &str, body: &str) {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
}

/// Sends the flood as `run` does, and returns the score instead of printing it.
fn storm(args: &StormArgs) -> (Score, Truth) {
    let (delivery, truth, _) = storm_in_full(args);
    (delivery.score(), truth)
}

fn storm_in_full(args: &StormArgs) -> (Delivery, Truth, Vec<(String, Duration)>) {
    let mut flood = Flood::new(args.flood_options());
    let delivery = Delivery::default();
    let outlet = open(args, &delivery).unwrap();
    let mut pacer = Pacer::new(args.rate, delivery.clock());
    let openings = Openings::default();
    send(&mut flood, outlet, &mut pacer, &delivery, &openings).unwrap();
    (delivery, flood.truth(), openings.take())
}

#[test]
fn the_defaults_are_a_ticket_storm_as_fast_as_possible() {
    let options = args("--to - --start 2026-01-02T03:04:05Z").flood_options();
    let expected = FloodOptions {
        shape: Shape::TicketStorm,
        seed: 1,
        alerts: 10_000,
        start: Timestamp(1_767_323_045_000),
        rate: 1_000.0,
        received_at: true,
    };
    assert_eq!(options, expected);
    let live = args("--to http://127.0.0.1:1 --rate 50").flood_options();
    assert_eq!((live.rate, live.received_at), (50.0, false));
    assert!(args("--to http://127.0.0.1:1 --keep-times").flood_options().received_at);
}

#[test]
fn bad_arguments_are_usage_errors() {
    assert!(usage_error("--to nowhere").contains("must be -, file:PATH"));
    assert!(usage_error("--to - --shape stedy").contains("resolve-flood"));
    assert!(usage_error("--to - --rate=-1").contains("must be a number from 0"));
    assert!(usage_error("--to - --alerts 0").contains("alerts"));
    assert!(usage_error("--to - --kafka-option acks").contains("must be KEY=VALUE"));
}

#[test]
fn a_file_holds_the_flood_and_the_truth_stands_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (flood_path, truth_path) = (folder.path().join("flood.jsonl"), folder.path().join("truth.json"));
    let line = format!("--to file:{} --shape cascade --alerts 700", flood_path.display());
    let args = StormArgs { truth: Some(truth_path.clone()), ..args(&line) };
    assert_eq!(run(&args).unwrap(), ExitCode::SUCCESS);
    let text = std::fs::read_to_string(flood_path).unwrap();
    assert_eq!(text.lines().count(), 700);
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["receivedAt"].is_string()));
    let truth: Truth = serde_json::from_slice(&std::fs::read(truth_path).unwrap()).unwrap();
    assert_eq!((truth.alerts, truth.shape), (700, Shape::Cascade));
}

#[test]
fn http_batches_hold_every_alert_once_and_a_503_is_sent_again() {
    let (url, receiver) = receive(2, "200 OK");
    let (score, _) = storm(&args(&format!("--to {url} --alerts 250 --batch 100 --connections 1")));
    let sizes: Vec<usize> =
        receiver.join().unwrap().iter().map(|body| serde_json::from_slice::<Vec<Value>>(body).unwrap().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(score, Score { sent: 250, retries: 2, doubtful: 200, ..Score::default() });
}

#[test]
fn a_paced_flood_keeps_its_due_times() {
    let (url, receiver) = receive(0, "200 OK");
    let line = format!("--to {url} --alerts 300 --rate 2000 --batch 100 --connections 1 --shape all-distinct");
    let (delivery, truth, openings) = storm_in_full(&args(&line));
    let sizes: Vec<usize> =
        receiver.join().unwrap().iter().map(|body| serde_json::from_slice::<Vec<Value>>(body).unwrap().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 300);
    assert_eq!((delivery.answers().count, delivery.lateness().count, delivery.n_made()), (300, 300, 300));
    assert!(delivery.answers().max_ms >= delivery.answers().p50_ms && delivery.answers().p50_ms > 0.0);
    // Each group with the time at which its first alert was due, 0.5 ms from one to the next.
    let origin = openings[0].1;
    let dues: BTreeMap<String, Duration> = openings.into_iter().collect();
    assert_eq!(dues.len(), truth.groups.len());
    for group in &truth.groups {
        let number = (group.first - truth.groups[0].first).0 as f64 * 2.0;
        let apart = (dues[&group.name()] - origin).as_secs_f64() * 2_000.0 - number;
        assert!((-0.1..2.1).contains(&apart), "{number} {apart}: flood times are cut to milliseconds");
    }
}

#[test]
fn a_refusal_for_good_fails_its_alerts_and_is_reported() {
    let (url, receiver) = receive(0, "401 Unauthorized");
    let (score, _) = storm(&args(&format!("--to {url} --alerts 20 --batch 10 --connections 1")));
    assert_eq!(receiver.join().unwrap().len(), 2);
    assert_eq!((score.sent, score.failed, score.retries), (0, 20, 0));
    assert!(!score.is_complete());
    assert_eq!(score.first_error.unwrap().trim(), "answered 401 Unauthorized");
}

#[test]
fn a_receiver_that_is_not_there_ends_the_flood() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (score, _) = storm(&args(&format!("--to {url} --alerts 50000 --retry-for 0")));
    assert_eq!((score.sent, score.doubtful), (0, 0));
    assert!(!score.is_complete());
}

#[test]
fn kafka_gets_one_record_an_alert_keyed_by_its_group() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("alerts", 3, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (score, truth) = storm(&args(&format!("--to kafka://{brokers}/alerts --alerts 500")));
    assert_eq!(score, Score { sent: 500, ..Score::default() });

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "check")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..3 {
        all.add_partition_offset("alerts", partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut partitions: BTreeMap<String, i32> = BTreeMap::new();
    let started = Stopwatch::start();
    while counts.values().sum::<u64>() < 500 {
        assert!(started.elapsed() < Duration::from_secs(30), "{counts:?}");
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let message = message.unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        assert_eq!(*partitions.entry(key.clone()).or_insert(message.partition()), message.partition());
        *counts.entry(key).or_default() += 1;
    }
    let expected: BTreeMap<String, u64> = truth.groups.iter().map(|group| (group.name(), group.alerts)).collect();
    assert_eq!(counts, expected);
}
