//! The first two stages: a record as it came, and what decoding makes of it.

use crate::model::alert::AlertView;
use crate::model::time::Timestamp;
use crate::pipeline::decode::Reject;
use crate::pipeline::source::RecordRef;
use crate::pipeline::tap::sample::excerpt;
use crate::pipeline::tap::{DecodeSample, Look, Origin, RecordSample, Sample, Stage};

/// Those who listen while one record is decoded.
#[derive(Clone, Copy, Debug)]
pub struct RecordLook<'a> {
    /// Those who listen.
    pub look: &'a Look,
    /// Name of the source.
    pub source: &'a str,
    /// Name of the partition.
    pub partition: &'a str,
    /// The record.
    pub record: &'a RecordRef,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl RecordLook<'_> {
    /// Shows the record as it came.
    pub fn show_record(&self) {
        let RecordLook { look, record, bytes, .. } = *self;
        let sample = || RecordSample {
            at: look.now(),
            origin: self.origin(),
            format: record.format,
            record_time: Some(record.time).filter(|time| *time != Timestamp::MIN),
            bytes: bytes.len(),
            text: excerpt(bytes),
        };
        look.show(Stage::Record, |_| None, || Sample::Record(sample()));
    }

    /// Shows an alert of the record.
    pub fn show_alert(&self, index: u32, alert: &AlertView<'_>) {
        let value_of = |wanted: &str| alert.labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let sample = || DecodeSample::alert(self.look.now(), self.origin(), index, alert);
        self.look.show(Stage::Decode, value_of, || Sample::Decode(sample()));
    }

    /// Shows that the record, or an element of it, could not be read; `bytes` is what was meant.
    pub fn show_reject(&self, index: Option<u32>, reject: Reject, bytes: &[u8]) {
        let sample = || DecodeSample::reject(self.look.now(), self.origin(), index, reject, bytes);
        self.look.show(Stage::Decode, |_| None, || Sample::Decode(sample()));
    }

    fn origin(&self) -> Origin {
        let position = self.record.position;
        Origin { source: self.source.to_owned(), partition: self.partition.to_owned(), position }
    }
}
