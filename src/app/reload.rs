//! A reload: the new configuration is checked first and put in force as a whole, or not at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Sender, bounded};

use crate::app::credentials::tell_expiry;
use crate::app::daemon::{options_of, server_options, tell_configuration};
use crate::app::pressure::{LiveRules, Rules};
use crate::control::api::Reload;
use crate::control::config::reload::Live;
use crate::control::server::Server;
use crate::control::status::StatusBoard;
use crate::metrics::{Metric, Metrics};
use crate::pipeline::options::Options;

/// How long a reload may take: the state is read back once. Beyond that the caller is told that it is still under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the engine's thread is asked.
pub(super) enum Order {
    /// Go on with these options; tells when they are in force.
    Exchange(Arc<Options>, Sender<()>),
    /// Stop in order.
    Stop,
}

/// Reads the configuration again, for SIGHUP and `POST /-/reload`.
pub struct Reloader {
    live: Live,
    orders: Sender<Order>,
    servers: Arc<Mutex<Vec<Server>>>,
    metrics: Metrics,
    board: Arc<StatusBoard>,
    rules: LiveRules,
}

impl Reloader {
    pub(super) fn new(
        live: Live,
        orders: Sender<Order>,
        servers: Arc<Mutex<Vec<Server>>>,
        metrics: Metrics,
        board: Arc<StatusBoard>,
        rules: LiveRules,
    ) -> Self {
        Self { live, orders, servers, metrics, board, rules }
    }

    fn take(&self) -> Result<(), String> {
        let outcome = self.live.reload().map_err(|faults| faults.to_string())?;
        let config = self.live.get();
        for warning in &outcome.warnings {
            tracing::warn!("configuration: {warning}");
        }
        if !outcome.needs_restart.is_empty() {
            let keys = outcome.needs_restart.join(", ");
            tracing::warn!(keys, "changed, but in force only after a restart: {keys}");
        }
        for server in self.servers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            server.replace_guard(&server_options(&config, server.address()));
            server.reload_tls().map_err(|error| error.to_string())?;
        }
        self.rules.store(Rules::of(&config).into());
        if !outcome.changed.is_empty() {
            let (done, wait) = bounded(1);
            let gone = |_| "the engine has ended".to_owned();
            self.orders.send(Order::Exchange(options_of(&config), done)).map_err(gone)?;
            wait.recv_timeout(PATIENCE).map_err(|_| "the new rules are not in force yet: see the log".to_owned())?;
        }
        tell_expiry(&config, &self.metrics);
        tell_configuration(&config, &self.metrics, &self.board);
        let changed = if outcome.changed.is_empty() { "nothing".to_owned() } else { outcome.changed.join(", ") };
        tracing::info!(changed, "configuration reloaded, changed: {changed}");
        Ok(())
    }
}

impl Reload for Reloader {
    fn reload(&self) -> Result<(), String> {
        self.take().inspect_err(|faults| {
            self.metrics.set(Metric::ConfigLastReloadSuccessful, &[], 0.0);
            self.board.update(|status| status.last_reload_fault = Some(faults.clone()));
            tracing::error!("reload refused, the configuration in force stays: {faults}");
        })
    }
}
