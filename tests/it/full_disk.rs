//! A disk that is full, and a file system that is read-only, for real: a small one is mounted for each test.
//!
//! Where nothing can be mounted (it takes root, as CI has it) the tests say "skipped" and why.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate::metrics::Metrics;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::sink::Epoch;
use tidegate::pipeline::snapshot::{Folder, Keeper, LocalCopy as _, load};
use tidegate::pipeline::state::BlockWriter;
use tidegate::pipeline::state::entry::{Kind, MetaEntry, SamplesEntry, Wide};

use crate::daemon::http;
use crate::daemon::sender::NATIVE;
use crate::daemon::{Home, wait_for};

/// Windows that stay open throughout: every fingerprint joins once, however often it is sent.
const CONFIG: &str = "
sources: [{name: http, type: http}]
engine: {decoders: 1, shards: 2}
windows: [{name: default, wait: 0s, gap: 1h}]
";

/// A file system in memory, gone with this.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where that cannot be, which is said.
    fn on(folder: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={megabytes}m,mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder.to_owned())),
            Ok(output) => {
                println!("skipped: no file system can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: no file system can be mounted: {error}");
                None
            }
        }
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status().unwrap();
        assert!(done.success(), "remount {how}");
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let piece = vec![0_u8; size];
            let full = loop {
                if let Err(error) = file.write_all(&piece) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull);
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status(); // Or it goes with the machine.
    }
}

/// Alerts of as many fingerprints, with long labels.
fn body(first: u32, n: u32) -> String {
    let text = "x".repeat(300);
    let alert = |number: u32| format!(r#"{{"labels":{{"alertname":"Slow","number":"{number}","text":"{text}"}}}}"#);
    format!("[{}]", (first..first + n).map(alert).collect::<Vec<_>>().join(","))
}

fn post(home: &Home, first: u32, n: u32) -> u16 {
    http::post(home.address(), NATIVE, body(first, n).as_bytes()).unwrap().status
}

fn log(home: &Home) -> String {
    std::fs::read_to_string(home.path("log")).unwrap()
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_that_was_answered_is_lost() {
    let home = Home::new(CONFIG);
    let Some(disk) = Mounted::on(&home.data(), 16) else { return };
    let daemon = home.start();
    assert_eq!(post(&home, 0, 100), 200);
    disk.fill();
    // More than the room that files already have: not answered before it is durable, and so not at all in time.
    assert_eq!(post(&home, 100, 4_000), 503);
    wait_for("unready", || http::get(home.address(), "/-/ready").is_ok_and(|answer| answer.status == 503));
    let status = http::get(home.address(), "/api/v1/status").unwrap().body;
    assert!(status.contains("no epoch has become durable for 30 s"), "{status}");
    let said = log(&home);
    assert!(
        said.contains("is not durable yet, the same is sent again: state file: ") && said.contains("full"),
        "{said}"
    );
    assert!(said.contains("alerts are not taken: no epoch has become durable"), "{said}");
    let aborted = || daemon.scrape().sum("tidegate_transactions_total");
    assert!(aborted() > 0);
    disk.make_room();
    wait_for("ready again", || http::get(home.address(), "/-/ready").is_ok_and(|answer| answer.status == 200));
    wait_for("told", || log(&home).contains("alerts are taken again"));
    assert_eq!(post(&home, 100, 4_000), 200, "the sender repeats what was not answered");
    let scrape = daemon.scrape();
    scrape.assert_conserved();
    assert_eq!(scrape.sum("tidegate_live_fingerprints"), 4_100, "every fingerprint, once");
    assert!((4_100..=8_100).contains(&scrape.received()), "sent again once: {}", scrape.received());
    daemon.stop();

    disk.remount("ro");
    let (status, said) = home.start_in_vain();
    assert!(!status.success() && said.contains("Read-only file system"), "{status}: {said}");
    disk.remount("rw");
    let daemon = home.start();
    assert_eq!(daemon.scrape().sum("tidegate_live_fingerprints"), 4_100);
    daemon.stop();
}

fn epoch(number: u64) -> Epoch {
    let mut writer = BlockWriter::default();
    let json = (0..200_000_u64).map(|at| (at * 131 + number) as u8).collect();
    writer.push(Kind::Samples(SamplesEntry { of: Wide { high: 1, low: number }, json }));
    writer.push(Kind::Meta(Box::new(MetaEntry { epoch: number, hash_key: vec![1; 16], ..MetaEntry::default() })));
    Epoch { number, blocks: writer.finish(number), safe_from: 1, committed_at: Timestamp(1_000), ..Epoch::default() }
}

/// The last epoch of a snapshot.
fn kept(folder: &Path) -> u64 {
    load(&Folder::to_read(folder), "ours").unwrap().unwrap().index.epoch
}

#[test]
fn a_snapshot_on_a_full_disk_stays_what_it_was_and_goes_on_with_room() {
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::on(&home.path().join("disk"), 4) else { return };
    let folder = disk.0.join("snapshot");
    let metrics = Metrics::new();
    let mut keeper = Keeper::start(Folder::open(&folder).unwrap(), "ours", metrics.clone()).unwrap();
    let failures = || {
        let shown = metrics.render();
        let line = shown.lines().find(|line| line.starts_with("tidegate_snapshot_failures_total{reason=\"write\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    keeper.begin(1);
    for number in 1..=3 {
        keeper.take(&epoch(number), Some(number));
    }
    keeper.seal();
    assert_eq!((kept(&folder), failures()), (3, 0.0));
    disk.fill();
    for number in 4..=6 {
        keeper.take(&epoch(number), Some(number));
    }
    keeper.seal();
    assert!(failures() > 0.0, "{}", metrics.render());
    assert_eq!(kept(&folder), 3, "the one before stays whole");
    disk.make_room();
    keeper.seal();
    assert_eq!(kept(&folder), 6);
    drop(keeper);
    // The thread ends with the last way to it, and only then nobody writes there any more.
    wait_for("the end of the thread", || Folder::open(&folder).is_ok());
    wait_for("a file system that nobody writes to", || {
        Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap().success()
    });
    assert_eq!(Folder::open(&folder).err().unwrap().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(kept(&folder), 6, "it can be read all the same");
}
