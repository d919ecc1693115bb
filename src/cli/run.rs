//! `tidegate run`: the daemon, until a signal or a failure ends it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::daemon::Daemon;
use crate::app::log;
use crate::cli::{FAILED, terminal};
use crate::control::api::Reload as _;
use crate::control::config::{Config, Overrides};
use crate::control::status::Phase;
use crate::pipeline::run::RunError;

/// Another instance has taken over: systemd must not start this one again (`RestartPreventExitStatus=3`).
const FENCED: u8 = 3;
/// A stop that takes longer than this ends the process all the same: the last durable epoch is the truth.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// Threads for HTTP, signals and timers; the pipeline has its own.
const ASYNC_THREADS: usize = 2;

/// Arguments of `tidegate run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file; without it every default holds: HTTP in, SQLite in the data folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on, over what the file says.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Folder for everything that must survive a restart, over what the file says.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs the daemon.
///
/// # Errors
/// When it does not come up.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { listen: args.listen.clone(), data_dir: args.data_dir.clone() };
    let loaded = match &args.config {
        Some(file) => Config::load(file, &overrides),
        None => Config::without_file(&overrides),
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => {
            terminal::show_faults(&faults)?;
            return Ok(ExitCode::from(FAILED));
        }
    };
    log::start(&loaded.config.log)?;
    for warning in &loaded.warnings {
        tracing::warn!("configuration: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .thread_name("http")
        .enable_all()
        .build()
        .context("start runtime")?;
    let result = runtime.block_on(live(loaded.config, overrides));
    runtime.shutdown_background(); // Blocking calls of a stopped daemon are not waited for.
    result
}

async fn live(config: Config, overrides: Overrides) -> anyhow::Result<ExitCode> {
    let mut stop = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let daemon = tokio::task::block_in_place(|| Daemon::start(config, overrides))?;
    let (listen, version) = (daemon.address(), env!("CARGO_PKG_VERSION"));
    if daemon.control().board.read().phase == Phase::Standby {
        tracing::info!(%listen, version, "tidegate {version} stands by, and will take alerts on {listen}");
        notify(&[NotifyState::Ready, NotifyState::Status("standby: another instance is active")]);
    } else {
        tracing::info!(%listen, version, "tidegate {version} takes alerts on {listen}");
        notify(&[NotifyState::Ready, NotifyState::Status(&format!("taking alerts on {listen}"))]);
    }
    let ended = daemon.ended();
    let mut over = tokio::task::spawn_blocking(move || {
        let _ = ended.recv(); // Nothing is ever sent: it closes when the engine has ended.
    });
    loop {
        tokio::select! {
            _ = stop.recv() => break,
            _ = interrupt.recv() => break,
            _ = &mut over => break,
            _ = hang_up.recv() => reload(&daemon).await,
        }
    }
    tracing::info!("stopping: what was taken is made durable");
    notify(&[NotifyState::Stopping]);
    let stopped = tokio::time::timeout(STOP_GRACE, daemon.stop()).await;
    match stopped {
        Ok(Ok(())) => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Err(RunError::Fenced(reason))) => {
            tracing::error!("another instance has taken over: {reason}");
            Ok(ExitCode::from(FENCED))
        }
        Ok(Err(error)) => {
            tracing::error!("the pipeline ended: {error}");
            Ok(ExitCode::from(FAILED))
        }
        Err(_) => {
            tracing::warn!(
                seconds = STOP_GRACE.as_secs(),
                "the stop took too long; what is durable stays, the rest is read again"
            );
            Ok(ExitCode::from(FAILED))
        }
    }
}

async fn reload(daemon: &Daemon) {
    // `Type=notify-reload` wants the monotonic time with it; older systemd ignores what it does not know.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
    let reloader: Arc<_> = daemon.reloader();
    let result = tokio::task::spawn_blocking(move || reloader.reload()).await;
    let status = match result {
        Ok(Ok(())) => "configuration reloaded",
        _ => "reload refused: the configuration in force stays, see the log",
    };
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
