//! The data folder and the disk below it: may it be written, how much is free, how long a durable write takes.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{statfs, statvfs};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, size, time};
use crate::control::config::Config;
use crate::model::time::Stopwatch;

/// Files of ours in the data folder; a killed run may leave one behind.
const PROBE_PREFIX: &str = ".tidegate-doctor-";
/// Durable writes that are measured, and how long that may take.
const WRITES: usize = 50;
const WRITES_FOR: Duration = Duration::from_secs(2);
/// An epoch of a quiet system is about this large.
const WRITE_BYTES: usize = 4_096;

/// Less is no room for a single burst.
const FREE_MIN: u64 = 256 << 20;
/// Inodes that a store needs at most: the database, its log, its index, its lock.
const INODES_MIN: u64 = 16;
/// Without dead letters and state, what grows: incident events of a month, the write-ahead log.
const EVENTS_ROOM: u64 = 1 << 30;

/// How the data folder is.
#[derive(Debug)]
enum Folder {
    /// Not there; this is the nearest folder above it, and whether we may write there.
    Missing { above: PathBuf, creatable: bool },
    /// Something else has its name, or it cannot be looked at.
    Unusable(String),
    /// There, but nothing can be created in it.
    ReadOnly { error: String, owner: u32 },
    /// There and writable.
    Writable { owner: u32 },
}

pub(super) fn folder(folder: &Path) -> Vec<Finding> {
    vec![judge_folder(folder, &look(folder), rustix::process::geteuid().as_raw())]
}

fn look(folder: &Path) -> Folder {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => try_to_write(folder, &found),
        Ok(_) => Folder::Unusable("is no folder".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = existing(folder);
            let creatable = tempfile::Builder::new().prefix(PROBE_PREFIX).tempfile_in(&above).is_ok();
            Folder::Missing { above, creatable }
        }
        Err(error) => Folder::Unusable(error.to_string()),
    }
}

fn try_to_write(folder: &Path, found: &Metadata) -> Folder {
    let owner = found.uid();
    match tempfile::Builder::new().prefix(PROBE_PREFIX).tempfile_in(folder) {
        Ok(_removed_when_dropped) => Folder::Writable { owner },
        Err(error) => Folder::ReadOnly { error: error.to_string(), owner },
    }
}

/// The nearest folder that exists: the folder itself, or one above it.
fn existing(folder: &Path) -> PathBuf {
    let here = Path::new(".");
    let found = folder.ancestors().find(|above| above.is_dir()).unwrap_or(here);
    if found.as_os_str().is_empty() { here.to_path_buf() } else { found.to_path_buf() }
}

fn judge_folder(path: &Path, folder: &Folder, user: u32) -> Finding {
    let name = path.display();
    let why = "everything that must survive a restart is kept there: without it nothing can be started";
    match folder {
        Folder::Missing { above, creatable: true } => Finding::note(
            Check::DataFolder,
            format!("{name} does not exist; the first start can create it in {}", above.display()),
            "nothing is kept yet; if there was a state before, this is the wrong folder",
            "check data_dir and --data-dir if this is not a first start",
        ),
        Folder::Missing { above, creatable: false } => Finding::problem(
            Check::DataFolder,
            format!("{name} does not exist, and user {user} cannot create it in {}", above.display()),
            why,
            format!("install -d -m 0700 -o tidegate {name}, or StateDirectory=tidegate in the unit"),
        ),
        Folder::Unusable(error) => {
            Finding::problem(Check::DataFolder, format!("{name}: {error}"), why, "choose another folder with data_dir")
        }
        Folder::ReadOnly { error, owner } => Finding::problem(
            Check::DataFolder,
            format!("{name} belongs to user {owner} and cannot be written by user {user}: {error}"),
            why,
            format!("run doctor as the daemon's user, or: chown -R tidegate {name}"),
        ),
        Folder::Writable { owner } if *owner == user => {
            Finding::ok(Check::DataFolder, format!("{name} is writable and belongs to user {user}"))
        }
        Folder::Writable { owner } => Finding::note(
            Check::DataFolder,
            format!("{name} is writable by user {user}, and belongs to user {owner}"),
            "whether the daemon's user may write there was not tried",
            format!("setpriv --reuid={owner} --clear-groups tidegate doctor"),
        ),
    }
}

/// `file` is the state file, `state_bytes` what a restart reads of it.
pub(super) fn space(config: &Config, file: &Path, state_bytes: Option<u64>) -> Vec<Finding> {
    let folder = existing(&config.data_dir);
    let found = match statvfs(&folder) {
        Ok(found) => found,
        Err(error) => {
            let what = format!("{}: {error}", folder.display());
            return vec![Finding::note(Check::DiskSpace, what, "free space is not known", "df the data folder")];
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some file systems have no fixed number of inodes and say 0 of 0.
    let inodes = (found.f_files > 0).then_some(found.f_favail);
    let taken = std::fs::metadata(file).map_or(0, |found| found.len());
    let growth = config.retention.dead_letters_size + EVENTS_ROOM + 2 * state_bytes.unwrap_or(0);
    vec![judge_space(&folder, free, inodes, growth.saturating_sub(taken))]
}

fn judge_space(folder: &Path, free: u64, inodes: Option<u64>, growth: u64) -> Finding {
    let what = format!("{} are free at {}, {} may still be needed", size(free), folder.display(), size(growth));
    let why = "a full disk stops every commit: HTTP is answered 503 and nothing is read until there is room";
    let remedy = "free space, move data_dir, or lower retention.dead_letters_size";
    if let Some(inodes) = inodes.filter(|inodes| *inodes < INODES_MIN) {
        let what = format!("{inodes} inodes are free at {}", folder.display());
        return Finding::problem(Check::DiskSpace, what, "no file can be created", "remove small files: df -i");
    }
    match free {
        _ if free < FREE_MIN => Finding::problem(Check::DiskSpace, what, why, remedy),
        _ if free < growth => Finding::warning(Check::DiskSpace, what, why, remedy),
        _ => Finding::ok(Check::DiskSpace, what),
    }
}

/// Latencies of durable writes, sorted.
fn measure(folder: &Path) -> io::Result<Vec<Duration>> {
    let mut file = tempfile::Builder::new().prefix(PROBE_PREFIX).tempfile_in(folder)?;
    let (all, block) = (Stopwatch::start(), [0x5a_u8; WRITE_BYTES]);
    let mut taken = Vec::with_capacity(WRITES);
    while taken.len() < WRITES && (all.elapsed() < WRITES_FOR || taken.is_empty()) {
        let one = Stopwatch::start();
        file.write_all(&block)?;
        sync(file.as_file())?;
        taken.push(one.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}

/// As SQLite does it for its write-ahead log.
fn sync(file: &File) -> io::Result<()> {
    file.sync_data()
}

pub(super) fn speed(config: &Config) -> Vec<Finding> {
    if !config.data_dir.is_dir() {
        return Vec::new();
    }
    let interval = config.pipeline.epoch.interval.to_duration();
    vec![match measure(&config.data_dir) {
        Ok(taken) => judge_speed(&taken, interval),
        Err(error) => {
            let what = format!("not measured: {error}");
            Finding::note(Check::DiskSpeed, what, "an epoch ends when the disk has confirmed it", "see data_folder")
        }
    }]
}

fn judge_speed(taken: &[Duration], interval: Duration) -> Finding {
    let median = taken.get(taken.len() / 2).copied().unwrap_or_default();
    let max = taken.last().copied().unwrap_or_default();
    let what = format!(
        "a durable write of 4 KiB takes {} (median of {}), {} at most; an epoch ends every {}",
        time(median),
        taken.len(),
        time(max),
        time(interval)
    );
    let why = "each epoch is one durable write: HTTP senders wait for it, and slower than the interval means fewer, larger epochs";
    let remedy = "put data_dir on a local SSD, or raise epoch.interval";
    match median {
        _ if median > interval => Finding::problem(Check::DiskSpeed, what, why, remedy),
        _ if median > interval / 4 || max > interval * 5 => Finding::warning(Check::DiskSpeed, what, why, remedy),
        _ => Finding::ok(Check::DiskSpeed, what),
    }
}

/// A file system by the number in `statfs` (linux/magic.h).
fn kind_of(magic: u64) -> Option<(&'static str, &'static str)> {
    match magic {
        0x6969 => Some(("NFS", "its locks and its memory maps do not hold what a write-ahead log needs")),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some(("SMB", "its locks do not hold what a write-ahead log needs")),
        0x6573_5546 => Some(("FUSE", "whether a confirmed write lasts is up to a program of somebody else")),
        0x0102_1994 | 0x8584_58f6 => Some(("memory (tmpfs)", "a reboot takes state and incidents with it")),
        0x794c_7630 => Some(("overlay", "in a container it goes with the container, and state and incidents with it")),
        _ => None,
    }
}

pub(super) fn file_system(config: &Config) -> Vec<Finding> {
    let folder = existing(&config.data_dir);
    statfs(&folder).map(|found| judge_kind(&folder, found.f_type as u64)).into_iter().collect()
}

fn judge_kind(folder: &Path, magic: u64) -> Finding {
    // The field is signed and narrower on some machines.
    let magic = magic & 0xffff_ffff;
    match kind_of(magic) {
        Some((name, why)) => Finding::warning(
            Check::FileSystem,
            format!("{} is on {name}", folder.display()),
            why,
            "put data_dir on a local disk (in a container: on a volume)",
        ),
        None => Finding::ok(Check::FileSystem, format!("{} is on a local disk (type {magic:#x})", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::doctor::finding::Level;

    fn shown(findings: &[Finding]) -> String {
        findings.iter().map(|one| format!("{} {} [{}]\n", one.level.name(), one.what, one.remedy)).collect()
    }

    #[test]
    fn a_folder_is_judged_by_what_can_be_done_in_it() {
        let path = Path::new("/var/lib/tidegate");
        let above = PathBuf::from("/var/lib");
        let found = [
            Folder::Missing { above: above.clone(), creatable: true },
            Folder::Missing { above, creatable: false },
            Folder::Unusable("is no folder".to_owned()),
            Folder::ReadOnly { error: "Permission denied".to_owned(), owner: 999 },
            Folder::Writable { owner: 1_000 },
            Folder::Writable { owner: 999 },
        ];
        insta::assert_snapshot!(shown(&found.map(|folder| judge_folder(path, &folder, 1_000))), @"
        note /var/lib/tidegate does not exist; the first start can create it in /var/lib [check data_dir and --data-dir if this is not a first start]
        problem /var/lib/tidegate does not exist, and user 1000 cannot create it in /var/lib [install -d -m 0700 -o tidegate /var/lib/tidegate, or StateDirectory=tidegate in the unit]
        problem /var/lib/tidegate: is no folder [choose another folder with data_dir]
        problem /var/lib/tidegate belongs to user 999 and cannot be written by user 1000: Permission denied [run doctor as the daemon's user, or: chown -R tidegate /var/lib/tidegate]
        ok /var/lib/tidegate is writable and belongs to user 1000 []
        note /var/lib/tidegate is writable by user 1000, and belongs to user 999 [setpriv --reuid=999 --clear-groups tidegate doctor]
        ");
    }

    #[test]
    fn folders_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(look(folder.path()), Folder::Writable { .. }));
        assert!(matches!(look(&folder.path().join("a/b")), Folder::Missing { creatable: true, .. }));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(look(&file), Folder::Unusable(_)));
        assert_eq!(existing(Path::new("nowhere/at/all")), Path::new("."));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no probe stays behind");
    }

    #[test]
    fn space_is_judged_by_what_may_still_grow() {
        let path = Path::new("/data");
        let judge = |free: u64, inodes: Option<u64>| judge_space(path, free, inodes, 2 << 30);
        let found =
            [judge(8 << 30, None), judge(1 << 30, Some(9_000)), judge(100 << 20, None), judge(8 << 30, Some(3))];
        insta::assert_snapshot!(shown(&found), @"
        ok 8 GiB are free at /data, 2 GiB may still be needed []
        warning 1 GiB are free at /data, 2 GiB may still be needed [free space, move data_dir, or lower retention.dead_letters_size]
        problem 100 MiB are free at /data, 2 GiB may still be needed [free space, move data_dir, or lower retention.dead_letters_size]
        problem 3 inodes are free at /data [remove small files: df -i]
        ");
    }

    #[test]
    fn speed_is_judged_against_the_epoch_interval() {
        let writes = |median: u64, max: u64| [1, median, median, median, max].map(Duration::from_millis).to_vec();
        let interval = Duration::from_millis(100);
        let cases = [writes(2, 20), writes(40, 60), writes(2, 900), writes(150, 300)];
        insta::assert_snapshot!(shown(&cases.map(|taken| judge_speed(&taken, interval))), @"
        ok a durable write of 4 KiB takes 2.0 ms (median of 5), 20 ms at most; an epoch ends every 100 ms []
        warning a durable write of 4 KiB takes 40 ms (median of 5), 60 ms at most; an epoch ends every 100 ms [put data_dir on a local SSD, or raise epoch.interval]
        warning a durable write of 4 KiB takes 2.0 ms (median of 5), 900 ms at most; an epoch ends every 100 ms [put data_dir on a local SSD, or raise epoch.interval]
        problem a durable write of 4 KiB takes 150 ms (median of 5), 300 ms at most; an epoch ends every 100 ms [put data_dir on a local SSD, or raise epoch.interval]
        ");
    }

    #[test]
    fn writes_are_measured_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let taken = measure(folder.path()).unwrap();
        assert!((1..=WRITES).contains(&taken.len()) && taken.is_sorted());
        assert!(measure(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn file_systems_that_do_not_last_are_named() {
        let kinds = [0x6969, 0x0102_1994, 0xef53, 0xffff_ffff_ff53_4d42];
        let levels = kinds.map(|magic| judge_kind(Path::new("/data"), magic).level);
        assert_eq!(levels, [Level::Warning, Level::Warning, Level::Ok, Level::Warning]);
    }
}
