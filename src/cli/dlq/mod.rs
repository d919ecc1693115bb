//! `tidegate dlq`: what could not be read, with its reason and its original bytes.
//!
//! `list` and `show` know only `Letter`; `sqlite` is where letters come from.

mod print;
mod sqlite;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};

use crate::pipeline::decode::Reject;
use crate::pipeline::sink::sqlite::FILE_NAME;

/// Exit code: the letter asked for does not exist.
const NOT_FOUND: u8 = 1;

/// Exit code: there is no store where the arguments say.
const USAGE: u8 = 2;

/// Show the records that could not be read.
#[derive(Debug, Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
    /// The daemon's data directory; it may run meanwhile.
    #[arg(long, value_name = "DIR", global = true, default_value = ".")]
    data_dir: PathBuf,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// List dead letters, newest first.
    List(Filter),
    /// Show one dead letter with all its fields and its bytes.
    Show {
        /// Its id, from the list.
        id: u64,
        /// Write the original bytes and nothing else.
        #[arg(long)]
        raw: bool,
    },
}

/// Which letters to list.
#[derive(Clone, Debug, Args)]
pub(crate) struct Filter {
    /// Only those with this reason.
    #[arg(long, value_parser = PossibleValuesParser::new(Reject::ALL.map(Reject::name)))]
    reason: Option<String>,
    /// Only those of this source.
    #[arg(long)]
    source: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A dead letter, wherever it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    id: u64,
    epoch: u64,
    stored_at: crate::model::time::Timestamp,
    source: String,
    partition: String,
    position: u64,
    element: Option<u32>,
    reason: String,
    at: crate::model::time::Timestamp,
    original_len: u64,
    /// For the list only as many as it shows.
    bytes: Vec<u8>,
}

/// Runs the subcommand. Exit code 0: done; 1: the letter does not exist; 2: there is no store in that directory.
///
/// # Errors
/// When the store cannot be read or the output not be written.
pub fn run(args: DlqArgs) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (anstream::stdout().lock(), anstream::stderr().lock());
    // Bytes as they are must not go through the filter that takes colours out for files.
    let mut raw = io::stdout();
    match run_to(&args, &mut out, &mut raw, &mut err) {
        // Whoever read the output, `head` for instance, has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done.map(ExitCode::from),
    }
}

fn run_to(args: &DlqArgs, out: &mut dyn Write, raw: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let file = args.data_dir.join(FILE_NAME);
    if !file.is_file() {
        writeln!(err, "error: {}: no such file; use --data-dir with the daemon's data directory", file.display())?;
        return Ok(USAGE);
    }
    let store = sqlite::Store::open(&file)?;
    match &args.command {
        DlqCommand::List(filter) => {
            let letters = store.list(filter)?;
            match args.output {
                Output::Text => print::table(&letters, out)?,
                Output::Json => print::list_json(&letters, out)?,
            }
        }
        DlqCommand::Show { id, raw: only_bytes } => {
            let Some(letter) = store.get(*id)? else {
                writeln!(err, "error: no dead letter has the id {id}; see: tidegate dlq list")?;
                return Ok(NOT_FOUND);
            };
            match args.output {
                _ if *only_bytes => raw.write_all(&letter.bytes)?,
                Output::Text => print::letter(&letter, out)?,
                Output::Json => print::letter_json(&letter, out)?,
            }
            raw.flush()?;
        }
    }
    out.flush()?;
    Ok(0)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
