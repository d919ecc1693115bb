//! The file of suspects in the data folder: written by the thread that panicked, read by the next start.
//!
//! A line of JSON each, appended and synced before the process ends, so that the file needs no order and a torn line harms no
//! other. It may be deleted at any time: what is still to come and panics again is noted again. Nothing in it is part of the
//! state; a standby on another machine has a file of its own, and may meet the same record once itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::metrics::{Metric, Metrics};
use crate::model::fingerprint::HashKey;
use crate::model::time::{Clock as _, SystemClock, Timestamp};
use crate::pipeline::suspect::{SUSPECTS_MAX, Suspect, Suspects, Suspicion, VERSION};

/// Its name in the data folder.
const FILE: &str = "suspects.jsonl";
/// Bytes that are read of it: far more than as many suspects as are kept, each below 2 KiB.
const BYTES_MAX: u64 = 4 << 20;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: Timestamp,
    #[serde(flatten)]
    suspect: Suspect,
}

/// The suspects of earlier runs, and a notary that writes down another. The file only speeds up the recovery from a panic: one
/// that cannot be read or written is told, and no more.
pub(super) fn suspicion(data_dir: &Path, fresh_key: HashKey, metrics: &Metrics) -> Suspicion {
    let file = data_dir.join(FILE);
    let suspects = read(&file).unwrap_or_else(|error| {
        tracing::warn!("{}: suspects of earlier runs are not known: {error}", file.display());
        Vec::new()
    });
    let known = Suspects::new(suspects, fresh_key);
    metrics.set(Metric::Suspects, &[], known.len() as f64);
    if !known.is_empty() {
        let n = known.len();
        tracing::warn!(n, "{n} records made the program panic before; where they come again they are dead letters");
    }
    Suspicion::new(known, Arc::new(move |suspect| note(&file, suspect)))
}

/// Tells of a suspect and writes it down. On the thread that panicked, which goes on to end the run.
fn note(file: &Path, suspect: &Suspect) {
    let Suspect { source, partition, position, len, thread, panic, .. } = suspect;
    let place = match position {
        Some(position) if partition.is_empty() => format!("position {position}"),
        Some(position) => format!("{partition}, position {position}"),
        None => "a request".to_owned(),
    };
    let panic = panic.escape_debug().to_string();
    tracing::error!(
        source,
        partition,
        position,
        len,
        thread,
        panic,
        "thread {thread} panicked with a record of {source} in hand ({place}, {len} bytes): {panic}; the run ends, and the \
         next start passes this record to the dead letters"
    );
    if let Err(error) = append(file, suspect) {
        tracing::error!(
            "{}: the suspect is not written down, the next start will meet it again: {error}",
            file.display()
        );
    }
}

fn append(path: &Path, suspect: &Suspect) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?; // With Kafka as the store nobody else needs it.
    }
    let mut line = serde_json::to_vec(&Line { at: SystemClock.now(), suspect: suspect.clone() })?;
    // A line before it that was torn ends here; an empty line is none.
    line.insert(0, b'\n');
    line.push(b'\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&line)?;
    file.sync_all()?;
    sync_folder(path)
}

/// A new name in a folder is durable when the folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The suspects in the file, oldest first; none if there is no file. What is too much or of another version is taken out of it.
fn read(path: &Path) -> io::Result<Vec<Suspect>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = Vec::new();
    let (mut n_before, mut n_torn) = (0_usize, 0_usize);
    for line in BufReader::new(file.take(BYTES_MAX)).split(b'\n') {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        n_before += 1;
        match serde_json::from_slice::<Line>(&line) {
            Ok(line) => lines.push(line),
            Err(_) => n_torn += 1,
        }
    }
    if n_torn > 0 {
        tracing::warn!(n_torn, "{}: {n_torn} lines cannot be read and are left out", path.display());
    }
    lines.retain(|line| line.suspect.version == VERSION);
    let n_surplus = lines.len().saturating_sub(SUSPECTS_MAX);
    lines.drain(..n_surplus);
    if lines.len() != n_before
        && let Err(error) = rewrite(path, &lines)
    {
        tracing::warn!("{}: old suspects stay in it: {error}", path.display());
    }
    Ok(lines.into_iter().map(|line| line.suspect).collect())
}

fn rewrite(path: &Path, lines: &[Line]) -> io::Result<()> {
    let new: PathBuf = path.with_extension("jsonl.new");
    let mut file = File::create(&new)?;
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::fingerprint::RecordHash;

    fn suspect(position: u64) -> Suspect {
        Suspect {
            version: VERSION.to_owned(),
            source: "alerts".to_owned(),
            partition: "topic/3".to_owned(),
            position: Some(position),
            len: 17,
            key: [1; 16],
            hash: RecordHash(u128::from(position)),
            thread: "shard-0".to_owned(),
            panic: "index \u{1b}[2J out of\nbounds".to_owned(),
        }
    }

    #[test]
    fn what_is_noted_is_read_and_a_torn_line_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data").join(FILE);
        assert_eq!(read(&file).unwrap(), []);
        note(&file, &suspect(1));
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 9]).unwrap(); // Power was lost in the middle of it.
        note(&file, &suspect(2));
        note(&file, &suspect(3));
        assert_eq!(read(&file).unwrap(), [suspect(2), suspect(3)]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text}");
        assert_eq!(read(&file).unwrap(), [suspect(2), suspect(3)]);
    }

    #[test]
    fn the_newest_of_this_version_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let old = Suspect { version: "0.0.1".to_owned(), ..suspect(0) };
        let many = (1..=SUSPECTS_MAX as u64 + 5).map(suspect);
        let line = |suspect| serde_json::to_string(&Line { at: Timestamp(0), suspect }).unwrap() + "\n";
        fs::write(&file, [old].into_iter().chain(many).map(line).collect::<String>()).unwrap();
        let kept = read(&file).unwrap();
        assert_eq!((kept.len(), kept[0].position), (SUSPECTS_MAX, Some(6)));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), SUSPECTS_MAX);
    }

    #[test]
    fn a_file_that_cannot_be_read_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FILE)).unwrap();
        let suspicion = suspicion(folder.path(), HashKey::FIXED, &Metrics::new());
        assert!(suspicion.known().is_none());
        note(&folder.path().join(FILE), &suspect(1)); // Told in the log, and no more.
    }
}
