//! The metrics every Prometheus user knows about a process, read from `/proc/self` at each scrape.
//!
//! Where there is no such file (not Linux) the metric is left out.

use std::fs;

use crate::metrics::text::family;

/// Names, kinds and help texts, in the order of `Readings::values`.
const FAMILIES: [(&str, &str, &str); 6] = [
    ("process_cpu_seconds_total", "counter", "Time the process has spent on processors, user and system."),
    ("process_resident_memory_bytes", "gauge", "Memory of the process that is in RAM."),
    ("process_virtual_memory_bytes", "gauge", "Address space of the process."),
    ("process_open_fds", "gauge", "Open file descriptors."),
    ("process_max_fds", "gauge", "Most file descriptors the process may open."),
    ("process_start_time_seconds", "gauge", "When the process started, seconds since the epoch."),
];

/// Clock ticks per second in `/proc`: `USER_HZ`, which is 100 on every architecture Rust has a Linux target for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The names of this file, for tests of dashboards.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _, _)| *name)
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Time on processors, user and system, seconds.
    pub cpu_seconds: f64,
    /// Memory in RAM now.
    pub rss_bytes: u64,
    /// The most memory in RAM since it started.
    pub rss_peak_bytes: u64,
}

/// What a process of this machine has used so far, this one without a number. Absent if there is no such process.
#[must_use]
pub fn usage(pid: Option<u32>) -> Option<Usage> {
    let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let (cpu, _) = ticks(&fs::read_to_string(format!("{folder}/stat")).ok()?)?;
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let bytes = |key: &str| kilobytes(&status, key).map(|bytes| bytes as u64);
    let (rss_bytes, rss_peak_bytes) = (bytes("VmRSS:")?, bytes("VmHWM:")?);
    Some(Usage { cpu_seconds: cpu / TICKS_PER_SECOND, rss_bytes, rss_peak_bytes })
}

/// Appends the metrics of this process.
pub(super) fn render(out: &mut String) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let (cpu, started_after_boot) = ticks(&read("/proc/self/stat")).unzip();
    let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count() as f64).ok();
    let values = [
        cpu.map(|ticks| ticks / TICKS_PER_SECOND),
        kilobytes(&status, "VmRSS:"),
        kilobytes(&status, "VmSize:"),
        open,
        word(&read("/proc/self/limits"), "Max open files", 0),
        started_after_boot
            .zip(word(&read("/proc/stat"), "btime", 0))
            .map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND),
    ];
    for ((name, kind, help), value) in FAMILIES.iter().zip(values) {
        if let Some(value) = value {
            family(out, name, kind, help, &[(Vec::new(), value)]);
        }
    }
}

/// User plus system time, and start after boot, in ticks. The command's name may hold spaces and parentheses, so fields
/// are counted from the last parenthesis: state is the first, utime the 12th, stime the 13th, starttime the 20th.
fn ticks(stat: &str) -> Option<(f64, f64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((number(11)? + number(12)?, number(19)?))
}

fn kilobytes(status: &str, key: &str) -> Option<f64> {
    word(status, key, 0).map(|kilobytes| kilobytes * 1024.0)
}

/// The number at place `index` behind `key` in the line that starts with it.
fn word(text: &str, key: &str, index: usize) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_looked_at_by_its_number() {
        if fs::exists("/proc/self/stat").unwrap_or(false) {
            let (own, same) = (usage(None), usage(Some(std::process::id())));
            assert!(own.is_some_and(|own| own.rss_bytes > 0 && own.rss_peak_bytes >= own.rss_bytes), "{own:?}");
            assert!(same.is_some_and(|same| same.cpu_seconds >= own.unwrap_or_default().cpu_seconds));
        }
        assert_eq!(usage(Some(u32::MAX)), None);
    }

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "7 (a) b (c)) S 1 1 1 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 1234 1 1";
        assert_eq!(ticks(stat), Some((300.0, 1234.0)));
        assert_eq!(ticks("garbage"), None);
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2_097_152.0));
    }
}
