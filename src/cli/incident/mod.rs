//! `tidegate incident`: what was made of the alerts, one line an incident or one in full, and a person's word that one is
//! over. Asks the running daemon, or reads the embedded store without one.

mod list;
mod place;
mod resolve;
mod show;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::client::Reach;
use crate::cli::incident::list::ListArgs;
use crate::cli::incident::place::{Found, IdPrefix, Place};
use crate::cli::installation::Installation;
use crate::cli::output::{Output, is_broken_pipe};
use crate::cli::{FAILED, USAGE};

/// Look at incidents, and resolve one.
#[derive(Debug, Args)]
pub struct IncidentArgs {
    #[command(subcommand)]
    command: IncidentCommand,
    #[command(flatten)]
    reach: Reach,
    /// Read a store instead of asking the daemon; a store in Kafka cannot be searched.
    #[command(flatten, next_help_heading = "Without a daemon")]
    installation: Installation,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum IncidentCommand {
    /// List incidents, newest first.
    List(ListArgs),
    /// Show one incident: counts, alerts, and what happened to it step by step.
    Show {
        /// Its id, or as much of its beginning as no other has.
        id: IdPrefix,
    },
    /// Say that an incident is over, whatever its alerts say.
    Resolve {
        /// Its id, or as much of its beginning as no other has.
        id: IdPrefix,
        /// Who says so; it is written into the incident.
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Wait until it is resolved.
        #[arg(long)]
        wait: bool,
    },
}

/// Runs the subcommand. Exit code 0: done; 1: there is no such incident, or it failed; 2: the arguments cannot be used.
///
/// # Errors
/// When neither daemon nor store can be asked, or the output cannot be written.
pub fn run(args: &IncidentArgs) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (anstream::stdout().lock(), anstream::stderr().lock());
    match run_to(args, &mut out, &mut err) {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done.map(ExitCode::from),
    }
}

fn run_to(args: &IncidentArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let place = if args.installation.is_named() {
        match Place::store(&args.installation)? {
            Ok(place) => place,
            Err(fault) => return usage(&fault, err),
        }
    } else {
        Place::Daemon(args.reach.client()?)
    };
    match &args.command {
        IncidentCommand::List(wanted) => list::run(&place, wanted, args.output, out)?,
        IncidentCommand::Show { id } => match place.find(id)? {
            Found::One(incident) => {
                let steps = place.steps(incident.incident_id)?;
                show::write(&incident, &steps, args.output, out)?;
            }
            missed => return no_single(id, &missed, err),
        },
        IncidentCommand::Resolve { id, by, wait } => {
            let Place::Daemon(client) = &place else {
                return usage("error: only a running daemon can resolve: leave --config and --data-dir away", err);
            };
            match place.find(id)? {
                Found::One(incident) => {
                    let resolved = resolve::run(client, &incident, by, *wait)?;
                    resolve::write(&incident, &resolved, args.output, out)?;
                }
                missed => return no_single(id, &missed, err),
            }
        }
    }
    out.flush()?;
    Ok(0)
}

fn usage(fault: &str, err: &mut dyn Write) -> anyhow::Result<u8> {
    writeln!(err, "{fault}")?;
    Ok(USAGE)
}

/// Says why an id does not name one incident.
fn no_single(id: &IdPrefix, missed: &Found, err: &mut dyn Write) -> anyhow::Result<u8> {
    match missed {
        Found::Several(incidents, more) => {
            writeln!(err, "error: several incidents have an id that begins with {id}:")?;
            list::candidates(incidents, *more, err)?;
        }
        Found::None | Found::One(_) => {
            let is_whole = id.full().is_some();
            let what = if is_whole { "the id" } else { "an id that begins with" };
            writeln!(err, "error: no incident has {what} {id}; see: tidegate incident list")?;
            if !is_whole {
                writeln!(err, "Of incidents that are over for long, only the whole id is known.")?;
            }
        }
    }
    Ok(FAILED)
}
