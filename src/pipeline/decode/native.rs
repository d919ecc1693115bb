//! Our own format: one alert object, an array of them, or one object per line.
//!
//! Which of them it is, is seen by looking (`lines`): a valid single value is never taken for lines.

use crate::model::alert::AlertView;
use crate::pipeline::decode::Reject;
use crate::pipeline::decode::fields::{AlertReader, Dialect};
use crate::pipeline::decode::lines;
use crate::pipeline::decode::nodes::{Elements, Members};
use crate::pipeline::decode::parser::Parser;

/// Up to this size a record is parsed first and looked at for lines only if that fails. Looking first costs a single
/// alert of 620 bytes a tenth, parsing in vain costs 100 lines a fifth, and logs hold single alerts. Above this size the
/// parse in vain would cost memory as well.
const PARSE_FIRST_BYTES: usize = 64 << 10;

pub(super) const DIALECT: Dialect = Dialect { has_status: true, keeps_ends_at: false, has_received_at: true };

pub(super) fn decode(
    parser: &mut Parser,
    reader: &mut AlertReader,
    record: &[u8],
    each: &mut impl FnMut(u32, Result<AlertView<'_>, Reject>),
) -> Result<(), Reject> {
    if record.len() > PARSE_FIRST_BYTES && lines::begins_with_lines(record) {
        decode_lines(parser, reader, record, each);
        return Ok(());
    }
    let read = parser.parse(record, |root| {
        if let Some(alerts) = Elements::of(root) {
            for (index, alert) in (0..).zip(alerts) {
                reader.read(alert, DIALECT, |read| each(index, read));
            }
            return Ok(());
        }
        Members::of(root).ok_or(Reject::WrongShape)?;
        reader.read(root, DIALECT, |read| each(0, read));
        Ok(())
    });
    match read {
        Err(reject) if is_lines(reject, record) => {
            decode_lines(parser, reader, record, each);
            Ok(())
        }
        read => read?,
    }
}

/// Whether a record that is no valid value is lines. A value that is only too deep may well have an object on a line.
fn is_lines(reject: Reject, record: &[u8]) -> bool {
    let is_syntax = matches!(reject, Reject::MalformedJson | Reject::InvalidUtf8);
    lines::begins_with_lines(record) || (is_syntax && lines::has_object_line(record))
}

/// Every line that is not blank is an element, whatever is on it.
fn decode_lines(
    parser: &mut Parser,
    reader: &mut AlertReader,
    record: &[u8],
    each: &mut impl FnMut(u32, Result<AlertView<'_>, Reject>),
) {
    for (index, line) in (0..).zip(lines::Lines(record)) {
        let read = parser.parse(line, |root| reader.read(root, DIALECT, |read| each(index, read)));
        if let Err(reject) = read {
            each(index, Err(reject));
        }
    }
}
