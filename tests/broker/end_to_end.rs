//! The whole program against a real broker: a storm in, exactly the true incidents out, whatever is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate::model::incident::IncidentEvent;
use tidegate::model::time::Stopwatch;
use tidegate::pipeline::crash::Place;
use tidegate::storm::{FoundIncident, Truth};

use crate::Test;
use crate::cluster::Cluster;

pub const TESTS: [Test; 1] =
    [("end_to_end::a_storm_becomes_exactly_its_incidents", a_storm_becomes_exactly_its_incidents)];

/// A number from the environment, for the long runs.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn binary() -> PathBuf {
    std::env::var_os("TIDEGATE_TEST_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_tidegate")), PathBuf::from)
}

/// A daemon on a namespace of its own.
pub struct Daemon {
    child: Child,
    pub port: u16,
}

impl Daemon {
    pub fn start(config: &Path, folder: &Path) -> Self {
        let mut daemon = Self::launch(config, folder, None);
        daemon.until("ready", Duration::from_secs(120), |daemon| daemon.get("/-/ready").starts_with("HTTP/1.1 200"));
        daemon
    }

    /// Starts a daemon that dies when it comes to this place for the n-th time; it need not come as far as being ready.
    pub fn start_to_die(config: &Path, folder: &Path, place: Place, pass: u64) -> Self {
        Self::launch(config, folder, Some(("TIDEGATE_TEST_CRASH", &format!("{}:{pass}", place.name()))))
    }

    /// Starts a daemon that panics when a stage of it turns to a text; it need not come as far as being ready.
    pub fn start_with_trap(config: &Path, folder: &Path, trap: &str) -> Self {
        Self::launch(config, folder, Some(("TIDEGATE_TEST_PANIC", trap)))
    }

    /// Starts a daemon with this in its environment, and does not wait for it.
    pub fn launch(config: &Path, folder: &Path, variable: Option<(&str, &str)>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::options().create(true).append(true).open(folder.join("daemon.log")).unwrap();
        let child = Command::new(binary())
            .args(["run", "--config", &config.to_string_lossy(), "--listen", &format!("127.0.0.1:{port}")])
            .args(["--data-dir", &folder.to_string_lossy()])
            .envs(variable)
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, port }
    }

    pub fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let host = format!("127.0.0.1:{}", self.port);
            let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }

    /// The sum of a metric over its labels.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics");
        let values = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    pub fn until(&mut self, what: &str, limit: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let watch = Stopwatch::start();
        while !holds(self) {
            assert!(self.child.try_wait().unwrap().is_none(), "the daemon ended before it was {what}");
            assert!(watch.elapsed() < limit, "not {what} after {limit:?}: {}", self.get("/metrics"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until everything was taken and every window has closed, then stops in order.
    pub fn finish(mut self, alerts: u64) {
        let limit = Duration::from_secs(300);
        self.until("at the end of its input", limit, |daemon| {
            daemon.metric("tidegate_alerts_received_total") >= alerts
        });
        self.until("done with its windows", limit, |daemon| daemon.metric("tidegate_open_windows") == 0);
        assert_eq!(self.metric("tidegate_alerts_received_total"), alerts, "received to the unit");
        assert_eq!(self.metric("tidegate_alerts_outcome_total"), alerts, "the conservation law");
        self.stop();
    }

    /// Stops in order.
    pub fn stop(mut self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "an ordered stop ends with 0");
    }

    /// Waits for it to die by itself, at most for so long, then kills it. Whether it did.
    pub fn die(mut self, within: Duration) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed() < within {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), None, "it was to be killed, and ended with {status}");
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        false
    }

    /// Sends it a signal: `STOP` makes it stand still, `CONT` go on.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }

    /// Its exit code, if it has ended by itself.
    pub fn has_ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().unwrap()?;
        Some(status.code().unwrap_or_else(|| panic!("nobody killed it: {status}")))
    }

    /// Waits for it to end by itself; its exit code.
    pub fn ended(mut self, within: Duration) -> i32 {
        let watch = Stopwatch::start();
        loop {
            if let Some(code) = self.has_ended() {
                return code;
            }
            assert!(watch.elapsed() < within, "it goes on after {within:?}: {}", self.get("/metrics"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A test that fails leaves no daemon behind, which would hold on to whatever it inherited.
impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill(); // Gone already in most cases.
        let _ = self.child.wait();
    }
}

pub fn configure(cluster: &Cluster, folder: &Path, namespace: &str, input: &str) -> PathBuf {
    let file = folder.join(format!("{namespace}.yaml"));
    let brokers = &cluster.connection().brokers[0];
    let text = format!(
        "store: kafka\nkafka: {{brokers: [{brokers:?}], namespace: {namespace}}}\n\
         sources: [{{name: in, type: kafka, topics: [{{name: {input}, format: native}}]}}]\n\
         windows: [{{name: all, wait: 1s, update_every: 2s, gap: 15s, reopen: 1m}}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let file_text = file.to_string_lossy();
    let words = ["topics", "create", "--replication", "1", "--config", &*file_text];
    assert!(Command::new(binary()).args(words).stdout(Stdio::null()).status().unwrap().success());
    file
}

pub fn storm(cluster: &Cluster, folder: &Path, input: &str, alerts: u64, rate: u64) -> Child {
    let to = format!("kafka://{}/{input}", cluster.connection().brokers[0]);
    let truth = folder.join("truth.json");
    Command::new(binary())
        .args(["storm", "--shape", "ticket-storm", "--seed", "7", "--to", &to])
        .args(["--alerts", &alerts.to_string(), "--rate", &rate.to_string(), "--truth", &truth.to_string_lossy()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The events that a `read_committed` consumer sees; every group key in one partition, revisions without a gap.
pub fn events(cluster: &Cluster, namespace: &str) -> Vec<IncidentEvent> {
    let mut homes: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    let mut revisions: BTreeMap<String, u64> = BTreeMap::new();
    let mut events = Vec::new();
    for seen in cluster.read(&format!("{namespace}.incidents"), "read_committed") {
        let event: IncidentEvent = serde_json::from_str(&seen.value).unwrap();
        assert_eq!(seen.key, event.incident_id.to_string());
        homes.entry(event.group.to_string()).or_default().insert(seen.partition);
        let revision = revisions.entry(seen.key).or_insert(0);
        *revision += 1;
        assert_eq!(event.revision, *revision, "revisions of {} have a gap", event.incident_id);
        events.push(event);
    }
    assert!(homes.values().all(|partitions| partitions.len() == 1), "a group key in several partitions");
    events
}

fn a_storm_becomes_exactly_its_incidents(cluster: &Cluster) {
    let alerts = setting("TIDEGATE_STORM_ALERTS", 100_000);
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("storm"), cluster.topic("storm-in", 6));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let daemon = Daemon::start(&config, folder.path());
    let watch = Stopwatch::start();
    assert!(storm(cluster, folder.path(), &input, alerts, 0).wait().unwrap().success());
    let sent = watch.elapsed();
    daemon.finish(alerts);
    let truth: Truth = serde_json::from_slice(&std::fs::read(folder.path().join("truth.json")).unwrap()).unwrap();
    let events = events(cluster, &namespace);
    let found = FoundIncident::from_events(&events);
    let comparison = truth.compare(&found);
    assert!(comparison.is_exact(), "{comparison}");
    println!("  {alerts} alerts sent in {sent:.1?}: {} incidents in {} events, exact", found.len(), events.len());
}
