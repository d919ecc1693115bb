//! A state file that was damaged: a clear error, or the very same state; never a start on another one.

use std::path::Path;
use std::time::Duration;

use tidegate::pipeline::sink::sqlite::{FILE_NAME, SqliteOptions, SqliteSink};
use tidegate::pipeline::sink::{Epoch, EpochSink as _};
use tidegate::pipeline::state::entry::{Kind, MetaEntry, SamplesEntry, Wide};
use tidegate::pipeline::state::{BlockWriter, Restored};

/// Epochs with about 1 MiB of state.
fn epochs() -> Vec<Epoch> {
    let epoch = |number: u64| {
        let mut writer = BlockWriter::default();
        for low in 0..16 {
            let json = (0..8_192_u64).map(|at| (at * 131 + number * 7 + low) as u8).collect();
            writer.push(Kind::Samples(SamplesEntry { of: Wide { high: number, low }, json }));
        }
        writer.push(Kind::Meta(Box::new(MetaEntry { epoch: number, hash_key: vec![1; 16], ..MetaEntry::default() })));
        Epoch { number, blocks: writer.finish(number), safe_from: 1, ..Epoch::default() }
    };
    (1..=8).map(epoch).collect()
}

/// What a daemon would start from.
fn read(folder: &Path) -> Result<Restored, String> {
    let mut tries = 0;
    let mut sink = loop {
        tries += 1;
        match SqliteSink::open(SqliteOptions::new(folder.join(FILE_NAME))) {
            // A process that another test starts has our files, and so our lock, until it is itself.
            Err(error) if error.is_retryable() && tries < 500 => std::thread::sleep(Duration::from_millis(5)),
            opened => break opened.map_err(|error| error.to_string())?,
        }
    };
    let mut restored = Restored::default();
    sink.restore(&mut |block| restored.take_block(block)).map_err(|error| error.to_string())?;
    Ok(restored)
}

#[test]
fn a_damaged_state_file_is_refused_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    let mut sink = SqliteSink::open(SqliteOptions::new(file.clone())).unwrap();
    epochs().iter().for_each(|epoch| {
        sink.commit(epoch).unwrap();
    });
    drop(sink);
    let whole = read(folder.path()).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() > 1 << 20, "{}", bytes.len());
    let (mut n_refused, mut n_harmless) = (0, 0);
    let mut check = |damaged: &[u8], what: &str| {
        for name in ["state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(folder.path().join(name)); // Of the attempt before.
        }
        std::fs::write(&file, damaged).unwrap();
        match read(folder.path()) {
            Err(message) => {
                assert!(!message.is_empty(), "{what}");
                n_refused += 1;
            }
            Ok(restored) => {
                assert!(restored.samples == whole.samples && restored.meta == whole.meta, "another state: {what}");
                n_harmless += 1;
            }
        }
    };
    // An empty file is one that no daemon has written to yet: SQLite makes it so, and nothing tells it from that.
    for at in (512..bytes.len()).step_by(512) {
        check(&bytes[..at], &format!("cut at {at}"));
    }
    for at in (0..bytes.len()).step_by(512) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at / 512 % 8);
        check(&flipped, &format!("flipped at {at}"));
    }
    println!("{n_refused} damaged files refused, {n_harmless} times the damage was outside of the state");
    assert!(n_refused > 3_000, "{n_refused} refused, {n_harmless} harmless");
}
