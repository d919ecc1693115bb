//! One pass over a record that reads only what decides the fate of its alerts, several times as fast as a general parser.
//!
//! It takes what nearly every sender writes. Whatever else there is (escaped names, fields of an odd type, a field twice,
//! deep nesting, half surrogates, bad JSON) it leaves to the general parser, which takes the whole record anew: `scan` says
//! so with `None`. What it does take, it takes exactly as the general parser does; `tests/differential.rs` holds that.

mod alert;
mod blocks;
mod labels;
mod lanes;
mod texts;
mod times;
mod walk;

use std::ops::Range;

pub use alert::ScannedAlert;
pub use labels::LabelReader;
pub(super) use texts::TextReader;

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
        self.clear();
        let alerts = self.scan_on(format, record, recall)?;
        self.alerts.get(alerts)
    }

    /// Forgets the alerts scanned so far.
    #[inline]
    pub fn clear(&mut self) {
        if self.alerts.capacity() > KEPT_ALERTS {
            self.alerts = Vec::new();
        }
        self.alerts.clear();
    }

    /// The alerts scanned since `clear`.
    #[inline]
    #[must_use]
    pub fn alerts(&self) -> &[ScannedAlert<K>] {
        &self.alerts
    }

    /// Has a record fetched that will be scanned after the next ones.
    #[inline]
    pub fn fetch(record: &[u8]) {
        lanes::fetch(record);
    }

    /// As `scan`, for one more record: where its alerts are in `alerts`.
    #[inline]
    pub fn scan_on(
        &mut self,
        format: Format,
        record: &[u8],
        recall: impl FnMut(&[u8]) -> Option<K>,
    ) -> Option<Range<usize>> {
        self.marks.mark(record)?;
        let before = self.alerts.len();
        let mut scan = Scan {
            walk: Walk::new(record, &self.marks),
            reading: Reading { recall, times: &mut self.times },
            before,
            alerts: &mut self.alerts,
        };
        let whole = scan.record(format);
        if whole.is_none() {
            self.alerts.truncate(before);
        }
        whole.map(|()| before..self.alerts.len())
    }
}

/// One record.
struct Scan<'a, K, R> {
    walk: Walk<'a>,
    reading: Reading<'a, R>,
    /// Alerts of earlier records.
    before: usize,
    alerts: &'a mut Vec<ScannedAlert<K>>,
}

impl<K, R: FnMut(&[u8]) -> Option<K>> Scan<'_, K, R> {
    #[inline]
    fn record(&mut self, format: Format) -> Option<()> {
        match format {
            Format::Native => self.native()?,
            Format::AlertmanagerV2 => self.array(alertmanager_v2::DIALECT)?,
            Format::AlertmanagerWebhook => self.envelope()?,
        }
        self.walk.peek().is_none().then_some(())
    }

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
            let [.., before, next] = self.alerts.get(self.before..)? else { return None };
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
