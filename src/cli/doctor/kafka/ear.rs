//! Listens to the client library: its log says what no call returns (protocol versions, why a transaction failed).

use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;

/// Lines that are kept: two connections' worth of protocol versions, and some.
const LINES_MAX: usize = 1_000;

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Ear(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Facility and text of log lines.
    lines: Vec<(String, String)>,
    /// Errors that belong to no call.
    errors: Vec<(Option<Code>, String)>,
    /// Where the last record was written, or why not.
    delivered: Option<Result<i64, Option<Code>>>,
}

impl Ear {
    /// Texts of log lines of that facility.
    pub(super) fn lines(&self, facility: &str) -> Vec<String> {
        self.with(|heard| heard.lines.iter().filter(|(of, _)| of == facility).map(|(_, text)| text.clone()).collect())
    }

    /// Errors that belong to no call, oldest first.
    pub(super) fn errors(&self) -> Vec<(Option<Code>, String)> {
        self.with(|heard| heard.errors.clone())
    }

    /// What became of the last record.
    pub(super) fn delivered(&self) -> Option<Result<i64, Option<Code>>> {
        self.with(|heard| heard.delivered)
    }

    /// Forgets what became of the last transaction.
    pub(super) fn forget(&self) {
        self.with(|heard| *heard = Heard::default());
    }

    fn with<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Ear {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.with(|heard| {
            if heard.lines.len() < LINES_MAX {
                heard.lines.push((facility.to_owned(), message.to_owned()));
            }
        });
    }

    fn stats_raw(&self, _json: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.with(|heard| {
            if heard.errors.len() < LINES_MAX {
                heard.errors.push((error.rdkafka_error_code(), reason.to_owned()));
            }
        });
    }
}

impl ConsumerContext for Ear {}

impl ProducerContext for Ear {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _tag: ()) {
        let outcome = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code()),
        };
        self.with(|heard| heard.delivered = Some(outcome));
    }
}
