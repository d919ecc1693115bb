//! `tidegate storm`: sends a seeded flood with known truth to a file, a daemon or Kafka, and measures the daemon that takes
//! it. Which alerts those are is the room `storm`'s business; here is how they get there, and what becomes of them.
//!
//! ```text
//! flood ──► pacer ──► outlet ──► daemon ──► incidents ──► comparison ◄── truth
//!             │ due     │ answers    │ metrics, events
//!             └─────────┴──── watch ─┴──► record ──► report, picture
//! ```

mod course;
mod delivery;
mod figures;
mod file;
mod flags;
mod http;
mod kafka;
mod latency;
mod live;
mod outlet;
mod pace;
mod picture;
mod record;
mod report;
mod session;
mod target;
mod watch;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::USAGE;
use crate::cli::output::{self, Output};
use crate::storm::{Flood, Truth};

pub use course::Moment;
pub use delivery::{Delivery, Score};
pub(crate) use figures::{Rate, short};
pub use flags::StormArgs;
pub(crate) use flags::{LIVE_FLOOD_RATE, shape_parser};
pub(crate) use http::Connections;
pub use http::HttpOptions;
pub use latency::{Latencies, Quantiles};
pub use outlet::{Openings, Outlet, Parcel, send};
pub use pace::Pacer;
pub use record::{Daemon, Generator, RECORD_VERSION, Record};
pub use target::{Target, UnusableTarget};
pub(crate) use watch::{Fates, Gate};

use kafka::KafkaOptions;
use session::{Storm, play};
use watch::{Watch, WatchOptions};

/// Sends the flood. Success is 0; a flood that did not arrive in full, or incidents that are not the true ones, 1.
///
/// # Errors
/// When the target cannot be opened, the daemon to be watched does not answer, or a result cannot be written.
pub fn run(args: &StormArgs) -> Result<ExitCode> {
    if let Some(fault) = args.misuse() {
        writeln!(anstream::stderr(), "error: {fault}")?;
        return Ok(ExitCode::from(USAGE));
    }
    let tag = args.flood_tag();
    let delivery = Delivery::default();
    let watch = args.daemon().map(|url| {
        let (metrics, token_file) = (args.metrics.clone(), args.token_file.clone());
        Watch::begin(WatchOptions { url, metrics, token_file, pid: args.pid, tag: tag.clone() }, delivery.clock())
    });
    let watch = watch.transpose()?;
    let outcome = play(Storm {
        flood: Flood::tagged(args.flood_options(), &tag),
        outlet: open(args, &delivery)?,
        delivery,
        rate: args.rate,
        watch,
        settle: args.settle,
    })?;
    if let Some(path) = &args.truth {
        let write = |out: &mut dyn Write| write_truth(out, &outcome.truth);
        write_file(path, write).with_context(|| format!("write the truth to {}", path.display()))?;
    }
    let is_http = matches!(args.to, Target::Http(_));
    let record = Record {
        to: args.to.to_string(),
        tag,
        batch: is_http.then_some(args.batch),
        connections: is_http.then_some(args.connections),
        linger_ms: u64::try_from(args.linger.as_millis()).unwrap_or(u64::MAX),
        ..outcome.record
    };
    if let Some(path) = &args.record {
        let write = |out: &mut dyn Write| output::json(&record, out);
        write_file(path, write).with_context(|| format!("write the record to {}", path.display()))?;
    }
    if let Some(path) = &args.picture {
        let write = |out: &mut dyn Write| out.write_all(picture::draw(&record).as_bytes());
        write_file(path, write).with_context(|| format!("draw the picture into {}", path.display()))?;
    }
    let written = match (args.output, record.daemon.is_some()) {
        (Output::Json, _) => output::json(&record, &mut anstream::stdout().lock()),
        (Output::Text, true) => report::write(&record, &mut anstream::stdout().lock()),
        // Standard output may carry the flood.
        (Output::Text, false) => report::write_line(&record, &mut anstream::stderr().lock()),
    };
    written.context("write the summary")?;
    Ok(ExitCode::from(u8::from(!record.complete || record.exact == Some(false))))
}

fn open(args: &StormArgs, delivery: &Delivery) -> Result<Box<dyn Outlet + Send>> {
    let patience = Duration::from_secs(args.retry_for);
    match &args.to {
        Target::Stdout => Ok(Box::new(file::Lines::new(std::io::stdout(), delivery))),
        Target::File(path) => {
            let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            Ok(Box::new(file::Lines::new(file, delivery)))
        }
        Target::Http(url) => {
            let options = HttpOptions {
                url: url.clone(),
                batch: args.batch,
                connections: args.connections,
                patience,
                linger: args.linger,
                is_paced: args.rate > 0.0,
                token: args.token_file.as_deref().map(read_token).transpose()?,
            };
            Ok(Box::new(http::Connections::open(options, delivery)?))
        }
        Target::Kafka { brokers, topic } => {
            let (settings, linger) = (args.kafka_option.as_slice(), args.linger);
            let options = KafkaOptions { brokers, topic, settings, patience, linger };
            Ok(Box::new(kafka::Producer::open(&options, delivery)?))
        }
    }
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read the token from {}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn write_truth(out: &mut dyn Write, truth: &Truth) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, truth)?;
    out.write_all(b"\n")
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write(&mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests;
