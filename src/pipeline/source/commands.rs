//! The `commands` table as a source: polled by position, so that it needs no channel to whoever writes commands.

use std::io;
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::pipeline::sink::sqlite::CommandLog;
use crate::pipeline::source::SourceEvent;
use crate::pipeline::source::thread::{Closed, Outlet, SourceThread};

/// How often the table is looked at: quick enough for a person, and a look costs microseconds.
const POLL: Duration = Duration::from_millis(200);

/// Rows read at once.
const ROWS_MAX: u32 = 100;

/// Starts the thread `source-commands`, which hands on every command from position `from` on.
///
/// A row that cannot be read is skipped with a warning: a person gave it and sees that nothing happens.
///
/// # Errors
/// When the system refuses a thread.
pub fn spawn(log: CommandLog, from: u64, events: Sender<SourceEvent>) -> io::Result<SourceThread> {
    SourceThread::spawn("source-commands", events, move |outlet| run(&log, from, outlet))
}

fn run(log: &CommandLog, from: u64, outlet: &Outlet) -> Result<(), Closed> {
    let mut next = from;
    loop {
        let rows = match log.read_from(next, ROWS_MAX) {
            Ok(rows) => rows,
            Err(error) if error.is_retryable() => {
                tracing::warn!("source: commands cannot be read now, trying again: {error}");
                Vec::new()
            }
            Err(error) => return outlet.send(SourceEvent::Failed(error.to_string())),
        };
        let is_last = rows.len() < ROWS_MAX as usize;
        for row in rows {
            next = row.position + 1;
            match row.command {
                Ok(command) => outlet.send(SourceEvent::Command { command, next })?,
                Err(error) => tracing::warn!(
                    position = row.position,
                    "command {} is unreadable and skipped: {error}",
                    row.position
                ),
            }
        }
        if is_last {
            outlet.pause(POLL)?;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::fingerprint::IncidentId;
    use crate::model::time::Timestamp;
    use crate::pipeline::command::{Action, Command};
    use crate::pipeline::sink::sqlite::{SqliteOptions, SqliteSink};

    fn command(n: u64) -> Command {
        let action = Action::Resolve { incident_id: IncidentId(u128::from(n)) };
        Command { at: Timestamp(n as i64), by: "ada".to_owned(), action }
    }

    #[test]
    fn hands_on_what_is_there_and_what_comes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        let _sink = SqliteSink::open(SqliteOptions::new(&file)).unwrap();
        let writer = CommandLog::open(&file).unwrap();
        for n in 1..=250 {
            assert_eq!(writer.append(&command(n)).unwrap(), n);
        }
        let (events, received) = crossbeam::channel::bounded(4);
        let thread = spawn(CommandLog::open(&file).unwrap(), 2, events).unwrap();
        let mut expect = |n: u64| {
            let SourceEvent::Command { command: given, next } = received.recv().unwrap() else { panic!("{n}") };
            assert_eq!((given, next), (command(n), n + 1));
        };
        (2..=250).for_each(&mut expect);
        writer.append_text(Timestamp(251), "{\"command\": \"explode\"}").unwrap();
        writer.append(&command(252)).unwrap();
        expect(252);
        thread.stop();
        thread.join().unwrap();
    }
}
