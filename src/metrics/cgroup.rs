//! What the control groups of a process allow it: memory and processor time, versions 2 and 1 of their interface.

use std::path::{Path, PathBuf};

/// What is allowed, the strictest of the group and those around it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowed {
    /// Memory, bytes; `None`: no limit.
    pub memory_max: Option<u64>,
    /// Memory from which on the kernel slows the process down, bytes.
    pub memory_high: Option<u64>,
    /// Memory in use by the innermost group that tells, bytes.
    pub memory_used: Option<u64>,
    /// Processors' worth of time; `None`: no quota.
    pub cpus: Option<f64>,
    /// Share of the periods in which the quota was used up, percent.
    pub throttled_percent: Option<f64>,
}

/// Version 1 writes "no limit" as the largest multiple of a page; nobody has this much.
const NO_LIMIT: u64 = 1 << 60;

/// Where Linux shows control groups.
pub const ROOT: &str = "/sys/fs/cgroup";

/// Reads what `/proc/PID/cgroup` names, below the mount point (`/sys/fs/cgroup`).
#[must_use]
pub fn allowed(root: &Path, cgroups: &str) -> Allowed {
    let mut allowed = Allowed::default();
    for line in cgroups.lines() {
        // hierarchy-ID:controllers:path, see cgroups(7).
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let has = |name: &str| controllers.split(',').any(|controller| controller == name);
        if controllers.is_empty() {
            for base in [root.to_path_buf(), root.join("unified")] {
                folders(&base, path).iter().for_each(|folder| allowed.take_v2(folder));
            }
        }
        if has("memory") {
            folders(&root.join("memory"), path).iter().for_each(|folder| allowed.take_memory_v1(folder));
        }
        if has("cpu") {
            let bases = [root.join("cpu"), root.join("cpu,cpuacct")];
            let found = bases.iter().find(|base| base.is_dir());
            found.map(|base| folders(base, path)).iter().flatten().for_each(|folder| allowed.take_cpu_v1(folder));
        }
    }
    allowed
}

/// The group's folder and those above it, innermost first. In a container the path may not exist: the root is ours then.
fn folders(base: &Path, path: &str) -> Vec<PathBuf> {
    let inner = base.join(path.trim_start_matches('/'));
    inner.ancestors().take_while(|folder| folder.starts_with(base)).map(Path::to_path_buf).collect()
}

impl Allowed {
    fn take_v2(&mut self, folder: &Path) {
        least(&mut self.memory_max, number(folder, "memory.max"));
        least(&mut self.memory_high, number(folder, "memory.high"));
        self.memory_used = self.memory_used.or_else(|| number(folder, "memory.current"));
        // `max 100000` or `150000 100000`: microseconds in each period.
        if let Some(text) = read(folder, "cpu.max") {
            let mut words = text.split_whitespace().map(str::parse::<f64>);
            if let (Some(Ok(quota)), Some(Ok(period))) = (words.next(), words.next()) {
                self.take_quota(quota / period);
            }
        }
        self.take_throttling(folder);
    }

    fn take_memory_v1(&mut self, folder: &Path) {
        least(&mut self.memory_max, number(folder, "memory.limit_in_bytes").filter(|limit| *limit < NO_LIMIT));
        self.memory_used = self.memory_used.or_else(|| number(folder, "memory.usage_in_bytes"));
    }

    fn take_cpu_v1(&mut self, folder: &Path) {
        // Without a quota it is -1, which is no number here.
        if let (Some(quota), Some(period)) = (number(folder, "cpu.cfs_quota_us"), number(folder, "cpu.cfs_period_us")) {
            self.take_quota(quota as f64 / period.max(1) as f64);
        }
        self.take_throttling(folder);
    }

    fn take_quota(&mut self, cpus: f64) {
        self.cpus = Some(self.cpus.map_or(cpus, |known| known.min(cpus)));
    }

    fn take_throttling(&mut self, folder: &Path) {
        let Some(text) = read(folder, "cpu.stat").filter(|_| self.throttled_percent.is_none()) else { return };
        let of = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            value.unwrap_or(0.0)
        };
        let (periods, throttled) = (of("nr_periods "), of("nr_throttled "));
        self.throttled_percent = (periods > 0.0).then(|| throttled * 100.0 / periods);
    }
}

fn least(known: &mut Option<u64>, found: Option<u64>) {
    *known = known.iter().copied().chain(found).min();
}

fn number(folder: &Path, file: &str) -> Option<u64> {
    read(folder, file)?.trim().parse().ok()
}

fn read(folder: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(file)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        root
    }

    #[test]
    fn version_2_takes_the_strictest_of_the_path() {
        let root = tree(&[
            ("system.slice/memory.max", "1073741824\n"),
            ("system.slice/t.service/memory.max", "max\n"),
            ("system.slice/t.service/memory.high", "536870912\n"),
            ("system.slice/t.service/memory.current", "1000\n"),
            ("system.slice/memory.current", "9000\n"),
            ("system.slice/t.service/cpu.max", "150000 100000\n"),
            ("system.slice/t.service/cpu.stat", "usage_usec 5\nnr_periods 200\nnr_throttled 50\n"),
        ]);
        let found = allowed(root.path(), "0::/system.slice/t.service\n");
        let expected = Allowed {
            memory_max: Some(1 << 30),
            memory_high: Some(512 << 20),
            memory_used: Some(1_000),
            cpus: Some(1.5),
            throttled_percent: Some(25.0),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn version_1_and_paths_of_other_namespaces() {
        let root = tree(&[
            ("memory/memory.limit_in_bytes", "268435456\n"),
            ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        let found = allowed(root.path(), "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n");
        assert_eq!(found, Allowed { memory_max: Some(256 << 20), ..Allowed::default() });
        let root = tree(&[("memory/memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(allowed(root.path(), "4:memory:/\n"), Allowed::default());
    }
}
