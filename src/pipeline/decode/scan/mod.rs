//! One pass over a record that reads only what decides the fate of its alerts, several times as fast as a general parser.
//!
//! It takes what nearly every sender writes. Whatever else there is (escaped names, fields of an odd type, a field twice,
//! deep nesting, half surrogates, bad JSON) it leaves to the general parser, which takes the whole record anew: `scan` says
//! so with `None`. What it does take, it takes exactly as the general parser does; `tests/differential.rs` holds that.

mod alert;
mod blocks;
mod labels;
mod lanes;
mod times;
mod walk;

pub use alert::ScannedAlert;
pub use labels::LabelReader;

use crate::model::alert::Format;
use crate::pipeline::decode::fields::Dialect;
use crate::pipeline::decode::scan::alert::Reading;
use crate::pipeline::decode::scan::blocks::Marks;
use crate::pipeline::decode::scan::times::Times;
use crate::pipeline::decode::scan::walk::Walk;
use crate::pipeline::decode::{alertmanager_v2, alertmanager_webhook, native};

/// Alerts of which the memory is kept for the next record; a body with more gets memory of its own.
const KEPT_ALERTS: usize = 16 << 10;

/// Scans records. One per decoder; its buffers are used again. `K`: what is known of label texts.
#[derive(Debug)]
pub struct Scanner<K> {
    marks: Marks,
    times: Times,
    alerts: Vec<ScannedAlert<K>>,
}

impl<K> Default for Scanner<K> {
    fn default() -> Self {
        Self { marks: Marks::default(), times: Times::default(), alerts: Vec::new() }
    }
}

impl<K> Scanner<K> {
    /// The alerts of a record; `None`: the general parser must read it, whatever it is. Bounds on the record's size are
    /// the caller's business.
    ///
    /// `recall` says what is known of a text that stood in `ScannedAlert::labels` before, and nothing for any other text.
    #[inline]
    pub fn scan(
        &mut self,
        format: Format,
        record: &[u8],
        recall: impl FnMut(&[u8]) -> Option<K>,
    ) -> Option<&[ScannedAlert<K>]> {
        if self.alerts.capacity() > KEPT_ALERTS {
            self.alerts = Vec::new();
        }
        self.alerts.clear();
        self.marks.mark(record)?;
        let mut scan = Scan {
            walk: Walk::new(record, &self.marks),
            reading: Reading { recall, times: &mut self.times },
            alerts: &mut self.alerts,
        };
        match format {
            Format::Native => scan.native()?,
            Format::AlertmanagerV2 => scan.array(alertmanager_v2::DIALECT)?,
            Format::AlertmanagerWebhook => scan.envelope()?,
        }
        scan.walk.peek().is_none().then_some(&self.alerts)
    }
}

/// One record.
struct Scan<'a, K, R> {
    walk: Walk<'a>,
    reading: Reading<'a, R>,
    alerts: &'a mut Vec<ScannedAlert<K>>,
}

impl<K, R: FnMut(&[u8]) -> Option<K>> Scan<'_, K, R> {
    #[inline]
    fn alert(&mut self, dialect: Dialect) -> Option<()> {
        self.alerts.push(alert::alert(&mut self.walk, dialect, &mut self.reading)?);
        Some(())
    }

    /// One alert, an array of alerts, or one alert a line.
    #[inline]
    fn native(&mut self) -> Option<()> {
        if self.walk.peek()? == b'[' {
            return self.array(native::DIALECT);
        }
        self.alert(native::DIALECT)?;
        while self.walk.peek().is_some() {
            // A second alert: then each has to have a line of its own, whole.
            self.alert(native::DIALECT)?;
            let [.., before, next] = self.alerts.as_slice() else { return None };
            let has_break = |span| self.walk.bytes(span).contains(&b'\n');
            if !has_break((before.span.1, next.span.0)) || has_break(before.span) || has_break(next.span) {
                return None;
            }
        }
        Some(())
    }

    fn array(&mut self, dialect: Dialect) -> Option<()> {
        self.walk.expect(b'[')?;
        if self.walk.peek()? == b']' {
            return self.walk.expect(b']');
        }
        loop {
            self.alert(dialect)?;
            match self.walk.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// What Alertmanager's webhook receiver posts: `version` and `alerts` once each, anything beside them.
    fn envelope(&mut self) -> Option<()> {
        self.walk.expect(b'{')?;
        let (mut has_version, mut has_alerts) = (false, false);
        loop {
            let name = self.walk.string()?;
            self.walk.expect(b':')?;
            match self.walk.bytes(name) {
                b"version" if !has_version => {
                    has_version = true;
                    let version = self.walk.string()?;
                    matches!(self.walk.bytes(version), b"4" | b"1").then_some(())?;
                }
                b"alerts" if !has_alerts => {
                    has_alerts = true;
                    self.array(alertmanager_webhook::DIALECT)?;
                }
                b"version" | b"alerts" => return None,
                other if other.contains(&b'\\') => return None,
                _ => self.walk.value()?,
            }
            match self.walk.next()? {
                b',' => {}
                b'}' => return has_alerts.then_some(()),
                _ => return None,
            }
        }
    }
}
