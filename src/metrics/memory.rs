//! The memory that the control groups (version 2) of this process allow it.

use std::fs;
use std::path::Path;

/// Where Linux shows control groups; in a container the process's own group is its root.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// The least `memory.max` of the process's control group and of those around it, bytes; `None` without a limit, and where
/// there are no control groups of version 2.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limit = |group: &Path| {
        let path = Path::new(CONTROL_GROUPS).join(group.strip_prefix("/").ok()?).join("memory.max");
        fs::read_to_string(path).ok()?.trim().parse().ok() // "max" is no number: no limit here.
    };
    own_group(&groups)?.ancestors().filter_map(limit).min()
}

/// The path of the group in the hierarchy of version 2, whose line begins with `0::`.
fn own_group(groups: &str) -> Option<&Path> {
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_told_from_version_1() {
        let path = |text| own_group(text).and_then(Path::to_str);
        assert_eq!(path("0::/system.slice/tidegate.service\n"), Some("/system.slice/tidegate.service"));
        assert_eq!(path("4:memory:/docker/1\n0::/\n"), Some("/"));
        assert_eq!(path("4:memory:/docker/1\n1:name=systemd:/\n"), None);
    }
}
