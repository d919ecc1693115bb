#![allow(clippy::unwrap_used)]
use clap::Parser;
use serde_json::{Value, json};

use super::line::Shown;
use super::*;

#[derive(Parser)]
struct Tool {
    #[command(flatten)]
    tap: TapArgs,
}

fn arguments(line: &[&str]) -> TapArgs {
    Tool::try_parse_from([&["tap"][..], line].concat()).unwrap().tap
}

/// What the daemon says, shown without a terminal: result, standard output, standard error.
fn shown(line: &[&str], happens: Vec<Event>) -> (Result<bool, String>, String, String) {
    let (events, happened) = bounded(happens.len() + 1);
    happens.into_iter().for_each(|event| events.send(event).unwrap());
    drop(events);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = show(&arguments(line), &happened, &mut out, &mut err).map_err(|error| format!("{error:#}"));
    let text = |bytes: Vec<u8>| anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string();
    (result, text(out), text(err))
}

fn line(value: &Value) -> Event {
    Event::Line(format!("{value}\n").into_bytes())
}

fn samples() -> [Value; 5] {
    let at = "2026-11-22T08:00:01.123Z";
    let labels = json!({"alertname": "Down", "service": "shop"});
    [
        json!({"type": "sample", "stage": "record", "at": at, "source": "kafka", "partition": "alerts/3", "position": 7,
            "format": "native", "bytes": 12, "text": "{\"labels\":\u{1b}"}),
        json!({"type": "sample", "stage": "decode", "at": at, "decision": "reject", "reason": "no_labels",
            "source": "http", "partition": "", "position": 7, "index": 2, "text": "{}"}),
        json!({"type": "sample", "stage": "decode", "at": at, "decision": "alert", "source": "http", "partition": "",
            "position": 7, "index": 0, "status": "firing", "severity": "high", "labels": labels}),
        json!({"type": "sample", "stage": "shard", "at": at, "decision": "folded", "reason": "repeat", "alerts": 41,
            "source": "http", "position": 7, "index": 0, "rule": "default", "group_labels": {"service": "shop"},
            "incident_id": "1f0c2a9b000000000000000000000000", "fingerprint": "0", "labels": labels}),
        json!({"type": "sample", "stage": "incident", "at": at, "decision": "opened", "reason": "first_alert",
            "incident_id": "1f0c2a9b000000000000000000000000", "revision": 1, "rule": "default", "severity": "high",
            "group_labels": {"service": "shop"}, "members": 3, "firing": 2, "alerts": 9}),
    ]
}

fn count(word: &str, over_rate: u64, dropped: u64) -> Value {
    json!({"type": word, "at": "2026-11-22T08:00:02.000Z", "reason": "limit", "shown": 5, "over_rate": over_rate,
        "dropped": dropped})
}

#[test]
fn a_line_per_sample_and_what_was_not_shown() {
    let mut happens = vec![line(&count("beat", 0, 0))];
    happens.extend(samples().iter().map(line));
    happens.push(line(&count("end", 340, 2)));
    let (result, out, err) = shown(&["shard"], happens);
    assert_eq!(result, Ok(true));
    insta::assert_snapshot!(out, @r#"
08:00:01.123 record   taken    -               kafka alerts/3@7 native 12 B  {"labels":\x1b
08:00:01.123 decode   reject   no_labels       http@7[2]  {}
08:00:01.123 decode   alert    -               http@7[0] firing high  {alertname="Down", service="shop"}
08:00:01.123 shard    folded   repeat          default #1f0c2a9b ×41 {alertname="Down", service="shop"}
08:00:01.123 incident opened   first_alert     default {service="shop"} #1f0c2a9b r1 high 2 of 3 firing, 9 alerts
"#);
    insta::assert_snapshot!(err, @"5 shown, 342 not shown (340 over the rate of 10 per second, 2 read too slowly)");
}

#[test]
fn json_is_handed_on_as_it_comes_but_harmless() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\u{e0001}é";
    let sample = json!({"type": "sample", "stage": "decode", "labels": {"a": hostile}});
    let happens = vec![line(&count("beat", 0, 0)), line(&sample), line(&count("end", 1, 0))];
    let (result, out, err) = shown(&["--output", "json"], happens);
    assert_eq!((result, err.as_str()), (Ok(true), ""));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [count("beat", 0, 0), sample, count("end", 1, 0)]);
    assert!(out.contains(r"\u001b[2J\u009b31m\u202e\udb40\udc01é"), "{out}");
}

#[test]
fn an_end_that_comes_early_says_so() {
    let beat = || line(&count("beat", 7, 0));
    let sample = || line(&samples()[3]);
    let check = |happens: Vec<Event>, expected: (Result<bool, String>, &str)| {
        let (result, _, err) = shown(&["--rate", "5"], happens);
        assert_eq!((result, err.trim_end()), expected);
    };
    let told = "1 shown, at least 7 not shown (7 over the rate of 5 per second, 0 read too slowly)";
    check(vec![beat(), sample(), Event::Interrupted], (Ok(true), told));
    let broke = |cause: &str| Err(format!("the stream broke off ({cause}); did the daemon end?"));
    check(vec![beat(), sample(), Event::Over(None)], (broke("no cause given"), told));
    let reset = std::io::Error::other("connection reset");
    check(vec![beat(), sample(), Event::Over(Some(reset))], (broke("connection reset"), told));
    let mut draining = count("end", 0, 0);
    draining["reason"] = "draining".into();
    let told =
        "1 shown, 0 not shown (0 over the rate of 5 per second, 0 read too slowly)\ntidegate: the daemon is stopping";
    check(vec![sample(), line(&draining)], (Ok(true), told));
    let (result, _, _) = shown(&[], vec![Event::Line(b"<html>\n".to_vec())]);
    assert!(result.unwrap_err().starts_with("the daemon sends a line that is none of this version"));
}

#[test]
fn lines_are_cut_to_the_width_of_the_terminal() {
    let sample = |text: &str| {
        let sample = json!({"stage": "record", "at": "2026-11-22T08:00:01.123Z", "source": "s", "format": "native",
            "bytes": 1, "text": text});
        serde_json::from_value::<Shown>(sample).unwrap()
    };
    let cut = |text: &str, width: usize| anstream::adapter::strip_str(&text_line(&sample(text), width)).to_string();
    assert_eq!(cut("abcdefgh", 66), "08:00:01.123 record   taken    -               s native 1 B  abcd…");
    assert_eq!(cut("abcde", 66), "08:00:01.123 record   taken    -               s native 1 B  abcde");
    assert_eq!(cut("日本語日本語", 66), "08:00:01.123 record   taken    -               s native 1 B  日本…");
    assert_eq!(cut("日本語日本語", 65), "08:00:01.123 record   taken    -               s native 1 B  日…");
    assert_eq!(cut("", 20), "08:00:01.123 record…");
    assert!(text_line(&sample("x"), 200).contains("taken"));
}
