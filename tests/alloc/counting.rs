//! An allocator that counts what it passes on to the system's: how often, by thread, and how many bytes live, in all.
//!
//! The room of `unsafe` here: every call goes to `System` with the arguments it came with, and its answer goes back as it
//! is; so whatever the caller owes to `GlobalAlloc` it owes to `System`, and gets from it. Counting touches no memory but
//! its own: atomics, and a cell of the thread that needs neither an allocation nor a destructor.
#![allow(unsafe_code, reason = "an allocator cannot be written without it; the header has the proof")]
#![allow(dead_code, reason = "a test and a bench each take a part of this")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// To be made the `global_allocator`.
pub(crate) struct Counting;

/// Times that the calling thread has asked for memory.
pub(crate) fn calls() -> u64 {
    CALLS.with(Cell::get)
}

/// Bytes that live now.
pub(crate) fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The most bytes that lived at one time since the last call, and starts anew.
pub(crate) fn take_peak() -> usize {
    PEAK.swap(live(), Ordering::Relaxed)
}

fn grew(by: usize) {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    let now = LIVE.fetch_add(by, Ordering::Relaxed) + by;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: see the header.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's pointer and layout, which came from `System` by one of the calls above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Counted as if both lived for a moment: what the system cannot grow in place it copies.
        grew(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's pointer, layout and size; the pointer came from `System` by one of the calls here.
        unsafe { System.realloc(place, layout, size) }
    }
}
