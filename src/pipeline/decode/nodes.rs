//! Walking over a parsed tape: values, members of objects, elements of arrays, and a value back as JSON text.
//!
//! A value is the slice of nodes that begins with its own node. The tape is what the parser wrote, so counts are right;
//! should they not be, a walk ends early instead of reading beyond.

use std::fmt::Write as _;

use simd_json::{Node, StaticNode};

/// A value: its node and everything inside it (and, for the root only, nothing else).
pub(super) type Value<'t, 'de> = &'t [Node<'de>];

/// Names and values of an object, in the order received.
pub(super) struct Members<'t, 'de>(&'t [Node<'de>]);

/// The values of an array.
pub(super) struct Elements<'t, 'de>(&'t [Node<'de>]);

impl<'t, 'de> Members<'t, 'de> {
    /// The members of `value`, if it is an object.
    pub(super) fn of(value: Value<'t, 'de>) -> Option<Self> {
        match value.split_first() {
            Some((Node::Object { .. }, inside)) => Some(Self(inside)),
            _ => None,
        }
    }
}

impl<'t, 'de> Iterator for Members<'t, 'de> {
    type Item = (&'de str, Value<'t, 'de>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first()?;
        let Node::String(name) = name else { return None };
        let (value, rest) = rest.split_at_checked(span(rest.first()?))?;
        self.0 = rest;
        Some((name, value))
    }
}

impl<'t, 'de> Elements<'t, 'de> {
    /// The elements of `value`, if it is an array.
    pub(super) fn of(value: Value<'t, 'de>) -> Option<Self> {
        match value.split_first() {
            Some((Node::Array { .. }, inside)) => Some(Self(inside)),
            _ => None,
        }
    }
}

impl<'t, 'de> Iterator for Elements<'t, 'de> {
    type Item = Value<'t, 'de>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (value, rest) = self.0.split_at_checked(span(self.0.first()?))?;
        self.0 = rest;
        Some(value)
    }
}

/// The text, if the value is one.
#[inline]
pub(super) fn text<'de>(value: Value<'_, 'de>) -> Option<&'de str> {
    match value.first() {
        Some(Node::String(text)) => Some(text),
        _ => None,
    }
}

/// Whether the value is `null`, which senders write for "not given".
#[inline]
pub(super) fn is_null(value: Value<'_, '_>) -> bool {
    matches!(value.first(), Some(Node::Static(StaticNode::Null)))
}

/// Appends the value as compact JSON. Stops between two values once `out` has more than `enough` bytes, as the
/// caller cuts there anyway.
pub(super) fn write_json(value: Value<'_, '_>, enough: usize, out: &mut String) {
    match value.first() {
        Some(Node::String(text)) => write_text(text, out),
        Some(Node::Static(scalar)) => write_scalar(*scalar, out),
        Some(Node::Object { .. }) => {
            let mut separator = '{';
            for (name, member) in Members::of(value).into_iter().flatten() {
                if out.len() > enough {
                    return;
                }
                out.push(separator);
                write_text(name, out);
                out.push(':');
                write_json(member, enough, out); // At most `Limits::MAX_DEPTH` deep: the parser saw to that.
                separator = ',';
            }
            out.push_str(if separator == '{' { "{}" } else { "}" });
        }
        Some(Node::Array { .. }) => {
            let mut separator = '[';
            for element in Elements::of(value).into_iter().flatten() {
                if out.len() > enough {
                    return;
                }
                out.push(separator);
                write_json(element, enough, out);
                separator = ',';
            }
            out.push_str(if separator == '[' { "[]" } else { "]" });
        }
        None => {}
    }
}

fn write_text(text: &str, out: &mut String) {
    // Allocates, but only for texts inside an annotation that should have been a text itself.
    out.push_str(&serde_json::to_string(text).expect("a text can always be written as JSON"));
}

fn write_scalar(scalar: StaticNode, out: &mut String) {
    let written = match scalar {
        StaticNode::I64(number) => write!(out, "{number}"),
        StaticNode::U64(number) => write!(out, "{number}"),
        StaticNode::F64(number) => match serde_json::Number::from_f64(number) {
            Some(number) => write!(out, "{number}"),
            None => out.write_str("null"),
        },
        StaticNode::Bool(flag) => write!(out, "{flag}"),
        StaticNode::Null => out.write_str("null"),
    };
    written.expect("writing to a String cannot fail");
}

/// How many nodes the value that begins with this node has.
#[inline]
fn span(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(json: &str, enough: usize) -> String {
        let mut bytes = json.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let mut out = String::new();
        write_json(&tape.0, enough, &mut out);
        out
    }

    #[test]
    fn writes_what_serde_json_writes() {
        for json in [
            "null",
            "[]",
            "{}",
            r#"{ "a" : [ 1, -2, 0.5, 1e300, true, false, null, "x\n\"\u00e4\u0001" ], "b" : { } , "c":[[],[{}]] }"#,
            "[18446744073709551615,-9223372036854775808,1.0]",
        ] {
            let expected = serde_json::from_str::<serde_json::Value>(json).unwrap();
            let ours = serde_json::from_str::<serde_json::Value>(&written(json, usize::MAX)).unwrap();
            assert_eq!(ours, expected, "{json}");
            assert!(!written(json, usize::MAX).contains(' '), "{json}");
        }
    }

    #[test]
    fn stops_when_there_is_enough() {
        let long = format!("[{}1]", "[1,2,3],".repeat(10_000));
        assert!(written(&long, 100).len() < 120);
    }
}
