//! One pass over a record that reads only what decides the fate of its alerts, several times as fast as a general parser.
//!
//! It takes what nearly every sender writes. Whatever else there is (escaped names, fields of an odd type, a field twice,
//! deep nesting, surrogates, bad JSON) it leaves to the general parser, which takes the whole record anew: `scan` says
//! so with `None`. What it does take, it takes exactly as the general parser does; `tests/differential.rs` holds that.

mod alert;
mod blocks;
mod labels;
mod lanes;
mod walk;

pub use alert::ScannedAlert;
pub use labels::LabelReader;

use crate::model::alert::Format;
use crate::pipeline::decode::fields::Dialect;
use crate::pipeline::decode::scan::blocks::Marks;
use crate::pipeline::decode::scan::walk::Walk;
use crate::pipeline::decode::{alertmanager_v2, alertmanager_webhook, native};

/// Alerts of which the memory is kept for the next record; a body with more gets memory of its own.
const KEPT_ALERTS: usize = 16 << 10;

/// Scans records. One per decoder; its buffers are used again.
#[derive(Debug, Default)]
pub struct Scanner {
    marks: Marks,
    alerts: Vec<ScannedAlert>,
}

impl Scanner {
    /// The alerts of a record; `None`: the general parser must read it, whatever it is. Bounds on the record's size are
    /// the caller's business.
    #[inline]
    pub fn scan(&mut self, format: Format, record: &[u8]) -> Option<&[ScannedAlert]> {
        if self.alerts.capacity() > KEPT_ALERTS {
            *self = Self::default();
        }
        self.alerts.clear();
        self.marks.mark(record)?;
        let mut walk = Walk::new(record, self.marks.quotes());
        match format {
            Format::Native => native(&mut walk, &mut self.alerts)?,
            Format::AlertmanagerV2 => array(&mut walk, alertmanager_v2::DIALECT, &mut self.alerts)?,
            Format::AlertmanagerWebhook => envelope(&mut walk, &mut self.alerts)?,
        }
        if walk.peek().is_some() {
            return None;
        }
        Some(&self.alerts)
    }
}

/// One alert, an array of alerts, or one alert a line.
fn native(walk: &mut Walk<'_>, alerts: &mut Vec<ScannedAlert>) -> Option<()> {
    if walk.peek()? == b'[' {
        return array(walk, native::DIALECT, alerts);
    }
    alerts.push(alert::alert(walk, native::DIALECT)?);
    while walk.peek().is_some() {
        // A second alert: then each has to have a line of its own, whole.
        let before = alerts.last()?.span;
        let next = alert::alert(walk, native::DIALECT)?;
        let has_break = |span| walk.bytes(span).contains(&b'\n');
        if !has_break((before.1, next.span.0)) || has_break(before) || has_break(next.span) {
            return None;
        }
        alerts.push(next);
    }
    Some(())
}

fn array(walk: &mut Walk<'_>, dialect: Dialect, alerts: &mut Vec<ScannedAlert>) -> Option<()> {
    walk.expect(b'[')?;
    if walk.peek()? == b']' {
        return walk.expect(b']');
    }
    loop {
        alerts.push(alert::alert(walk, dialect)?);
        match walk.next()? {
            b',' => {}
            b']' => return Some(()),
            _ => return None,
        }
    }
}

/// What Alertmanager's webhook receiver posts: `version` and `alerts` once each, anything beside them.
fn envelope(walk: &mut Walk<'_>, alerts: &mut Vec<ScannedAlert>) -> Option<()> {
    walk.expect(b'{')?;
    let (mut has_version, mut has_alerts) = (false, false);
    loop {
        let name = walk.string()?;
        walk.expect(b':')?;
        match walk.bytes(name) {
            b"version" if !has_version => {
                has_version = true;
                let version = walk.string()?;
                matches!(walk.bytes(version), b"4" | b"1").then_some(())?;
            }
            b"alerts" if !has_alerts => {
                has_alerts = true;
                array(walk, alertmanager_webhook::DIALECT, alerts)?;
            }
            b"version" | b"alerts" => return None,
            other if other.contains(&b'\\') => return None,
            _ => walk.value()?,
        }
        match walk.next()? {
            b',' => {}
            b'}' => return has_alerts.then_some(()),
            _ => return None,
        }
    }
}
