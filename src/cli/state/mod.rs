//! `tidegate state`: whether the saved state is whole, and what is in it. Read only, beside a running daemon or without one.
//!
//! `read` is where blocks come from, `verify` judges them, `print` tells it, `export` writes them out.

mod export;
mod print;
mod read;
#[cfg(test)]
mod tests;
mod verify;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::installation::Installation;
use crate::cli::output::{self, Output, is_broken_pipe};
use crate::cli::state::read::Origin;
use crate::cli::state::verify::Checker;
use crate::cli::{FAILED, USAGE};
use crate::pipeline::state::Restored;

/// Check the saved state, or write it out.
#[derive(Debug, Args)]
pub struct StateArgs {
    #[command(subcommand)]
    command: StateCommand,
    #[command(flatten)]
    installation: Installation,
    /// The folder of a local snapshot, to be read in place of the store.
    #[arg(long, value_name = "DIR", global = true, conflicts_with_all = ["config", "data_dir"])]
    snapshot: Option<PathBuf>,
    /// How to write the result; an export is JSON in any case.
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum StateCommand {
    /// Read every block, check all that can be checked, and say what the state holds.
    Verify,
    /// Write the state as JSON, one entry a line. The key of the fingerprints is left out.
    Export,
}

/// Runs the subcommand. Exit code 0: the state is whole, or was written; 1: it is not, or cannot be read; 2: the
/// configuration cannot be used, or there is no state where it says.
///
/// # Errors
/// When the store does not answer or the output cannot be written.
pub fn run(args: &StateArgs) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    let done = run_to(args, &mut out, &mut anstream::stderr().lock());
    match done.and_then(|code| Ok(out.flush().map(|()| code)?)) {
        // Whoever read the output, `head` for instance, has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done.map(ExitCode::from),
    }
}

fn run_to(args: &StateArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let origin = match &args.snapshot {
        Some(folder) => Origin::of_snapshot(folder),
        None => args.installation.config().and_then(|config| Origin::of(&config)),
    };
    let origin = match origin {
        Ok(origin) => origin,
        Err(fault) => {
            writeln!(err, "{fault}")?;
            return Ok(USAGE);
        }
    };
    match args.command {
        StateCommand::Verify => {
            let mut checker = Checker::default();
            let read = origin.read(&mut |block| {
                checker.take(block);
                Ok(())
            });
            let verified = checker.finish(&origin.to_string(), read.err());
            match args.output {
                Output::Text => print::text(&verified, out)?,
                Output::Json => output::json(&verified, out)?,
            }
            Ok(if verified.faults.is_empty() { 0 } else { FAILED })
        }
        StateCommand::Export => {
            let mut restored = Restored::default();
            origin
                .read(&mut |block| restored.take_block(block).map_err(|error| error.0))
                .map_err(anyhow::Error::msg)?;
            export::write(restored, out)?;
            Ok(0)
        }
    }
}
