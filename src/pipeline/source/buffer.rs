//! Buffers for the bytes of batches that go round: filled by a source, emptied by a decoder, and back.
//!
//! A fresh buffer of half a megabyte costs a page fault every 4 KiB and is copied each time that it grows: for records of
//! some hundred bytes that is as much as reading them.

use std::ops::{Deref, DerefMut};

use crossbeam::channel::{Receiver, Sender, bounded};

/// Bytes that go back to where they came from when nobody needs them any more; those of a plain `Vec` are let go.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    home: Option<Sender<Vec<u8>>>,
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl Clone for Buffer {
    /// A copy has no home.
    fn clone(&self) -> Self {
        self.bytes.clone().into()
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            let _ = home.try_send(bytes); // Enough are at home already, or home is gone.
        }
    }
}

/// Where buffers are at home. Never waits: if none is there, a new one is made.
#[derive(Debug)]
pub struct Home {
    door: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    capacity: usize,
    bytes_max: usize,
}

impl Home {
    /// A home for at most `n_max` idle buffers, made with `capacity` bytes each. One that had to grow beyond twice
    /// that is not kept: a single huge record must not hold its memory for ever.
    #[must_use]
    pub fn new(n_max: usize, capacity: usize) -> Self {
        Self { door: bounded(n_max), capacity, bytes_max: capacity.saturating_mul(2) }
    }

    /// An empty buffer.
    #[must_use]
    pub fn take(&self) -> Buffer {
        let kept = self.door.1.try_iter().find(|bytes| bytes.capacity() <= self.bytes_max);
        let bytes = kept.unwrap_or_else(|| Vec::with_capacity(self.capacity));
        Buffer { bytes, home: Some(self.door.0.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_is_used_again() {
        let home = Home::new(2, 64);
        let mut first = home.take();
        first.extend_from_slice(b"alert");
        let place = first.as_ptr();
        let copy = first.clone();
        drop(first);
        let again = home.take();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, 64));
        assert_eq!(&**copy, b"alert");
        drop(copy); // Has no home, so the next one is new.
        assert_ne!(home.take().as_ptr(), place);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for_and_none_that_grew_far() {
        let home = Home::new(2, 64);
        drop([home.take(), home.take(), home.take()]);
        assert_eq!(home.door.1.len(), 2);
        home.door.1.try_iter().for_each(drop);
        let mut huge = home.take();
        huge.resize(129, 0);
        drop(huge);
        assert_eq!(home.take().capacity(), 64);
    }

    #[test]
    fn it_may_outlive_its_home() {
        let buffer = Home::new(1, 8).take();
        drop(buffer);
    }
}
