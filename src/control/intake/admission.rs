//! How many senders at once, and how many bytes of bodies that are still arriving.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bounds of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeOptions {
    /// Largest body, before and after inflating. 8 MiB: some thousand alerts, several times what Prometheus sends at once.
    pub body_bytes_max: usize,
    /// A body that is not complete after this time is given up: slow senders must not hold places.
    pub read_timeout: Duration,
    /// Requests with alerts at once, those that wait for their epoch included.
    pub in_flight_max: usize,
    /// Bytes of all bodies that are still being read.
    pub reading_bytes_max: usize,
    /// How long a sender waits for its epoch at most; Prometheus gives up after 10 s, Alertmanager after its interval.
    pub answer_timeout: Duration,
    /// What a refused sender is told.
    pub retry_after_seconds: u32,
}

impl Default for IntakeOptions {
    fn default() -> Self {
        Self {
            body_bytes_max: 8 << 20,
            read_timeout: Duration::from_secs(10),
            in_flight_max: 1_024,
            reading_bytes_max: 64 << 20,
            answer_timeout: Duration::from_secs(30),
            retry_after_seconds: 5,
        }
    }
}

/// Hands out places and room for bodies; nobody waits for either.
#[derive(Debug)]
pub struct Admission {
    options: IntakeOptions,
    places: Semaphore,
    room: Semaphore,
}

impl Admission {
    /// Every place free.
    #[must_use]
    pub fn new(options: IntakeOptions) -> Self {
        Self { options, places: Semaphore::new(options.in_flight_max), room: Semaphore::new(options.reading_bytes_max) }
    }

    /// The bounds.
    #[must_use]
    pub fn options(&self) -> &IntakeOptions {
        &self.options
    }

    /// A place for a request, if one is free.
    pub(crate) fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// Room for `bytes` more, if there is any.
    pub(crate) fn room(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        self.room.try_acquire_many(u32::try_from(bytes).ok()?).ok()
    }
}
