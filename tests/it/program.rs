//! The program as a process of its own, looked at from outside: over HTTP, by signals, by its exit code.
//!
//! It is that of this build; `TIDEGATE_TEST_BINARY` names another one.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tidegate::model::time::Stopwatch;

/// Long enough for a loaded machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what another process does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn binary() -> PathBuf {
    std::env::var_os("TIDEGATE_TEST_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_tidegate")), PathBuf::from)
}

/// Runs a subcommand to its end.
pub(crate) fn tidegate(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

/// A daemon; killed when dropped.
pub(crate) struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// Starts a daemon whose configuration and data are in that folder; returns when it is ready.
    pub(crate) fn start(folder: &Path, config: &str) -> Self {
        let program = Self::spawn(folder, config, &[]);
        program.until("ready", |program| program.get("/-/ready").0 == 200);
        program
    }

    /// Starts it with these in its environment and does not wait.
    pub(crate) fn spawn(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        let file = folder.join("tidegate.yaml");
        std::fs::write(&file, config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let log = std::fs::File::options().create(true).append(true).open(folder.join("tidegate.log")).unwrap();
        let child = Command::new(binary())
            .args(["run", "--config", &file.to_string_lossy(), "--listen", &address])
            .args(["--data-dir", &folder.to_string_lossy()])
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens, as commands take it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Status and body; 0 when there was no answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.exchange("GET", path, b"").unwrap_or_default()
    }

    /// Status and body.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        self.exchange("POST", path, body).unwrap_or_default()
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let (host, length) = (&self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        let _ = stream.write_all(body); // A body that is too large is answered before its end.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer); // Then the connection may be reset behind the answer.
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// The sum of a metric over those of its series that have this label.
    pub(crate) fn metric(&self, name: &str, label: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let watch = Stopwatch::start();
        while !holds(self) {
            assert!(watch.elapsed() < PATIENCE, "not {what} after {PATIENCE:?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name}");
    }

    /// The exit code of a program that is ending.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// An ordered stop, which must end with 0.
    pub(crate) fn stop(self) {
        self.signal("TERM");
        assert_eq!(self.exit_code(), Some(0));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // Gone already in most cases.
        let _ = self.child.wait();
    }
}
