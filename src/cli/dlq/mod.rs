//! `tidegate dlq`: what could not be read, with its reason and its original bytes, and the way back in.
//!
//! `list`, `show` and `requeue` know only `Letter`; `sqlite` and `kafka` are where letters come from.

mod kafka;
mod letter;
mod print;
mod requeue;
mod sqlite;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::cli::dlq::letter::{Letter, LetterId, Requeued};
use crate::cli::dlq::requeue::RequeueArgs;
use crate::cli::installation::Installation;
use crate::cli::output::{Output, is_broken_pipe};
use crate::cli::{FAILED, USAGE};
use crate::control::config::{self, Config};
use crate::pipeline::decode::Reject;

/// Bytes of a letter that the list needs: 60 characters of up to four bytes, and some to see that more follow.
const HEAD_BYTES: u32 = 256;

/// Show what could not be read, and put it in again.
#[derive(Debug, Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
    #[command(flatten)]
    installation: Installation,
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
    /// Put dead letters in again, after what was wrong with them was mended: each goes back the way it came.
    Requeue(RequeueArgs),
}

/// Which letters to list.
#[derive(Clone, Debug, Default, Args)]
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

/// What notes that letters were put in again.
enum Marker {
    Sqlite(sqlite::Marker),
    Kafka(kafka::Marker),
}

/// Runs the subcommand. Exit code 0: done; 1: a letter does not exist, or was not put in again; 2: the
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
    let opened = match args.installation.config() {
        Ok(config) => open(&config)?.map(|store| (config, store)),
        Err(faults) => Err(faults),
    };
    let (config, store) = match opened {
        Ok(opened) => opened,
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
                return Ok(FAILED);
            };
            match args.output {
                _ if *only_bytes => raw.write_all(&letter.bytes)?,
                Output::Text => print::letter(&letter, out)?,
                Output::Json => print::letter_json(&letter, out)?,
            }
            raw.flush()?;
        }
        DlqCommand::Requeue(wanted) => return requeue::run(wanted, &config, &store, args.output, out, err),
    }
    out.flush()?;
    Ok(0)
}

/// The store of a configuration, or what is wrong with it.
fn open(config: &Config) -> anyhow::Result<Result<Store, String>> {
    let file = match (&config.store, &config.kafka) {
        (config::Store::Sqlite { file }, _) => file,
        (config::Store::Kafka, Some(kafka)) => return open_topic(kafka),
        (config::Store::Kafka, None) => return Ok(Err("error: the configuration has no section kafka".to_owned())),
    };
    if !file.is_file() {
        let file = file.display();
        return Ok(Err(format!("error: {file}: no such file; use --data-dir with the daemon's data directory")));
    }
    Ok(Ok(Store::Sqlite(sqlite::Store::open(file)?)))
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

    /// All of a letter that the list has told the beginning of.
    fn whole(&self, listed: &Letter) -> anyhow::Result<Option<Letter>> {
        let whole = match (self, listed.id) {
            (Self::Kafka(store), LetterId::Record { partition, offset }) => store.unmarked(partition, offset)?,
            (store, id) => store.get(id)?,
        };
        Ok(whole.map(|letter| Letter { requeued: listed.requeued.clone(), ..letter }))
    }

    /// Opens it for marks.
    fn marker(&self) -> anyhow::Result<Marker> {
        match self {
            Self::Sqlite(store) => store.marker().map(Marker::Sqlite),
            Self::Kafka(store) => store.marker().map(Marker::Kafka),
        }
    }
}

impl Marker {
    /// Notes that a letter was put in again; durable when this returns.
    fn mark(&self, id: LetterId, requeued: &Requeued) -> anyhow::Result<()> {
        match (self, id) {
            (Self::Sqlite(marker), LetterId::Row(id)) => marker.mark(id, requeued),
            (Self::Kafka(marker), LetterId::Record { partition, offset }) => marker.mark(partition, offset, requeued),
            _ => Ok(()), // A letter has the id of its own store.
        }
    }
}

impl Filter {
    fn takes(&self, letter: &Letter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
            && self.source.as_ref().is_none_or(|source| *source == letter.source)
    }
}
