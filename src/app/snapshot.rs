//! The local snapshot: opened where the configuration says, if it is to be kept.

use anyhow::Context as _;

use crate::control::config::{Config, Store};
use crate::metrics::{Metric, Metrics};
use crate::pipeline::snapshot::{Folder, Keeper};

/// Whoever keeps the snapshot, if there is to be one: the embedded store is a local file itself. A folder that cannot be
/// used is no reason not to start.
pub(super) fn open(config: &Config, metrics: &Metrics) -> Option<Keeper> {
    let (Store::Kafka, Some(kafka)) = (&config.store, &config.kafka) else { return None };
    if !kafka.snapshot {
        return None;
    }
    let folder = config.snapshot_folder();
    let disk = Folder::open(&folder).with_context(|| format!("open folder {}", folder.display()));
    let keeper = disk.and_then(|disk| Ok(Keeper::start(disk, &kafka.namespace, metrics.clone())?));
    keeper
        .inspect_err(|error| {
            metrics.add(Metric::SnapshotFailures, &["write"], 1);
            tracing::warn!("no local snapshot is kept, each start reads the whole state topic: {error:#}");
        })
        .ok()
}
