//! `tidegate dlq requeue`: dead letters back in, each the way it came, once what was wrong with them was mended.
//!
//! The order is: send, wait until it is durable, mark the letter. A crash in between leaves a letter that was sent and
//! is not marked, so a letter may go in twice, but is never lost. `way` says where a letter goes, `body` what is sent.

mod body;
mod report;
mod send;
#[cfg(test)]
mod tests;
mod way;

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::client::Reach;
use crate::cli::dlq::letter::{Letter, LetterId, Requeued};
use crate::cli::dlq::requeue::report::{Fate, Report};
use crate::cli::dlq::requeue::send::{Sender, Sent};
use crate::cli::dlq::requeue::way::Way;
use crate::cli::dlq::{Filter, Store};
use crate::cli::output::Output;
use crate::cli::{FAILED, USAGE};
use crate::control::config::Config;
use crate::control::intake::advice;
use crate::model::alert::Format;
use crate::model::time::{Clock as _, SystemClock};
use crate::pipeline::decode::Reject;

/// Which letters, and how.
#[derive(Debug, Args)]
pub(super) struct RequeueArgs {
    /// Ids from the list.
    #[arg(value_name = "ID", conflicts_with_all = ["reason", "source", "all"], required_unless_present_any = ["reason", "source", "all"])]
    ids: Vec<LetterId>,
    /// All with this reason that were not put in again yet.
    #[arg(long, value_parser = PossibleValuesParser::new(Reject::ALL.map(Reject::name)))]
    reason: Option<String>,
    /// All of this source that were not put in again yet.
    #[arg(long)]
    source: Option<String>,
    /// All that were not put in again yet.
    #[arg(long)]
    all: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before many letters are put in again.
    #[arg(long)]
    yes: bool,
    /// Also those that were put in again before.
    #[arg(long)]
    again: bool,
    /// Also those that still cannot be read; each becomes a new dead letter.
    #[arg(long)]
    anyway: bool,
    /// The wire format in which they are to be read over HTTP, if not that in which they came.
    #[arg(long, value_parser = PossibleValuesParser::new(Format::ALL.map(Format::name)).map(|name| name.parse::<Format>().unwrap_or(Format::Native)))]
    format: Option<Format>,
    #[command(flatten)]
    reach: Reach,
}

/// Puts letters in again. Exit code 0: all of them; 1: not all; 2: the arguments cannot be used.
pub(super) fn run(
    args: &RequeueArgs,
    config: &Config,
    store: &Store,
    output: Output,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<u8> {
    let mut report = Report::new(args.dry_run);
    let chosen = choose(args, store, &mut report)?;
    if args.ids.is_empty() && !args.dry_run && !chosen.is_empty() && !args.yes && !agreed(chosen.len(), err)? {
        return Ok(USAGE);
    }
    let mut sender = Sender::new(&args.reach, config.kafka.as_ref());
    let mut marker = None;
    for listed in chosen {
        let Some(letter) = store.whole(&listed)? else {
            report.add(listed.id, Fate::Refused, None, "it is gone: its retention is over");
            continue;
        };
        let (way, body) = match prepare(&letter, args, config) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                report.add(letter.id, Fate::Refused, None, &refusal);
                continue;
            }
        };
        if args.dry_run {
            report.add(letter.id, Fate::WouldBeRequeued, Some(sender.place(&way)?), "");
            continue;
        }
        let marker = match &mut marker {
            Some(marker) => marker,
            // Opened before anything is sent: what cannot be marked must not go in.
            none => none.insert(store.marker()?),
        };
        match sender.send(&letter, &way, body) {
            Ok(Sent::NotTaken(why)) => report.add(letter.id, Fate::Failed, Some(sender.place(&way)?), &why),
            Ok(Sent::Durable { to, rejected_again, detail }) => {
                let fate = if rejected_again { Fate::RejectedAgain } else { Fate::Requeued };
                report.add(letter.id, fate, Some(to.clone()), &detail);
                if let Err(error) = marker.mark(letter.id, &Requeued { at: SystemClock.now(), to }) {
                    report.stop(letter.id, &format!("it went in, but could not be marked: {error:#}"));
                    break;
                }
            }
            Err(error) => {
                report.stop(letter.id, &format!("{error:#}"));
                break;
            }
        }
    }
    report.write(output, out)?;
    out.flush()?;
    Ok(if report.is_good() { 0 } else { FAILED })
}

/// The letters that the arguments mean, oldest first; with a filter without those that went in before.
fn choose(args: &RequeueArgs, store: &Store, report: &mut Report) -> anyhow::Result<Vec<Letter>> {
    if args.ids.is_empty() {
        let filter = Filter { reason: args.reason.clone(), source: args.source.clone(), limit: u32::MAX };
        let mut letters = store.list(&filter)?;
        letters.retain(|letter| args.again || letter.requeued.is_none());
        letters.reverse();
        return Ok(letters);
    }
    let mut letters: Vec<Letter> = Vec::new();
    for &id in &args.ids {
        match store.get(id)? {
            None => report.add(id, Fate::Refused, None, "there is no dead letter with this id"),
            Some(letter) if letters.iter().all(|known| known.id != id) => letters.push(letter),
            Some(_) => {} // Named twice.
        }
    }
    Ok(letters)
}

/// Asks; without anybody to ask it says how to do without.
fn agreed(count: usize, err: &mut dyn Write) -> io::Result<bool> {
    let what = if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") };
    if !io::stdin().is_terminal() {
        writeln!(err, "error: this puts {what} in again: say --yes, or --dry-run to see which")?;
        return Ok(false);
    }
    write!(err, "put {what} in again? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Where a letter goes and what is sent, or why it must not.
fn prepare(letter: &Letter, args: &RequeueArgs, config: &Config) -> Result<(Way, Vec<u8>), String> {
    if !letter.is_whole() {
        let (kept, all) = (letter.bytes.len(), letter.original_len);
        return Err(format!("only the first {kept} of {all} bytes were kept: let its sender send it again"));
    }
    if let Some(Requeued { at, to }) = letter.requeued.as_ref().filter(|_| !args.again) {
        return Err(format!("it went in again at {at}, to {to}; once more: --again"));
    }
    let way = Way::of(letter, args.format, config)?;
    let read_as = letter.format.unwrap_or(way.format());
    let mut body = body::of(&letter.bytes, letter.element.is_some(), read_as, way.format());
    if letter.reason == Reject::Panic.name() {
        body = body::unsuspected(body);
    }
    match body::judge(&body, way.format(), way.bytes_max()) {
        Some(reject) if !args.anyway => Err(format!(
            "it still cannot be read as {}: {} ({}); with --anyway it goes in all the same, to be rejected again",
            way.format().name(),
            reject.name(),
            advice(reject)
        )),
        _ => Ok((way, body)),
    }
}
