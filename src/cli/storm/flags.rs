//! The arguments of `tidegate storm`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use reqwest::Url;

use crate::cli::output::Output;
use crate::cli::storm::target::Target;
use crate::control::config::duration;
use crate::model::Timestamp;
use crate::model::time::{Clock as _, SystemClock};
use crate::storm::{FloodOptions, Shape};

/// Flood seconds are as the bench corpus has them: one alert each millisecond.
const FILE_FLOOD_RATE: f64 = 1_000.0;
/// A daemon that is sent to as fast as possible should not read times that are far in the future.
pub(crate) const LIVE_FLOOD_RATE: f64 = 100_000.0;
/// A tag is part of every alert of the flood.
const TAG_MAX: usize = 32;

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
    /// Alerts per second, however slow the receiver is; 0 is as fast as it takes them
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
    /// Give the flood clusters of its own, whose names end with this [default: none; with --watch, one never used before]
    #[arg(long, value_parser = parse_tag)]
    pub tag: Option<String>,
    /// Alerts per HTTP request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// HTTP connections; all alerts of a group go over the same one, in order
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub connections: u32,
    /// How long an alert may wait for others to fill its request or batch
    #[arg(long, default_value = "5ms", value_name = "DURATION", value_parser = parse_duration)]
    pub linger: Duration,
    /// Seconds after which a request or message that does not get through is given up
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub retry_for: u64,
    /// File with the bearer token for HTTP, and for the daemon that is watched
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A setting of librdkafka, such as `security.protocol=ssl`; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_kafka_option)]
    pub kafka_option: Vec<(String, String)>,
    /// Measure the daemon that is stormed, and hold its incidents against the truth [default URL: that of --to]
    #[arg(long, value_name = "URL", num_args = 0..=1, help_heading = "Measuring")]
    pub watch: Option<Option<Url>>,
    /// Where the daemon's metrics are, if it has an `admin_listen` [default: that of --watch]
    #[arg(long, value_name = "URL", requires = "watch", help_heading = "Measuring")]
    pub metrics: Option<Url>,
    /// The daemon's process, if it is on this machine: the kernel's word on its processor time and peak memory
    #[arg(long, requires = "watch", help_heading = "Measuring")]
    pub pid: Option<u32>,
    /// How long to wait, after the last alert, for the daemon to take all and for its incidents to tell of all
    #[arg(long, default_value = "90s", value_name = "DURATION", value_parser = parse_duration, help_heading = "Measuring")]
    pub settle: Duration,
    /// Write the record, the same as with `--output json`, to this file
    #[arg(long, value_name = "FILE", help_heading = "Measuring")]
    pub record: Option<PathBuf>,
    /// Draw the run into this file (SVG): rate, lag and latency over time
    #[arg(long, value_name = "FILE", help_heading = "Measuring")]
    pub picture: Option<PathBuf>,
    /// How to write the result: for people, or the record as JSON on standard output
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

impl StormArgs {
    /// Why these arguments cannot be used together, if so.
    pub(super) fn misuse(&self) -> Option<&'static str> {
        if self.to == Target::Stdout && self.output == Output::Json {
            return Some("with --to - standard output carries the flood: no room for --output json");
        }
        if self.watch == Some(None) && !matches!(self.to, Target::Http(_)) {
            return Some("--watch needs the URL of the daemon where --to is none");
        }
        if self.watch.is_some() && !self.to.is_live() {
            return Some("--watch: no daemon takes what is written to a file");
        }
        let has_no_tag = self.tag.as_deref() == Some("");
        (self.watch.is_some() && has_no_tag).then_some("--watch needs a --tag to tell this flood from others")
    }

    pub(super) fn flood_options(&self) -> FloodOptions {
        let paced = Some(self.rate).filter(|rate| *rate > 0.0);
        let usual = if self.to.is_live() { LIVE_FLOOD_RATE } else { FILE_FLOOD_RATE };
        FloodOptions {
            shape: self.shape,
            seed: self.seed,
            alerts: self.alerts,
            start: self.start.unwrap_or_else(|| SystemClock.now()),
            rate: self.flood_rate.or(paced).unwrap_or(usual),
            received_at: self.keep_times || !self.to.is_live(),
        }
    }

    /// What the names of the flood's clusters end with. A daemon that is watched may know the flood from before, or another
    /// one; so it gets clusters that nobody used.
    pub(super) fn flood_tag(&self) -> String {
        let own = || if self.watch.is_some() { short_name(SystemClock.now()) } else { String::new() };
        self.tag.clone().unwrap_or_else(own)
    }

    /// The daemon to watch.
    pub(super) fn daemon(&self) -> Option<Url> {
        match (self.watch.clone()?, &self.to) {
            (Some(url), _) => Some(url),
            (None, Target::Http(url)) => {
                let mut url = url.clone();
                url.set_path("/");
                url.set_query(None);
                Some(url)
            }
            (None, _) => None,
        }
    }
}

/// A name made of a time: base 36, short enough for a label.
fn short_name(at: Timestamp) -> String {
    let mut rest = at.0.unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize]);
        rest /= 36;
    }
    digits.iter().rev().map(|byte| char::from(*byte)).collect()
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

fn parse_tag(text: &str) -> Result<String, String> {
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_word && text.len() <= TAG_MAX {
        return Ok(text.to_owned());
    }
    Err(format!("must be letters, digits and hyphens, at most {TAG_MAX}"))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map(|length| Duration::from_millis(length.0.unsigned_abs()))
}
