//! Markup of the pages: what an attacker writes into an alert stays text, and the parts look as they did.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::example::{House, NOW, event};
use crate::control::history::{Step, Steps};
use crate::control::pages::incident::incident_parts;
use crate::control::pages::list::{Filter, parts};
use crate::control::pages::part::Part;
use crate::control::pulse::Sample as Beat;
use crate::control::status::{Phase, SourceStatus};
use crate::model::incident::{Counts, Link, LinkKind};
use crate::model::time::Millis;
use crate::model::{EventKind, EventReason, IncidentEvent, IncidentId, Severity, Status, Timestamp};

/// What people have tried elsewhere.
const HOSTILE: [&str; 10] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></textarea></style><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}{% include \"x\" %}",
    "\u{202e}gpj.exe\u{2066}",
    "a\u{0}b\u{1b}[2Jc\u{85}",
    "&lt;script&gt; &amp;#60;",
    "]]><!--",
];

/// Elements that pages are made of.
const ELEMENTS: &str = "html head meta title link script noscript body a header svg path rect span div main nav h1 h2 section \
    form label select option input button p details summary pre bdi b small table caption thead tbody tr th td time dl dt dd \
    figure figcaption ol li ins code";

/// An incident in the middle of its life, of the service `checkout`.
fn incident(revision: u64) -> IncidentEvent {
    let began = NOW - Millis::minutes(90);
    let mut event = IncidentEvent::clone(&event(1, revision, Status::Firing));
    event.severity_max = Severity::Critical;
    event.group_labels = BTreeMap::from([
        ("cluster".to_owned(), "prod-eu-1".to_owned()),
        ("service|alertname".to_owned(), "checkout".to_owned()),
    ]);
    event.first_seen = began;
    event.last_seen = NOW - Millis::seconds(12);
    event.record_time = NOW - Millis::seconds(12);
    (event.members, event.firing) = (12, 9);
    event.counts = Counts::default();
    event.counts.add(Severity::Critical, Status::Firing, 1_200);
    event.counts.add(Severity::Warning, Status::Firing, 34);
    event.counts.add(Severity::Warning, Status::Resolved, 3);
    event.links = vec![Link { kind: LinkKind::Predecessor, incident_id: IncidentId(5) }];
    let sample = &mut event.samples[0];
    sample.severity = Severity::Critical;
    sample.first_seen = began;
    sample.labels.insert("alertname".to_owned(), "HighErrorRate".to_owned());
    sample.annotations.insert("summary".to_owned(), "Too many requests fail".to_owned());
    sample.annotations.insert("runbook_url".to_owned(), "https://runbooks.example.org/HighErrorRate".to_owned());
    sample.generator_url = Some("http://prom.example.org/graph?g0.expr=a+%3E+1&g0.tab=1".to_owned());
    event
}

fn steps() -> Steps {
    let told = [
        (1, EventKind::Opened, EventReason::FirstAlert, 1, 1, 90),
        (2, EventKind::Updated, EventReason::SeverityRose, 8, 8, 80),
        (3, EventKind::Updated, EventReason::MemberResolved, 12, 9, 0),
    ];
    Steps::of(told.map(|(revision, kind, reason, members, firing, minutes)| Step {
        event: kind,
        reason,
        members,
        firing,
        alerts: members * 100,
        record_time: NOW - Millis::minutes(minutes),
        ..Step::from(&incident(revision))
    }))
}

/// A daemon with one open and one resolved incident, and a pulse.
fn house() -> House {
    let house = House::new();
    let mut over = IncidentEvent::clone(&event(2, 1, Status::Resolved));
    over.first_seen = NOW - Millis::hours(3);
    over.record_time = NOW - Millis::hours(2);
    over.resolved_by = Some("ada".to_owned());
    house.control.index.apply(&[Arc::new(incident(3)), Arc::new(over)]);
    house.control.board.update(|status| {
        status.sources = vec![
            SourceStatus { name: "http".to_owned(), clock: Some(NOW), delay_seconds: 0.3 },
            SourceStatus { name: "orders".to_owned(), clock: Some(NOW - Millis::seconds(95)), delay_seconds: 95.0 },
            SourceStatus { name: "mail".to_owned(), clock: None, delay_seconds: 0.0 },
            SourceStatus { name: "commands".to_owned(), clock: Some(NOW), delay_seconds: 0.1 },
        ];
    });
    house
}

fn beats(adds_up: bool) -> Vec<Beat> {
    let beat = |second: u32| {
        let (received, opened) = (f64::from(second) * 50.0, f64::from(second / 4));
        let folded = received - opened - if adds_up { 2.0 } else { 3.0 };
        Beat {
            at: NOW - Millis::seconds(10 - i64::from(second)),
            received,
            outcomes: BTreeMap::from([("opened".to_owned(), opened), ("folded".to_owned(), folded)]),
            events: BTreeMap::from([("opened".to_owned(), opened)]),
            held: 2.0,
            clock_delay_seconds: f64::from(second),
            ..Beat::default()
        }
    };
    (1..=10).map(beat).collect()
}

fn html<'a>(parts: &'a [Part], name: &str) -> &'a str {
    parts.iter().find(|part| part.name == name).map_or("", |part| &part.html)
}

/// Every element is one of ours, every attribute too, and every address leads to us or to the web.
#[track_caller]
fn assert_inert(html: &str) {
    let known: Vec<&str> = ELEMENTS.split_whitespace().collect();
    for tag in html.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("an open end: {tag}"));
        assert!(!text.contains('>'), "{text}");
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(tag == "!doctype html" || known.contains(&name.as_str()), "<{tag}>");
        // Names and values take turns between the quotes; no value holds a quote of its own.
        let pieces: Vec<&str> = tag.split('"').collect();
        assert_eq!(pieces.len() % 2, 1, "<{tag}>");
        for pair in pieces.chunks(2) {
            let [names, value] = pair else { continue };
            let attribute = names.split_whitespace().last().unwrap_or_default();
            assert!(attribute.ends_with('=') && !names.contains(['\'', '&']), "<{tag}>");
            assert!(!attribute.starts_with("on") && attribute != "style=" && attribute != "srcdoc=", "<{tag}>");
            if ["href=", "src=", "action="].contains(&attribute) {
                let is_ours = value.starts_with('/') && !value.starts_with("//") || value.starts_with('#');
                assert!(is_ours || value.starts_with("http://") || value.starts_with("https://"), "<{tag}>");
                assert!(is_ours || tag.contains("rel=\"noopener noreferrer nofollow\""), "<{tag}>");
            }
        }
    }
    for character in ['\u{0}', '\u{1b}', '\u{85}', '\u{202e}', '\u{2066}'] {
        assert!(!html.contains(character), "{character:?}");
    }
}

#[tokio::test]
async fn hostile_text_stays_text() {
    for hostile in HOSTILE {
        let house = house();
        let mut event = incident(4);
        event.rule = hostile.to_owned();
        event.resolved_by = Some(hostile.to_owned());
        event.group_labels = BTreeMap::from([(hostile.to_owned(), hostile.to_owned())]);
        for sample in &mut event.samples {
            for texts in [&mut sample.labels, &mut sample.annotations] {
                texts.insert(hostile.to_owned(), hostile.to_owned());
                texts.insert("alertname".to_owned(), hostile.to_owned());
                texts.insert("summary".to_owned(), hostile.to_owned());
            }
            sample.generator_url = Some(hostile.to_owned());
        }
        house.control.index.apply(&[Arc::new(event)]);
        house.control.board.update(|status| {
            status.trouble = Some(hostile.to_owned());
            status.last_reload_fault = Some(hostile.to_owned());
            for source in &mut status.sources {
                source.name = hostile.to_owned();
            }
        });
        let query: String = form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
        for path in ["/", &format!("/?labels={query}"), "/incidents/00000000000000000000000000000001"] {
            let (_, page) = house.get(path).await;
            assert!(page.contains("</html>"), "{path}: {page}");
            assert_inert(&page);
        }
    }
}

#[tokio::test]
async fn what_is_too_long_is_cut() {
    let house = house();
    let mut event = incident(4);
    let long = "x".repeat(64 << 10);
    for sample in &mut event.samples {
        sample.annotations.insert("summary".to_owned(), long.clone());
        sample.labels.insert("long".to_owned(), long.clone());
    }
    event.group_labels.insert("long".to_owned(), long);
    house.control.index.apply(&[Arc::new(event)]);
    let (_, list) = house.get("/").await;
    assert!(list.len() < 20_000, "{}", list.len());
    let (_, page) = house.get("/incidents/00000000000000000000000000000001").await;
    assert!(page.len() < 30_000, "{}", page.len());
    assert!(page.contains("x…"), "a cut is marked");
}

#[test]
fn what_the_daemon_says_of_itself() {
    let house = house();
    let filter = Filter::default();
    insta::assert_snapshot!("status", html(&parts(&house.control, &filter), "status"));
    house.control.board.update(|status| {
        status.trouble = Some("the pipeline has not moved for 30 s; is the store reachable?".to_owned());
        status.last_reload_fault = Some("tidegate.yaml:3:1: unknown key \"wait\"".to_owned());
    });
    insta::assert_snapshot!("status_in_trouble", html(&parts(&house.control, &filter), "status"));
    house.control.board.update(|status| status.trouble = None);
    for phase in [Phase::Starting, Phase::Standby, Phase::Restoring, Phase::Draining, Phase::Stopped] {
        house.control.board.enter(phase);
        let parts = parts(&house.control, &filter);
        assert!(html(&parts, "status").contains(&format!("the daemon is {}", phase.name())));
    }
    let empty = House::new();
    for (phase, words) in [
        (Phase::Standby, "Another instance is active"),
        (Phase::Restoring, "being read back"),
        (Phase::Running, "Nothing is open"),
    ] {
        empty.control.board.enter(phase);
        assert!(html(&parts(&empty.control, &filter), "open").contains(words), "{phase:?}");
    }
}

#[test]
fn the_list_and_its_empty_states() {
    let house = house();
    let shown = parts(&house.control, &Filter::default());
    insta::assert_snapshot!("open", html(&shown, "open"));
    insta::assert_snapshot!("resolved", html(&shown, "resolved"));
    let empty = parts(&House::new().control, &Filter::default());
    assert!(html(&empty, "open").contains("Nothing is open."));
    assert!(html(&empty, "resolved").contains("Nothing was resolved yet."));
    assert!(html(&empty, "numbers").contains("all quiet"));
}

#[test]
fn numbers_add_up_or_say_that_they_do_not() {
    for (adds_up, verdict) in [(true, "adds up"), (false, "does not add up")] {
        let house = house();
        beats(adds_up).into_iter().for_each(|beat| house.control.pulse.add(beat));
        let shown = parts(&house.control, &Filter::default());
        assert!(html(&shown, "numbers").contains(&format!(">{verdict}<")), "{}", html(&shown, "numbers"));
        if adds_up {
            insta::assert_snapshot!("numbers", html(&shown, "numbers"));
        }
    }
}

#[test]
fn one_incident() {
    let event = incident(3);
    let shown = incident_parts(&event, &steps(), NOW);
    for name in ["facts", "resolve", "timeline", "samples"] {
        insta::assert_snapshot!(format!("incident_{name}"), html(&shown, name));
    }
    let few = Steps { complete: false, steps: steps().steps.split_off(1) };
    assert!(html(&incident_parts(&event, &few, NOW), "timeline").contains("Earlier steps are not in memory"));
    // Openings stay by themselves, however many there are.
    let many = Steps::of((1..=250).map(|revision| Step { revision, ..Step::from(&event) }));
    let timeline = incident_parts(&event, &many, NOW);
    assert_eq!(html(&timeline, "timeline").matches("<li ").count(), 200);
    assert!(html(&timeline, "timeline").contains("50 earlier entries"));
}

#[test]
fn updates_that_say_the_same_become_one() {
    let event = incident(40);
    let told = |revision: u64| {
        let (kind, reason) = match revision {
            1 => (EventKind::Opened, EventReason::FirstAlert),
            20 => (EventKind::Updated, EventReason::SeverityRose),
            _ => (EventKind::Updated, EventReason::Counted),
        };
        let record_time = NOW - Millis::minutes(40) + Millis::minutes(revision as i64);
        Step { revision, event: kind, reason, record_time, alerts: revision * 1_000, ..Step::from(&event) }
    };
    let shown = incident_parts(&event, &Steps::of((1..=40).map(told)), NOW);
    let timeline = html(&shown, "timeline");
    assert_eq!(timeline.matches("<li ").count(), 4);
    for text in ["20 times in 19 min", "18 times in 17 min", "data-key=\"s21\" data-rev=\"40\"", "+20,000", "+18,000"] {
        assert!(timeline.contains(text), "{text} is not in {timeline}");
    }
}

#[test]
fn a_headline_says_what_it_is_about() {
    use crate::control::pages::list::headline;
    let mut event = incident(1);
    let check = |event: &IncidentEvent, expected: &str| assert_eq!(headline(event, 60), expected);
    check(&event, "HighErrorRate: Too many requests fail");
    let mut other = event.samples[0].clone();
    other.labels.insert("alertname".to_owned(), "LatencyHigh".to_owned());
    event.samples.push(other);
    check(&event, "HighErrorRate: Too many requests fail, and 1 other kind");
    event.samples[0].severity = Severity::Info;
    check(&event, "LatencyHigh: Too many requests fail, and 1 other kind");
    event.samples.truncate(1);
    event.samples[0].annotations.clear();
    check(&event, "HighErrorRate");
    event.samples[0].labels.clear();
    check(&event, "prod-eu-1 checkout");
    event.samples[0].annotations.insert("message".to_owned(), "  two\n lines ".to_owned());
    check(&event, "two lines");
    event.samples.clear();
    event.group_labels.clear();
    check(&event, "an alert without a name");
}

#[test]
fn a_clock_out_of_range_is_shown_as_a_number() {
    let mut event = incident(1);
    event.first_seen = Timestamp(i64::MAX);
    let shown = incident_parts(&event, &steps(), NOW);
    assert!(html(&shown, "facts").contains("9223372036854775807"));
}
