//! `tidegate demo`: a real daemon with the embedded store in a temporary folder, a storm with known truth through its
//! HTTP door, and the incidents held against that truth. Needs nothing but the binary.
//!
//! ```text
//! storm ──HTTP──► daemon ──► incidents ──HTTP──► verdict ◄── truth
//!                    └─ metrics ──HTTP──► live display
//! ```

mod history;
mod live;
mod report;
mod scene;
mod summary;
mod verdict;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::Context as _;
use clap::Args;
use tempfile::TempDir;

use crate::cli::demo::report::Telling;
use crate::cli::demo::scene::{Plan, Scene};
use crate::cli::demo::verdict::Verdict;
use crate::cli::output::{self, Output};
use crate::cli::storm::shape_parser;
use crate::storm::Shape;

/// Some ten seconds on two cores; an unoptimised build on a busy machine stays within the promised minute.
const ALERTS: u32 = 1_000_000;
/// Where nothing can be folded every twentieth alert is an incident that has to be told, listed and compared.
const ALERTS_DISTINCT: u32 = 200_000;

/// Arguments of `tidegate demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What the flood looks like
    #[arg(long, default_value = Shape::TicketStorm.name(), value_parser = shape_parser())]
    shape: Shape,
    /// How many alerts [default: 1000000, of all-distinct 200000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    alerts: Option<u32>,
    /// The same seed gives the same flood
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the folder with the store and the daemon's log, and say where it is
    #[arg(long)]
    keep: bool,
    /// How to write the verdict
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Runs the demo: success is 0, any disagreement with the truth 1.
///
/// # Errors
/// When the daemon does not come up, or cannot be asked.
pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("tidegate-demo-").tempdir().context("create a temporary folder")?;
    log_into(folder.path()).context("write the log of the daemon")?;
    let usual = if args.shape == Shape::AllDistinct { ALERTS_DISTINCT } else { ALERTS };
    let plan = Plan { shape: args.shape, alerts: args.alerts.unwrap_or(usual), seed: args.seed };
    let seen = Scene::play(&plan, folder.path());
    let kept = keep(folder, args.keep);
    let seen = seen?;
    let verdict = Verdict::new(&seen);
    let telling = Telling { plan: &plan, seen: &seen, verdict: &verdict, kept: kept.as_deref() };
    let mut out = anstream::stdout().lock();
    match args.output {
        Output::Text => telling.write(&mut out),
        Output::Json => output::json(&summary::of(&telling), &mut out),
    }
    .context("write the report")?;
    Ok(ExitCode::from(verdict.exit_code()))
}

/// Takes the folder away, unless it shall stay.
fn keep(folder: TempDir, stays: bool) -> Option<PathBuf> {
    stays.then(|| folder.keep())
}

/// The daemon's log goes into the folder: what people look at is the flood.
fn log_into(folder: &Path) -> std::io::Result<()> {
    let file = File::create(folder.join("tidegate.log"))?;
    let log = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO);
    // Another log can be in place only when this is called a second time in one process.
    let _in_place = log.with_writer(Mutex::new(file)).try_init();
    Ok(())
}
