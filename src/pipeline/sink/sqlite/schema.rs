//! The file `state.db`: its lock, its tables and their migrations; refuses what is not ours or newer than this program.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// In the file's header, so that `file` and we can tell it from any other SQLite file: the letters `tide`.
const APPLICATION_ID: i32 = 0x7469_6465;

/// Bytes of a page of a new file: four times SQLite's default. An epoch is a few large blocks, and each page of them costs
/// a frame of the log with a checksum; larger pages still would make the small commits of quiet times write more.
const PAGE_BYTES: i64 = 16 << 10;

/// The log is carried over to the file when it has this many bytes, four times SQLite's default, so that not every large
/// epoch pays for it.
const LOG_BYTES: i64 = 16 << 20;

/// How long one attempt waits for another writer. Writers besides the sink hold the lock for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Step n leads from version n to n + 1 (`PRAGMA user_version`). Never change a released step: add one.
///
/// - `blocks`: state; only those from `meta.safe_from` on count, older ones wait to be deleted in slices.
/// - `incident_events`: the log that response reads by position. `AUTOINCREMENT`, so that no position is used twice.
/// - `positions`: for people; the truth is in the state's meta entry.
/// - `dead_letters.format`: absent in letters of version 1. `requeued_at`, `requeued_to`: when and where to a letter was
///   put in again last, written by the command line.
/// - `meta.dead_letter_bytes`: kept up to date with every change of `dead_letters`, because summing up reads it all.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta (key, value) VALUES ('last_epoch', 0), ('safe_from', 0), ('dead_letter_bytes', 0);
    CREATE TABLE blocks (
        epoch INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (epoch, idx)
    ) STRICT;
    CREATE TABLE incident_events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        epoch INTEGER NOT NULL,
        incident_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        event TEXT NOT NULL,
        status TEXT NOT NULL,
        group_hash TEXT NOT NULL,
        record_time INTEGER NOT NULL,
        committed_at INTEGER NOT NULL,
        json TEXT NOT NULL
    ) STRICT;
    CREATE INDEX incident_events_incident ON incident_events (incident_id);
    CREATE INDEX incident_events_over ON incident_events (committed_at)
        WHERE (status = 'resolved' OR event = 'merged');
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        epoch INTEGER NOT NULL,
        stored_at INTEGER NOT NULL,
        source TEXT NOT NULL,
        partition TEXT NOT NULL,
        position INTEGER NOT NULL,
        element INTEGER,
        reason TEXT NOT NULL,
        at INTEGER NOT NULL,
        original_len INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE TABLE positions (
        source TEXT NOT NULL,
        partition TEXT NOT NULL,
        next INTEGER NOT NULL,
        clock INTEGER NOT NULL,
        PRIMARY KEY (source, partition)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE commands (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        json TEXT NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE dead_letters ADD COLUMN format TEXT;
    ALTER TABLE dead_letters ADD COLUMN requeued_at INTEGER;
    ALTER TABLE dead_letters ADD COLUMN requeued_to TEXT;
",
];

/// The tables of the first released version, for the test that a file of it is brought up to date.
#[cfg(test)]
pub(super) const FIRST_VERSION: &str = MIGRATIONS[0];

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another daemon works on it.
    #[error("{}: another tidegate works on this file; stop it, or choose another data directory", .file.display())]
    InUse {
        /// The state file.
        file: PathBuf,
    },
    /// Written by a newer program.
    #[error(
        "{}: written by a newer tidegate (its version is {found}, this program knows up to {known}); \
         use that program, nothing was changed",
        .file.display()
    )]
    TooNew {
        /// The state file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// An SQLite file of some other program, or a version that never existed.
    #[error("{}: an SQLite file, but not one of tidegate; nothing was changed", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// Not readable as an SQLite file.
    #[error(
        "{}: damaged or not an SQLite file ({detail}); restore it from a backup, or move it away to start empty",
        .file.display()
    )]
    Damaged {
        /// The state file.
        file: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// The file or its folder cannot be reached or written.
    #[error("{}: {detail}", .file.display())]
    Unusable {
        /// The file it is about.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

impl OpenError {
    /// Whether the same call may succeed later without anybody mending the file.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }

    fn unusable(file: &Path, detail: impl ToString) -> Self {
        Self::Unusable { file: file.to_owned(), detail: detail.to_string() }
    }

    fn from_sqlite(file: &Path, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { file: file.to_owned(), detail: error.to_string() }
            }
            _ => Self::unusable(file, error),
        }
    }
}

/// What the file says about itself.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    Ours(i64),
}

/// Takes the lock that lets only one daemon work on the file; it is held as long as the returned file is open.
///
/// A file of its own, because SQLite's locks on the database come and go, and closing any other descriptor of the
/// database in this process would drop them.
pub(super) fn lock(file: &Path) -> Result<File, OpenError> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| OpenError::unusable(folder, error))?;
    }
    let path = lock_file(file);
    let lock = private_file(&path).map_err(|error| OpenError::unusable(&path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { file: file.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::unusable(&path, error)),
    }
}

/// The file beside a state file whose lock the daemon holds.
#[must_use]
pub fn lock_file(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".lock");
    PathBuf::from(name)
}

/// Opens the file for writing, creates it and brings its tables up to date where necessary. The caller holds the lock.
pub(super) fn open(file: &Path) -> Result<Connection, OpenError> {
    create(file).map_err(|error| OpenError::unusable(file, error))?;
    let mut connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let version = match identify(&connection, file)? {
        Kind::Empty => 0,
        Kind::Ours(version) => version,
    };
    prepare(&connection, file)?;
    migrate(&mut connection, version).map_err(|error| OpenError::from_sqlite(file, &error))?;
    Ok(connection)
}

/// Opens a file that a daemon has created, for an additional writer in the same installation.
pub(super) fn open_existing(file: &Path) -> Result<Connection, OpenError> {
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    require_current(&connection, file)?;
    prepare(&connection, file)?;
    Ok(connection)
}

/// Opens a file that a daemon has created, for reading only, beside a running daemon or without one.
///
/// # Errors
/// When the file is missing, damaged, not ours, or of another version than this program's.
pub fn open_read_only(file: &Path) -> Result<Connection, OpenError> {
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    require_current(&connection, file)?;
    Ok(connection)
}

fn connect(file: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(|error| OpenError::from_sqlite(file, &error))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| OpenError::from_sqlite(file, &error))?;
    Ok(connection)
}

/// Settings that hold per connection, except the journal mode, which the file remembers.
fn prepare(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(file, &error);
    // Counts for a new file only, and must come before its journal mode.
    connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(failed)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::unusable(file, "no write-ahead log is possible on this file system"));
    }
    let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(failed)?;
    let log_pages = LOG_BYTES / page_bytes.max(512);
    // FULL: a commit is on the disk when it returns. An epoch of 8 MiB fits the cache, so nothing is spilled early.
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = {log_pages};
             PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;
             PRAGMA trusted_schema = OFF;",
        ))
        .map_err(failed)
}

fn identify(connection: &Connection, file: &Path) -> Result<Kind, OpenError> {
    let number = |sql: &str| -> Result<i64, OpenError> {
        connection.query_row(sql, [], |row| row.get(0)).map_err(|error| OpenError::from_sqlite(file, &error))
    };
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let known = MIGRATIONS.len() as i64;
    if application == i64::from(APPLICATION_ID) {
        return match version {
            1.. if version > known => Err(OpenError::TooNew { file: file.to_owned(), found: version, known }),
            1.. => Ok(Kind::Ours(version)),
            _ => Err(OpenError::Foreign { file: file.to_owned() }),
        };
    }
    let n_tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application == 0 && version == 0 && n_tables == 0 {
        Ok(Kind::Empty)
    } else {
        Err(OpenError::Foreign { file: file.to_owned() })
    }
}

fn require_current(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    match identify(connection, file)? {
        Kind::Ours(version) if version == MIGRATIONS.len() as i64 => Ok(()),
        _ => Err(OpenError::unusable(file, "not brought up to date yet; start the daemon of this version once")),
    }
}

fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    for (version, step) in (1_i64..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= from) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
        tracing::info!(version, "state file: tables created or brought up to date");
    }
    Ok(())
}

/// Alerts may hold anything, so what we create is for the owner only. The folder is synced, so that the new name lasts.
fn create(file: &Path) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    private_file(file)?.sync_all()?;
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
