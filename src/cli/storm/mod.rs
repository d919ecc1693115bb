//! `tidegate storm`: sends a seeded flood with known truth to a file, a daemon or Kafka.
//! Which alerts those are is the room `storm`'s business; here is how they get there.

mod file;
mod http;
mod kafka;
mod outlet;
mod pace;
mod target;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::USAGE;
use crate::cli::output::{self, Output};
use crate::cli::terminal::{Lines, safe};
use crate::model::Timestamp;
use crate::model::time::{Clock, SystemClock};
use crate::storm::{Flood, FloodOptions, Shape, Truth};

pub use http::HttpOptions;
pub(crate) use http::{Connections, client};
pub use outlet::{Delivery, Latency, Outlet, Parcel, Score, send};
pub use pace::Pacer;
pub use target::{Target, UnusableTarget};

/// Flood seconds are as the bench corpus has them: one alert each millisecond.
const FILE_FLOOD_RATE: f64 = 1_000.0;
/// A daemon that is sent to as fast as possible should not read times that are far in the future.
pub(crate) const LIVE_FLOOD_RATE: f64 = 100_000.0;

/// Send a flood of alerts whose right answer is known
#[derive(Debug, Clone, Args)]
pub struct StormArgs {
    /// Where to: `-` (standard output), `file:PATH`, `http://HOST:PORT`, `https://..`, `kafka://BROKER[,BROKER]/TOPIC`
    #[arg(long, value_name = "TARGET")]
    pub to: Target,
    /// What the flood looks like
    #[arg(long, default_value = Shape::TicketStorm.name(), value_parser = shape_parser())]
    pub shape: Shape,
    /// The same seed gives the same flood
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many alerts
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub alerts: u32,
    /// Alerts per second; 0 is as fast as possible
    #[arg(long, default_value_t = 0.0, value_parser = parse_rate)]
    pub rate: f64,
    /// Alerts per second in the timestamps [default: --rate; without it 1000 for files, 100000 else]
    #[arg(long, value_parser = parse_rate)]
    pub flood_rate: Option<f64>,
    /// The time of the first alert, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub start: Option<Timestamp>,
    /// Write the truth about the flood to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Write `receivedAt` over HTTP and Kafka too (files always have it)
    #[arg(long)]
    pub keep_times: bool,
    /// Alerts per HTTP request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// HTTP connections; all alerts of a group go over the same one, in order
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub connections: u32,
    /// Seconds after which a request or message that does not get through is given up
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub retry_for: u64,
    /// File with the bearer token for HTTP
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A setting of librdkafka, such as `security.protocol=ssl`; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_kafka_option)]
    pub kafka_option: Vec<(String, String)>,
    /// How to write the summary: a line on standard error, or JSON on standard output
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Sends the flood. Success is 0, a flood that did not arrive in full 1.
///
/// # Errors
/// When the target cannot be opened or the truth cannot be written.
pub fn run(args: &StormArgs) -> Result<ExitCode> {
    if args.to == Target::Stdout && args.output == Output::Json {
        writeln!(
            anstream::stderr(),
            "error: with --to - standard output carries the flood: no room for --output json"
        )?;
        return Ok(ExitCode::from(USAGE));
    }
    let mut flood = Flood::new(flood_options(args));
    let delivery = Delivery::new(u64::from(args.alerts));
    let outlet = open(args, &delivery)?;
    let mut pacer = Pacer::new(args.rate);
    send(&mut flood, outlet, &mut pacer, &delivery)?;
    let truth = flood.truth();
    if let Some(path) = &args.truth {
        write_truth(path, &truth).with_context(|| format!("write the truth to {}", path.display()))?;
    }
    let score = delivery.close();
    let written = match args.output {
        Output::Text => write_summary(args, &truth, &score, pacer.elapsed()),
        Output::Json => output::json(&summary(args, &truth, &score, pacer.elapsed()), &mut anstream::stdout().lock()),
    };
    written.context("write the summary")?;
    Ok(ExitCode::from(u8::from(!score.is_complete())))
}

fn flood_options(args: &StormArgs) -> FloodOptions {
    let paced = Some(args.rate).filter(|rate| *rate > 0.0);
    let usual = if args.to.is_live() { LIVE_FLOOD_RATE } else { FILE_FLOOD_RATE };
    FloodOptions {
        shape: args.shape,
        seed: args.seed,
        alerts: args.alerts,
        start: args.start.unwrap_or_else(|| SystemClock.now()),
        rate: args.flood_rate.or(paced).unwrap_or(usual),
        received_at: args.keep_times || !args.to.is_live(),
    }
}

fn open(args: &StormArgs, delivery: &Delivery) -> Result<Box<dyn Outlet>> {
    let patience = Duration::from_secs(args.retry_for);
    match &args.to {
        Target::Stdout => Ok(Box::new(file::Lines::new(std::io::stdout(), delivery))),
        Target::File(path) => {
            let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            Ok(Box::new(file::Lines::new(file, delivery)))
        }
        Target::Http(url) => {
            let token = args.token_file.as_deref().map(read_token).transpose()?;
            let (batch, connections) = (args.batch, args.connections);
            let options = HttpOptions { url: url.clone(), batch, connections, patience, token };
            Ok(Box::new(http::Connections::open(options, delivery)?))
        }
        Target::Kafka { brokers, topic } => {
            Ok(Box::new(kafka::Producer::open(brokers, topic, &args.kafka_option, patience, delivery)?))
        }
    }
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read the token from {}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn write_truth(path: &Path, truth: &Truth) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut out, truth)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// The same numbers for programs.
fn summary(args: &StormArgs, truth: &Truth, score: &Score, elapsed: Duration) -> serde_json::Value {
    serde_json::json!({
        "to": args.to.to_string(),
        "shape": args.shape.name(),
        "seed": args.seed,
        "alerts": args.alerts,
        "sent": score.sent,
        "failed": score.failed,
        "retries": score.retries,
        "doubtful": score.doubtful,
        "first_error": score.first_error,
        "complete": score.is_complete(),
        "seconds": elapsed.as_secs_f64(),
        "incidents": truth.groups.len(),
        "fingerprints": truth.members,
    })
}

/// One line for people, on standard error: standard output may carry the flood.
fn write_summary(args: &StormArgs, truth: &Truth, score: &Score, elapsed: Duration) -> std::io::Result<()> {
    let mut out = anstream::stderr();
    let seconds = elapsed.as_secs_f64();
    let per_second = score.sent as f64 / seconds.max(0.001);
    write!(out, "sent {} of {} alerts to {} in {seconds:.1} s ({per_second:.0}/s)", score.sent, args.alerts, args.to)?;
    write!(out, "; {} incidents, {} fingerprints", truth.groups.len(), truth.members)?;
    if score.retries > 0 {
        write!(out, "; {} retries, {} alerts may have arrived twice", score.retries, score.doubtful)?;
    }
    if score.failed > 0 {
        write!(out, "; {} alerts failed", score.failed)?;
    }
    if let Some(error) = &score.first_error {
        write!(out, "; first error: {}", safe(error.as_bytes(), Lines::One))?;
    }
    writeln!(out)
}

pub(crate) fn shape_parser() -> impl TypedValueParser<Value = Shape> {
    PossibleValuesParser::new(Shape::ALL.map(Shape::name)).try_map(|name| name.parse::<Shape>())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err("must be a number from 0".to_owned()),
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "must be a time such as 2026-01-31T08:00:00Z".to_owned())
}

fn parse_kafka_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests;
