//! Watches a daemon that reads a topic, from outside: when all of it is committed, and what the process has spent by then.

use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tidegate::model::time::Stopwatch;

use crate::kafka::{TIMEOUT, consumer, ends};
use crate::measure::{cpu_of, print, status_kib};

/// Time between two looks: a hundredth of a run of a second; a look costs the broker some 100 microseconds.
const PAUSE: Duration = Duration::from_millis(10);

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
    /// The daemon; its start is the start of the gross time
    #[arg(long)]
    pid: u32,
    /// Seconds after which it is given up
    #[arg(long, default_value_t = 600)]
    patience: u64,
    /// What the line is about
    #[arg(long, default_value = "tidegate-kafka")]
    what: String,
}

/// What was seen at a moment.
struct Look {
    at: Duration,
    cpu: f64,
    committed: i64,
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
    // The last look at which nothing was committed yet: the first record was taken after it or just before.
    let mut before: Option<Look> = None;
    let last = loop {
        let Some(cpu) = cpu_of(args.pid) else { bail!("the daemon has ended") };
        let offsets = consumer.committed_offsets(list.clone(), TIMEOUT)?;
        let offset = |offset: Offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        let committed = offsets.elements().iter().map(|element| offset(element.offset())).sum();
        let look = Look { at: watch.elapsed(), cpu, committed };
        if look.committed >= total {
            break look;
        }
        if look.committed == 0 {
            before = Some(look);
        }
        if watch.elapsed().as_secs() > args.patience {
            bail!("{committed} of {total} offsets were committed in {} s", args.patience);
        }
        std::thread::sleep(PAUSE);
    };
    let pid = args.pid.to_string();
    let age = age_of(args.pid)?;
    let first = before.map_or(Duration::ZERO, |look| look.at);
    let line = serde_json::json!({
        "what": args.what, "alerts": total, "seconds": (last.at - first).as_secs_f64(),
        "seconds_gross": age, "cpu_seconds": last.cpu, "cpu_seconds_gross": last.cpu,
        "rss_peak_kib": status_kib(&pid, "VmHWM:"),
    });
    print(line, serde_json::json!({}))
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
