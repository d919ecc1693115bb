//! `tidegate dlq`: what could not be read, with its reason and its original bytes.
//!
//! `list` and `show` know only `Letter`; `sqlite` and `kafka` are where letters come from.

mod kafka;
mod letter;
mod print;
mod sqlite;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::cli::dlq::letter::{Letter, LetterId};
use crate::cli::output::{Output, is_broken_pipe};
use crate::control::config::{self, Config, Overrides};
use crate::pipeline::decode::Reject;
use crate::pipeline::sink::sqlite::FILE_NAME;

/// Exit code: the letter asked for does not exist.
const NOT_FOUND: u8 = 1;

/// Exit code: there is no store where the arguments say.
const USAGE: u8 = 2;

/// Bytes of a letter that the list needs: 60 characters of up to four bytes, and some to see that more follow.
const HEAD_BYTES: u32 = 256;

/// Show the records that could not be read.
#[derive(Debug, Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
    /// The daemon's configuration, which says where its dead letters are; without it they are in the data directory.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The daemon's data directory, over what the file says; it may run meanwhile. Without either, the current one.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
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
        id: LetterId,
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

/// Where letters come from.
enum Store {
    Sqlite(sqlite::Store),
    Kafka(kafka::Store),
}

/// Runs the subcommand. Exit code 0: done; 1: the letter does not exist; 2: the
/// configuration cannot be used, or there is no store where it says.
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
    let store = match open(args)? {
        Ok(store) => store,
        Err(fault) => {
            writeln!(err, "{fault}")?;
            return Ok(USAGE);
        }
    };
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

/// The store that the arguments name, or what is wrong with them.
fn open(args: &DlqArgs) -> anyhow::Result<Result<Store, String>> {
    let file = match &args.config {
        None => args.data_dir.clone().unwrap_or_else(|| PathBuf::from(".")).join(FILE_NAME),
        Some(path) => {
            let overrides = Overrides { data_dir: args.data_dir.clone(), ..Overrides::default() };
            let config = match Config::load(path, &overrides) {
                Ok(loaded) => loaded.config,
                Err(faults) => return Ok(Err(format!("{}{}", faults.details(false), faults.summary()))),
            };
            match (config.store, &config.kafka) {
                (config::Store::Sqlite { file }, _) => file,
                (config::Store::Kafka, Some(kafka)) => return open_topic(kafka),
                (config::Store::Kafka, None) => {
                    return Ok(Err(format!("error: {} has no section kafka", path.display())));
                }
            }
        }
    };
    if !file.is_file() {
        let file = file.display();
        return Ok(Err(format!("error: {file}: no such file; use --data-dir with the daemon's data directory")));
    }
    Ok(Ok(Store::Sqlite(sqlite::Store::open(&file)?)))
}

fn open_topic(kafka: &config::Kafka) -> anyhow::Result<Result<Store, String>> {
    let missing = || format!("error: there is no topic {}; see: tidegate topics check", kafka.topic("dead-letters"));
    Ok(kafka::Store::open(kafka)?.map(Store::Kafka).ok_or_else(missing))
}

impl Store {
    fn list(&self, filter: &Filter) -> anyhow::Result<Vec<Letter>> {
        match self {
            Self::Sqlite(store) => store.list(filter),
            Self::Kafka(store) => store.list(filter),
        }
    }

    /// `None` too for an id of the other kind of store.
    fn get(&self, id: LetterId) -> anyhow::Result<Option<Letter>> {
        match (self, id) {
            (Self::Sqlite(store), LetterId::Row(id)) => store.get(id),
            (Self::Kafka(store), LetterId::Record { partition, offset }) => store.get(partition, offset),
            _ => Ok(None),
        }
    }
}

impl Filter {
    fn takes(&self, letter: &Letter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
            && self.source.as_ref().is_none_or(|source| *source == letter.source)
    }
}
