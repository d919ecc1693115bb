//! What people read when something is wrong, each produced on purpose by the program itself: what, where, what is right.
//!
//! The texts are in `snapshots/`; paths, ports, times and ids in them are replaced by names.

use std::net::TcpListener;
use std::path::Path;

use regex::Regex;
use rusqlite::Connection;

use crate::program::{Program, tidegate};

/// Standard output, standard error and the exit code of a command that ends by itself.
fn said(folder: &Path, words: &[&str]) -> String {
    let output = tidegate(words);
    let code = output.status.code().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    format!("{}exit code {code}\n", normal(folder, &text))
}

/// Without what differs from run to run.
fn normal(folder: &Path, text: &str) -> String {
    let text = text.replace(&folder.display().to_string(), "FOLDER");
    let rules = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
        (r"\b[0-9a-f]{32}\b", "ID"),
        (r"\x1b\[[0-9;]*m", ""),
        (r"%\d\|\d+\.\d+\|", "%LOG|"),
    ];
    rules.iter().fold(text, |text, (pattern, name)| Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned())
}

/// Compares the text of every case with its snapshot.
fn check(cases: &[(&str, String)]) {
    for (name, text) in cases {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(*name, text);
        });
    }
}

/// A daemon that does not come up: what it says last.
fn fails(folder: &Path, words: &[&str]) -> String {
    let text = said(folder, &[&["run"], words].concat());
    // The log before it is not the message.
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("TIME ")).collect();
    lines.push("");
    lines.join("\n")
}

#[test]
fn configurations_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (missing, broken) =
        (at.join("missing.yaml").display().to_string(), at.join("broken.yaml").display().to_string());
    std::fs::write(
        &broken,
        "listen: 0.0.0.0:9093\nsources:\n  - {name: http, type: htp}\nwindows:\n  - {name: a, gapp: 5m}\n  - {name: a, wait: 5x}\n",
    )
    .unwrap();
    check(&[
        ("run_without_its_configuration", said(at, &["run", "--config", &missing])),
        ("run_with_faults", said(at, &["run", "--config", &broken])),
        ("check_config_with_faults", said(at, &["check-config", &broken])),
        ("check_config_without_file", said(at, &["check-config", &missing])),
        ("topics_without_configuration", said(at, &["topics", "check", "--config", &missing])),
        ("replay_without_file", {
            std::fs::write(&broken, "{}\n").unwrap();
            said(at, &["replay", "--config", &broken, "--from", &missing])
        }),
        ("topics_without_kafka", said(at, &["topics", "check", "--config", &broken])),
        ("listen_is_no_address", said(at, &["run", "--listen", "here"])),
    ]);
}

#[test]
fn command_lines_that_cannot_be_used() {
    let at = Path::new("/nowhere");
    check(&[
        ("unknown_subcommand", said(at, &["incidents"])),
        ("unknown_option", said(at, &["dlq", "list", "--resaon", "empty"])),
        ("unknown_reason", said(at, &["dlq", "list", "--reason", "empt"])),
        ("requeue_of_nothing", said(at, &["dlq", "requeue"])),
        ("bad_filter", said(at, &["incident", "list", "--filter", "service=~\"(\""])),
        ("bad_since", said(at, &["incident", "list", "--since", "yesterday"])),
        ("bad_incident_id", said(at, &["incident", "show", "the-last-one"])),
        ("storm_to_nowhere", said(at, &["storm", "--to", "nowhere"])),
    ]);
}

#[test]
fn places_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let path = |name: &str| at.join(name).display().to_string();
    std::fs::write(path("file"), "").unwrap();
    let free = ["--listen", "127.0.0.1:0", "--data-dir"];
    let mut cases = vec![
        ("port_in_use", fails(at, &["--listen", &address, "--data-dir", &path("a")])),
        ("data_dir_is_not_to_be_written", fails(at, &[&free[..], &[&path("file/data")]].concat())),
        ("dlq_without_a_store", said(at, &["dlq", "list", "--data-dir", &path("none")])),
        ("incidents_without_a_store", said(at, &["incident", "list", "--data-dir", &path("none")])),
    ];
    type Prepare = fn(&Path);
    let stores: [(&str, &str, Prepare); 3] = [
        ("state_of_a_newer_version", "newer", |file| {
            let sql = "PRAGMA application_id = 0x74696465; PRAGMA user_version = 99; CREATE TABLE x (y)";
            Connection::open(file).unwrap().execute_batch(sql).unwrap();
        }),
        ("state_of_another_program", "foreign", |file| {
            Connection::open(file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        }),
        ("state_that_is_damaged", "damaged", |file| {
            std::fs::write(file, "once upon a time ".repeat(1_000)).unwrap();
        }),
    ];
    for (name, data, prepare) in stores {
        let data = at.join(data);
        std::fs::create_dir(&data).unwrap();
        prepare(&data.join("state.db"));
        let data = data.display().to_string();
        let run = fails(at, &[&free[..], &[&data]].concat());
        let looked = said(at, &["incident", "list", "--data-dir", &data]);
        cases.push((name, format!("{run}{looked}")));
    }
    check(&cases);
}

#[test]
fn a_daemon_that_does_not_do_what_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let path = |name: &str| at.join(name).display().to_string();
    std::fs::write(path("token"), "right\n").unwrap();
    std::fs::write(path("wrong"), "wrong\n").unwrap();
    std::fs::write(path("two-words"), "two words\n").unwrap();
    let file = path("lines.jsonl");
    std::fs::write(&file, format!("{}\n", "x".repeat((1 << 20) + 1))).unwrap();
    let config = format!(
        "token: {{file: {:?}}}\nsources:\n  - {{name: http, type: http}}\n  \
         - {{name: lines, type: file, path: {file:?}, format: native}}\n",
        path("token")
    );
    let program = Program::spawn(at, &config, &[]);
    program.until("ready", |program| program.get("/-/ready").0 == 200);
    let (url, right, wrong) = (program.url(), path("token"), path("wrong"));
    let with = |words: &[&str], token: &str| said(at, &[words, &["--url", &url, "--token-file", token]].concat());
    let data = at.display().to_string();
    let no_one = "0123456789abcdef0123456789abcdef";
    let dlq = |words: &[&str]| said(at, &[&["dlq"], words, &["--data-dir", &data]].concat());
    program.until("a dead letter", |_| !dlq(&["list"]).starts_with("no dead letters"));
    let mut cases = vec![
        ("no_token", said(at, &["incident", "list", "--url", &url])),
        ("wrong_token", with(&["incident", "list"], &wrong)),
        ("token_file_without_a_word", with(&["incident", "list"], &path("two-words"))),
        ("token_file_is_missing", with(&["incident", "list"], &path("missing"))),
        ("no_such_incident", with(&["incident", "show", no_one], &right)),
        ("no_incident_begins_so", with(&["incident", "show", "ab"], &right)),
        ("resolve_no_such_incident", with(&["incident", "resolve", no_one, "--by", "ada"], &right)),
        ("data_dir_in_use", fails(at, &["--listen", "127.0.0.1:0", "--data-dir", &data])),
        ("no_such_dead_letter", dlq(&["show", "99"])),
        (
            "requeue_of_a_letter_that_was_cut",
            said(at, &["dlq", "requeue", "1", "--config", &path("tidegate.yaml"), "--data-dir", &data]),
        ),
        ("requeue_of_many_without_a_word", dlq(&["requeue", "--all"])),
    ];
    program.stop();
    cases.push(("nobody_answers", with(&["incident", "list"], &right)));
    check(&cases);
}

#[test]
fn a_cluster_that_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = at.join("kafka.yaml").display().to_string();
    std::fs::write(&config, format!("store: kafka\nkafka: {{brokers: [\"{closed}\"]}}\nsources: []\n")).unwrap();
    let ask = |words: &[&str]| said(at, &[words, &["--config", &config]].concat());
    check(&[
        ("topics_of_a_cluster_that_is_away", ask(&["topics", "check"])),
        ("dead_letters_of_a_cluster_that_is_away", ask(&["dlq", "list"])),
        ("incidents_of_a_topic", ask(&["incident", "list"])),
    ]);
}
