//! Watches a daemon that reads a topic, from outside: when all of it is committed, and what the process has spent by then.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tidegate::model::time::{Clock as _, Stopwatch, SystemClock};

use crate::kafka::{TIMEOUT, consumer, ends};
use crate::measure::{cpu_of, print, status_kib};

/// Least and most time between two looks. A look costs the broker up to a millisecond, on the cores that are measured: so it is
/// looked seldom while much is left, and a hundredth of a run of a second is what the end may be told late by.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `host:port` of a broker
    #[arg(long)]
    bootstrap: String,
    /// The topic that is read
    #[arg(long)]
    topic: String,
    /// The consumer group that commits
    #[arg(long)]
    group: String,
    /// The daemon; the time is counted from its start
    #[arg(long)]
    pid: u32,
    /// Seconds after which it is given up
    #[arg(long, default_value_t = 600)]
    patience: u64,
    /// What the line is about
    #[arg(long, default_value = "tidegate-kafka")]
    what: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let watch = Stopwatch::start();
    let consumer: BaseConsumer = consumer(&args.bootstrap, &args.group).create()?;
    let ends = ends(&consumer, &args.topic)?;
    let total: i64 = ends.iter().map(|(_, end)| end).sum();
    let mut list = TopicPartitionList::new();
    for (id, _) in &ends {
        list.add_partition(&args.topic, *id);
    }
    loop {
        let offsets = consumer.committed_offsets(list.clone(), TIMEOUT)?;
        let offset = |offset: Offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        let committed: i64 = offsets.elements().iter().map(|element| offset(element.offset())).sum();
        if committed >= total {
            break;
        }
        ensure!(cpu_of(args.pid).is_some(), "the daemon has ended");
        let patience = args.patience;
        ensure!(watch.elapsed().as_secs() < patience, "{committed} of {total} offsets were committed in {patience} s");
        std::thread::sleep(pause(committed, total, watch.elapsed()));
    }
    let done_at = SystemClock.now();
    let (age, cpu) = (age_of(args.pid)?, cpu_of(args.pid).context("the daemon has ended")?);
    let line = serde_json::json!({
        "what": args.what, "alerts": total, "seconds_gross": age, "done_at_ms": done_at.0, "cpu_seconds_gross": cpu,
        "rss_peak_kib": status_kib(&args.pid.to_string(), "VmHWM:"),
    });
    print(line, serde_json::json!({}))
}

/// Until the next look: half of the time that the rest takes at the rate so far.
fn pause(committed: i64, total: i64, elapsed: Duration) -> Duration {
    let rest = elapsed.mul_f64((total - committed) as f64 / committed.max(1) as f64 / 2.0);
    rest.clamp(PAUSE.0, PAUSE.1)
}

/// Seconds since the process was started, to a hundredth.
fn age_of(pid: u32) -> Result<f64> {
    let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
    let up = std::fs::read_to_string("/proc/uptime")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Field 22, the start after boot in hundredths of a second; the name in brackets is field 2.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let start = fields.split_ascii_whitespace().nth(19).map_or(0.0, number) / 100.0;
    Ok(up.split(' ').next().map_or(0.0, number) - start)
}
