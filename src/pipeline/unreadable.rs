//! What becomes of a record, or of elements of it, that cannot be read: counted, shown at the tap, kept as a dead letter.

use crate::model::time::Timestamp;
use crate::pipeline::decode::{Limits, Reject, SplitRecord};
use crate::pipeline::exchange::ChunkReport;
use crate::pipeline::sink::DeadLetter;
use crate::pipeline::source::RecordRef;
use crate::pipeline::tap::RecordLook;

/// This many bytes are kept of a record that is too large, of a smaller one all (only bodies, which leave no letter, may
/// be larger and yet be read).
const DEAD_LETTER_BYTES_MAX: usize = 64 << 10;

/// With more bad elements than this a record is kept once, whole, instead of element by element.
const DEAD_ELEMENTS_MAX: usize = 100;

/// A record of which something cannot be read.
pub(super) struct Unreadable<'a> {
    /// Name of the source.
    pub(super) source: &'a str,
    /// Name of the partition.
    pub(super) partition: &'a str,
    /// The record.
    pub(super) record: &'a RecordRef,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    /// Its time, or the wall clock where there is none.
    pub(super) at: Timestamp,
    /// Those who listen, if anybody does.
    pub(super) look: Option<RecordLook<'a>>,
}

impl Unreadable<'_> {
    /// Nothing of the record can be read.
    pub(super) fn refuse_whole(&self, reject: Reject, has_sender: bool, report: &mut ChunkReport) {
        let bytes = self.bytes;
        self.count(None, reject, bytes, report);
        // A sender knows what is wrong with what it sent; that this program fails at it, it does not, and cannot mend.
        let is_sample = has_sender && reject != Reject::Panic;
        let is_cut = is_sample || bytes.len() > Limits::RECORD_BYTES;
        let kept = bytes.get(..DEAD_LETTER_BYTES_MAX).filter(|_| is_cut).unwrap_or(bytes).to_vec();
        if is_sample {
            report.unreadable.push((reject, kept)); // The sender knows; it must not be able to fill the disk.
        } else {
            report.dead_letters.push(self.letter(None, reject, kept, bytes.len()));
        }
    }

    /// Some elements of the record cannot be read: each with its index and the reason.
    pub(super) fn refuse_elements(&self, rejected: &[(u32, Reject)], report: &mut ChunkReport) {
        let Some((_, first)) = rejected.first() else { return };
        let bytes = self.bytes;
        if rejected.len() > DEAD_ELEMENTS_MAX {
            // One letter for all of them, or a body of bad elements would grow a thousandfold on its way to the store.
            rejected.iter().for_each(|(index, reject)| self.count(Some(*index), *reject, bytes, report));
            let kept = bytes.get(..bytes.len().min(Limits::RECORD_BYTES)).unwrap_or_default().to_vec();
            return report.dead_letters.push(self.letter(None, *first, kept, bytes.len()));
        }
        let split = SplitRecord::new(self.record.format, bytes);
        for (index, reject) in rejected {
            let element = split.get(*index).unwrap_or(bytes);
            self.count(Some(*index), *reject, element, report);
            report.dead_letters.push(self.letter(Some(*index), *reject, element.to_vec(), element.len()));
        }
    }

    fn count(&self, index: Option<u32>, reject: Reject, bytes: &[u8], report: &mut ChunkReport) {
        if let Some(count) = report.rejects.get_mut(reject as usize) {
            *count += 1;
        }
        if let Some(look) = &self.look {
            look.show_reject(index, reject, bytes);
        }
    }

    fn letter(&self, index: Option<u32>, reason: Reject, bytes: Vec<u8>, len: usize) -> DeadLetter {
        DeadLetter {
            source: self.source.to_owned(),
            partition: self.partition.to_owned(),
            position: self.record.position,
            index,
            reason,
            format: self.record.format,
            at: self.at,
            original_len: len as u64,
            bytes,
        }
    }
}
