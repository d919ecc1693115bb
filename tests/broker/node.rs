//! The processes of a cluster under test: brokers that a script starts, stops and kills, alone or three together.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a cluster consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One broker, with a secure listener besides the plain one.
    Single,
    /// The same; on the secure listener an authorizer denies what was not granted.
    Guarded,
    /// Three brokers with a copy of everything each, of which one may be away.
    Three,
}

impl Kind {
    /// How many brokers it has, and copies of everything.
    pub const fn size(self) -> usize {
        match self {
            Self::Single | Self::Guarded => 1,
            Self::Three => 3,
        }
    }

    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Single => &["--sasl-ssl"],
            Self::Guarded => &["--sasl-ssl", "--guarded"],
            Self::Three => &[],
        }
    }
}

/// One broker.
pub struct Node {
    folder: PathBuf,
    kind: Kind,
    port: u16,
    /// What the script is told: number, ports, the others.
    environment: Vec<(&'static str, String)>,
}

/// What the script prints as `name=value`.
pub type Told = BTreeMap<String, String>;

impl Node {
    /// The brokers of a cluster, none of which runs yet.
    pub fn all(kind: Kind, folder: &Path) -> Vec<Self> {
        // All ports at once, or one could be given twice.
        let listeners: Vec<TcpListener> =
            (0..3 * kind.size()).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let voters = ports.chunks(3).zip(1..).map(|(ports, number)| format!("{number}@127.0.0.1:{}", ports[1]));
        let voters = voters.collect::<Vec<_>>().join(",");
        let node = |(ports, number): (&[u16], usize)| Self {
            folder: folder.join(number.to_string()),
            kind,
            port: ports[0],
            environment: vec![
                ("KAFKA_PORT", ports[0].to_string()),
                ("KAFKA_CONTROLLER_PORT", ports[1].to_string()),
                ("KAFKA_SASL_PORT", ports[2].to_string()),
                ("KAFKA_NODE", number.to_string()),
                ("KAFKA_VOTERS", voters.clone()),
                ("KAFKA_COPIES", kind.size().to_string()),
                ("KAFKA_OWNER", std::process::id().to_string()),
            ],
        };
        ports.chunks(3).zip(1..).map(node).collect()
    }

    /// Starts them together, because none of three is ready alone. What the first of them tells.
    ///
    /// # Errors
    /// Why this machine cannot run them.
    pub fn start_all(nodes: &[Self]) -> Result<Told, String> {
        let starting: Vec<Child> = nodes.iter().map(|node| node.script("start", node.kind.options())).collect();
        let mut told: Vec<Result<Told, String>> = starting.into_iter().map(end).collect();
        if let Some(at) = told.iter().position(Result::is_err) {
            return told.swap_remove(at);
        }
        told.swap_remove(0)
    }

    fn script(&self, verb: &str, more: &[&str]) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/kafka.sh");
        Command::new(script)
            .args([verb, &self.folder.to_string_lossy()])
            .args(more)
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Its plain listener.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, over the data it had.
    pub fn start(&self) {
        end(self.script("start", self.kind.options())).unwrap();
    }

    /// Stops it in order, as for maintenance.
    pub fn stop(&self) {
        end(self.script("stop", &[])).unwrap();
    }

    /// Stops it as a power cut would.
    pub fn kill(&self) {
        end(self.script("kill", &[])).unwrap();
    }

    /// Sends a signal to its process: `STOP` and `CONT` make it silent for a while.
    pub fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        assert!(Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().unwrap().success());
    }

    /// Runs `kafka-acls` with these arguments, as the administrator.
    pub fn acls(&self, words: &[&str]) {
        end(self.script("acls", words)).unwrap();
    }

    /// Makes the first of these brokers, which have the replicas of a partition, its leader.
    pub fn lead(&self, topic: &str, partition: i32, replicas: &[i32]) {
        let replicas = replicas.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
        end(self.script("lead", &[topic, &partition.to_string(), &replicas])).unwrap();
    }
}

/// Nobody needs their data any more.
impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.script("kill", &[]).wait(); // It may never have run.
    }
}

/// Waits for the script; what it told, or why it cannot.
fn end(script: Child) -> Result<Told, String> {
    let output = script.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) {
        return Err(text.trim().trim_start_matches("skipped: ").to_owned());
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}
