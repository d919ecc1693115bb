//! What the machine allows the process: open files, memory, processors.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, size};
use crate::control::config::{Config, SourceKind, Store};
use crate::control::server::ServerOptions;
use crate::metrics::cgroup::{self, Allowed, allowed};

/// Sockets of one Kafka client to one broker: requests, and a coordinator on the same host.
const SOCKETS_PER_BROKER: u64 = 2;
/// Databases, logs, epoll and the like.
const OWN_FILES: u64 = 64;
/// Brokers of a cluster beyond those that are configured.
const BROKERS_MIN: usize = 3;
/// Below this not even the daemon itself comes far.
const FILES_MIN: u64 = 256;

/// What a process needs besides its state: queues, buffers of the Kafka client, code.
const MEMORY_BASE: u64 = 256 << 20;
/// How much memory a byte of saved state takes at a restore: the block, the entry read from it, the table.
const MEMORY_PER_STATE: u64 = 3;

/// Throttling in more than this share of the periods is felt as latency.
const THROTTLED_PERCENT: f64 = 5.0;

/// Whose limits are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Those of the running daemon.
    Daemon(u32),
    /// No daemon was found: those of this process, which a service need not share.
    Shell,
}

impl Whose {
    fn proc_file(self, name: &str) -> String {
        let of = match self {
            Self::Daemon(pid) => pid.to_string(),
            Self::Shell => "self".to_owned(),
        };
        std::fs::read_to_string(Path::new("/proc").join(of).join(name)).unwrap_or_default()
    }

    fn text(self) -> String {
        match self {
            Self::Daemon(pid) => format!("of the daemon (process {pid})"),
            Self::Shell => "of this shell".to_owned(),
        }
    }
}

pub(super) fn open_files(config: &Config, whose: Whose) -> Vec<Finding> {
    let limit = match whose {
        Whose::Daemon(_) => files_of(&whose.proc_file("limits")),
        Whose::Shell => getrlimit(Resource::Nofile).current,
    };
    vec![judge_open_files(limit, files_needed(config), whose)]
}

/// `Max open files   65536   524288   files`; unlimited is `None`.
fn files_of(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Connections that may be open at once, and what the program opens itself.
fn files_needed(config: &Config) -> u64 {
    let listeners = 1 + u64::from(config.http.admin_listen.is_some());
    let http = listeners * ServerOptions::on(config.http.listen).connections_max as u64;
    let of_sources = config.sources.iter().filter(|source| matches!(source.kind, SourceKind::Kafka(_))).count() as u64;
    // The store's producer, its two consumers, and both ends of the commands.
    let of_store = if config.store == Store::Kafka { 5 } else { 0 };
    let brokers = config.kafka.as_ref().map_or(0, |kafka| kafka.connection.brokers.len().max(BROKERS_MIN)) as u64;
    http + (of_sources + of_store) * brokers * SOCKETS_PER_BROKER + OWN_FILES
}

fn judge_open_files(limit: Option<u64>, needed: u64, whose: Whose) -> Finding {
    let Some(limit) = limit else {
        return Finding::ok(Check::OpenFiles, format!("no limit {}, {needed} are needed", whose.text()));
    };
    let what = format!("{limit} {}, {needed} are needed when every connection is taken", whose.text());
    let why = "a connection beyond the limit is refused, and the store cannot be opened again after trouble";
    let remedy = "LimitNOFILE=65536 in the unit, or: ulimit -n 65536";
    match whose {
        _ if limit >= needed => Finding::ok(Check::OpenFiles, what),
        _ if limit < FILES_MIN => Finding::problem(Check::OpenFiles, what, why, remedy),
        Whose::Daemon(_) => Finding::warning(Check::OpenFiles, what, why, remedy),
        Whose::Shell => Finding::note(Check::OpenFiles, what, why, remedy),
    }
}

pub(super) fn memory(whose: Whose, state_bytes: Option<u64>) -> Vec<Finding> {
    let allowed = allowed(Path::new(cgroup::ROOT), &whose.proc_file("cgroup"));
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    vec![judge_memory(&allowed, available, state_bytes, whose)]
}

/// What the machine could still give, bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn judge_memory(allowed: &Allowed, available: Option<u64>, state_bytes: Option<u64>, whose: Whose) -> Finding {
    let state = state_bytes.unwrap_or(0);
    let needed = MEMORY_BASE + MEMORY_PER_STATE * state;
    let least = MEMORY_BASE / 4 + state;
    let need = format!("about {} are needed with {} of saved state", size(needed), size(state));
    let why = "a restart reads the whole state back; a process beyond its limit is killed, again and again";
    let remedy =
        format!("MemoryMax={0} and MemoryHigh={0} or more in the unit", size(needed.next_multiple_of(1 << 20)));
    let remedy = remedy.replace(" MiB", "M").replace(" GiB", "G");
    let limit = [allowed.memory_max, allowed.memory_high].into_iter().flatten().min();
    match (limit, available) {
        (Some(limit), _) => {
            let what = format!("limit {} {}, {need}", size(limit), whose.text());
            match limit {
                _ if limit >= needed => Finding::ok(Check::Memory, what),
                _ if limit < least => Finding::problem(Check::Memory, what, why, remedy),
                _ => Finding::warning(Check::Memory, what, why, remedy),
            }
        }
        (None, Some(available)) => {
            let what = format!("no limit {}, {} are available on this machine, {need}", whose.text(), size(available));
            let running = matches!(whose, Whose::Daemon(_)); // Its memory is taken already.
            if available >= needed || running {
                Finding::ok(Check::Memory, what)
            } else {
                Finding::warning(Check::Memory, what, why, "free memory, or choose a larger machine")
            }
        }
        (None, None) => Finding::note(Check::Memory, format!("no limit was found, {need}"), "", ""),
    }
}

pub(super) fn cpu(config: &Config, whose: Whose) -> Vec<Finding> {
    let allowed = allowed(Path::new(cgroup::ROOT), &whose.proc_file("cgroup"));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    vec![judge_cpu(&allowed, processors, config.pipeline.decoders + config.pipeline.shards)]
}

fn judge_cpu(allowed: &Allowed, processors: usize, threads: usize) -> Finding {
    let quota = allowed.cpus.map_or_else(|| "no quota".to_owned(), |cpus| format!("a quota of {cpus:.1}"));
    let throttled = allowed.throttled_percent.filter(|percent| *percent >= THROTTLED_PERCENT);
    let slowed = throttled.map(|percent| format!(", used up in {percent:.0} % of its periods")).unwrap_or_default();
    let what = format!("{processors} processors, {quota}{slowed}; {threads} threads decode and decide");
    let why = "the quota stops every thread at once for the rest of each period: epochs and answers wait for it";
    if allowed.cpus.is_some_and(|cpus| cpus < 1.0) || throttled.is_some() {
        let remedy = "raise CPUQuota= in the unit (or the container's cpu limit), or lower engine.decoders and shards";
        return Finding::warning(Check::Cpu, what, why, remedy);
    }
    Finding::ok(Check::Cpu, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMON: Whose = Whose::Daemon(7);

    #[test]
    fn open_files_are_judged_by_what_may_be_open_at_once() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(files_of(limits), Some(1_024));
        assert_eq!(files_of("Max open files            unlimited            unlimited            files\n"), None);
        let found = [
            judge_open_files(Some(65_536), 1_088, DAEMON),
            judge_open_files(Some(1_024), 1_088, DAEMON),
            judge_open_files(Some(1_024), 1_088, Whose::Shell),
            judge_open_files(Some(64), 1_088, Whose::Shell),
            judge_open_files(None, 1_088, DAEMON),
        ];
        let shown: Vec<String> = found.iter().map(|one| format!("{} {}", one.level.name(), one.what)).collect();
        insta::assert_snapshot!(shown.join("\n"), @"
        ok 65536 of the daemon (process 7), 1088 are needed when every connection is taken
        warning 1024 of the daemon (process 7), 1088 are needed when every connection is taken
        note 1024 of this shell, 1088 are needed when every connection is taken
        problem 64 of this shell, 1088 are needed when every connection is taken
        ok no limit of the daemon (process 7), 1088 are needed
        ");
    }

    #[test]
    fn memory_is_judged_by_the_state_that_a_restart_reads() {
        assert_eq!(available("MemTotal: 100 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        let limit = |max: u64| Allowed { memory_max: Some(max), ..Allowed::default() };
        let found = [
            judge_memory(&limit(4 << 30), None, Some(100 << 20), DAEMON),
            judge_memory(&limit(512 << 20), None, Some(100 << 20), DAEMON),
            judge_memory(&limit(128 << 20), None, Some(100 << 20), DAEMON),
            judge_memory(&Allowed::default(), Some(64 << 20), None, Whose::Shell),
            judge_memory(&Allowed::default(), Some(8 << 30), None, Whose::Shell),
        ];
        let shown: Vec<String> =
            found.iter().map(|one| format!("{} {} [{}]", one.level.name(), one.what, one.remedy)).collect();
        insta::assert_snapshot!(shown.join("\n"), @"
        ok limit 4 GiB of the daemon (process 7), about 556 MiB are needed with 100 MiB of saved state []
        warning limit 512 MiB of the daemon (process 7), about 556 MiB are needed with 100 MiB of saved state [MemoryMax=556M and MemoryHigh=556M or more in the unit]
        problem limit 128 MiB of the daemon (process 7), about 556 MiB are needed with 100 MiB of saved state [MemoryMax=556M and MemoryHigh=556M or more in the unit]
        warning no limit of this shell, 64 MiB are available on this machine, about 256 MiB are needed with 0 B of saved state [free memory, or choose a larger machine]
        ok no limit of this shell, 8 GiB are available on this machine, about 256 MiB are needed with 0 B of saved state []
        ");
    }

    #[test]
    fn a_quota_matters_when_it_is_small_or_used_up() {
        let with = |cpus: f64, percent: f64| Allowed {
            cpus: Some(cpus),
            throttled_percent: Some(percent),
            ..Allowed::default()
        };
        let found =
            [judge_cpu(&with(2.0, 1.0), 8, 6), judge_cpu(&with(0.5, 0.0), 8, 6), judge_cpu(&with(2.0, 40.0), 8, 6)];
        let shown: Vec<String> = found.iter().map(|one| format!("{} {}", one.level.name(), one.what)).collect();
        insta::assert_snapshot!(shown.join("\n"), @"
        ok 8 processors, a quota of 2.0; 6 threads decode and decide
        warning 8 processors, a quota of 0.5; 6 threads decode and decide
        warning 8 processors, a quota of 2.0, used up in 40 % of its periods; 6 threads decode and decide
        ");
    }
}
