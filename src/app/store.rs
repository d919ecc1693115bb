//! Opens the store that the configuration names: the sink of epochs, and the command log beside it.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use crate::control::api::{CommandError, Commands};
use crate::control::config::{Config, Store};
use crate::pipeline::command::Command;
use crate::pipeline::sink::EpochSink;
use crate::pipeline::sink::sqlite::{CommandLog, SqliteOptions, SqliteSink};

/// Name of the command log among the sources; no source of the configuration may have it.
pub(crate) const COMMANDS: &str = "commands";

/// The sink of epochs.
pub(super) fn open_sink(config: &Config) -> anyhow::Result<Box<dyn EpochSink>> {
    match &config.store {
        Store::Sqlite { file } => {
            std::fs::create_dir_all(&config.data_dir)
                .with_context(|| format!("create data folder {}", config.data_dir.display()))?;
            let mut options = SqliteOptions::new(file.clone());
            options.incident_retention = config.retention.incidents;
            options.dead_letter_retention = config.retention.dead_letters;
            options.dead_letter_bytes = config.retention.dead_letters_size;
            let sink = SqliteSink::open(options).with_context(|| format!("open store {}", file.display()))?;
            Ok(Box::new(sink))
        }
        Store::Kafka => anyhow::bail!("store: kafka"),
    }
}

/// The command log, for those who write to it.
pub(super) fn open_commands(config: &Config) -> anyhow::Result<Box<dyn Commands>> {
    match &config.store {
        Store::Sqlite { file } => {
            let log = CommandLog::open(file).with_context(|| format!("open command log in {}", file.display()))?;
            Ok(Box::new(SqlCommands(Mutex::new(log))))
        }
        Store::Kafka => anyhow::bail!("store: kafka"),
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
