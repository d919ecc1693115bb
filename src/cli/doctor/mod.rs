//! `tidegate doctor`: what is wrong around the daemon, why it matters, what to do.
//!
//! It only looks. What it tries out it takes back: files are removed, transactions aborted, and no running daemon is
//! shut out. One file per group of checks; in each, measuring is apart from judging, which is pure.

mod certificate;
pub mod checks;
mod clock;
mod disk;
mod finding;
mod kafka;
mod limits;
mod listener;
mod process;
mod report;
mod secrets;
mod state;
mod store;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, Level};
use crate::cli::doctor::limits::Whose;
use crate::cli::doctor::listener::Answer;
use crate::cli::output::{self, Output, is_broken_pipe};
use crate::cli::terminal;
use crate::control::config::fault::Fault;
use crate::control::config::{Config, Kafka, Loaded, Overrides, SourceKind, Store};
use crate::model::time::{Clock as _, SystemClock};

/// Exit code: the configuration cannot be used, so there is nothing to examine.
const USAGE: u8 = 2;
/// How often the line that says what is being done is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Look for what is wrong around the daemon: why it matters, what to do.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The daemon's configuration; without it every default holds, as for `run`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address that the daemon was told to listen on, over what the file says.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The daemon's data folder, over what the file says.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Copies of each Kafka partition that there should be, as for `topics check`.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=15))]
    replication: u16,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Let warnings count as problems in the exit code.
    #[arg(long)]
    deny_warnings: bool,
}

/// Runs every check. Exit code 0: no problem; 1: a problem, or a warning with `--deny-warnings`; 2: no such configuration.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { listen: args.listen.clone(), data_dir: args.data_dir.clone() };
    let loaded = match &args.config {
        Some(file) => Config::load(file, &overrides),
        None => Config::without_file(&overrides),
    };
    let Loaded { config, warnings } = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => {
            terminal::show_faults(&faults)?;
            return Ok(ExitCode::from(USAGE));
        }
    };
    let progress = progress();
    let findings = examine(&config, &warnings, args.replication, &progress);
    progress.finish_and_clear();
    let mut out = anstream::stdout().lock();
    let written = match args.output {
        Output::Text => report::as_text(&findings, &mut out),
        Output::Json => output::json(&report::as_json(&findings), &mut out),
    };
    match written.and_then(|()| out.flush()).map_err(anyhow::Error::from) {
        // Whoever read the output, `head` for instance, has seen enough.
        Err(error) if !is_broken_pipe(&error) => return Err(error),
        _ => {}
    }
    let bound = if args.deny_warnings { Level::Warning } else { Level::Problem };
    Ok(ExitCode::from(u8::from(findings.iter().any(|finding| finding.level >= bound))))
}

/// A line on the terminal that says what is being done; nothing elsewhere.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// Every finding, in the order of the report.
fn examine(config: &Config, warnings: &[Fault], replication: u16, progress: &ProgressBar) -> Vec<Finding> {
    let mut findings = configuration(config, warnings);
    progress.set_message("looking at the machine");
    findings.extend(secrets::secrets(config.file.as_deref()));
    findings.extend(certificate::certificates(config, SystemClock.now()));
    findings.extend(clock::time_zone());
    findings.extend(clock::clock_sync());
    let holder = match &config.store {
        Store::Sqlite { file } => process::holder(file),
        Store::Kafka => None,
    };
    let whose = holder.map_or(Whose::Shell, Whose::Daemon);
    findings.extend(limits::open_files(config, whose));
    findings.extend(limits::cpu(config, whose));
    progress.set_message("looking at the daemon");
    let (answer, of_listener) = listener::look(config);
    findings.extend(of_listener);
    let is_local = holder.is_some() || matches!(answer, Answer::Ready);
    let mut is_reached = false;
    if let Some(kafka) = used_kafka(config) {
        progress.set_message("asking the Kafka cluster");
        let (of_kafka, reached) = kafka::look(config, kafka, replication, is_local);
        findings.extend(of_kafka);
        is_reached = reached;
    }
    let read = saved_state(config, holder, is_reached, progress, &mut findings);
    let state_bytes = read.as_ref().and_then(state::Read::bytes);
    if let Some(read) = read {
        findings.extend(state::judge(&read, config, SystemClock.now(), is_local));
        if let Some(kafka) = used_kafka(config).filter(|_| is_reached) {
            findings.extend(kafka::positions(config, kafka, &read));
        }
    }
    if let Store::Sqlite { file } = &config.store {
        progress.set_message("measuring the disk");
        findings.extend(disk::folder(&config.data_dir));
        findings.extend(disk::file_system(config));
        findings.extend(disk::speed(config));
        findings.extend(disk::space(config, file, state_bytes));
    }
    findings.extend(limits::memory(whose, state_bytes));
    findings.sort_by_key(|finding| finding.check);
    findings
}

/// The cluster, if the store or a source is in it.
fn used_kafka(config: &Config) -> Option<&Kafka> {
    let is_source = config.sources.iter().any(|source| matches!(source.kind, SourceKind::Kafka(_)));
    config.kafka.as_ref().filter(|_| is_source || config.store == Store::Kafka)
}

/// The saved state, if it can be looked for; with what is to be said of the store.
fn saved_state(
    config: &Config,
    holder: Option<u32>,
    is_reached: bool,
    progress: &ProgressBar,
    findings: &mut Vec<Finding>,
) -> Option<state::Read> {
    progress.set_message("reading the state");
    match (&config.store, &config.kafka) {
        (Store::Sqlite { file }, _) => {
            let (connection, of_store) = store::look(file, holder);
            findings.extend(of_store);
            connection.map(|connection| state::of_sqlite(&connection))
        }
        (Store::Kafka, Some(kafka)) if is_reached => Some(kafka::state(config, kafka)),
        (Store::Kafka, _) => None,
    }
}

fn configuration(config: &Config, warnings: &[Fault]) -> Vec<Finding> {
    let file =
        config.file.as_ref().map_or_else(|| "no file, every default".to_owned(), |file| file.display().to_string());
    if warnings.is_empty() {
        return vec![Finding::ok(Check::Configuration, format!("{file}: good"))];
    }
    let why = "it is legal, and probably not meant";
    let warned = warnings.iter().map(|warning| {
        Finding::warning(
            Check::Configuration,
            format!("{file}:{warning}"),
            why,
            format!("tidegate check-config {file}"),
        )
    });
    warned.collect()
}
