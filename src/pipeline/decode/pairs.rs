//! Labels and annotations of one alert, under their limits, in vectors that are used again for the next alert.

use crate::pipeline::decode::Reject;
use crate::pipeline::decode::limits::Limits;
use crate::pipeline::decode::nodes::{self, Members, Value};

/// Ends every text that was cut.
const CUT: &str = "…";

/// Stands in the place of annotations that were left out.
const LEFT_OUT: (&str, &str) = (CUT, "further annotations were left out");

/// A vector of pairs between two uses: empty, but with its memory.
#[derive(Default)]
pub(super) struct SparePairs(Vec<(&'static str, &'static str)>);

/// Texts that do not stand in the record as they are handed on: cut, or JSON made into text.
#[derive(Default)]
pub(super) struct Rendered {
    texts: String,
    /// Where each text ends, in the order of the annotations they belong to.
    ends: Vec<usize>,
}

impl SparePairs {
    /// The vector, for pairs of any lifetime.
    pub(super) fn take<'a>(&mut self) -> Vec<(&'a str, &'a str)> {
        std::mem::take(&mut self.0)
    }

    /// Gives the memory back. Collecting an emptied vector into one of equal layout keeps the allocation; that is how
    /// the standard library does it, not its promise, so a test watches it. Without it we would only be slower.
    pub(super) fn put(&mut self, mut used: Vec<(&str, &str)>) {
        used.clear();
        self.0 = used.into_iter().map(|_| ("", "")).collect();
    }
}

impl Rendered {
    /// Renders those of the annotations that cannot be handed on as they are. Most alerts have none.
    pub(super) fn render(&mut self, annotations: Option<Value<'_, '_>>, limits: &Limits) {
        self.texts.clear();
        self.ends.clear();
        let Some(members) = annotations.and_then(Members::of) else { return };
        for (_, value) in members {
            if nodes::is_null(value) || is_plain(value, limits) {
                continue;
            }
            if self.ends.len() == limits.max_annotations {
                break; // `annotations` stops there as well.
            }
            let start = self.texts.len();
            match nodes::text(value) {
                // Four bytes more than fit: `prefix` may leave three out, and `cut` must see that it is too long.
                Some(text) => self.texts.push_str(prefix(text, limits.max_annotation_value_bytes + 4)),
                None => nodes::write_json(value, start + limits.max_annotation_value_bytes, &mut self.texts),
            }
            self.cut(start, limits.max_annotation_value_bytes);
            self.ends.push(self.texts.len());
        }
    }

    /// Ends the text that begins at `start` with the mark if it has more than `max` bytes.
    fn cut(&mut self, start: usize, max: usize) {
        let text = self.texts.get(start..).unwrap_or_default();
        if text.len() > max {
            let kept = start + prefix(text, max.saturating_sub(CUT.len())).len();
            self.texts.truncate(kept);
            self.texts.push_str(CUT);
        }
    }
}

/// Reads the labels into `out` (empty before).
pub(super) fn labels<'de>(
    labels: Option<Value<'_, 'de>>,
    limits: &Limits,
    out: &mut Vec<(&'de str, &'de str)>,
) -> Result<(), Reject> {
    let members = labels.and_then(Members::of).ok_or(Reject::NoLabels)?;
    labels_of(members.map(|(name, value)| (name, nodes::text(value))), limits, out)
}

/// Takes labels over into `out` (empty before); `None` is a value that is not a text. Of duplicates the last counts, an
/// empty value takes the label away.
///
/// The bounds hold for what is sent, label by label, so that the work stays linear in the input.
pub(super) fn labels_of<'de>(
    members: impl Iterator<Item = (&'de str, Option<&'de str>)>,
    limits: &Limits,
    out: &mut Vec<(&'de str, &'de str)>,
) -> Result<(), Reject> {
    for (name, value) in members {
        let value = value.ok_or(Reject::LabelNotText)?;
        if name.is_empty() || name.len() > limits.max_label_name_bytes || value.len() > limits.max_label_value_bytes {
            return Err(Reject::LabelTooLong);
        }
        match out.iter().position(|(known, _)| *known == name) {
            Some(index) if value.is_empty() => {
                out.remove(index);
            }
            Some(index) => replace(out, index, value),
            None if value.is_empty() => {}
            None if out.len() == limits.max_labels => return Err(Reject::TooManyLabels),
            None => out.push((name, value)),
        }
    }
    if out.is_empty() {
        return Err(Reject::NoLabels);
    }
    let bytes: usize = out.iter().map(|pair| size(*pair)).sum();
    if bytes > limits.max_labels_bytes { Err(Reject::LabelTooLong) } else { Ok(()) }
}

/// Reads the annotations into `out` (empty before); `rendered` was rendered from the same value.
///
/// Never a reason to reject: what is not an object is taken as none, `null` as absent, other values that are not texts
/// as their compact JSON. What is beyond the limits is left out, and a last annotation named `…` says so.
pub(super) fn annotations<'a>(
    annotations: Option<Value<'_, 'a>>,
    rendered: &'a Rendered,
    limits: &Limits,
    out: &mut Vec<(&'a str, &'a str)>,
) {
    let Some(members) = annotations.and_then(Members::of) else { return };
    let mut start = 0;
    let mut ends = rendered.ends.iter();
    let mut bytes = size(LEFT_OUT);
    for (name, value) in members {
        let text = match nodes::text(value) {
            _ if nodes::is_null(value) => continue,
            Some(text) if is_plain(value, limits) => Some(text),
            _ => ends.next().and_then(|end| rendered.texts.get(std::mem::replace(&mut start, *end)..*end)),
        };
        let known = out.iter().position(|(known, _)| *known == name);
        let before = known.and_then(|index| out.get(index)).map_or(0, |pair| size(*pair));
        let after = (bytes - before).saturating_add(size((name, text.unwrap_or_default())));
        let Some(text) = text.filter(|_| after <= limits.max_annotations_bytes) else {
            return leave_out(limits, out);
        };
        match known {
            Some(index) => replace(out, index, text),
            None if out.len() == limits.max_annotations => return leave_out(limits, out),
            None => out.push((name, text)),
        }
        bytes = after;
    }
}

fn leave_out<'a>(limits: &Limits, out: &mut Vec<(&'a str, &'a str)>) {
    out.truncate(limits.max_annotations.saturating_sub(1));
    out.push(LEFT_OUT);
}

fn replace<'a>(pairs: &mut [(&'a str, &'a str)], index: usize, value: &'a str) {
    if let Some(pair) = pairs.get_mut(index) {
        pair.1 = value;
    }
}

fn is_plain(value: Value<'_, '_>, limits: &Limits) -> bool {
    nodes::text(value).is_some_and(|text| text.len() <= limits.max_annotation_value_bytes)
}

const fn size(pair: (&str, &str)) -> usize {
    pair.0.len() + pair.1.len()
}

/// The longest beginning of at most `max` bytes that ends between two characters.
fn prefix(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_between_uses() {
        let mut spare = SparePairs::default();
        let mut pairs = spare.take();
        pairs.extend([("a", "b"); 40]);
        let (capacity, at) = (pairs.capacity(), pairs.as_ptr().addr());
        spare.put(pairs);
        let pairs = spare.take();
        assert_eq!((pairs.len(), pairs.capacity(), pairs.as_ptr().addr()), (0, capacity, at));
    }
}
