//! Opens the store that the configuration names: the sink of epochs, and the command log beside it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use crate::control::api::{CommandError, Commands};
use crate::control::config::{Config, Kafka, Store};
use crate::control::history::{Archive, ArchiveError, Step, Steps};
use crate::metrics::Metrics;
use crate::model::{IncidentEvent, IncidentId};
use crate::pipeline::command::Command;
use crate::pipeline::sink::EpochSink;
use crate::pipeline::sink::kafka::KafkaSink;
use crate::pipeline::sink::sqlite::{ArchiveReadError, CommandLog, IncidentArchive, SqliteOptions, SqliteSink};
use crate::pipeline::source::kafka::commands::CommandWriter;

/// Name of the command log among the sources; no source of the configuration may have it.
pub(crate) const COMMANDS: &str = "commands";

/// The sink of epochs.
pub(super) fn open_sink(config: &Config, metrics: &Metrics) -> anyhow::Result<Box<dyn EpochSink>> {
    match &config.store {
        Store::Sqlite { file } => {
            std::fs::create_dir_all(&config.data_dir)
                .with_context(|| format!("create data folder {} (data_dir, --data-dir)", config.data_dir.display()))?;
            let mut options = SqliteOptions::new(file.clone());
            options.incident_retention = config.retention.incidents;
            options.dead_letter_retention = config.retention.dead_letters;
            options.dead_letter_bytes = config.retention.dead_letters_size;
            let sink = SqliteSink::open(options).context("open store")?;
            Ok(Box::new(sink))
        }
        Store::Kafka => {
            let sink = KafkaSink::new(cluster(config)?.sink(&config.sources), metrics.clone());
            Ok(Box::new(sink.map_err(anyhow::Error::msg).context("open Kafka store")?))
        }
    }
}

/// The command log, for those who write to it.
pub(super) fn open_commands(config: &Config) -> anyhow::Result<Box<dyn Commands>> {
    match &config.store {
        Store::Sqlite { file } => {
            let log = CommandLog::open(file).context("open command log")?;
            Ok(Box::new(SqlCommands(Mutex::new(log))))
        }
        Store::Kafka => {
            let writer = CommandWriter::new(&cluster(config)?.commands()).context("open command topic")?;
            Ok(Box::new(KafkaCommands(writer)))
        }
    }
}

/// What the store remembers of incidents; none for a topic, which cannot be searched by incident.
pub(super) fn archive(config: &Config) -> Option<SqlArchive> {
    match &config.store {
        Store::Sqlite { file } => Some(SqlArchive { file: file.clone() }),
        Store::Kafka => None,
    }
}

/// The archive of the embedded store. Opened anew for every question: few ask, and a connection that stayed would keep
/// SQLite from putting its log into the file at a stop.
pub(super) struct SqlArchive {
    file: PathBuf,
}

impl SqlArchive {
    /// The events with which the newest incidents ended.
    pub(super) fn newest_ends(&self, limit: usize) -> Result<Vec<IncidentEvent>, ArchiveError> {
        self.ask(|archive| archive.newest_ends(limit))
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&IncidentArchive) -> Result<T, ArchiveReadError>,
    ) -> Result<T, ArchiveError> {
        let archive = IncidentArchive::open(&self.file).map_err(|error| ArchiveError(error.to_string()))?;
        question(&archive).map_err(|error| ArchiveError(error.to_string()))
    }
}

impl Archive for SqlArchive {
    fn newest(&self, id: IncidentId) -> Result<Option<IncidentEvent>, ArchiveError> {
        self.ask(|archive| archive.newest(id))
    }

    fn steps(&self, id: IncidentId) -> Result<Steps, ArchiveError> {
        self.ask(|archive| archive.events(id)).map(|events| Steps::of(events.iter().map(Step::from)))
    }
}

/// The cluster of a configuration that needs one.
pub(super) fn cluster(config: &Config) -> anyhow::Result<&Kafka> {
    config.kafka.as_ref().context("kafka: the configuration names no cluster")
}

struct KafkaCommands(CommandWriter);

impl Commands for KafkaCommands {
    fn append(&self, command: Command) -> Result<u64, CommandError> {
        self.0.append(&command).map_err(CommandError)
    }
}

/// The connection is for one thread at a time; commands are rare.
struct SqlCommands(Mutex<CommandLog>);

impl Commands for SqlCommands {
    fn append(&self, command: Command) -> Result<u64, CommandError> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.append(&command).map_err(|error| CommandError(error.to_string()))
    }
}
