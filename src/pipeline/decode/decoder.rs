//! The front of the room: a record in, its alerts and bad elements out, one after the other.

use crate::model::alert::{AlertView, Format};
use crate::pipeline::decode::fields::AlertReader;
use crate::pipeline::decode::limits::Limits;
use crate::pipeline::decode::parser::Parser;
use crate::pipeline::decode::{Reject, alertmanager_v2, alertmanager_webhook, native};

/// A byte order mark in UTF-8. RFC 8259 lets readers ignore it, and Windows tools write it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Decodes records of every format. One per thread; its buffers grow to the usual record and are then used again.
pub struct Decoder {
    parser: Parser,
    reader: AlertReader,
}

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { parser: Parser::new(), reader: AlertReader::new(limits) }
    }

    /// Texts so far in which a number was beyond the fast parser (integers of more than 64 bits), so that the slow one
    /// had to help.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.parser.fallbacks
    }

    /// Calls `each` once per alert or bad element, in order, with its index in the record.
    ///
    /// # Errors
    /// The record as a whole cannot be read; `each` was not called.
    pub fn decode(
        &mut self,
        format: Format,
        record: &[u8],
        each: impl FnMut(u32, Result<AlertView<'_>, Reject>),
    ) -> Result<(), Reject> {
        let max_bytes = self.reader.limits.max_record_bytes;
        self.decode_within(max_bytes, format, record, each)
    }

    /// As `decode`, with a bound for this record: request bodies may be larger than records of a log.
    ///
    /// # Errors
    /// As `decode`.
    pub fn decode_within(
        &mut self,
        max_bytes: usize,
        format: Format,
        record: &[u8],
        mut each: impl FnMut(u32, Result<AlertView<'_>, Reject>),
    ) -> Result<(), Reject> {
        if record.len() > max_bytes {
            return Err(Reject::TooLarge);
        }
        let text = without_mark(record);
        if text.trim_ascii_start().is_empty() {
            return Err(Reject::Empty);
        }
        let Self { parser, reader } = self;
        match format {
            Format::Native => native::decode(parser, reader, text, &mut each),
            Format::AlertmanagerV2 => alertmanager_v2::decode(parser, reader, text, &mut each),
            Format::AlertmanagerWebhook => alertmanager_webhook::decode(parser, reader, text, &mut each),
        }
    }
}

/// The record without a byte order mark.
pub(super) fn without_mark(record: &[u8]) -> &[u8] {
    record.strip_prefix(BYTE_ORDER_MARK).unwrap_or(record)
}
