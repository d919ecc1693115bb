//! What people read of an alert, got from its bytes only when somebody asks: the hot path passes them by.

use crate::model::labels;
use crate::pipeline::decode::Reject;
use crate::pipeline::decode::fields::{AlertReader, Dialect};
use crate::pipeline::decode::limits::Limits;
use crate::pipeline::decode::pairs::{self, SparePairs};
use crate::pipeline::decode::parser::Parser;

/// The texts are the same in every format; a status is not looked at.
const DIALECT: Dialect = Dialect { has_status: false, keeps_ends_at: false, has_received_at: false };

/// Texts of one alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Labels in the encoding of `model::labels`.
    pub labels: Vec<u8>,
    /// Annotations in the same encoding.
    pub annotations: Vec<u8>,
    /// The generator URL; empty if there is none.
    pub url: String,
}

impl Detail {
    /// The texts of an alert that a `Scanner` has passed over, of any format. Empty if it is none, which cannot be.
    #[must_use]
    pub fn of(element: &[u8]) -> Self {
        let mut detail = Self::default();
        let mut reader = AlertReader::new(Limits::default());
        let read = Parser::new().parse(element, |root| {
            reader.read(root, DIALECT, |alert| {
                let Ok(alert) = alert else { return };
                labels::encode(alert.labels.iter().copied(), &mut detail.labels);
                labels::encode(alert.annotations.iter().copied(), &mut detail.annotations);
                detail.url.push_str(alert.generator_url.unwrap_or_default());
            });
        });
        debug_assert!(read.is_ok(), "the scanner takes what the parser takes");
        detail
    }
}

/// Reads parts of alerts with the general parser, with memory that is used again.
pub(super) struct DetailReader {
    limits: Limits,
    parser: Parser,
    pairs: SparePairs,
}

impl DetailReader {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, parser: Parser::new(), pairs: SparePairs::default() }
    }

    /// Hands on the pairs of a label object.
    pub(super) fn labels<R>(&mut self, text: &[u8], take: impl FnOnce(&[(&str, &str)]) -> R) -> Result<R, Reject> {
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
