//! A daemon as a process of its own: started, watched from outside, killed, stopped; and what it left in its store.
//!
//! The program is that of this build; `TIDEGATE_TEST_BINARY` names another one, such as a build without debug checks.

pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod scrape;
pub(crate) mod sender;

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tidegate::model::time::Stopwatch;
use tidegate::pipeline::crash::Place;

/// Long enough for a loaded machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that another process does.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Folder, configuration and address of a daemon; survives the process.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    address: SocketAddr,
}

/// A running process; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Home {
    /// A home with that configuration; `{folder}` in it is the home's folder.
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap(); // A port that is free now; nobody else asks for it.
        let home = Self { folder, address: listener.local_addr().unwrap() };
        home.configure(config);
        home
    }

    /// Another home in which the state of this one goes on, with the same configuration. Its daemon must be stopped.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new("");
        std::fs::copy(self.path("tidegate.yaml"), copy.path("tidegate.yaml")).unwrap();
        std::fs::create_dir(copy.data()).unwrap();
        for entry in std::fs::read_dir(self.data()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.data().join(entry.file_name())).unwrap();
        }
        copy
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, config: &str) {
        let folder = self.folder.path().to_str().unwrap();
        std::fs::write(self.path("tidegate.yaml"), config.replace("{folder}", folder)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts a daemon and waits until it says that it is ready.
    pub(crate) fn start(&self) -> Daemon {
        let mut daemon = self.launch(None);
        wait_for("ready", || daemon.is_ready());
        daemon
    }

    /// Starts a daemon that dies when it comes to this place for the n-th time; it need not come as far as being ready.
    pub(crate) fn start_to_die(&self, place: Place, pass: u64) -> Daemon {
        self.launch(Some(format!("{}:{pass}", place.name())))
    }

    /// Starts a daemon that cannot come up: how it ended, and the last it said.
    pub(crate) fn start_in_vain(&self) -> (ExitStatus, String) {
        let daemon = self.launch(None);
        let log = daemon.log.clone();
        (daemon.wait(), tail(&log))
    }

    fn launch(&self, crash: Option<String>) -> Daemon {
        let program = std::env::var_os("TIDEGATE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tidegate").into());
        let log = self.path("log");
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(self.path("tidegate.yaml"));
        command.arg("--listen").arg(self.address.to_string()).arg("--data-dir").arg(self.data());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(append(&log)).env_remove("NOTIFY_SOCKET");
        if let Some(crash) = crash {
            command.env("TIDEGATE_TEST_CRASH", crash);
        }
        Daemon { child: command.spawn().unwrap(), address: self.address, log }
    }
}

impl Drop for Home {
    /// What a failed test leaves is kept for whoever looks into it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: {}", self.folder.path().display());
        }
    }
}

impl Daemon {
    fn is_ready(&mut self) -> bool {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the daemon ended while starting: {status}\n{}", self.log_tail());
        }
        http::get(self.address, "/-/ready").is_ok_and(|answer| answer.status == 200)
    }

    /// What it shows on `/metrics`, at one moment.
    pub(crate) fn scrape(&self) -> scrape::Scrape {
        let answer = http::get(self.address, "/metrics");
        let answer = answer.unwrap_or_else(|fault| panic!("no metrics: {fault:?}\n{}", self.log_tail()));
        scrape::Scrape::read(&answer.body)
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without any warning (SIGKILL).
    pub(crate) fn kill(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it ended before it was killed\n{}", self.log_tail());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for it to die by itself, at most for so long, then kills it. Whether it did.
    pub(crate) fn die(mut self, within: Duration) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed() < within {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), None, "it was to be killed, and ended\n{}", self.log_tail());
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        self.kill();
        false
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap();
        assert!(sent.success(), "the signal {name} could not be sent");
    }

    /// Waits for its end, however it came about.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let watch = Stopwatch::start();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(watch.elapsed() < PATIENCE, "it does not end\n{}", self.log_tail());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Stops it in order (SIGTERM), which must succeed.
    pub(crate) fn stop(self) {
        let log = self.log.clone();
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "the stop did not succeed\n{}", tail(&log));
    }

    fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It has ended already in most cases.
        let _ = self.child.wait();
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}

/// Waits for something that another process does.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let watch = Stopwatch::start();
    while !holds() {
        assert!(watch.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}
