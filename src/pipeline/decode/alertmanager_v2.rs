//! What Prometheus posts to Alertmanager's `/api/v2/alerts`: an array of alerts without status; `endsAt` decides.

use crate::model::alert::AlertView;
use crate::pipeline::decode::Reject;
use crate::pipeline::decode::fields::{AlertReader, Dialect};
use crate::pipeline::decode::nodes::Elements;
use crate::pipeline::decode::parser::Parser;

/// `status` of what Alertmanager's own API returns is an object about silences: not looked at.
pub(super) const DIALECT: Dialect = Dialect { has_status: false, keeps_ends_at: true, has_received_at: false };

pub(super) fn decode(
    parser: &mut Parser,
    reader: &mut AlertReader,
    record: &[u8],
    each: &mut impl FnMut(u32, Result<AlertView<'_>, Reject>),
) -> Result<(), Reject> {
    parser.parse(record, |root| {
        let alerts = Elements::of(root).ok_or(Reject::WrongShape)?;
        for (index, alert) in (0..).zip(alerts) {
            reader.read(alert, DIALECT, |read| each(index, read));
        }
        Ok(())
    })?
}
