//! What a run costs: time, processor time of all threads, peak of resident memory; and the line that says so.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};
use tidegate::model::time::Stopwatch;

/// A running measurement.
pub(crate) struct Meter {
    watch: Stopwatch,
    cpu: Duration,
    rss_kib: u64,
}

/// What it came to.
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    cpu_seconds: f64,
    /// Resident before: input and program.
    rss_before_kib: u64,
    rss_peak_kib: u64,
}

impl Meter {
    /// Starts; what was the peak of memory so far is forgotten.
    pub(crate) fn start() -> Self {
        // Where the kernel does not allow it the peak includes the making of the input: too much, never too little.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self { rss_kib: status_kib("self", "VmRSS:"), cpu: cpu(), watch: Stopwatch::start() }
    }

    pub(crate) fn stop(&self) -> Spent {
        let (seconds, cpu_seconds) = (self.watch.elapsed().as_secs_f64(), (cpu() - self.cpu).as_secs_f64());
        let rss_peak_kib = status_kib("self", "VmHWM:");
        Spent { seconds, cpu_seconds, rss_before_kib: self.rss_kib, rss_peak_kib }
    }
}

impl Spent {
    /// The line about `what`; `more` is merged in.
    pub(crate) fn print(&self, what: &str, alerts: u64, bytes: u64, more: Value) -> Result<()> {
        let line = serde_json::json!({
            "what": what,
            "alerts": alerts,
            "bytes": bytes,
            "seconds": self.seconds,
            "alerts_per_second": alerts as f64 / self.seconds,
            "bytes_per_second": bytes as f64 / self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "rss_before_kib": self.rss_before_kib,
            "rss_peak_kib": self.rss_peak_kib,
        });
        print(line, more)
    }
}

/// One JSON object on a line of standard output.
pub(crate) fn print(line: Value, more: Value) -> Result<()> {
    let (Value::Object(mut line), Value::Object(more)) = (line, more) else {
        anyhow::bail!("a line is an object");
    };
    line.extend::<Map<String, Value>>(more);
    writeln!(std::io::stdout().lock(), "{}", Value::Object(line)).context("write the result")
}

/// Processor time of this process, all threads, ended ones included.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Processor time of another process in seconds, to a hundredth; `None` when it is gone.
pub(crate) fn cpu_of(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may have spaces; after it, user and system time are fields 14 and 15, in hundredths.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

/// A line of `/proc/PID/status` in KiB; 0 when there is none.
pub(crate) fn status_kib(pid: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
