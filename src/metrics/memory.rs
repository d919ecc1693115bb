//! How much memory this process may use: by its control groups (versions 2 and 1), and by what the machine has.

use std::fs;
use std::path::Path;

use crate::metrics::cgroup::{ROOT, allowed};

/// The hardest limit on memory of the process's control group and of those around it, bytes; `None` without a limit. In a
/// container the process's own group is the root.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    of_groups().memory_max
}

/// What can be used before the process is killed, slowed down or paged out: the least of both limits of its control groups
/// and of the memory of the machine, bytes. `None` where nothing tells (not Linux).
#[must_use]
pub fn memory_bound() -> Option<u64> {
    let groups = of_groups();
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| physical(&text));
    [groups.memory_max, groups.memory_high, machine].into_iter().flatten().min()
}

fn of_groups() -> crate::metrics::cgroup::Allowed {
    allowed(Path::new(ROOT), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// The memory of the machine, bytes.
fn physical(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_the_last_bound() {
        assert_eq!(physical("MemTotal:        2048 kB\nMemFree: 5 kB\n"), Some(2 << 20));
        assert_eq!(physical("garbage"), None);
        if fs::exists("/proc/meminfo").unwrap_or(false) {
            let (bound, limit) = (memory_bound(), memory_limit());
            assert!(bound.is_some_and(|bound| bound > 0 && limit.is_none_or(|limit| bound <= limit)), "{bound:?}");
        }
    }
}
