//! A flood into three topics, while the daemon that reads them or its brokers suffer. Afterwards a second daemon reads the same
//! in peace, and both must tell of the same incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate::model::incident::IncidentEvent;

use crate::cluster::Cluster;
use crate::end_to_end::{Daemon, binary, events};

const TOPICS: u64 = 3;
const PARTITIONS: i32 = 6;
/// Between two looks at whether records still arrive of senders that are gone.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The topics, and who sends into them.
pub struct Flood<'a> {
    cluster: &'a Cluster,
    folder: tempfile::TempDir,
    inputs: Vec<String>,
    senders: Vec<Child>,
    rate: u64,
    seconds: u64,
    n_storms: usize,
}

impl<'a> Flood<'a> {
    /// Begins: so many alerts a second in all, for so long.
    pub fn start(cluster: &'a Cluster, name: &str, rate: u64, seconds: u64) -> Self {
        let inputs = (0..TOPICS).map(|n| cluster.topic(&format!("{name}-in-{n}"), PARTITIONS)).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut flood =
            Self { cluster, folder, inputs, senders: Vec::new(), rate: rate / TOPICS, seconds, n_storms: 0 };
        flood.senders = (0..TOPICS as usize).map(|n| flood.storm(n)).collect();
        flood
    }

    /// A storm into one of the topics, with groups that no other has.
    fn storm(&mut self, input: usize) -> Child {
        let (input, rate) = (&self.inputs[input], self.rate);
        let (to, tag) = (format!("kafka://{}/{input}", self.cluster.brokers()), format!("{input}-{}", self.n_storms));
        self.n_storms += 1;
        Command::new(binary())
            .args(["storm", "--shape", "ticket-storm", "--seed", "7", "--to", &to, "--tag", &tag])
            .args(["--alerts", &(rate * self.seconds).to_string(), "--rate", &rate.to_string()])
            // Senders must not take the processor away from those whom this is about.
            .args(["--linger", "50ms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Where a storm has ended, begins another.
    pub fn keep_up(&mut self) {
        for n in 0..self.senders.len() {
            if let Some(status) = self.senders[n].try_wait().unwrap() {
                assert!(status.success(), "a storm could not be sent: {status}");
                self.senders[n] = self.storm(n);
            }
        }
    }

    /// Where configurations and data can lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration to read it, with topics of our own for what comes of it.
    pub fn configure(&self, namespace: &str) -> PathBuf {
        let file = self.folder().join(format!("{namespace}.yaml"));
        let topics: Vec<String> =
            self.inputs.iter().map(|input| format!("{{name: {input}, format: native}}")).collect();
        let text = format!(
            "store: kafka\nkafka: {{brokers: {:?}, namespace: {namespace}}}\n\
             sources: [{{name: in, type: kafka, topics: [{}]}}]\n\
             windows: [{{name: all, wait: 1s, update_every: 2s, gap: 15s, reopen: 1m}}]\n",
            self.cluster.connection().brokers,
            topics.join(", ")
        );
        std::fs::write(&file, text).unwrap();
        let words = ["topics", "create", "--replication", &self.cluster.copies(), "--config", &file.to_string_lossy()];
        assert!(Command::new(binary()).args(words).stdout(Stdio::null()).status().unwrap().success());
        file
    }

    /// Waits for its end; how many alerts it was.
    pub fn finish(&mut self) -> u64 {
        for sender in &mut self.senders {
            assert!(sender.wait().unwrap().success());
        }
        let alerts = self.rate * self.seconds * self.n_storms as u64;
        assert_eq!(self.n_records(), alerts, "records of the flood");
        alerts
    }

    /// Ends it where it is; how many alerts it was.
    pub fn cut(&mut self) -> u64 {
        for sender in &mut self.senders {
            let _ = sender.kill(); // It may just have ended.
            sender.wait().unwrap();
        }
        let mut n = self.n_records();
        loop {
            std::thread::sleep(LOOK_EVERY);
            let n_now = self.n_records();
            if n_now == n {
                return n;
            }
            n = n_now;
        }
    }

    /// Each alert is a record, and there are no others.
    fn n_records(&self) -> u64 {
        self.inputs.iter().flat_map(|input| self.cluster.ends(input, PARTITIONS)).map(|end| end as u64).sum()
    }

    /// The daemon of this namespace has read all of it. What it told, and what one that nobody disturbs tells, must be the
    /// same, each incident once. Returns how many there are.
    pub fn assert_as_in_peace(&self, disturbed: &str, alerts: u64) -> usize {
        let quiet = self.cluster.name("quiet");
        let config = self.configure(&quiet);
        Daemon::start(&config, self.folder()).finish(alerts);
        for namespace in [disturbed, &quiet] {
            for input in &self.inputs {
                let committed = self.cluster.committed(namespace, input, PARTITIONS);
                let committed: Vec<i64> = committed.into_iter().map(|(offset, _)| offset.unwrap_or(0)).collect();
                assert_eq!(committed, self.cluster.ends(input, PARTITIONS), "positions of {namespace} in {input}");
            }
            let config = self.folder().join(format!("{namespace}.yaml"));
            let state = Command::new(binary()).args(["state", "verify", "--config"]).arg(config).output().unwrap();
            assert!(state.status.success(), "{state:?}");
        }
        assert_same(&events(self.cluster, disturbed), &events(self.cluster, &quiet))
    }
}

/// The n-th of numbers that lie evenly from 0 to 1, however many they are: steps of the golden ratio.
pub fn spread(n: u64) -> f64 {
    (n as f64 * 0.618_034).fract()
}

/// A test that fails leaves nobody sending.
impl Drop for Flood<'_> {
    fn drop(&mut self) {
        for sender in &mut self.senders {
            let _ = sender.kill(); // Gone already in most cases.
            let _ = sender.wait();
        }
    }
}

/// Both must tell of the same incidents, each as often. Returns how many there are.
pub fn assert_same(told: &[IncidentEvent], expected: &[IncidentEvent]) -> usize {
    let (told, expected) = (essence(told), essence(expected));
    let texts: BTreeSet<&String> = told.keys().chain(expected.keys()).collect();
    let of = |essence: &BTreeMap<String, usize>, text: &String| essence.get(text).copied().unwrap_or(0);
    let counted = texts.into_iter().map(|text| (of(&told, text), of(&expected, text), text));
    let differences: Vec<String> = counted
        .filter(|(told, expected, _)| told != expected)
        .map(|(told, expected, text)| format!("{told} times instead of {expected}: {text}"))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
    expected.values().sum()
}

/// What must be equal between a disturbed and an undisturbed run, and how many incidents are like that.
fn essence(events: &[IncidentEvent]) -> BTreeMap<String, usize> {
    let mut last: BTreeMap<String, &IncidentEvent> = BTreeMap::new();
    for event in events {
        last.insert(event.incident_id.to_string(), event);
    }
    let mut essence = BTreeMap::new();
    for event in last.values() {
        let IncidentEvent { rule, group_labels, first_seen, last_seen, members, counts, status, .. } = event;
        let text = format!("{rule} {group_labels:?} {first_seen} {last_seen} {members} {counts:?} {status:?}");
        *essence.entry(text).or_insert(0) += 1;
    }
    essence
}
