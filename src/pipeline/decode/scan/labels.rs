//! The labels of a scanned alert as pairs, under the limits of every other label set.

use crate::pipeline::decode::Reject;
use crate::pipeline::decode::detail::ParsedLabels;
use crate::pipeline::decode::limits::Limits;
use crate::pipeline::decode::pairs::{self, SparePairs};
use crate::pipeline::decode::scan::blocks::Marks;
use crate::pipeline::decode::scan::walk::Walk;

/// Reads label objects. One per decoder; its memory is used again.
pub struct LabelReader {
    limits: Limits,
    marks: Marks,
    pairs: SparePairs,
    general: ParsedLabels,
}

impl LabelReader {
    /// A reader with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, marks: Marks::default(), pairs: SparePairs::default(), general: ParsedLabels::new(limits) }
    }

    /// Hands on the pairs of `labels`, the stretch of a `ScannedAlert`, as `AlertView::labels` has them.
    ///
    /// # Errors
    /// What the general parser would reject the alert for.
    pub fn read<R>(&mut self, labels: &[u8], take: impl FnOnce(&[(&str, &str)]) -> R) -> Result<R, Reject> {
        let plain = std::str::from_utf8(labels).ok().filter(|text| !text.contains('\\'));
        let Some(text) = plain.filter(|_| self.marks.mark(labels).is_some()) else {
            return self.general.read(labels, take);
        };
        let mut walk = Walk::new(labels, &self.marks);
        let mut pairs = self.pairs.take();
        let read = pairs::labels_of(members(&mut walk, text), &self.limits, &mut pairs);
        let result = read.map(|()| take(&pairs));
        self.pairs.put(pairs);
        result
    }
}

/// The members of an object of texts that has been walked over before.
fn members<'w, 'a>(walk: &'w mut Walk<'a>, text: &'a str) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + 'w {
    let part = move |walk: &mut Walk<'a>| walk.string().and_then(|(from, to)| text.get(from..to));
    std::iter::from_fn(move || {
        walk.next()?; // The brace, or the comma.
        let name = part(walk)?;
        walk.expect(b':')?;
        Some((name, part(walk)))
    })
}
