//! What people read of an alert, got from its bytes only when somebody asks: the hot path passes them by.

use crate::model::labels;
use crate::pipeline::decode::Reject;
use crate::pipeline::decode::fields::{AlertReader, Dialect};
use crate::pipeline::decode::limits::Limits;
use crate::pipeline::decode::pairs::{self, SparePairs};
use crate::pipeline::decode::parser::Parser;
use crate::pipeline::decode::scan::TextReader;

/// The texts are the same in every format; a status is not looked at.
const DIALECT: Dialect = Dialect { has_status: false, keeps_ends_at: false, has_received_at: false };

/// Texts of one alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Labels in the encoding of `model::labels`.
    pub labels: Vec<u8>,
    /// Annotations in the same encoding.
    pub annotations: Vec<u8>,
    /// The generator URL, UTF-8; empty if there is none.
    pub url: Vec<u8>,
}

impl Detail {
    fn clear(&mut self) {
        self.labels.clear();
        self.annotations.clear();
        self.url.clear();
    }
}

/// Reads the texts of alerts, with memory that is used again: plain ones in one pass, others by the general parser.
pub struct DetailReader {
    plain: TextReader,
    parser: Parser,
    alerts: AlertReader,
    detail: Detail,
}

impl Default for DetailReader {
    fn default() -> Self {
        let (plain, detail) = Default::default();
        Self { plain, parser: Parser::new(), alerts: AlertReader::new(Limits::default()), detail }
    }
}

impl std::fmt::Debug for DetailReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DetailReader").field("detail", &self.detail).finish_non_exhaustive()
    }
}

impl DetailReader {
    /// The texts of an alert that a `Scanner` has passed over, of any format. Empty if it is none, which cannot be.
    pub fn read(&mut self, element: &[u8]) -> &Detail {
        let Self { plain, parser, alerts, detail } = self;
        detail.clear();
        if plain.read(element, &alerts.limits, detail).is_some() {
            return detail;
        }
        detail.clear();
        let read = parser.parse(element, |root| {
            alerts.read(root, DIALECT, |alert| {
                let Ok(alert) = alert else { return };
                labels::encode(alert.labels.iter().copied(), &mut detail.labels);
                labels::encode(alert.annotations.iter().copied(), &mut detail.annotations);
                detail.url.extend_from_slice(alert.generator_url.unwrap_or_default().as_bytes());
            });
        });
        debug_assert!(read.is_ok(), "the scanner takes what the parser takes");
        detail
    }
}

/// Reads label objects with the general parser, with memory that is used again.
pub(super) struct ParsedLabels {
    limits: Limits,
    parser: Parser,
    pairs: SparePairs,
}

impl ParsedLabels {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, parser: Parser::new(), pairs: SparePairs::default() }
    }

    /// Hands on the pairs of a label object.
    pub(super) fn read<R>(&mut self, text: &[u8], take: impl FnOnce(&[(&str, &str)]) -> R) -> Result<R, Reject> {
        let Self { limits, parser, pairs: spare } = self;
        let mut take = Some(take);
        let parsed = parser.parse(text, |root| {
            let mut pairs = spare.take();
            let read = pairs::labels(Some(root), limits, &mut pairs);
            let result = read.map(|()| take.take().map(|take| take(&pairs)));
            spare.put(pairs);
            result
        });
        let result = parsed??;
        Ok(result.expect("a text that was read is read once"))
    }
}
