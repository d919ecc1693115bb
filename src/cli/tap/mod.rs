//! `tidegate tap`: a live sample of what passes a stage of a running daemon, a line each.

mod line;

use std::io::{BufRead as _, BufReader, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::cli::FAILED;
use crate::cli::client::Reach;
use crate::cli::output::{Output, is_broken_pipe};
use crate::cli::tap::line::{Count, Line, json_line, text_line};
use crate::model::Matcher;
use crate::pipeline::tap::{RATE_DEFAULT, RATE_MAX, Stage};

/// The daemon says at least every 5 s that it lives; after this silence it is given up.
const SILENCE: Duration = Duration::from_secs(20);
/// Lines that may wait to be written; beyond that the daemon notices that we are slow, and counts what it leaves out.
const LINES_WAITING: usize = 256;

/// Arguments of `tidegate tap`.
#[derive(Debug, Args)]
pub struct TapArgs {
    /// After which stage: records as they came, what decoding made of them, what became of each alert, incident events.
    #[arg(value_parser = PossibleValuesParser::new(Stage::ALL.map(Stage::name)), default_value = Stage::Shard.name())]
    stage: String,
    /// Only those whose labels match, as in `service="shop", severity=~"critical|high"`. May be given several times.
    #[arg(long, value_name = "MATCHERS", value_parser = matchers)]
    filter: Vec<String>,
    /// Most samples per second.
    #[arg(long, default_value_t = RATE_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: u32,
    /// End after this many samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// A line of text per sample, or the daemon's lines of JSON.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    reach: Reach,
}

/// Reads matchers only to name their faults at once; the daemon reads them again.
fn matchers(text: &str) -> Result<String, String> {
    match Matcher::parse_all(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("at byte {}: {}", error.at, error.what)),
    }
}

/// What happens while we listen.
enum Event {
    /// A line of the daemon.
    Line(Vec<u8>),
    /// The stream is over, in order or not.
    Over(Option<std::io::Error>),
    /// Control-C.
    Interrupted,
}

/// Shows samples until the limit is reached, the daemon stops, or somebody presses control-C.
///
/// # Errors
/// When the daemon does not answer, refuses or falls silent.
pub fn run(args: &TapArgs) -> anyhow::Result<ExitCode> {
    let rate = args.rate.to_string();
    let limit = args.limit.map(|limit| limit.to_string());
    let mut query = vec![("stage", args.stage.as_str()), ("rate", &rate)];
    query.extend(args.filter.iter().map(|filter| ("filter", filter.as_str())));
    query.extend(limit.iter().map(|limit| ("limit", limit.as_str())));
    let client = args.reach.client()?;
    let answer = client.stream("/api/v1/tap", &query)?;
    let (events, happened) = bounded(LINES_WAITING);
    heed_interrupt(events.clone())?;
    let reader = std::thread::Builder::new().name("reader".to_owned());
    reader.spawn(move || read(answer, &events)).context("start thread")?;
    let result = show(args, &happened, &mut anstream::stdout().lock(), &mut anstream::stderr().lock());
    match result {
        // Whoever read the output, `head` for instance, has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.context(client.url().to_string())),
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::from(FAILED)),
    }
}

/// Hands on the lines of the answer. Ends with it, or when nobody wants them any more.
fn read(answer: impl std::io::Read, events: &Sender<Event>) {
    let mut lines = BufReader::new(answer);
    loop {
        let mut line = Vec::new();
        let event = match lines.read_until(b'\n', &mut line) {
            Ok(0) => Event::Over(None),
            Ok(_) => Event::Line(line),
            Err(error) => Event::Over(Some(error)),
        };
        let is_over = matches!(event, Event::Over(_));
        if events.send(event).is_err() || is_over {
            return;
        }
    }
}

/// Control-C ends the listening, so that the last line can still tell what was not shown.
fn heed_interrupt(events: Sender<Event>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start runtime")?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let waits = move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = events.send(Event::Interrupted); // Nobody listens any more: we are ending already.
        }
    };
    thread.spawn(waits).context("start thread")?;
    Ok(())
}

/// Writes what comes. True if it ended as it should.
fn show(args: &TapArgs, events: &Receiver<Event>, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<bool> {
    let width = line::width(std::io::stdout().is_terminal());
    let mut count = Count::default();
    let mut n_shown = 0_u64;
    loop {
        let event = match events.recv_timeout(SILENCE) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => bail!("nothing for {} s, not even a sign of life", SILENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => Event::Over(None),
        };
        let bytes = match event {
            Event::Line(bytes) => bytes,
            Event::Interrupted => {
                tell_count(args, n_shown, count, "at least ", err)?;
                return Ok(true);
            }
            Event::Over(error) => {
                tell_count(args, n_shown, count, "at least ", err)?;
                let cause = error.map_or_else(|| "no cause given".to_owned(), |error| error.to_string());
                bail!("the stream broke off ({cause}); did the daemon end?");
            }
        };
        let line = Line::read(&bytes).context("the daemon sends a line that is none of this version")?;
        if args.output == Output::Json {
            out.write_all(json_line(&bytes).as_bytes())?;
        }
        match line {
            Line::Sample(sample) => {
                n_shown += 1;
                if args.output == Output::Text {
                    writeln!(out, "{}", text_line(&sample, width))?;
                }
            }
            Line::Beat(now) => count = now,
            Line::End(end) => {
                tell_count(args, n_shown, end.count, "", err)?;
                if end.reason == "draining" {
                    writeln!(err, "tidegate: the daemon is stopping")?;
                }
                return Ok(true);
            }
        }
        // A sample is news: it must not wait for more.
        out.flush()?;
    }
}

/// The last line, for people: programs have the numbers in the daemon's own last line.
fn tell_count(args: &TapArgs, n_shown: u64, count: Count, about: &str, err: &mut dyn Write) -> std::io::Result<()> {
    if args.output == Output::Json {
        return Ok(());
    }
    let Count { over_rate, dropped } = count;
    writeln!(
        err,
        "{n_shown} shown, {about}{} not shown ({over_rate} over the rate of {} per second, {dropped} read too slowly)",
        over_rate + dropped,
        args.rate
    )
}

#[cfg(test)]
mod tests;
