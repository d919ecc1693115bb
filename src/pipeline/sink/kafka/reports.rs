//! What the client library reports of a producer: which records arrived, what failed, and what it says in its log.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use crossbeam::channel::Sender;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;
use serde::Deserialize;

use crate::pipeline::sink::kafka::cluster::Trouble;
use crate::pipeline::sink::kafka::records::REPORT_OFFSET;
use crate::pipeline::source::kafka::health;

/// What the library reports of a producer.
#[derive(Debug)]
pub(super) struct Reports {
    /// The first record that could not be delivered, and why.
    failed: Mutex<Option<Trouble>>,
    /// The offset of the record that was tagged with `REPORT_OFFSET`; -1 until it is known.
    pub(super) offset: AtomicI64,
    /// See `Transactions::is_suspect`.
    pub(super) suspect: AtomicBool,
    n_timeouts: AtomicU64,
    /// Records that were sent and not reported yet.
    pub(super) on_their_way: AtomicUsize,
    /// Rung when there are none left.
    ring: Sender<()>,
}

impl Reports {
    pub(super) fn new(ring: Sender<()>) -> Self {
        Self {
            failed: Mutex::new(None),
            offset: AtomicI64::new(-1),
            suspect: AtomicBool::new(false),
            n_timeouts: AtomicU64::new(0),
            on_their_way: AtomicUsize::new(0),
            ring,
        }
    }

    /// A record is not on its way any more.
    pub(super) fn arrived(&self) {
        if self.on_their_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _ = self.ring.try_send(()); // Full means that it rings already.
        }
    }

    pub(super) fn forget(&self) {
        if let Ok(mut failed) = self.failed.lock() {
            *failed = None;
        }
        self.offset.store(-1, Ordering::Relaxed);
    }

    pub(super) fn check(&self) -> Result<(), Trouble> {
        let failed = self.failed.lock().ok().and_then(|failed| failed.clone());
        failed.map_or(Ok(()), Err)
    }
}

#[derive(Deserialize)]
struct Statistics {
    brokers: std::collections::BTreeMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    req_timeouts: u64,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(facility, "REQTMOUT" | "TXNERR") {
            self.suspect.store(true, Ordering::Relaxed);
        }
        health::log(level, facility, message);
    }

    fn stats_raw(&self, json: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(json) else { return };
        let n_timeouts = statistics.brokers.values().map(|broker| broker.req_timeouts).sum();
        if self.n_timeouts.swap(n_timeouts, Ordering::Relaxed) != n_timeouts {
            self.suspect.store(true, Ordering::Relaxed);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(reason, "Kafka producer: {error}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        match result {
            Ok(message) if tag == REPORT_OFFSET => self.offset.store(message.offset(), Ordering::Relaxed),
            Ok(_) => {}
            Err((error, message)) => {
                if let Ok(mut failed) = self.failed.lock() {
                    failed.get_or_insert_with(|| not_sent(message.topic(), error));
                }
            }
        }
        self.arrived();
    }
}

/// A record that was not taken or not delivered.
pub(super) fn not_sent(topic: &str, error: &KafkaError) -> Trouble {
    let text = format!("topic {topic:?}: {error}");
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidRecord | Code::TopicAuthorizationFailed) => {
            Trouble::Hopeless(text)
        }
        _ => Trouble::Abort(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timed_out_request_makes_a_producer_suspect() {
        let reports = Reports::new(crossbeam::channel::bounded(1).0);
        let statistics = |n: u64| format!(r#"{{"brokers": {{"a": {{"req_timeouts": {n}, "tx": 4}}}}, "age": 5}}"#);
        reports.stats_raw(statistics(0).as_bytes());
        reports.log(RDKafkaLogLevel::Warning, "FAIL", "connection refused");
        assert!(!reports.suspect.load(Ordering::Relaxed));
        reports.stats_raw(statistics(1).as_bytes());
        assert!(reports.suspect.load(Ordering::Relaxed));

        let reports = Reports::new(crossbeam::channel::bounded(1).0);
        reports.log(RDKafkaLogLevel::Warning, "REQTMOUT", "timed out EndTxnRequest");
        assert!(reports.suspect.load(Ordering::Relaxed));
    }
}
