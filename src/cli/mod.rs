//! The command line: one file or folder per subcommand, thin.

pub mod check_config;
pub mod client;
pub mod completion;
pub mod demo;
pub mod dlq;
pub mod doctor;
pub mod incident;
pub mod installation;
pub mod man;
pub mod output;
pub mod replay;
pub mod run;
pub mod state;
pub mod storm;
mod svg;
mod table;
pub mod tap;
pub mod terminal;
pub mod top;
pub mod topics;
pub mod version;

use std::panic::PanicHookInfo;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// The program's name.
const NAME: &str = "tidegate";

/// Findings, or something failed.
const FAILED: u8 = 1;
/// The arguments, or the configuration that they name, cannot be used.
const USAGE: u8 = 2;

/// Alert stream processor: takes the flood, hands on a small, exact stream of incidents.
///
/// Alerts come in from Prometheus, Alertmanager, Kafka or files. Those that repeat are folded and counted; those that
/// belong together become one incident, which is opened, updated, resolved and, if it comes back, reopened. What follows
/// from a stretch of input becomes durable together or not at all, in Kafka or in one SQLite file.
#[derive(Debug, Parser)]
#[command(name = NAME, version, propagate_version = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Run(run::RunArgs),
    /// Read a configuration and name every fault in it.
    CheckConfig(check_config::CheckConfigArgs),
    /// See it work: a storm of alerts and tickets into a daemon of its own, checked to the unit.
    Demo(demo::DemoArgs),
    /// Send a seeded flood of alerts with known truth, and measure the daemon that takes it.
    Storm(Box<storm::StormArgs>),
    /// Run a file of alerts through a configuration, outputs off.
    Replay(replay::ReplayArgs),
    /// Create or check the Kafka topics that a configuration needs.
    Topics(topics::TopicsArgs),
    /// Look at incidents, and resolve one.
    Incident(incident::IncidentArgs),
    /// Watch a live sample of what passes a stage of a running daemon.
    Tap(tap::TapArgs),
    /// Watch a running daemon on a screen.
    Top(top::TopArgs),
    /// Look at dead letters, and put them in again.
    Dlq(dlq::DlqArgs),
    /// Check the saved state, or write it out.
    State(state::StateArgs),
    /// Look for what is wrong around the daemon: why it matters, what to do.
    Doctor(doctor::DoctorArgs),
    /// Print versions of the program and the libraries it is linked to.
    Version(version::VersionArgs),
    /// Write completions of this command line for a shell.
    Completion(completion::CompletionArgs),
    /// Write the manual, in the format of man pages.
    Man(man::ManArgs),
}

/// Runs the command line of the process and returns its exit code: 0 ok, 1 findings or failure, 2 usage, 3 fenced.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        terminal::tell_panic(&place, info.payload_as_str().unwrap_or("no message"));
    }));
    let arguments = Arguments::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    let result = match arguments.command {
        Command::Run(args) => run::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Storm(args) => storm::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Topics(args) => topics::run(&args),
        Command::Incident(args) => incident::run(&args),
        Command::Tap(args) => tap::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Dlq(args) => dlq::run(args),
        Command::State(args) => state::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Completion(args) => completion::run(&args),
        Command::Man(args) => man::run(&args),
    };
    result.unwrap_or_else(|error| {
        terminal::complain(&error);
        ExitCode::from(FAILED)
    })
}

/// The command line as it is parsed, explained by `--help` and `man`, and completed.
pub(crate) fn command() -> clap::Command {
    man::with_ends(Arguments::command())
}
