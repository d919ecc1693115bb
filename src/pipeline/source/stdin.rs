//! Records from standard input, one per line. At most once: what was read before a crash cannot be read again.
//!
//! Position: number of the line. Numbering goes on from the committed position, so that a later run cannot give an
//! incident the id of an earlier one.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use crossbeam::channel::Sender;

use crate::model::alert::Format;
use crate::model::time::Timestamp;
use crate::pipeline::source::file::{READ_BYTES, is_full, new_batch};
use crate::pipeline::source::lines::{Line, Lines};
use crate::pipeline::source::thread::{Closed, Outlet, SourceThread};
use crate::pipeline::source::{Batch, RecordRef, SourceEvent};

/// How to read standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StdinOptions {
    /// Wire format of each line.
    pub format: Format,
    /// Records per batch at most; at least 1.
    pub batch_records: usize,
}

impl Default for StdinOptions {
    /// As for files.
    fn default() -> Self {
        Self { format: Format::Native, batch_records: 250 }
    }
}

/// Starts a thread `source-NAME` that reads standard input to its end; lines are numbered from `from` on.
///
/// # Errors
/// When the system refuses a thread.
pub fn spawn(name: &str, options: StdinOptions, from: u64, events: Sender<SourceEvent>) -> io::Result<SourceThread> {
    tracing::info!("source: standard input is read at most once; lines in hand at a crash are lost");
    let thread = SourceThread::spawn(&format!("source-{name}"), events, move |outlet| {
        run(io::stdin().lock(), &options, from, outlet)
    })?;
    Ok(thread.that_may_block())
}

fn run(input: impl Read, options: &StdinOptions, from: u64, outlet: &Outlet) -> Result<(), Closed> {
    outlet.send(SourceEvent::Assigned(vec![Arc::from("")]))?;
    match read_all(input, options, from, outlet)? {
        Ok(()) => outlet.send(SourceEvent::Ended),
        Err(error) => outlet.send(SourceEvent::Failed(format!("standard input: {error}"))),
    }
}

fn read_all(
    mut input: impl Read,
    options: &StdinOptions,
    from: u64,
    outlet: &Outlet,
) -> Result<io::Result<()>, Closed> {
    let mut lines = Lines::starting_at(0);
    let mut numbered = Numbered { batch: new_batch(), next: from, format: options.format };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let n_bytes = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n_bytes) => n_bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        let mut chunk = buffer.get(..n_bytes).unwrap_or_default();
        while let Some(line) = lines.next_line(&mut chunk) {
            numbered.push(line);
            if is_full(&numbered.batch, options.batch_records) {
                numbered.hand_on(outlet)?;
            }
        }
        numbered.hand_on(outlet)?; // The next read may wait for long.
    }
    if let Some(line) = lines.last_line() {
        numbered.push(line);
    }
    numbered.hand_on(outlet).map(Ok)
}

/// Lines with their numbers, as a batch.
struct Numbered {
    batch: Batch,
    next: u64,
    format: Format,
}

impl Numbered {
    fn push(&mut self, line: Line<'_>) {
        let position = self.next;
        self.next += 1;
        if !line.is_blank() {
            let (time, format) = (Timestamp::MIN, self.format);
            let at = RecordRef { start: 0, len: 0, partition: 0, position, next: self.next, time, format };
            self.batch.push(line.bytes, at);
        }
    }

    fn hand_on(&mut self, outlet: &Outlet) -> Result<(), Closed> {
        if self.batch.records.is_empty() {
            return outlet.check();
        }
        outlet.send(SourceEvent::Records(std::mem::replace(&mut self.batch, new_batch())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn events_of(input: impl Read + Send + 'static, batch_records: usize, from: u64) -> Vec<SourceEvent> {
        let (events, received) = crossbeam::channel::bounded(100);
        let options = StdinOptions { batch_records, ..StdinOptions::default() };
        let thread =
            SourceThread::spawn("source-stdin", events, move |outlet| run(input, &options, from, outlet)).unwrap();
        thread.join().unwrap();
        received.into_iter().collect()
    }

    #[test]
    fn numbers_lines_and_ends() {
        let seen = events_of(&b"a\n\nb\nlast"[..], 2, 40);
        let records: Vec<_> = seen
            .iter()
            .filter_map(|event| if let SourceEvent::Records(batch) = event { Some(batch) } else { None })
            .map(|batch| {
                let record = |at| String::from_utf8_lossy(batch.record_bytes(at)).into_owned();
                batch.records.iter().map(|at| (at.position, at.next, record(at))).collect::<Vec<_>>()
            })
            .collect();
        let expected = [vec![(40, 41, "a".to_owned()), (42, 43, "b".to_owned())], vec![(43, 44, "last".to_owned())]];
        assert_eq!(records, expected);
        assert!(matches!(seen.first(), Some(SourceEvent::Assigned(partitions)) if partitions.len() == 1));
        assert!(matches!(seen.last(), Some(SourceEvent::Ended)));
    }

    #[test]
    fn a_read_error_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the pipe burst"))
            }
        }
        let seen = events_of(Broken, 10, 0);
        let Some(SourceEvent::Failed(message)) = seen.last() else { panic!("{seen:?}") };
        assert_eq!(message, "standard input: the pipe burst");
    }
}
