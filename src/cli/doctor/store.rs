//! The embedded store as a file: can it be opened, is it whole, how large is it, who works on it. Read only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam::channel::bounded;
use rusqlite::{Connection, ErrorCode};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, size};
use crate::pipeline::sink::sqlite::{OpenError, open_read_only};

/// A check of a large file is broken off after this long; the daemon is not held up by it.
const CHECK_FOR: Duration = Duration::from_secs(20);
/// The log is carried over at 16 MiB and cut to 64 MiB: beyond this somebody keeps it from being carried over.
const WAL_MAX: u64 = 256 << 20;
/// Messages of a damaged file that are shown.
const FAULTS_SHOWN: usize = 3;

/// What the file says of itself.
#[derive(Clone, Debug, Default)]
struct Measured {
    file: PathBuf,
    schema_version: i64,
    bytes: u64,
    wal_bytes: u64,
    n_incident_events: u64,
    n_dead_letters: u64,
    /// What is damaged; `None` if the check took too long.
    faults: Option<Vec<String>>,
    /// The process that works on it.
    holder: Option<u32>,
}

/// The store, open for reading if it can be opened; and what is to be said of it.
pub(super) fn look(file: &Path, holder: Option<u32>) -> (Option<Connection>, Vec<Finding>) {
    if !file.exists() {
        return (None, vec![missing(file)]);
    }
    let connection = match open_read_only(file) {
        Ok(connection) => connection,
        Err(error) => return (None, vec![cannot_be_opened(&error)]),
    };
    match measure(&connection, file, holder) {
        Ok(measured) => (Some(connection), judge(&measured)),
        Err(error) => {
            let what = format!("{}: {error}", file.display());
            (None, vec![Finding::problem(Check::Store, what, DAMAGED, RESTORE)])
        }
    }
}

const DAMAGED: &str = "a damaged store ends the daemon at the next read of the damaged part, or at the next start";
const RESTORE: &str =
    "stop the daemon, keep a copy of the file, then restore a backup or move the file away to start empty";

fn missing(file: &Path) -> Finding {
    Finding::note(
        Check::Store,
        format!("{} does not exist", file.display()),
        "the first start creates it; if there was a state before, this is the wrong folder",
        "check data_dir and --data-dir if this is not a first start",
    )
}

fn cannot_be_opened(error: &OpenError) -> Finding {
    let what = error.to_string();
    let start = "the daemon does not start on it";
    match error {
        OpenError::Damaged { .. } => Finding::problem(Check::Store, what, DAMAGED, RESTORE),
        OpenError::TooNew { .. } => Finding::problem(Check::Store, what, start, "install the newer tidegate again"),
        OpenError::Foreign { .. } => {
            Finding::problem(Check::Store, what, start, "choose another data_dir or sqlite.file")
        }
        OpenError::InUse { .. } | OpenError::Unusable { .. } => Finding::problem(
            Check::Store,
            what,
            "the daemon must be able to read and write it, and so must whoever looks at it",
            "run doctor as the daemon's user; ls -l the file and its folder",
        ),
    }
}

fn measure(connection: &Connection, file: &Path, holder: Option<u32>) -> rusqlite::Result<Measured> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let faults = quick_check(connection)?;
    // Counting a damaged table fails; what is damaged matters more then.
    let whole = faults.as_ref().is_none_or(Vec::is_empty);
    let count = |table: &str| {
        let rows = if whole { number(&format!("SELECT count(*) FROM {table}")) } else { Ok(0) };
        rows.map(|rows| u64::try_from(rows).unwrap_or(0))
    };
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    Ok(Measured {
        file: file.to_owned(),
        schema_version: number("PRAGMA user_version")?,
        bytes: length(file),
        wal_bytes: length(Path::new(&wal)),
        n_incident_events: count("incident_events")?,
        n_dead_letters: count("dead_letters")?,
        faults,
        holder,
    })
}

/// What is damaged; `None` if it took too long.
fn quick_check(connection: &Connection) -> rusqlite::Result<Option<Vec<String>>> {
    let interrupt = connection.get_interrupt_handle();
    let (done, waiting) = bounded::<()>(0);
    let timer = std::thread::Builder::new().name("doctor-timer".to_owned()).spawn(move || {
        // Nothing is ever sent: the channel closes when the check has ended.
        if waiting.recv_timeout(CHECK_FOR).is_err_and(|error| error.is_timeout()) {
            interrupt.interrupt();
        }
    });
    let faults = connection.prepare("PRAGMA quick_check").and_then(|mut select| {
        select.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
    });
    drop(done);
    if let Ok(timer) = timer {
        let _ = timer.join(); // It only waited.
    }
    match faults {
        Ok(lines) => Ok(Some(lines.into_iter().filter(|line| line != "ok").collect())),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Ok(None),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Ok(Some(vec![error.to_string()])),
            _ => Err(error),
        },
    }
}

fn judge(measured: &Measured) -> Vec<Finding> {
    let Measured { file, schema_version, bytes, wal_bytes, n_incident_events, n_dead_letters, faults, holder } =
        measured;
    let file = file.display();
    let by = holder.map_or_else(|| "no daemon works on it".to_owned(), |pid| format!("process {pid} works on it"));
    let what = format!(
        "{file}: {}, log {}, schema {schema_version}, {n_incident_events} incident events, {n_dead_letters} dead letters; {by}",
        size(*bytes),
        size(*wal_bytes)
    );
    let mut findings = Vec::new();
    match faults {
        Some(faults) if faults.is_empty() => findings.push(Finding::ok(Check::Store, format!("{what}; it is whole"))),
        Some(faults) => {
            let shown = faults.iter().take(FAULTS_SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
            findings.push(Finding::problem(Check::Store, format!("{file} is damaged: {shown}"), DAMAGED, RESTORE));
        }
        None => findings.push(Finding::note(
            Check::Store,
            format!("{what}; whether it is whole was not known after {} s", CHECK_FOR.as_secs()),
            "the check reads the whole file",
            format!("sqlite3 {file} 'PRAGMA quick_check'"),
        )),
    }
    if *wal_bytes > WAL_MAX {
        findings.push(Finding::warning(
            Check::Store,
            format!("the write-ahead log of {file} has {}", size(*wal_bytes)),
            "somebody reads the file without an end, so that the log cannot be carried over: it grows, and commits slow down",
            format!("find the reader: fuser -v {file}"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(findings: &[Finding]) -> String {
        findings.iter().map(|one| format!("{} {}\n", one.level.name(), one.what)).collect()
    }

    #[test]
    fn a_store_is_judged_by_what_the_file_says() {
        let good = Measured {
            file: PathBuf::from("state.db"),
            schema_version: 1,
            bytes: 3 << 20,
            n_incident_events: 12,
            faults: Some(Vec::new()),
            holder: Some(7),
            ..Measured::default()
        };
        let damaged = Measured { faults: Some(vec!["row 3 missing from index \x1b".to_owned()]), ..good.clone() };
        let slow = Measured { faults: None, holder: None, wal_bytes: 300 << 20, ..good.clone() };
        insta::assert_snapshot!(shown(&[judge(&good), judge(&damaged), judge(&slow)].concat()), @r"
        ok state.db: 3 MiB, log 0 B, schema 1, 12 incident events, 0 dead letters; process 7 works on it; it is whole
        problem state.db is damaged: row 3 missing from index \x1b
        note state.db: 3 MiB, log 300 MiB, schema 1, 12 incident events, 0 dead letters; no daemon works on it; whether it is whole was not known after 20 s
        warning the write-ahead log of state.db has 300 MiB
        ");
    }

    #[test]
    fn a_store_that_cannot_be_opened_says_what_to_do() {
        let file = PathBuf::from("state.db");
        let errors = [
            OpenError::Damaged { file: file.clone(), detail: "file is not a database".to_owned() },
            OpenError::TooNew { file: file.clone(), found: 9, known: 1 },
            OpenError::Foreign { file: file.clone() },
            OpenError::Unusable { file, detail: "Permission denied".to_owned() },
        ];
        insta::assert_snapshot!(shown(&errors.map(|error| cannot_be_opened(&error))), @"
        problem state.db: damaged or not an SQLite file (file is not a database); restore it from a backup, or move it away to start empty
        problem state.db: written by a newer tidegate (its version is 9, this program knows up to 1); use that program, nothing was changed
        problem state.db: an SQLite file, but not one of tidegate; nothing was changed
        problem state.db: Permission denied
        ");
    }
}
