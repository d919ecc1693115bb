//! Where blocks of state come from: a local snapshot, the embedded store, or the state topic.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::control::config::{Config, Store};
use crate::pipeline::sink::RestoreError;
use crate::pipeline::sink::kafka::{Options, read_state};
use crate::pipeline::sink::sqlite::open_read_only;
use crate::pipeline::snapshot::load::{read_blocks, read_index};
use crate::pipeline::snapshot::{Folder, Refused, index};

/// Where a state lies.
pub(super) enum Origin {
    /// In the folder of a snapshot.
    Snapshot(PathBuf),
    /// In the file of the embedded store.
    Sqlite(PathBuf),
    /// In a topic.
    Kafka(Box<Options>),
}

impl Origin {
    /// The snapshot in a folder; its index may be named as well.
    pub(super) fn of_snapshot(path: &Path) -> Result<Self, String> {
        let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
        match folder.join(index::FILE).is_file() {
            true => Ok(Self::Snapshot(folder.to_owned())),
            false => Err(format!("error: {}: no snapshot there", folder.display())),
        }
    }

    /// The store of a configuration.
    pub(super) fn of(config: &Config) -> Result<Self, String> {
        match (&config.store, &config.kafka) {
            (Store::Sqlite { file }, _) if file.is_file() => Ok(Self::Sqlite(file.clone())),
            (Store::Sqlite { file }, _) => {
                Err(format!("error: {}: no such file; use --data-dir with the daemon's data directory", file.display()))
            }
            (Store::Kafka, Some(kafka)) => Ok(Self::Kafka(Box::new(kafka.sink(&config.sources)))),
            (Store::Kafka, None) => Err("error: the configuration has no section kafka".to_owned()),
        }
    }

    /// Hands every block on that a restore would read, oldest first. The error says why it could not read on.
    pub(super) fn read(&self, each: &mut dyn FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        match self {
            Self::Snapshot(folder) => {
                let disk = Folder::to_read(folder);
                let missing = || "the index is gone".to_owned();
                let index = read_index(&disk).map_err(|refused| refused.to_string())?.ok_or_else(missing)?;
                let read = read_blocks(&disk, &index, &mut |block| each(block).map_err(Refused::State));
                read.map_err(|refused| refused.to_string())
            }
            Self::Sqlite(file) => read_sqlite(file, each),
            Self::Kafka(options) => {
                let read = read_state(options, &mut |block| each(block).map(|()| true).map_err(RestoreError));
                read.map_err(|error| error.0)
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(path) | Self::Sqlite(path) => path.display().fmt(f),
            Self::Kafka(options) => write!(f, "topic {}", options.topics.state),
        }
    }
}

/// All of it as of one moment: the daemon may go on meanwhile.
fn read_sqlite(file: &Path, each: &mut dyn FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
    let fault = |error: rusqlite::Error| format!("{}: {error}", file.display());
    let connection = open_read_only(file).map_err(|error| error.to_string())?;
    let moment = connection.unchecked_transaction().map_err(fault)?;
    let number = |key: &str| {
        moment.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0)).map_err(fault)
    };
    let (safe_from, last_epoch) = (number("safe_from")?, number("last_epoch")?);
    let mut select =
        moment.prepare("SELECT epoch, bytes FROM blocks WHERE epoch >= ?1 ORDER BY epoch, idx").map_err(fault)?;
    let mut rows = select.query([safe_from]).map_err(fault)?;
    let mut newest = 0;
    while let Some(row) = rows.next().map_err(fault)? {
        newest = row.get(0).map_err(fault)?;
        each(row.get_ref(1).map_err(fault)?.as_blob().map_err(|error| fault(error.into()))?)?;
    }
    if newest == last_epoch {
        return Ok(());
    }
    Err(format!("{}: the last epoch is {last_epoch}, but its newest block is of {newest}", file.display()))
}
