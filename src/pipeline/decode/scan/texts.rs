//! The texts of an alert that the scanner took, straight from its bytes: labels, annotations and link, for samples.
//!
//! As everywhere in this room: what is out of the ordinary (a label twice, an annotation that is no text or beyond its
//! bounds) is left to the general parser, with `None`.

use crate::model::labels::BytePairs;
use crate::pipeline::decode::detail::Detail;
use crate::pipeline::decode::limits::Limits;
use crate::pipeline::decode::scan::blocks::Marks;
use crate::pipeline::decode::scan::walk::Walk;

/// What annotations need beside their own bytes: room for the one that says that others were left out.
const ROOM_FOR_MARK: usize = 64;

/// Reads texts. One per shard; its memory is used again.
#[derive(Debug, Default)]
pub(in crate::pipeline::decode) struct TextReader {
    marks: Marks,
}

/// Bounds of an object of texts.
struct Bounds {
    members: usize,
    name_bytes: usize,
    value_bytes: usize,
    bytes: usize,
    may_be_empty: bool,
}

impl TextReader {
    /// Fills in `detail` (empty before). `None`: only the general parser may read this alert, and `detail` is not to be used.
    pub(in crate::pipeline::decode) fn read(
        &mut self,
        element: &[u8],
        limits: &Limits,
        detail: &mut Detail,
    ) -> Option<()> {
        self.marks.mark(element)?;
        let mut walk = Walk::new(element, &self.marks);
        walk.expect(b'{')?;
        loop {
            let name = walk.string()?;
            walk.expect(b':')?;
            match walk.bytes(name) {
                b"labels" => object(&mut walk, &Bounds::of_labels(limits), &mut detail.labels)?,
                b"annotations" if walk.peek()? == b'n' => walk.word(b"null")?,
                b"annotations" => object(&mut walk, &Bounds::of_annotations(limits), &mut detail.annotations)?,
                b"generatorURL" if walk.peek()? == b'n' => walk.word(b"null")?,
                b"generatorURL" => {
                    let url = walk.string()?;
                    unescape(walk.bytes(url), &mut detail.url)?;
                    (detail.url.len() <= limits.max_annotation_value_bytes).then_some(())?;
                }
                _ => walk.value()?,
            }
            match walk.next()? {
                b',' => {}
                b'}' => return walk.peek().is_none().then_some(()),
                _ => return None,
            }
        }
    }
}

impl Bounds {
    const fn of_labels(limits: &Limits) -> Self {
        Self {
            members: limits.max_labels,
            name_bytes: limits.max_label_name_bytes,
            value_bytes: limits.max_label_value_bytes,
            bytes: limits.max_labels_bytes,
            may_be_empty: false, // An empty value takes the label away.
        }
    }

    const fn of_annotations(limits: &Limits) -> Self {
        Self {
            members: limits.max_annotations,
            name_bytes: limits.max_annotation_value_bytes,
            value_bytes: limits.max_annotation_value_bytes,
            bytes: limits.max_annotations_bytes - ROOM_FOR_MARK,
            may_be_empty: true,
        }
    }
}

/// Takes an object of texts, which must come next, and appends it in the encoding of `model::labels`.
fn object(walk: &mut Walk<'_>, bounds: &Bounds, out: &mut Vec<u8>) -> Option<()> {
    walk.expect(b'{')?;
    if walk.peek()? == b'}' {
        return bounds.may_be_empty.then(|| walk.expect(b'}'))?;
    }
    for _ in 0..bounds.members {
        let name = walk.string()?;
        walk.expect(b':')?;
        let value = walk.string()?;
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let name = unescape(walk.bytes(name), out)?;
        let value = unescape(walk.bytes(value), out)?;
        let fits = name <= bounds.name_bytes && value <= bounds.value_bytes && out.len() <= bounds.bytes;
        let is_some = bounds.may_be_empty || name > 0 && value > 0;
        let (earlier, pair) = out.split_at_mut_checked(start)?;
        let (lengths, texts) = pair.split_first_chunk_mut::<4>()?;
        let ([a, b], [c, d]) = ((name as u16).to_le_bytes(), (value as u16).to_le_bytes());
        *lengths = [a, b, c, d];
        let is_new = BytePairs(earlier).all(|(known, _)| Some(known) != texts.get(..name));
        (fits && is_some && is_new).then_some(())?;
        match walk.next()? {
            b',' => {}
            b'}' => return Some(()),
            _ => return None,
        }
    }
    None
}

/// Appends what a JSON string stands for, its stretch between the quotes given; returns how many bytes that is.
fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let start = out.len();
    while let Some(at) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(text.get(..at)?);
        let (kind, rest) = text.get(at + 1..)?.split_first()?;
        text = rest;
        let byte = match kind {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 0x08,
            b'f' => 0x0c,
            b'u' => {
                let mut buffer = [0; 4];
                out.extend_from_slice(character(&mut text)?.encode_utf8(&mut buffer).as_bytes());
                continue;
            }
            other => *other, // `"`, `\` and `/`; others were refused when the text was marked.
        };
        out.push(byte);
    }
    out.extend_from_slice(text);
    Some(out.len() - start)
}

/// The character of a `\u` escape, or of the two that are the halves of one (RFC 8259, section 7), whose digits come next.
fn character(text: &mut &[u8]) -> Option<char> {
    let unit = digits(text)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return char::from_u32(unit);
    }
    *text = text.strip_prefix(b"\\u")?;
    let low = digits(text)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)
}

fn digits(text: &mut &[u8]) -> Option<u32> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    *text = rest;
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}
