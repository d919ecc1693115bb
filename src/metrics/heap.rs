//! Freed memory that the C library keeps for later, given back to the system. After a burst that can be more than half of what the
//! process seems to use, and while memory is short it would count as used for ever.

/// Gives back what is free. Takes some milliseconds for each 100 MB, in which no thread can allocate. Does nothing with a C
/// library that is not glibc: others give back by themselves.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call into the C library without arguments that could be wrong")]
pub fn give_back() {
    // SAFETY: malloc_trim(3) may be called at any time and by any thread ("MT-Safe" in its manual page); it takes the allocator's
    // locks itself and frees nothing that is allocated.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Gives back what is free: nothing to do with this C library.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;
    use crate::metrics::process::usage;

    #[test]
    fn freed_memory_goes_back_to_the_system() {
        const BLOCKS: usize = 30_000;
        const BYTES: usize = 4_000;
        let rss = || usage(None).map_or(0, |usage| usage.rss_bytes);
        // Small blocks, the last of which stays: without help nothing below it goes back.
        let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|n| vec![n as u8; BYTES]).collect();
        let full = rss();
        let last = blocks.pop();
        drop(blocks);
        give_back();
        let left = rss();
        assert!(left + (BLOCKS * BYTES / 2) as u64 <= full, "{full} bytes became {left}");
        assert!(last.is_some_and(|block| block.len() == BYTES));
    }
}
