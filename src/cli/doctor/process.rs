//! The daemon's process, found by the lock it holds: limits are those of the daemon then, not of this shell.

use std::os::linux::fs::MetadataExt as _;
use std::path::Path;

use crate::pipeline::sink::sqlite::lock_file;

/// The process that holds the lock of that state file, if this one may see it.
pub(super) fn holder(state_file: &Path) -> Option<u32> {
    let held = std::fs::metadata(lock_file(state_file)).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let is_ours = |pid: u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim_end() == "tidegate"
    };
    // On some file systems the device of a lock is not that of its file: then the name of the process decides.
    let device = (rustix::fs::major(held.st_dev()), rustix::fs::minor(held.st_dev()));
    find(&locks, held.st_ino()).into_iter().find(|(pid, at)| *at == device || is_ours(*pid)).map(|(pid, _)| pid)
}

/// Who holds an exclusive lock on a file with that inode, and on which device (`/proc/locks`, see proc(5)).
fn find(locks: &str, inode: u64) -> Vec<(u32, (u32, u32))> {
    locks
        .lines()
        .filter_map(|line| {
            // 1: FLOCK  ADVISORY  WRITE 708 08:01:131548 0 EOF; an arrow in second place marks who only waits.
            let mut words = line.split_whitespace().skip(1);
            let ("FLOCK", _, "WRITE") = (words.next()?, words.next()?, words.next()?) else { return None };
            let pid = words.next()?.parse().ok()?;
            let mut place = words.next()?.split(':');
            let major = u32::from_str_radix(place.next()?, 16).ok()?;
            let minor = u32::from_str_radix(place.next()?, 16).ok()?;
            (place.next()?.parse() == Ok(inode)).then_some((pid, (major, minor)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF\n2: FLOCK  ADVISORY  WRITE 708 08:1f:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 709 08:1f:77 0 EOF\n3: FLOCK  ADVISORY  READ 710 08:1f:77 0 EOF\n";
        assert_eq!(find(locks, 77), [(708, (8, 31))]);
        assert_eq!(find(locks, 2_531_452), []);
    }
}
