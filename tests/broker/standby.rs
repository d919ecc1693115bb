//! Two instances on one namespace: one is active, the other follows its state and takes over when it is killed, stopped or
//! stands still; whatever happens, the incidents are those of an undisturbed run.
//!
//! `TIDEGATE_STANDBY_ALERTS` says how many alerts come meanwhile (300,000), at 5,000 a second.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate::model::time::Stopwatch;

use crate::Test;
use crate::cluster::Cluster;
use crate::end_to_end::{Daemon, binary, configure, events, setting};
use crate::flood::assert_same;

pub const TESTS: [Test; 2] = [
    ("standby::takes_over_from_one_that_is_killed_stopped_or_stands_still", takes_over),
    ("standby::a_copy_that_does_not_fit_is_made_anew", a_copy_that_does_not_fit_is_made_anew),
];

/// The product's session timeout.
const SESSION: Duration = Duration::from_secs(10);
/// However slow the machine is.
const LIMIT: Duration = Duration::from_secs(90);
const RATE: u64 = 5_000;

/// One of the two, with a data folder of its own.
struct Place {
    config: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn new(config: &Path, folder: &Path, name: &str) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self { config: config.to_owned(), folder }
    }

    /// Starts an instance, and waits until it has found its place in the election.
    fn start(&self, phase: &str) -> Daemon {
        let mut daemon = Daemon::launch(&self.config, &self.folder, None);
        daemon.until(phase, LIMIT, |daemon| is(daemon, phase));
        daemon
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("daemon.log")).unwrap()
    }
}

fn is(daemon: &Daemon, phase: &str) -> bool {
    daemon.get("/api/v1/status").contains(&format!("\"phase\":\"{phase}\""))
}

fn with_standby(cluster: &Cluster, folder: &Path, namespace: &str, input: &str) -> PathBuf {
    let config = configure(cluster, folder, namespace, input);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("kafka: {", "kafka: {standby: true, ")).unwrap();
    let words = ["topics", "create", "--replication", "1", "--config", &config.to_string_lossy()];
    assert!(Command::new(binary()).args(words).stdout(Stdio::null()).status().unwrap().success());
    config
}

fn storm(cluster: &Cluster, input: &str, alerts: u64) -> Child {
    let to = format!("kafka://{}/{input}", cluster.connection().brokers[0]);
    Command::new(binary())
        .args(["storm", "--shape", "ticket-storm", "--seed", "7", "--to", &to])
        .args(["--alerts", &alerts.to_string(), "--rate", &RATE.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// How long the standby takes until it is the active one.
fn until_active(daemon: &mut Daemon) -> Duration {
    let watch = Stopwatch::start();
    daemon.until("active", LIMIT, |daemon| daemon.get("/-/ready").starts_with("HTTP/1.1 200"));
    watch.elapsed()
}

fn takes_over(cluster: &Cluster) {
    let alerts = setting("TIDEGATE_STANDBY_ALERTS", 300_000);
    let folder = tempfile::tempdir().unwrap();
    let (namespace, quiet) = (cluster.name("standby"), cluster.name("standby-quiet"));
    let input = cluster.topic("standby-in", 6);
    let config = with_standby(cluster, folder.path(), &namespace, &input);
    let (left, right) = (Place::new(&config, folder.path(), "left"), Place::new(&config, folder.path(), "right"));
    let mut sender = storm(cluster, &input, alerts);

    let mut active = left.start("running");
    until_active(&mut active);
    assert_eq!(active.metric("tidegate_leader"), 1);
    let mut standby = right.start("standby");
    assert_eq!((standby.metric("tidegate_leader"), standby.metric("tidegate_ready")), (0, 0));
    assert!(standby.get("/-/ready").starts_with("HTTP/1.1 503"), "a standby takes no alerts");
    standby.until("warm", LIMIT, |daemon| daemon.metric("tidegate_live_fingerprints") > 0);

    active.kill();
    let after_kill = until_active(&mut standby);
    assert!(right.log().contains("state followed up to epoch"), "{}", right.log());
    let active = standby;
    let mut standby = left.start("standby");
    active.stop();
    let after_stop = until_active(&mut standby);
    assert!(after_stop < SESSION, "one that stops in order is not waited for: {after_stop:?}");

    let silent = standby;
    let mut standby = right.start("standby");
    silent.signal("STOP");
    let after_silence = until_active(&mut standby);
    silent.signal("CONT");
    assert_eq!(silent.ended(LIMIT), 3, "{}", left.log());

    assert!(sender.wait().unwrap().success());
    standby.finish(alerts);
    let config = configure(cluster, folder.path(), &quiet, &input);
    Daemon::start(&config, folder.path()).finish(alerts);
    let n_incidents = assert_same(&events(cluster, &namespace), &events(cluster, &quiet));
    println!(
        "  taken over {after_kill:.1?} after kill -9, {after_silence:.1?} after a stand-still, {after_stop:.1?} after a stop; \
         {n_incidents} incidents, equal to an undisturbed run"
    );
}

fn a_copy_that_does_not_fit_is_made_anew(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("standby-anew"), cluster.topic("standby-anew-in", 2));
    let config = with_standby(cluster, folder.path(), &namespace, &input);
    let (left, right) = (Place::new(&config, folder.path(), "left"), Place::new(&config, folder.path(), "right"));
    let other = with_standby(cluster, folder.path(), &cluster.name("standby-other"), &input);
    let mut sender = storm(cluster, &input, 20_000);
    assert!(sender.wait().unwrap().success());

    // A snapshot of another namespace, and one of our own that has nothing of what the topic has.
    let stranger = Place::new(&other, folder.path(), "right");
    let mut daemon = stranger.start("running");
    daemon.until("at its end", LIMIT, |daemon| daemon.metric("tidegate_alerts_received_total") == 20_000);
    daemon.stop();
    let mut active = left.start("running");
    active.until("at its end", LIMIT, |daemon| daemon.metric("tidegate_alerts_received_total") == 20_000);
    let mut standby = right.start("standby");
    let live = active.metric("tidegate_live_fingerprints");
    standby.until("warm", LIMIT, |daemon| daemon.metric("tidegate_live_fingerprints") >= live);
    assert!(right.log().contains("the local snapshot is not used, the state topic is read as a whole"));
    active.stop();
    until_active(&mut standby);
    assert_eq!(standby.metric("tidegate_alerts_received_total"), 20_000);
    standby.stop();
}
