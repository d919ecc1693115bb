//! The state under looks and keys, and what is drawn of it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::cli::top::draw::draw;
use crate::cli::top::feed::{DaemonStatus, Detail, Look, SourceDelay};
use crate::cli::top::state::State;
use crate::cli::top::theme::Theme;
use crate::cli::top::{keys, once, svg};
use crate::control::api::groups::{Groups, Sort};
use crate::control::busiest::{GroupStanding, GroupStatus};
use crate::control::history::{Step, Steps};
use crate::control::pulse::Sample;
use crate::model::incident::{Counts, EVENT_VERSION, Sample as AlertSample};
use crate::model::time::Millis;
use crate::model::{EventKind, EventReason, Fingerprint, GroupHash, IncidentEvent, IncidentId};
use crate::model::{Severity, Status, Timestamp};

/// 2026-11-22T08:00:00Z.
const NOW: Timestamp = Timestamp(1_795_334_400_000);

/// A critical group of a service in the cluster `eu`, seen for the first time two minutes ago.
pub(super) fn group(id: u128, service: &str, per_second: f64, alerts: u64) -> GroupStanding {
    GroupStanding {
        rule: "everything".to_owned(),
        group_labels: [("cluster", "eu"), ("service", service)].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        incident_id: Some(IncidentId(id)),
        status: GroupStatus::Firing,
        severity_max: Severity::Critical,
        alerts,
        alerts_per_second: per_second,
        members: alerts / 10,
        firing: alerts / 20,
        first_seen: NOW - Millis::seconds(123),
        last_seen: NOW - Millis::seconds(1),
        as_of: NOW,
    }
}

fn groups() -> Vec<GroupStanding> {
    let mut groups = vec![
        group(1, "checkout", 312.4, 12_034),
        GroupStanding { severity_max: Severity::Warning, ..group(2, "payments", 87.5, 25_120) },
        GroupStanding { severity_max: Severity::High, status: GroupStatus::Waiting, ..group(3, "search", 40.0, 160) },
        GroupStanding { status: GroupStatus::Resolved, severity_max: Severity::Info, ..group(4, "mail", 0.0, 900) },
        GroupStanding {
            status: GroupStatus::Held,
            incident_id: None,
            severity_max: Severity::Unknown,
            ..group(5, "batch", 0.3, 2)
        },
    ];
    groups.extend((6..30).map(|id| GroupStanding {
        severity_max: Severity::Low,
        ..group(id, &format!("worker-{id:02}"), 0.0, 60 - id as u64)
    }));
    groups
}

/// A minute and a half in which alerts came in a wave.
fn samples() -> Vec<Sample> {
    let mut received = 1_000.0;
    let sample = |second: i64| {
        let wave = 3_000.0 * (-((second - 60) as f64 / 14.0).powi(2)).exp();
        received += 20.0 + wave;
        let outcome = |name: &str, share: f64| (name.to_owned(), (received * share).round());
        Sample {
            at: NOW - Millis::seconds(90 - second),
            received,
            outcomes: [
                outcome("folded", 0.95),
                outcome("joined", 0.03),
                outcome("opened", 0.01),
                outcome("resolved", 0.01),
            ]
            .into(),
            events: [("opened".to_owned(), received / 1_000.0)].into(),
            open_windows: 14.0,
            open_incidents: (second / 3) as f64,
            fingerprints: 1_204.0,
            resident_bytes: 92_274_688.0,
            state_bytes: 1_258_291.0,
            cpu_seconds: second as f64 * 0.34,
            epochs: second as f64 * 9.8,
            commit_seconds: second as f64 * 0.03,
            ..Sample::default()
        }
    };
    (0..=90).map(sample).collect()
}

fn look() -> Look {
    let source = |name: &str, clock, delay_seconds| SourceDelay { name: name.to_owned(), clock, delay_seconds };
    let status = DaemonStatus {
        version: "0.1.0".to_owned(),
        ready: true,
        now: NOW,
        phase: "running".to_owned(),
        started_at: NOW - Millis::hours(3),
        config_hash: "5d0f1c7712345678".to_owned(),
        sources: vec![source("http", Some(NOW), 0.2), source("alerts", Some(NOW), 75.0), source("commands", None, 0.0)],
        ..DaemonStatus::default()
    };
    let groups = Groups { now: NOW, matching: groups().len(), groups: groups() };
    Look { taken: NOW, status, samples: samples(), groups, detail: None }
}

fn state() -> State {
    let mut state = State::new("http://127.0.0.1:9093/", Sort::Rate, "");
    state.take(look());
    state
}

fn press(state: &mut State, keys: &[KeyCode]) {
    for code in keys {
        let action = keys::action(KeyEvent::new(*code, KeyModifiers::NONE), state.typing.is_some());
        state.act(action.unwrap_or_else(|| panic!("{code:?} does nothing")));
    }
}

fn type_text(state: &mut State, text: &str) {
    press(state, &text.chars().map(KeyCode::Char).collect::<Vec<_>>());
}

/// The text of the screen, drawn as the terminal would have it; `state` learns what drawing knows.
fn screen(state: &mut State, width: u16, height: u16) -> String {
    screen_at(state, width, height, NOW)
}

fn screen_at(state: &mut State, width: u16, height: u16, now: Timestamp) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut drawn = state.drawn;
    terminal.draw(|frame| drawn = draw(frame, state, now, Theme::PLAIN)).unwrap();
    state.drawn = drawn;
    let buffer = terminal.backend().buffer();
    let row = |y| {
        let cells = (0..width).map(|x| buffer.cell((x, y)).unwrap().symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(row).collect::<Vec<_>>().join("\n")
}

fn services(state: &State) -> Vec<&str> {
    state.rows().iter().map(|group| group.group_labels["service"].as_str()).collect()
}

fn event(id: u128, service: &str) -> IncidentEvent {
    let labels: BTreeMap<String, String> = [("alertname", "HighLatency"), ("instance", "a:9100"), ("service", service)]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .into();
    let mut counts = Counts::default();
    counts.add(Severity::Critical, Status::Firing, 12_000);
    counts.add(Severity::Warning, Status::Resolved, 34);
    IncidentEvent {
        version: EVENT_VERSION,
        event: EventKind::Updated,
        reason: EventReason::Grew,
        incident_id: IncidentId(id),
        revision: 3,
        epoch: 9,
        record_time: NOW,
        committed_at: NOW,
        catching_up: false,
        status: Status::Firing,
        severity_max: Severity::Critical,
        rule: "everything".to_owned(),
        group: GroupHash(id),
        group_labels: BTreeMap::new(),
        first_seen: NOW - Millis::seconds(123),
        last_seen: NOW,
        window_closed: false,
        members: 3,
        members_sum: Fingerprint(7),
        firing: 3,
        counts,
        resolved_by: None,
        samples: vec![AlertSample {
            fingerprint: Fingerprint(7),
            severity: Severity::Critical,
            first_seen: NOW - Millis::seconds(123),
            starts_at: None,
            labels,
            annotations: [("summary".to_owned(), "requests take longer than 2 s ".repeat(5))].into(),
            generator_url: None,
        }]
        .into(),
        links: Vec::new(),
    }
}

fn detail(id: u128, service: &str) -> Detail {
    let last = event(id, service);
    let step = |revision, event, reason, seconds| Step {
        revision,
        event,
        reason,
        committed_at: NOW - Millis::seconds(seconds),
        ..Step::from(&last)
    };
    let steps = vec![
        step(1, EventKind::Opened, EventReason::FirstAlert, 113),
        step(2, EventKind::Updated, EventReason::SeverityRose, 60),
        step(3, EventKind::Updated, EventReason::Grew, 0),
    ];
    Detail { id: IncidentId(id), event: Some(last), steps: Steps { complete: true, steps } }
}

#[test]
fn the_small_screen() {
    insta::assert_snapshot!(screen(&mut state(), 80, 24));
}

#[test]
fn the_wide_screen() {
    insta::assert_snapshot!(screen(&mut state(), 120, 40));
}

#[test]
fn a_daemon_that_has_seen_nothing() {
    let mut state = State::new("http://127.0.0.1:9093/", Sort::Rate, "");
    let groups = Groups { now: NOW, matching: 0, groups: Vec::new() };
    state.take(Look { groups, samples: vec![Sample { at: NOW, ..Sample::default() }], ..look() });
    insta::assert_snapshot!(screen(&mut state, 80, 24));
}

#[test]
fn a_filter_as_it_is_typed() {
    let mut state = state();
    press(&mut state, &[KeyCode::Char('/')]);
    type_text(&mut state, "service=~\"pay.*|search\"");
    assert_eq!(services(&state), ["payments", "search"]);
    insta::assert_snapshot!(screen(&mut state, 80, 24));
    assert!(state.wanted().all_groups, "a filter looks through every group");
    press(&mut state, &[KeyCode::Enter]);
    assert_eq!((state.typing.is_some(), services(&state).len()), (false, 2));
    // Typed anew and given up: as before.
    press(&mut state, &[KeyCode::Char('/'), KeyCode::Backspace, KeyCode::Char('x'), KeyCode::Esc]);
    assert_eq!(services(&state), ["payments", "search"]);
    press(&mut state, &[KeyCode::Esc]);
    assert_eq!(services(&state).len(), groups().len());
    press(&mut state, &[KeyCode::Char('/'), KeyCode::Char('#')]);
    assert!(screen(&mut state, 80, 24).contains("no group passes the filter"));
}

#[test]
fn the_selection_stays_with_its_group() {
    let mut state = state();
    press(&mut state, &[KeyCode::Down]);
    assert_eq!((state.selected(), services(&state)[1]), (1, "payments"));
    let mut next = look();
    next.groups.groups[1].alerts_per_second = 999.0;
    state.take(next.clone());
    assert_eq!((state.selected(), services(&state)[0]), (0, "payments"), "it rose, and the selection with it");
    next.groups.groups.remove(1);
    state.take(next);
    assert_eq!(state.selected(), 0, "gone: the row in its place");
    screen(&mut state, 80, 24);
    press(&mut state, &[KeyCode::End]);
    assert_eq!(state.selected(), services(&state).len() - 1);
    let last = services(&state).last().unwrap().to_string();
    assert!(screen(&mut state, 80, 24).contains(&last), "the selected row is on the screen");
    press(&mut state, &[KeyCode::PageUp, KeyCode::Home, KeyCode::Up]);
    assert_eq!(state.selected(), 0);
}

#[test]
fn orders() {
    let mut state = state();
    let mut first = |keys: &[KeyCode]| {
        press(&mut state, keys);
        services(&state)[0].to_owned()
    };
    assert_eq!(first(&[]), "checkout");
    assert_eq!(first(&[KeyCode::Char('s')]), "payments", "most alerts");
    assert_eq!(first(&[KeyCode::Char('m')]), "payments");
    assert_eq!(first(&[KeyCode::Char('v')]), "checkout", "the worst severity with most alerts");
    assert_eq!(first(&[KeyCode::Char('s')]), "checkout", "after the last order comes the first");
    assert_eq!(state.wanted().sort, Sort::Rate);
}

#[test]
fn a_group_in_full() {
    let mut state = state();
    press(&mut state, &[KeyCode::Enter]);
    assert_eq!(state.wanted().detail, Some(IncidentId(1)));
    assert!(screen(&mut state, 80, 24).contains("are being asked for"));
    state.take(Look { detail: Some(detail(1, "checkout")), ..look() });
    insta::assert_snapshot!("detail_small", screen(&mut state, 80, 24));
    insta::assert_snapshot!("detail_wide", screen(&mut state, 120, 40));
    screen(&mut state, 80, 24);
    press(&mut state, &[KeyCode::End]);
    assert_eq!(state.opened.as_ref().unwrap().scroll, state.drawn.scroll_max);
    assert!(screen(&mut state, 80, 24).contains("instance=a:9100"), "the end can be reached");
    press(&mut state, &[KeyCode::Up]);
    assert_eq!(state.opened.as_ref().unwrap().scroll, state.drawn.scroll_max - 1);
    press(&mut state, &[KeyCode::Esc]);
    assert!(state.opened.is_none());
}

#[test]
fn a_group_without_an_incident_says_why() {
    let mut state = state();
    for (status, told) in [(GroupStatus::Waiting, "waits for companions"), (GroupStatus::Resolved, "does not know")] {
        let id = IncidentId(1);
        press(&mut state, &[KeyCode::Enter]);
        let mut look = Look { detail: Some(Detail { id, event: None, steps: Steps::default() }), ..look() };
        look.groups.groups[0].status = status;
        state.take(look);
        assert!(screen(&mut state, 80, 24).contains(told), "{told}");
        press(&mut state, &[KeyCode::Esc]);
    }
    press(&mut state, &[KeyCode::Char('/')]);
    type_text(&mut state, "batch");
    press(&mut state, &[KeyCode::Enter, KeyCode::Enter]);
    assert_eq!(state.wanted().detail, None);
    assert!(screen(&mut state, 80, 24).contains("below its threshold"));
    // It opens while it is looked at.
    let mut look = look();
    look.groups.groups[4].incident_id = Some(IncidentId(5));
    state.take(look);
    assert_eq!(state.wanted().detail, Some(IncidentId(5)));
}

#[test]
fn what_senders_wrote_cannot_steer_the_terminal() {
    let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}\n\u{202e}evil\u{200b}日本";
    let mut look = look();
    look.groups.groups = vec![group(1, hostile, 1.0, 5)];
    look.groups.groups[0].group_labels.insert(hostile.to_owned(), "<b>".to_owned());
    look.groups.groups[0].rule = hostile.to_owned();
    look.status.trouble = Some(hostile.to_owned());
    look.status.version = hostile.to_owned();
    look.status.sources[0].name = hostile.to_owned();
    let mut state = State::new("http://127.0.0.1:9093/", Sort::Rate, "");
    state.take(look.clone());
    insta::assert_snapshot!("hostile_table", screen(&mut state, 120, 24));
    let mut texts = vec![screen(&mut state, 120, 24)];
    press(&mut state, &[KeyCode::Enter]);
    let mut detail = detail(1, hostile);
    detail.event.as_mut().unwrap().samples[0].annotations.insert(hostile.to_owned(), hostile.to_owned());
    detail.event.as_mut().unwrap().resolved_by = Some(hostile.to_owned());
    state.take(Look { detail: Some(detail), ..look });
    insta::assert_snapshot!("hostile_detail", screen(&mut state, 120, 40));
    texts.push(screen(&mut state, 120, 40));
    state.lose(hostile.to_owned(), NOW);
    texts.push(screen(&mut state, 120, 40));
    let mut text = Vec::new();
    once::text(&state, 20, &mut text).unwrap();
    texts.push(String::from_utf8(text).unwrap());
    for text in texts {
        let bad = |c: char| c.is_control() && c != '\n' || ['\u{202e}', '\u{200b}'].contains(&c);
        assert!(!text.contains(bad), "{text:?}");
    }
}

#[test]
fn a_lost_connection_keeps_the_last_picture_and_comes_back() {
    let mut state = state();
    state.lose("http://127.0.0.1:9093/: nothing answers there (Connection refused)".to_owned(), NOW);
    state.lose("still nothing".to_owned(), NOW + Millis::seconds(9));
    assert_eq!(state.lost.as_ref().unwrap().since, NOW);
    insta::assert_snapshot!(screen_at(&mut state, 80, 24, NOW + Millis::seconds(75)));
    let later = NOW + Millis::seconds(80);
    state.take(Look { taken: later, samples: vec![Sample { at: later, ..Sample::default() }], ..look() });
    assert_eq!((state.lost.clone(), state.stale_since(later)), (None, None));
    assert!(!screen_at(&mut state, 80, 24, later).contains("NO ANSWER"));
    // A daemon that neither answers nor refuses is noticed as well.
    assert!(screen_at(&mut state, 80, 24, later + Millis::seconds(4)).contains("it takes its time"));
}

#[test]
fn notices() {
    let mut state = state();
    let mut look = look();
    look.status.last_reload_fault = Some("tidegate.yaml:3:1: unknown key \"windwos\"".to_owned());
    state.take(look.clone());
    assert!(screen(&mut state, 80, 24).contains(" RELOAD REFUSED, the configuration before stays: tidegate.yaml:3:1"));
    (look.status.ready, look.status.trouble) = (false, Some("the pipeline has not moved for 30 s".to_owned()));
    state.take(look);
    assert!(screen(&mut state, 80, 24).contains(" TROUBLE: the pipeline has not moved for 30 s"));
}

#[test]
fn a_pause_holds_the_picture_while_history_goes_on() {
    let mut state = state();
    press(&mut state, &[KeyCode::Char('p')]);
    let mut next = look();
    next.groups.groups.truncate(1);
    next.samples.push(Sample { at: NOW + Millis::seconds(1), ..Sample::default() });
    next.taken = NOW + Millis::seconds(1);
    state.take(next);
    assert_eq!(services(&state).len(), groups().len());
    assert!(
        screen_at(&mut state, 80, 24, NOW + Millis::seconds(2)).contains(" PAUSED at 08:00:00 UTC, 2s ago; p goes on")
    );
    press(&mut state, &[KeyCode::Char('p')]);
    assert_eq!((services(&state).len(), state.live.samples.len()), (1, 92));
}

#[test]
fn help_covers_the_screen_and_goes() {
    let mut state = state();
    press(&mut state, &[KeyCode::Char('?')]);
    insta::assert_snapshot!(screen(&mut state, 80, 24));
    press(&mut state, &[KeyCode::Esc]);
    assert!(!state.help);
    press(&mut state, &[KeyCode::Char('q')]);
    assert!(state.quit);
}

#[test]
fn every_size_can_be_drawn() {
    let mut state = state();
    for (width, height) in [(0, 0), (1, 1), (1, 50), (80, 1), (79, 24), (80, 23)] {
        let text = screen(&mut state, width, height);
        assert!(width < 30 || text.contains("80x24 needed"), "{width}x{height}: {text}");
    }
    for opened in [false, true] {
        if opened {
            press(&mut state, &[KeyCode::Enter]);
            state.take(Look { detail: Some(detail(1, "checkout")), ..look() });
        }
        for (width, height) in [(80, 24), (81, 25), (109, 30), (110, 30), (200, 24), (80, 100), (400, 120)] {
            assert!(screen(&mut state, width, height).contains("tidegate"), "{width}x{height}");
        }
    }
}

#[test]
fn the_picture_as_text_and_as_json() {
    let state = state();
    let mut text = Vec::new();
    once::text(&state, 5, &mut text).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap());
    let mut json = Vec::new();
    once::json(&state, 2, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["groups"].as_array().unwrap().len(), 2);
    assert_eq!((&json["groups"][0]["alerts"], &json["n_groups"]), (&12_034.into(), &groups().len().into()));
    assert!(json["rates"]["received_per_second"].as_f64().unwrap() > 20.0);
    assert_eq!(json["status"]["phase"], "running");
}

#[test]
fn the_picture_for_documents_shows_what_the_screen_shows() {
    let state = state();
    let mut terminal = Terminal::new(TestBackend::new(120, 36)).unwrap();
    terminal.draw(|frame| _ = draw(frame, &state, NOW, Theme::COLOURS)).unwrap();
    let svg = svg::render(terminal.backend().buffer());
    for part in [">payments</text>", ">12,034</text>", ">tidegate</text>", "</svg>"] {
        assert!(svg.contains(part), "{part}");
    }
}
