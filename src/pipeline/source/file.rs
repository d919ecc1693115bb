//! A file of records, one per line; read to its end, or followed as it grows. Position: byte offset.
//!
//! When following, a last line without newline is not taken: its writer is still at it. A file that became shorter is read
//! again from its start, with a warning. A file that was replaced (another inode under the name) is read to its end
//! first. The position is a byte offset and nothing more: a file that is exchanged for a longer one while nobody reads
//! goes unnoticed, so rotate by renaming while the daemon runs.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::model::alert::Format;
use crate::model::time::{Clock as _, Millis, SystemClock, Timestamp};
use crate::pipeline::source::lines::{Line, Lines};
use crate::pipeline::source::thread::{Closed, Outlet, SourceThread};
use crate::pipeline::source::{Batch, PartitionName, RecordRef, SourceEvent};

/// A batch ends after this many bytes, so that a few large records do not make a slow chunk of work.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes asked for in one read.
pub(super) const READ_BYTES: usize = 256 << 10;

/// How often a file that is followed is looked at: unnoticed beside a `wait` of seconds, and next to no work.
const POLL: Duration = Duration::from_millis(200);
/// How long a line that is being written may hold the clock: longer than any writer takes for the rest of it.
const PART_PATIENCE: Millis = Millis::seconds(1);

/// What to read and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file.
    pub path: PathBuf,
    /// Wire format of each line.
    pub format: Format,
    /// Records per batch at most; at least 1.
    pub batch_records: usize,
    /// Whether to wait for more at the end, as `tail -F` does.
    pub follow: bool,
}

impl FileOptions {
    /// A file of native alerts that is read to its end. 250 records a batch, some 128 KiB: what
    /// other sources wait for, times the chunks that may be on their way.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), format: Format::Native, batch_records: 250, follow: false }
    }
}

/// Starts a thread `source-NAME` that reads from the byte offset `from` on.
///
/// # Errors
/// When the system refuses a thread. A file that cannot be read is reported as `SourceEvent::Failed`.
pub fn spawn(name: &str, options: FileOptions, from: u64, events: Sender<SourceEvent>) -> io::Result<SourceThread> {
    SourceThread::spawn(&format!("source-{name}"), events, move |outlet| run(options, from, outlet))
}

fn run(options: FileOptions, from: u64, outlet: &Outlet) -> Result<(), Closed> {
    let partition: PartitionName = Arc::from("");
    outlet.send(SourceEvent::Assigned(vec![Arc::clone(&partition)]))?;
    let path = options.path.clone();
    let mut tail = Tail::new(options, from);
    let mut part_since = None;
    loop {
        let looked = SystemClock.now();
        match tail.step() {
            Ok(Step::Records(batch)) => {
                part_since = None;
                outlet.send(SourceEvent::Records(batch))?;
            }
            Ok(Step::Working) => outlet.check()?,
            Ok(Step::Idle) => {
                // What is written before the next look is not known yet, so silence is told of each look, up to then.
                let is_whole = !tail.lines.is_within_a_line();
                if is_whole || looked - *part_since.get_or_insert(looked) >= PART_PATIENCE {
                    outlet.send(SourceEvent::SilentUntil(Arc::clone(&partition), looked))?;
                }
                outlet.pause(POLL)?;
            }
            Ok(Step::Ended) => return outlet.send(SourceEvent::Ended),
            Err(error) => return outlet.send(SourceEvent::Failed(format!("{}: {error}", path.display()))),
        }
    }
}

/// What one step led to.
#[derive(Debug)]
enum Step {
    /// A batch is full, or holds all there is.
    Records(Batch),
    /// Something was read, no batch is full yet.
    Working,
    /// Nothing more is there now.
    Idle,
    /// Nothing more will come.
    Ended,
}

/// The reading itself, step by step; the thread only waits and hands on.
struct Tail {
    options: FileOptions,
    file: Option<File>,
    lines: Lines,
    batch: Batch,
    buffer: Vec<u8>,
    /// What of `buffer` was read and not yet cut: from, to.
    unread: (usize, usize),
    /// The name led to another file at the last look, when this one was read to its end.
    was_replaced: bool,
    is_missing: bool,
}

impl Tail {
    fn new(options: FileOptions, from: u64) -> Self {
        Self {
            options,
            file: None,
            lines: Lines::starting_at(from),
            batch: new_batch(),
            buffer: vec![0; READ_BYTES],
            unread: (0, 0),
            was_replaced: false,
            is_missing: false,
        }
    }

    fn step(&mut self) -> io::Result<Step> {
        if self.cut_lines() {
            return Ok(self.take_batch());
        }
        if self.file.is_none() && !self.open()? {
            return Ok(Step::Idle);
        }
        let file = self.file.as_mut().expect("it was opened above");
        let n_bytes = match file.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Step::Working),
            read => read?,
        };
        self.unread = (0, n_bytes);
        if n_bytes > 0 {
            self.was_replaced = false;
            return Ok(Step::Working);
        }
        if !self.batch.records.is_empty() {
            return Ok(self.take_batch());
        }
        if self.options.follow { self.look_again() } else { Ok(self.finish()) }
    }

    /// Cuts what was read into records; true when the batch is full.
    fn cut_lines(&mut self) -> bool {
        let (from, to) = self.unread;
        let mut chunk = self.buffer.get(from..to).unwrap_or_default();
        let mut is_full = false;
        while !is_full && let Some(line) = self.lines.next_line(&mut chunk) {
            is_full = push_line(&mut self.batch, line, &self.options);
        }
        self.unread.0 = to - chunk.len();
        is_full
    }

    fn take_batch(&mut self) -> Step {
        Step::Records(std::mem::replace(&mut self.batch, new_batch()))
    }

    /// At the end of a file that nobody writes any more: the last line counts even without a newline.
    fn finish(&mut self) -> Step {
        if let Some(line) = self.lines.last_line() {
            push_line(&mut self.batch, line, &self.options);
        }
        if self.batch.records.is_empty() { Step::Ended } else { self.take_batch() }
    }

    /// At the end of a file that is followed: is it still the file of that name, and as long as we know it?
    fn look_again(&mut self) -> io::Result<Step> {
        let Some(file) = &self.file else { return Ok(Step::Idle) };
        let ours = file.metadata()?;
        if ours.len() < self.lines.position() {
            let file = self.options.path.display();
            tracing::warn!(%file, "source: {file} became shorter, reading it anew");
            self.restart();
            return Ok(Step::Working);
        }
        let is_replaced = match std::fs::metadata(&self.options.path) {
            Ok(named) => !is_same_file(&ours, &named),
            Err(error) if error.kind() == ErrorKind::NotFound => false, // Renamed; the new one is yet to come.
            Err(error) => return Err(error),
        };
        if !is_replaced {
            return Ok(Step::Idle);
        }
        if !self.was_replaced {
            self.was_replaced = true; // One more poll, for a writer that still has the old file open.
            return Ok(Step::Idle);
        }
        let file = self.options.path.display();
        tracing::warn!(%file, "source: {file} was replaced, reading the new one");
        let rest = self.finish();
        self.restart();
        Ok(if matches!(rest, Step::Records(_)) { rest } else { Step::Working })
    }

    fn restart(&mut self) {
        self.file = None;
        self.lines = Lines::starting_at(0);
        self.unread = (0, 0);
        self.was_replaced = false;
    }

    /// Opens the file at the position; false when it is to be followed and does not exist yet.
    fn open(&mut self) -> io::Result<bool> {
        let path = &self.options.path;
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && self.options.follow => {
                if !self.is_missing {
                    tracing::warn!(file = %path.display(), "source: {} does not exist yet, waiting for it", path.display());
                    self.is_missing = true;
                }
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(ErrorKind::IsADirectory, "is a folder, not a file"));
        }
        let position = self.lines.position();
        if position > 0 && metadata.len() < position {
            tracing::warn!(
                file = %path.display(), position, length = metadata.len(),
                "source: {} is shorter than what was read of it, reading it anew", path.display()
            );
            self.lines = Lines::starting_at(0);
        } else if position > 0 {
            file.seek(SeekFrom::Start(position))?;
        }
        self.is_missing = false;
        self.file = Some(file);
        Ok(true)
    }
}

/// Takes a line as a record unless it is blank; true when the batch is full.
fn push_line(batch: &mut Batch, line: Line<'_>, options: &FileOptions) -> bool {
    if !line.is_blank() {
        let at = RecordRef {
            start: 0,
            len: 0,
            partition: 0,
            position: line.start,
            next: line.next,
            time: Timestamp::MIN,
            format: options.format,
        };
        batch.push(line.bytes, at);
    }
    is_full(batch, options.batch_records)
}

/// Whether a batch is to be handed on.
pub(super) fn is_full(batch: &Batch, batch_records: usize) -> bool {
    batch.records.len() >= batch_records || batch.bytes.len() >= BATCH_BYTES_MAX
}

/// An empty batch of the one partition of files and standard input.
pub(super) fn new_batch() -> Batch {
    Batch { partitions: vec![Arc::from("")], ..Batch::default() }
}

#[cfg(unix)]
fn is_same_file(ours: &Metadata, named: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    ours.ino() == named.ino() && ours.dev() == named.dev()
}

/// Elsewhere only a file that became shorter is noticed.
#[cfg(not(unix))]
fn is_same_file(_ours: &Metadata, _named: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests;
