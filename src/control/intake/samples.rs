//! The last bodies that could not be read at all, in memory only: a sender of rubbish cannot fill the disk.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use serde::Serialize;

use crate::model::Timestamp;
use crate::model::alert::Format;
use crate::pipeline::decode::Reject;

/// Samples kept.
const SAMPLES_MAX: usize = 100;

/// Bytes kept of each: enough to see what was sent, 400 KiB in all.
const BYTES_MAX: usize = 4 << 10;

/// A body that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedSample {
    /// When it came.
    pub at: Timestamp,
    /// The format of the route it came by.
    pub format: Format,
    /// What is wrong.
    pub reason: &'static str,
    /// Its length, bytes.
    pub bytes_total: usize,
    /// Its beginning; what is not UTF-8 is replaced.
    pub text: String,
}

/// The beginning of a body, kept until it is known whether it can be read.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    bytes: Bytes,
    bytes_total: usize,
}

/// The last samples, newest first.
#[derive(Debug, Default)]
pub struct RejectedSamples(Mutex<VecDeque<RejectedSample>>);

impl RejectedSample {
    pub(crate) fn new(at: Timestamp, format: Format, reason: Reject, from: Beginning) -> Self {
        let text = String::from_utf8_lossy(&from.bytes).into_owned();
        Self { at, format, reason: reason.name(), bytes_total: from.bytes_total, text }
    }
}

impl RejectedSamples {
    /// A copy of the beginning, so that the body itself can be handed on as the only one.
    pub(crate) fn beginning_of(&self, body: &[u8]) -> Beginning {
        let bytes = body.get(..BYTES_MAX).unwrap_or(body);
        Beginning { bytes: Bytes::copy_from_slice(bytes), bytes_total: body.len() }
    }

    /// Keeps a sample; the oldest goes when there are too many.
    pub(crate) fn keep(&self, sample: RejectedSample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.truncate(SAMPLES_MAX - 1);
        samples.push_front(sample);
    }

    /// All samples, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<RejectedSample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_hundred_stay() {
        let samples = RejectedSamples::default();
        for n in 0..150 {
            let beginning = samples.beginning_of(&[b'{'; 5_000]);
            samples.keep(RejectedSample::new(Timestamp(n), Format::Native, Reject::MalformedJson, beginning));
        }
        let list = samples.list();
        assert_eq!(list.len(), SAMPLES_MAX);
        assert_eq!((list.first().unwrap().at, list.last().unwrap().at), (Timestamp(149), Timestamp(50)));
        assert_eq!((list.first().unwrap().bytes_total, list.first().unwrap().text.len()), (5_000, BYTES_MAX));
    }
}
