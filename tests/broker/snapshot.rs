//! The local snapshot of a daemon on Kafka: used at a restart, done without where it is deleted or damaged.
//!
//! With `TIDEGATE_SNAPSHOT_ALERTS=1000000` it measures how long either way takes with as many live fingerprints.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Test;
use crate::cluster::Cluster;
use crate::end_to_end::{Daemon, binary, configure, setting};

pub const TESTS: [Test; 1] = [("snapshot::a_restart_uses_it_or_does_without", a_restart_uses_it_or_does_without)];

const LIMIT: Duration = Duration::from_secs(300);

/// The lines of the daemon's log since the last call.
struct Log<'a> {
    folder: &'a Path,
    seen: usize,
}

impl Log<'_> {
    fn news(&mut self) -> String {
        let text = std::fs::read_to_string(self.folder.join("daemon.log")).unwrap();
        let news = text[self.seen..].to_owned();
        self.seen = text.len();
        news
    }
}

/// The number that stands before a text.
fn number_before(line: &str, text: &str) -> u64 {
    let before = line.split(text).next().unwrap();
    before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap()
        .parse()
        .unwrap_or_else(|_| panic!("{text:?} in {line}"))
}

/// How long a start took, as the log says it.
fn restored_in(log: &str) -> String {
    let line = log.lines().find(|line| line.contains("state restored")).unwrap_or_else(|| panic!("{log}"));
    let after = line.rsplit(" in ").next().unwrap();
    after.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn a_restart_uses_it_or_does_without(cluster: &Cluster) {
    let alerts = setting("TIDEGATE_SNAPSHOT_ALERTS", 30_000);
    let folder = tempfile::tempdir().unwrap();
    let (namespace, input) = (cluster.name("snapshot"), cluster.topic("snapshot-in", 4));
    let config = configure(cluster, folder.path(), &namespace, &input);
    let text = std::fs::read_to_string(&config).unwrap().replace("gap: 15s", "gap: 12h");
    std::fs::write(&config, text).unwrap();
    let snapshot = folder.path().join("snapshot");
    let index = snapshot.join("index");
    let start = || Daemon::start(&config, folder.path());
    let received = |daemon: &Daemon| daemon.metric("tidegate_alerts_received_total");
    let mut log = Log { folder: folder.path(), seen: 0 };

    let mut daemon = start();
    let to = format!("kafka://{}/{input}", cluster.connection().brokers[0]);
    let storm = Command::new(binary())
        .args(["storm", "--shape", "all-distinct", "--seed", "7", "--to", &to, "--alerts", &alerts.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(storm.unwrap().success());
    daemon.until("at the end of its input", LIMIT, |daemon| received(daemon) == alerts);
    let live = daemon.metric("tidegate_live_fingerprints");
    // A stop in order adds to the snapshot what a crash would leave to the topic.
    daemon.stop();
    assert!(log.news().contains("there is no local snapshot: the state topic is read as a whole"));
    let verified = Command::new(binary()).args(["state", "verify", "--snapshot"]).arg(&snapshot).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let topic = Command::new(binary()).args(["state", "verify", "--config"]).arg(&config).output().unwrap();
    assert!(topic.status.success(), "{}", String::from_utf8_lossy(&topic.stdout));

    let daemon = start();
    let said = log.news();
    let line = said.lines().find(|line| line.contains("state read from the local snapshot up to epoch"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    let (n_local, n_topic) = (number_before(line, " blocks; "), number_before(line, " more from the state topic"));
    assert!(n_topic < 3 && n_topic < n_local, "{line}");
    assert_eq!((received(&daemon), daemon.metric("tidegate_live_fingerprints")), (alerts, live));
    daemon.kill();
    let with_it = restored_in(&said);

    std::fs::remove_dir_all(&snapshot).unwrap();
    let mut daemon = start();
    let said = log.news();
    assert!(said.contains("there is no local snapshot: the state topic is read as a whole"), "{said}");
    assert_eq!((received(&daemon), daemon.metric("tidegate_live_fingerprints")), (alerts, live));
    daemon.until("done with a new snapshot", LIMIT, |_| index.is_file());
    daemon.kill();
    let without_it = restored_in(&said);

    let file = std::fs::read_dir(&snapshot).unwrap().map(|entry| entry.unwrap().path());
    let file = file.filter(|path| path.to_string_lossy().contains("blocks-")).min().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let daemon = start();
    let said = log.news();
    assert!(said.contains("the local snapshot is not used, the state topic is read as a whole: "), "{said}");
    assert_eq!((received(&daemon), daemon.metric("tidegate_live_fingerprints")), (alerts, live));
    assert_eq!(daemon.metric("tidegate_snapshot_failures_total{reason=\"refused\"}"), 1);
    daemon.kill();
    println!("  {live} live fingerprints: restored in {with_it} from the snapshot, in {without_it} from the topic");
}
