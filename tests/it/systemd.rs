//! What systemd is told, over a socket of our own: ready, alive, reloading, stopping, each when it is true.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::program::Program;

const CONFIG: &str = "store: sqlite\nwindows: [{name: all, group_by: [alertname], wait: 0s}]\n";
/// Microseconds between two signs of life at most, as systemd would demand; a third of it is when they are sent.
const WATCHDOG_USEC: &str = "900000";

/// systemd's end of the line.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path: path.to_string_lossy().into_owned() }
    }

    /// Starts a daemon that talks to this socket.
    fn start(&self, folder: &Path) -> Program {
        Program::spawn(folder, CONFIG, &[("NOTIFY_SOCKET", &self.path), ("WATCHDOG_USEC", WATCHDOG_USEC)])
    }

    /// The lines of the next message.
    fn next(&self, patience: Duration) -> Vec<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("nothing in {patience:?}: {error}"));
        String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned).collect()
    }

    /// The next message that is more than a sign of life.
    fn next_news(&self) -> Vec<String> {
        loop {
            let message = self.next(Duration::from_secs(60));
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    #[track_caller]
    fn expect(&self, first: &str) -> Vec<String> {
        let news = self.next_news();
        assert_eq!(news[0], first, "{news:?}");
        news
    }
}

/// Names of the incidents that the daemon shows.
fn incidents(program: &Program) -> Vec<String> {
    let answer: Value = serde_json::from_str(&program.get("/api/v1/incidents").1).unwrap();
    let name = |incident: &Value| incident["group_labels"]["alertname"].as_str().unwrap().to_owned();
    answer["incidents"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn ready_is_said_when_the_state_is_restored_and_the_door_open() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::new(folder.path());
    let program = manager.start(folder.path());
    let news = manager.expect("READY=1");
    assert!(news[1].starts_with("STATUS=taking alerts on 127.0.0.1:"), "{news:?}");
    assert_eq!(program.get("/-/ready").0, 200, "at the first look");
    assert_eq!(program.post("/api/v2/alerts", br#"[{"labels": {"alertname": "Kept"}}]"#).0, 200);
    program.signal("KILL");
    assert_eq!(program.exit_code(), None);
    let program = manager.start(folder.path());
    manager.expect("READY=1");
    assert_eq!(program.get("/-/ready").0, 200, "at the first look");
    assert_eq!(incidents(&program), ["Kept"], "what was kept is there at that moment");
}

#[test]
fn signs_of_life_keep_coming_while_nothing_happens() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::new(folder.path());
    let program = manager.start(folder.path());
    manager.expect("READY=1");
    for _ in 0..6 {
        // Later than this, systemd would have killed us.
        assert_eq!(manager.next(Duration::from_millis(900)), ["WATCHDOG=1"]);
    }
    program.signal("TERM");
    manager.expect("STOPPING=1");
    assert_eq!(program.exit_code(), Some(0));
}

#[test]
fn a_reload_is_told_from_its_begin_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::new(folder.path());
    let program = manager.start(folder.path());
    manager.expect("READY=1");
    for (config, status) in [
        (format!("{CONFIG}log: {{level: debug}}\n"), "STATUS=configuration reloaded"),
        ("windows: 17\n".to_owned(), "STATUS=reload refused: the configuration in force stays, see the log"),
    ] {
        std::fs::write(folder.path().join("tidegate.yaml"), config).unwrap();
        program.signal("HUP");
        let news = manager.expect("RELOADING=1");
        let at = news[1].strip_prefix("MONOTONIC_USEC=").and_then(|digits| digits.parse::<u64>().ok());
        assert!(at.is_some_and(|at| at > 0), "{news:?}");
        let news = manager.expect("READY=1");
        assert_eq!(news[1], status);
        assert_eq!(program.get("/-/ready").0, 200, "a refused reload changes nothing");
    }
    program.signal("TERM");
    manager.expect("STOPPING=1");
    assert_eq!(program.exit_code(), Some(0));
}
