//! The command line: one file or folder per subcommand, thin.

pub mod check_config;
pub mod client;
pub mod demo;
pub mod dlq;
pub mod doctor;
pub mod output;
pub mod replay;
pub mod run;
pub mod storm;
pub mod terminal;
pub mod topics;
pub mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Findings, or something failed.
const FAILED: u8 = 1;

/// Alert stream processor: takes the flood, hands on a small, exact stream of incidents.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true, disable_help_subcommand = true)]
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
    /// Send a seeded flood of alerts with known truth.
    Storm(storm::StormArgs),
    /// Run a file of alerts through a configuration, outputs off.
    Replay(replay::ReplayArgs),
    /// Create or check the Kafka topics that a configuration needs.
    Topics(topics::TopicsArgs),
    /// Look at dead letters.
    Dlq(dlq::DlqArgs),
    /// Look for what is wrong around the daemon: why it matters, what to do.
    Doctor(doctor::DoctorArgs),
    /// Print versions of the program and the libraries it is linked to.
    Version(version::VersionArgs),
}

/// Runs the command line of the process and returns its exit code: 0 ok, 1 findings or failure, 2 usage, 3 fenced.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(args) => run::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Storm(args) => storm::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Topics(args) => topics::run(&args),
        Command::Dlq(args) => dlq::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Version(args) => version::run(&args),
    };
    result.unwrap_or_else(|error| {
        terminal::complain(&error);
        ExitCode::from(FAILED)
    })
}
