//! What Alertmanager's webhook receiver posts (version 4), and Grafana's, which is a superset that calls itself 1.
//!
//! Only `version` and `alerts` of the envelope are read: the group is Alertmanager's, ours are made by our own rules.

use crate::model::alert::AlertView;
use crate::pipeline::decode::Reject;
use crate::pipeline::decode::fields::{AlertReader, Dialect};
use crate::pipeline::decode::nodes::{self, Elements, Members, Value};
use crate::pipeline::decode::parser::Parser;

pub(super) const DIALECT: Dialect = Dialect { has_status: true, keeps_ends_at: false, has_received_at: false };

pub(super) fn decode(
    parser: &mut Parser,
    reader: &mut AlertReader,
    record: &[u8],
    each: &mut impl FnMut(u32, Result<AlertView<'_>, Reject>),
) -> Result<(), Reject> {
    parser.parse(record, |root| {
        for (index, alert) in (0..).zip(alerts(root)?) {
            reader.read(alert, DIALECT, |read| each(index, read));
        }
        Ok(())
    })?
}

/// The alerts of an envelope. A missing version is taken for a known one: people write such bodies by hand, and what
/// follows is checked alert by alert anyway.
fn alerts<'t, 'de>(root: Value<'t, 'de>) -> Result<Elements<'t, 'de>, Reject> {
    let (mut version, mut alerts) = (None, None);
    for (name, value) in Members::of(root).ok_or(Reject::WrongShape)? {
        match name {
            "version" => version = Some(value),
            "alerts" => alerts = Some(value),
            _ => {}
        }
    }
    if version.is_some_and(|version| !nodes::is_null(version) && !matches!(nodes::text(version), Some("4" | "1"))) {
        return Err(Reject::UnknownVersion);
    }
    alerts.and_then(Elements::of).ok_or(Reject::WrongShape)
}
