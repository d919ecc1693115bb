//! `tidegate doctor` on real data folders, beside a real daemon and without one: it names what is wrong, says what to do,
//! and leaves nothing behind.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;
use tidegate::cli::doctor::checks::Check;

use crate::daemon::{Home, http, wait_for};
use crate::program::tidegate;

/// The long interval keeps a slow disk of the test machine from being a problem.
const RULES: &str = "
epoch: {interval: 1s}
sources: [{name: http, type: http}]
windows: [{name: paging, match: severity=critical, wait: 0s, gap: 1h}]
";

const OTHER_RULES: &str = "
epoch: {interval: 1s}
sources: [{name: http, type: http}]
windows: [{name: renamed, match: severity=critical, group_by: [alertname], wait: 0s, gap: 1h}]
";

const ALERT: &[u8] = br#"[{"labels": {"alertname": "Disk", "severity": "critical"}}]"#;

/// Exit code and findings for the configuration, address and folder of a home.
fn doctor(home: &Home, more: &[&str]) -> (i32, Vec<Value>) {
    doctor_in(home, &home.data(), more)
}

/// With another data folder.
fn doctor_in(home: &Home, data: &Path, more: &[&str]) -> (i32, Vec<Value>) {
    let (config, listen) = (home.path("tidegate.yaml"), home.address().to_string());
    let mut words = vec!["doctor", "--output", "json", "--config", config.to_str().unwrap()];
    words.extend(["--data-dir", data.to_str().unwrap(), "--listen", &listen]);
    words.extend(more);
    let output = tidegate(&words);
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    for finding in &findings {
        let check = Check::named(finding["check"].as_str().unwrap()).unwrap();
        assert_eq!(finding["group"], check.group().name());
        let is_ok = finding["level"] == "ok";
        assert!(is_ok || finding["level"] == "note" || finding["why"].is_string() && finding["do"].is_string());
    }
    (output.status.code().unwrap(), findings)
}

/// Levels and texts of a check, a line each.
fn of(findings: &[Value], check: Check) -> String {
    let lines = findings.iter().filter(|finding| finding["check"] == check.name());
    lines
        .map(|finding| format!("{} {}\n", finding["level"].as_str().unwrap(), finding["what"].as_str().unwrap()))
        .collect()
}

#[track_caller]
fn assert_says(findings: &[Value], check: Check, texts: &[&str]) {
    let said = of(findings, check);
    assert!(texts.iter().all(|text| said.contains(text)), "{texts:?} in {said:?}; all: {findings:#?}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_healthy_daemon_has_nothing_against_it() {
    let home = Home::new(RULES);
    let daemon = home.start();
    assert_eq!(http::post(home.address(), "/api/v2/alerts", ALERT).unwrap().status, 200);
    let before = names(&home.data());
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 0, "{findings:#?}");
    assert_says(&findings, Check::Store, &["ok ", "process ", "works on it; it is whole"]);
    assert_says(&findings, Check::OpenFiles, &["of the daemon (process "]);
    assert_says(&findings, Check::ListenAddress, &["ok ", "a tidegate is there and takes alerts"]);
    assert_says(&findings, Check::RunningConfiguration, &["ok the daemon runs this configuration"]);
    assert_says(&findings, Check::State, &["ok epoch ", "1 unresolved of 1 incident, 1 fingerprint, "]);
    assert_says(&findings, Check::StateActivity, &["ok the daemon of this machine works on it"]);
    assert_says(&findings, Check::WindowRules, &["ok every open window has its rule"]);
    assert_says(&findings, Check::Keys, &["ok the state was written with the same windows"]);
    assert_says(&findings, Check::DiskSpace, &["are free at"]);
    assert_says(&findings, Check::DiskSpeed, &["a durable write of 4 KiB takes"]);
    assert_eq!(names(&home.data()), before, "nothing is left behind");
    assert_eq!(http::post(home.address(), "/api/v2/alerts", ALERT).unwrap().status, 200, "and nothing was disturbed");
    daemon.stop();
}

#[test]
fn what_the_next_start_would_change_is_named() {
    let home = Home::new(RULES);
    let daemon = home.start();
    assert_eq!(http::post(home.address(), "/api/v2/alerts", ALERT).unwrap().status, 200);
    home.configure(OTHER_RULES);
    let (_, findings) = doctor(&home, &[]);
    assert_says(&findings, Check::RunningConfiguration, &["warning the daemon runs configuration "]);
    daemon.stop();

    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 0, "warnings alone are no failure: {findings:#?}");
    assert_says(&findings, Check::ListenAddress, &["note ", "the address is free"]);
    assert_says(&findings, Check::Store, &["no daemon works on it; it is whole"]);
    assert_says(&findings, Check::WindowRules, &["warning rule \"paging\" has 1 open window in the state"]);
    assert_says(&findings, Check::Keys, &["warning ", "1 of 1 live fingerprints get another key"]);
    assert_eq!(doctor(&home, &["--deny-warnings"]).0, 1);

    home.configure("epoch: {interval: 1s}\nsources: [{name: web, type: http}]\n");
    let (_, findings) = doctor(&home, &[]);
    assert_says(&findings, Check::Sources, &["warning source \"http\" has positions of 1 partition in"]);
}

#[test]
fn folders_that_cannot_be_used_are_a_problem() {
    let home = Home::new(RULES);
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 0, "{findings:#?}");
    assert_says(&findings, Check::DataFolder, &["note ", "does not exist; the first start can create it"]);
    assert_says(&findings, Check::Store, &["note ", "state.db does not exist"]);
    assert!(!home.data().exists(), "looking creates nothing");

    std::fs::write(home.data(), "").unwrap();
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::DataFolder, &["problem ", "is no folder"]);

    // In there nobody can create anything, root included.
    let (code, findings) = doctor_in(&home, Path::new("/proc/tidegate"), &[]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::DataFolder, &["problem ", "cannot create it in /proc"]);
    let (code, findings) = doctor_in(&home, Path::new("/proc/1"), &[]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::DataFolder, &["problem /proc/1 belongs to user 0 and cannot be written"]);
}

#[test]
fn a_damaged_store_is_a_problem_before_the_daemon_meets_it() {
    let home = Home::new(RULES);
    let daemon = home.start();
    assert_eq!(http::post(home.address(), "/api/v2/alerts", ALERT).unwrap().status, 200);
    daemon.stop();
    let file = home.data().join("state.db");
    // Everything into the file itself: what is in its log would stand in for the pages that are torn.
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let whole = std::fs::read(&file).unwrap();

    let mut torn = whole.clone();
    torn[4_096..20_480].fill(0xff); // The pages after the first, which names the tables.
    std::fs::write(&file, &torn).unwrap();
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::Store, &["problem ", "state.db is damaged: "]);
    assert_says(&findings, Check::State, &["problem ", "malformed"]);

    std::fs::write(&file, "this is not a database, whatever its name says").unwrap();
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::Store, &["problem ", "damaged or not an SQLite file"]);

    std::fs::write(&file, &whole).unwrap();
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::Store, &["problem ", "written by a newer tidegate (its version is 99"]);
}

#[test]
fn a_stranger_at_the_address_is_told_from_a_daemon() {
    let home = Home::new(RULES);
    let stranger = TcpListener::bind(home.address()).unwrap();
    let thread = std::thread::Builder::new().name("stranger".to_owned());
    let answers = thread.spawn(move || {
        // One connection to see that somebody is there, one to ask who.
        for _ in 0..2 {
            let (mut stream, _) = stranger.accept().unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\x1b[2JHello");
        }
    });
    let answers = answers.unwrap();
    let (code, findings) = doctor(&home, &[]);
    answers.join().unwrap();
    assert_eq!(code, 1);
    assert_says(&findings, Check::ListenAddress, &["problem ", "something else is there, it says: 200 \\x1b[2JHello"]);
}

#[test]
fn text_is_for_people_and_faults_of_the_file_are_usage() {
    let home = Home::new(RULES);
    let (config, data, listen) = (home.path("tidegate.yaml"), home.data(), home.address().to_string());
    let words =
        ["doctor", "--config", config.to_str().unwrap(), "--data-dir", data.to_str().unwrap(), "--listen", &listen];
    let output = tidegate(&words);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'), "no colours where no terminal is");
    for line in [
        "\nhost\n",
        "\ndata\n",
        "\ndaemon\n",
        "  note     listen_address: ",
        "\n           why: ",
        "\n           do:  ",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let summary = text.lines().last().unwrap();
    assert!(summary.starts_with("0 problems, ") && summary.ends_with(" ok"), "{summary}");

    assert_eq!(tidegate(&["doctor", "--config", "/no/such/file.yaml"]).status.code(), Some(2));
    home.configure("windows: [{name: a, gapp: 1h}]\n");
    let output = tidegate(&words);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gapp"));
    let without = tidegate(&["doctor", "--data-dir", data.to_str().unwrap(), "--listen", &listen, "--output", "json"]);
    assert_eq!(without.status.code(), Some(0), "{without:?}");
}

#[test]
fn a_secret_that_everybody_can_read_is_a_problem() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new("epoch: {interval: 1s}\ntoken: {file: token}\n");
    let token = home.path("token");
    std::fs::write(&token, "hush\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_says(&doctor(&home, &[]).1, Check::Secrets, &["ok readable by their owners only: "]);
    let daemon = home.start();
    wait_for("the status", || of(&doctor(&home, &[]).1, Check::RunningConfiguration).starts_with("ok "));
    daemon.stop();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, 1);
    assert_says(&findings, Check::Secrets, &["problem ", "token has mode 0644"]);
    assert!(!format!("{findings:?}").contains("hush"));
}
