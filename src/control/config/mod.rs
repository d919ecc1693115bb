//! The configuration: from the file as written (`raw`) over its keys (`section`, `check`) to what is meant (`Config`).
//!
//! Loading names all faults at once with their places and has no effect but reading files. A `Config` has no invalid
//! value. Defaults, units and reasons are in `config/reference.yaml`; a test keeps that file equal to the code.

mod check;
pub mod duration;
pub mod fault;
mod kafka;
pub mod meaning;
mod raw;
pub mod reload;
mod secret;
mod section;

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use secrecy::SecretString;

use crate::control::config::fault::{Fault, Faults, Findings};
pub use crate::control::config::secret::Surroundings;
use crate::control::config::section::Value;
use crate::control::server::TlsFiles;
use crate::model::alert::Format;
use crate::model::time::Millis;
use crate::pipeline::options::Options;
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::{OnOffsetLost, Topic};

/// Everything that can be set, as meant.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from; `None` if there was none and everything has its default.
    pub file: Option<PathBuf>,
    /// A stable hash of its meaning without secrets: two instances with the same hash behave the same.
    pub hash: u64,
    /// Where and how it listens.
    pub http: Http,
    /// Where everything is kept that must survive a restart.
    pub data_dir: PathBuf,
    /// What makes epochs durable.
    pub store: Store,
    /// The Kafka cluster, if there is one: for the store and for sources.
    pub kafka: Option<Kafka>,
    /// The sources, in the same order as `pipeline.sources`.
    pub sources: Vec<SourceConfig>,
    /// What the pipeline is told.
    pub pipeline: Options,
    /// How much memory may be used.
    pub memory: Memory,
    /// What is too much.
    pub limits: Limits,
    /// How long things are kept.
    pub retention: Retention,
    /// What is logged, and how.
    pub log: Log,
}

/// Where and how the daemon listens.
#[derive(Clone, Debug)]
pub struct Http {
    /// Address for everything, or for everything but the admin paths if `admin_listen` is there.
    pub listen: SocketAddr,
    /// Another address for metrics, reload and the like.
    pub admin_listen: Option<SocketAddr>,
    /// Whether an address that others can reach may do without a token.
    pub insecure_listen: bool,
    /// Certificate and key; without them plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Bearer token that every request must carry.
    pub token: Option<SecretString>,
    /// How others reach it, for links; no slash at the end.
    pub external_url: Option<String>,
}

impl Http {
    /// Names by which a listener on loopback may be called: that of `external_url`, which a proxy in front passes on.
    #[must_use]
    pub fn allowed_hosts(&self) -> Vec<String> {
        let uri: Option<Uri> = self.external_url.as_ref().and_then(|url| url.parse().ok());
        uri.and_then(|uri| uri.host().map(str::to_owned)).into_iter().collect()
    }
}

/// What makes epochs durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// One file, no other service.
    Sqlite {
        /// The file, in the data folder unless it is absolute.
        file: PathBuf,
    },
    /// Topics of the cluster in `Config::kafka`, which is there then.
    Kafka,
}

/// A Kafka cluster and our place in it.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// How to reach it.
    pub connection: Connection,
    /// Prefix of our topics; the name of our consumer group and transactional id.
    pub namespace: String,
    /// Whether the state of a Kafka store is kept in a local snapshot too.
    pub snapshot: bool,
    /// Whether several instances share the namespace: one is active, and the others follow its state.
    pub standby: bool,
}

impl Kafka {
    /// A topic of ours: one of `KAFKA_TOPICS` after the namespace.
    #[must_use]
    pub fn topic(&self, purpose: &str) -> String {
        format!("{}.{purpose}", self.namespace)
    }
}

/// The purposes of our own topics; `Kafka::topic` makes the names.
pub const KAFKA_TOPICS: [&str; 5] = ["incidents", "state", "dead-letters", "commands", "leader"];

/// A source and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name, unique.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Requests to our own listener; the path says the format.
    Http,
    /// Topics of the cluster in `Config::kafka`, which is there then.
    Kafka(KafkaSource),
    /// A file with one record a line.
    File(FileSource),
    /// Standard input with one record a line; read at most once.
    Stdin {
        /// Format of each line.
        format: Format,
    },
}

/// Topics to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSource {
    /// The topics; at least one.
    pub topics: Vec<Topic>,
    /// What to do when the next offset no longer exists.
    pub on_offset_lost: OnOffsetLost,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// The file.
    pub path: PathBuf,
    /// Format of each line.
    pub format: Format,
    /// Whether to wait for more at its end.
    pub follow: bool,
}

/// How much memory may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes; `None`: 80 percent of what control groups and the machine allow.
    pub budget: Option<u64>,
}

/// What is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Labels whose distinct values are shown by name, beside those that identity and groups name.
    pub watch_labels: Vec<String>,
    /// Distinct values of one label in new alerts of a source within a minute beyond which it is named in the log.
    pub label_values: u64,
}

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Incident events.
    pub incidents: Millis,
    /// Dead letters, by age.
    pub dead_letters: Millis,
    /// Dead letters, by bytes.
    pub dead_letters_size: u64,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged.
    pub level: tracing::Level,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the command line says over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
}

/// A configuration without a fault.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is meant.
    pub config: Config,
    /// What is legal but probably not meant.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// With every fault of the file.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Faults> {
        let name = path.display().to_string();
        let bytes = read_bounded(path).map_err(|what| Faults::whole_file(&name, what))?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Self::from_bytes(&bytes, Some(path), overrides, &Surroundings::of_process(folder))
    }

    /// What holds without a file: every default.
    ///
    /// # Errors
    /// When an override cannot be used.
    pub fn without_file(overrides: &Overrides) -> Result<Loaded, Faults> {
        Self::from_bytes(b"", None, overrides, &Surroundings::of_process(PathBuf::new()))
    }

    /// Reads the bytes of a file; `file` is its name in messages.
    ///
    /// # Errors
    /// With every fault of the text.
    pub fn from_bytes(
        bytes: &[u8],
        file: Option<&Path>,
        overrides: &Overrides,
        around: &Surroundings,
    ) -> Result<Loaded, Faults> {
        let name = file.map_or_else(|| "arguments".to_owned(), |path| path.display().to_string());
        let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let text = valid.strip_prefix('\u{feff}').unwrap_or(valid);
        let findings = Findings::new(text);
        if valid.len() < bytes.len() {
            findings.fault(Some(text.len()..text.len()), "", "no UTF-8 from here on".to_owned());
            return Err(only_faults(findings, &name));
        }
        let (root, problems) = match raw::parse(text) {
            Ok(parsed) => parsed,
            Err(problem) => {
                findings.fault(Some(problem.at), "", problem.what);
                return Err(only_faults(findings, &name));
            }
        };
        for problem in problems {
            findings.fault(Some(problem.at), "", problem.what);
        }
        let mut config = check::check(&Value::root(&root, &findings, around), overrides);
        let warnings = findings.finish(&name)?;
        config.file = file.map(Path::to_path_buf);
        config.number();
        Ok(Loaded { config, warnings })
    }

    /// The folder of the local snapshot.
    #[must_use]
    pub fn snapshot_folder(&self) -> PathBuf {
        self.data_dir.join(crate::pipeline::snapshot::FOLDER)
    }

    /// Works out the hashes of the meaning.
    fn number(&mut self) {
        self.pipeline.config_version = meaning::hash(&meaning::of_decisions(self));
        self.hash = meaning::hash(&meaning::of(self));
    }
}

fn only_faults(findings: Findings<'_>, name: &str) -> Faults {
    findings.finish(name).expect_err("a fault was noted just before")
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(raw::MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() > raw::MAX_BYTES => Err("larger than 1MiB, no configuration is".to_owned()),
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests;
