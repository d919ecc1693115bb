//! Valves between sources and the pipeline: a shut one takes no records, and what is on its way stays where it is.
//!
//! One per process, shared by the sources, the sequencer and whoever decides. Shutting one loses nothing: Kafka and files are read
//! later, HTTP is told to come again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::pipeline::source::SourceIndex;

/// By how much batches, epochs and what may be on its way shrink.
pub const SMALLER: u64 = 4;

/// The valves of all sources; as many as a group's set of sources can name, 64.
#[derive(Debug, Default)]
pub struct Valves {
    /// A bit per source.
    shut: AtomicU64,
    small: AtomicBool,
}

impl Valves {
    /// Shuts the valves of these sources (a bit each), and opens all others.
    pub fn set(&self, shut: u64) {
        self.shut.store(shut, Ordering::Release);
    }

    /// The bit of a source.
    #[must_use]
    pub const fn bit(source: SourceIndex) -> u64 {
        if source.0 < 64 { 1 << source.0 } else { 0 }
    }

    /// Whether a source must wait.
    #[must_use]
    pub fn is_shut(&self, source: SourceIndex) -> bool {
        self.shut.load(Ordering::Acquire) & Self::bit(source) != 0
    }

    /// Says whether batches shall be small.
    pub fn make_small(&self, small: bool) {
        self.small.store(small, Ordering::Relaxed);
    }

    /// A bound as it is now: a quarter while batches shall be small, but at least 1.
    #[must_use]
    pub fn bound(&self, usual: u64) -> u64 {
        if self.small.load(Ordering::Relaxed) { (usual / SMALLER).max(1) } else { usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own() {
        let valves = Valves::default();
        let shut = |valves: &Valves| [0, 1, 63, 64].map(|source| valves.is_shut(SourceIndex(source)));
        assert_eq!(shut(&valves), [false; 4]);
        valves.set(Valves::bit(SourceIndex(1)) | Valves::bit(SourceIndex(63)));
        assert_eq!(shut(&valves), [false, true, true, false]);
        valves.set(0);
        assert_eq!(shut(&valves), [false; 4]);
    }

    #[test]
    fn bounds_shrink_but_never_to_nothing() {
        let valves = Valves::default();
        assert_eq!(valves.bound(100), 100);
        valves.make_small(true);
        assert_eq!([valves.bound(100), valves.bound(2)], [25, 1]);
    }
}
