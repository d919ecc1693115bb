//! From keys to what is meant: one file per part of the configuration, each fault named where it is written.

mod engine;
mod identity;
mod kafka;
mod listen;
mod sources;
mod windows;

use std::path::{Path, PathBuf};

use crate::control::config::section::{Section, Value};
use crate::control::config::{Config, Log, Overrides, SourceConfig, SourceKind, Store};
use crate::model::time::Millis;
use crate::pipeline::options::Options;

/// No upper bound for a duration.
const ANY_LENGTH: Millis = Millis(i64::MAX);
/// Where state is kept when nothing is said; the folder that the systemd unit makes.
const DATA_DIR: &str = "/var/lib/tidegate";

/// Reads the whole file. With faults noted the result is of no use, and nobody sees it.
pub(super) fn check(root: &Value<'_>, overrides: &Overrides) -> Config {
    // A file that is no map at all has its fault noted by `fields`; an empty one stands for every default.
    root.fields(|top| read(top, overrides)).unwrap_or_else(|| {
        let empty = crate::control::config::raw::parse("").expect("nothing is valid YAML").0;
        let findings = crate::control::config::fault::Findings::new("");
        let root = Value::root(&empty, &findings, root.around);
        root.fields(|top| read(top, overrides)).expect("an empty file is a map without keys")
    })
}

fn read(top: &Section<'_>, overrides: &Overrides) -> Config {
    let http = listen::read(top, overrides);
    let mut data_dir = PathBuf::from(DATA_DIR);
    top.set("data_dir", &mut data_dir, Value::path);
    let data_dir = overrides.data_dir.clone().unwrap_or(data_dir);

    let kafka = kafka::read(top);
    let store = store(top, &data_dir);
    let identity = identity::read(top.get("identity").as_ref());
    let cluster = sources::Cluster { written: top.get("kafka").is_some(), kafka: kafka.as_ref() };
    let (sources, source_options) = sources::read(top, &identity, cluster);
    warn_unused_kafka(top, &store, sources.iter().any(|source| matches!(source.kind, SourceKind::Kafka(_))));
    if kafka.as_ref().is_some_and(|kafka| kafka.standby) {
        check_standby(top, &store, &sources);
    }

    let engine = engine::engine(top);
    let pipeline = Options {
        decoders: engine.decoders,
        shards: engine.shards,
        epoch: engine::epoch(top),
        rules: windows::read(top).into(),
        sources: source_options.into(),
        samples: engine.samples,
        config_version: 0,
    };
    let log: Log = engine::log(top);
    let retention = engine::retention(top);
    let (memory, limits) = (engine::memory(top), engine::limits(top));
    Config { file: None, hash: 0, http, data_dir, store, kafka, sources, pipeline, memory, limits, retention, log }
}

fn store(top: &Section<'_>, data_dir: &Path) -> Store {
    let mut file = "state.db".to_owned();
    if let Some(sqlite) = top.get("sqlite") {
        sqlite.fields(|section| section.set("file", &mut file, |value| value.text().map(str::to_owned)));
    }
    let sqlite = Store::Sqlite { file: data_dir.join(file) };
    let Some(value) = top.get("store") else { return sqlite };
    match value.one_of(&[("sqlite", false), ("kafka", true)]) {
        Some(true) => {
            if top.get("kafka").is_none() {
                value.fault("needs the section kafka, with its brokers");
            }
            if let Some(unused) = top.get("sqlite") {
                unused.warn("is not used: the store is kafka");
            }
            Store::Kafka
        }
        _ => sqlite,
    }
}

fn warn_unused_kafka(top: &Section<'_>, store: &Store, kafka_source: bool) {
    if let Some(value) = top.get("kafka")
        && !kafka_source
        && *store != Store::Kafka
    {
        value.warn("is not used: neither the store nor a source is kafka");
    }
}

/// Another instance can go on only from what it can reach, too.
fn check_standby(top: &Section<'_>, store: &Store, sources: &[SourceConfig]) {
    let entries = top.get("kafka").and_then(|kafka| kafka.entries()).unwrap_or_default();
    let Some((_, value)) = entries.into_iter().find(|(key, _)| *key == "standby") else { return };
    if *store != Store::Kafka {
        value.fault(
            "needs `store: kafka`: a standby goes on from the state of the active instance, which must be there",
        );
    }
    for source in sources {
        if matches!(source.kind, SourceKind::File(_) | SourceKind::Stdin { .. }) {
            let name = &source.name;
            value.fault(format!("source {name:?} is read on one machine only, and a standby could not go on with it"));
        }
    }
}

/// `never` or a value.
fn or_never<T>(value: &Value<'_>, word: &str, read: impl FnOnce(&Value<'_>) -> Option<T>) -> Option<Option<T>> {
    if value.word() == Some(word) { Some(None) } else { read(value).map(Some) }
}
