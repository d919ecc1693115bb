//! The configuration in force, and how another takes its place while the daemon runs.
//!
//! A faulty file changes nothing. What only a start can change (addresses, store, cluster, which sources there are)
//! stays as it is and is named, so that the configuration in force always describes what really runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::control::config::fault::{Fault, Faults};
use crate::control::config::meaning::{how_reached, of};
use crate::control::config::{Config, Overrides};
use crate::pipeline::options::SourceOptions;

/// The configuration in force.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Config>,
    overrides: Overrides,
    /// One reload at a time, so that each compares with what the one before it left.
    reloading: Mutex<()>,
}

/// Where a secret is found in a configuration.
type SecretOf = fn(&Config) -> Option<&SecretString>;

/// Every secret with its key: they are not part of the meaning that is compared, as that is shown to people.
const SECRETS: [(&str, SecretOf); 3] = [
    ("token", |config| config.http.token.as_ref()),
    ("kafka.sasl", |config| config.kafka.as_ref()?.connection.sasl.as_ref().map(|sasl| &sasl.password)),
    ("kafka.tls", |config| config.kafka.as_ref()?.connection.tls.as_ref()?.key_password.as_ref()),
];

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReloadOutcome {
    /// Keys that changed and are in force now.
    pub changed: Vec<String>,
    /// Keys that changed in the file and will be in force after a restart.
    pub needs_restart: Vec<String>,
    /// What is legal but probably not meant.
    pub warnings: Vec<Fault>,
}

impl Live {
    /// Puts a configuration in force; the overrides are applied again at each reload.
    #[must_use]
    pub fn new(config: Config, overrides: Overrides) -> Self {
        Self { current: ArcSwap::from_pointee(config), overrides, reloading: Mutex::new(()) }
    }

    /// The configuration in force now.
    #[must_use]
    pub fn get(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// Reads the file again and puts it in force as far as a running daemon can.
    ///
    /// # Errors
    /// With every fault of the file; the configuration in force stays as it is.
    pub fn reload(&self) -> Result<ReloadOutcome, Faults> {
        let one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.get();
        let Some(file) = &running.file else { return Ok(ReloadOutcome::default()) };
        let read = Config::load(file, &self.overrides)?;
        let (next, needs_restart) = applied(&running, read.config);
        let changed = difference(&running, &next);
        if !changed.is_empty() {
            self.current.store(Arc::new(next));
        }
        drop(one_at_a_time);
        Ok(ReloadOutcome { changed, needs_restart, warnings: read.warnings })
    }

    /// The file that a reload reads.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.get().file.clone()
    }
}

/// `read` with everything that only a start can change as it is in `running`, and the keys where the two differ.
fn applied(running: &Config, read: Config) -> (Config, Vec<String>) {
    let mut next = read.clone();
    let token = next.http.token.take();
    next.http = running.http.clone();
    next.http.token = token;
    next.http.external_url.clone_from(&read.http.external_url);
    if next.http.token.is_none() && running.http.token.is_some() && !read.http.insecure_listen {
        // Reading alone would allow it (the file may have moved `listen` to loopback), but the old address still holds.
        next.http.token.clone_from(&running.http.token);
    }
    next.data_dir.clone_from(&running.data_dir);
    next.store.clone_from(&running.store);
    next.kafka.clone_from(&running.kafka);
    next.log.format = running.log.format;
    next.pipeline.decoders = running.pipeline.decoders;
    next.pipeline.shards = running.pipeline.shards;
    next.sources.clone_from(&running.sources);
    next.pipeline.sources =
        running.pipeline.sources.iter().map(|old| in_place_of(old, &read.pipeline.sources)).collect();
    next.number();

    let mut restart = difference(&next, &read);
    let threads = |config: &Config| (config.pipeline.decoders, config.pipeline.shards);
    if threads(running) != threads(&read) {
        restart.push("engine".to_owned());
    }
    (next, restart)
}

/// A running source with the identity and the interval that the file now gives to its name.
fn in_place_of(running: &SourceOptions, read: &[SourceOptions]) -> SourceOptions {
    let Some(same) = read.iter().find(|other| other.name == running.name) else { return running.clone() };
    SourceOptions { identity: Arc::clone(&same.identity), resend_interval: same.resend_interval, ..running.clone() }
}

/// The top-level keys (with one level below where that says more) whose meaning differs, secrets too.
fn difference(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = BTreeSet::new();
    let (Value::Object(before), Value::Object(after)) = (of(old), of(new)) else { return Vec::new() };
    for (key, value) in &after {
        match (before.get(key), value) {
            (Some(same), value) if same == value => {}
            (Some(Value::Object(before)), Value::Object(after)) => {
                let differs = |key: &&String| before.get(*key) != after.get(*key);
                keys.extend(after.keys().chain(before.keys()).filter(differs).map(|below| format!("{key}.{below}")));
            }
            _ => {
                keys.insert(key.clone());
            }
        }
    }
    for (key, secret) in SECRETS {
        let text = |config| secret(config).map(SecretString::expose_secret);
        if text(old) != text(new) {
            keys.insert(key.to_owned());
        }
    }
    if !keys.contains("sources") && old.sources.iter().map(how_reached).ne(new.sources.iter().map(how_reached)) {
        keys.insert("sources".to_owned());
    }
    keys.into_iter().collect()
}
