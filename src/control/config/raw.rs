//! YAML as it is written: a tree in which every value knows its place in the text.
//!
//! Built from the event parser of serde-saphyr rather than through serde, because serde ends at the first fault and
//! forgets how a value was spelt; here one pass over the tree can name every fault. Knows nothing of what keys mean.
//! Aliases share their node instead of copying it, and every limit that stops a hostile file is in this file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Span};

/// Larger files are refused: a thousand window rules have 300 kB.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Deeper files are refused; the deepest key we know is at level 5.
const MAX_DEPTH: usize = 32;
/// More values than this, after aliases are followed, are refused: a thousand window rules have 20,000.
const MAX_VALUES: usize = 100_000;

/// A value of the file.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it is written, bytes.
    pub(super) at: Range<usize>,
    /// What it is.
    pub(super) kind: Kind,
    /// Values in it, itself too, with aliases followed.
    values: usize,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`.
    Empty,
    /// A text, number or word; `plain` if it has no quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Rc<Node>>),
    /// Keys and values in the order of the file, with duplicates.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key is written, bytes.
    pub(super) at: Range<usize>,
    /// Its value.
    pub(super) value: Rc<Node>,
    /// It came by `<<` and gives way to a key that is written.
    merged: bool,
}

/// Something that is wrong with the text itself.
#[derive(Debug)]
pub(super) struct Problem {
    /// Where, bytes.
    pub(super) at: Range<usize>,
    /// What is wrong.
    pub(super) what: String,
}

/// Reads the text. The second part is what is wrong but did not end the reading.
///
/// # Errors
/// With the one problem after which nothing more can be said.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Problem>), Problem> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH * 2,
        block_nesting_limit: MAX_DEPTH * 2,
    };
    let mut builder = Builder { text, open: Vec::new(), anchors: BTreeMap::new(), root: None, problems: Vec::new() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let at = byte_offset(text, error.marker());
            let what = match error.kind() {
                granit_parser::ErrorKind::RecursionLimitExceeded => too_deep(),
                _ => format!("no YAML: {}", error.info()),
            };
            Problem { at: at..at, what }
        })?;
        let at = byte_range(text, &span);
        if builder.root.is_some() && matches!(event, Event::DocumentStart(..)) {
            return Err(Problem { at, what: "a second document; the file must hold one".to_owned() });
        }
        if let Some(tag) = span.tag_start() {
            let start = byte_offset(text, &tag);
            let what = "tags (!name) have no meaning here".to_owned();
            builder.problems.push(Problem { at: start..start + 1, what });
        }
        builder.event(event, at)?;
    }
    let root = builder.root.unwrap_or_else(|| Rc::new(Node { at: 0..0, kind: Kind::Empty, values: 1 }));
    builder.anchors.clear();
    let root = Rc::try_unwrap(root).expect("the root has no other owner once the anchors are gone");
    Ok((root, builder.problems))
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels")
}

fn byte_offset(text: &str, marker: &Marker) -> usize {
    marker.byte_offset().unwrap_or(0).min(text.len())
}

fn byte_range(text: &str, span: &Span) -> Range<usize> {
    let start = byte_offset(text, &span.start);
    let end = byte_offset(text, &span.end).max(start);
    let written = text.get(start..end).unwrap_or_default();
    start..start + written.trim_end().len()
}

/// A list or map that has begun and not ended.
struct Open {
    at: Range<usize>,
    anchor: usize,
    items: Vec<Rc<Node>>,
    entries: Option<Vec<Entry>>,
    key: Option<(String, Range<usize>)>,
    values: usize,
}

struct Builder<'a> {
    text: &'a str,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: Range<usize>) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = scalar(text, style, at);
                self.add(node, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, None),
            Event::MappingStart(_, anchor, _) => self.begin(at, anchor, Some(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => self.end(&at),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.place(node, at),
                None => Err(Problem { at, what: "the alias stands inside what it refers to".to_owned() }),
            },
            Event::UnresolvedAlias(name) => Err(Problem { at, what: format!("no anchor &{name} stands before this") }),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Range<usize>, anchor: usize, entries: Option<Vec<Entry>>) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem { at, what: too_deep() });
        }
        self.open.push(Open { at, anchor, items: Vec::new(), entries, key: None, values: 1 });
        Ok(())
    }

    fn end(&mut self, at: &Range<usize>) -> Result<(), Problem> {
        let open = self.open.pop().expect("the parser ends only what it began");
        let kind = match open.entries {
            Some(entries) => Kind::Map(written_first(entries)),
            None => Kind::List(open.items),
        };
        let written = self.text.get(open.at.start..at.end.max(open.at.end)).unwrap_or_default();
        let at = open.at.start..open.at.start + written.trim_end().len();
        self.add(Node { at, kind, values: open.values }, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        let at = node.at.clone();
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place(node, at)
    }

    /// Puts a value where the reading stands: `at` is where it is used, which for an alias is not where it is written.
    fn place(&mut self, node: Rc<Node>, at: Range<usize>) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.values = open.values.saturating_add(node.values);
        if open.values > MAX_VALUES {
            return Err(Problem { at, what: format!("more than {MAX_VALUES} values, counting what aliases repeat") });
        }
        let Some(entries) = &mut open.entries else {
            open.items.push(node);
            return Ok(());
        };
        match open.key.take() {
            None => match &node.kind {
                Kind::Scalar { text, .. } => open.key = Some((text.clone(), at)),
                _ => return Err(Problem { at, what: "a key must be a word".to_owned() }),
            },
            Some((key, _)) if key == "<<" => merge(entries, &node, &mut self.problems),
            Some((key, key_at)) => entries.push(Entry { key, at: key_at, value: node, merged: false }),
        }
        Ok(())
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, at: Range<usize>) -> Node {
    let plain = matches!(style, ScalarStyle::Plain);
    let empty = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
    let kind = if empty { Kind::Empty } else { Kind::Scalar { text: text.into_owned(), plain } };
    Node { at, kind, values: 1 }
}

/// `<<: *other`: takes over the keys of another map, or of several.
fn merge(entries: &mut Vec<Entry>, from: &Rc<Node>, problems: &mut Vec<Problem>) {
    match &from.kind {
        Kind::Map(others) => {
            entries.extend(others.iter().map(|entry| Entry { merged: true, ..entry.clone() }));
        }
        Kind::List(maps) if maps.iter().all(|map| matches!(map.kind, Kind::Map(_))) => {
            for map in maps {
                merge(entries, map, problems);
            }
        }
        _ => problems.push(Problem { at: from.at.clone(), what: "<< takes a map or a list of maps".to_owned() }),
    }
}

/// Drops what came by `<<` and is also written, or came before by another `<<`. Real duplicates stay, to be named.
fn written_first(entries: Vec<Entry>) -> Vec<Entry> {
    if !entries.iter().any(|entry| entry.merged) {
        return entries;
    }
    let (merged, mut kept): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.merged);
    let mut known: BTreeSet<String> = kept.iter().map(|entry| entry.key.clone()).collect();
    for entry in merged {
        if known.insert(entry.key.clone()) {
            kept.push(Entry { merged: false, ..entry });
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keys(node: &Node) -> Vec<&str> {
        let Kind::Map(entries) = &node.kind else { panic!("{node:?} is no map") };
        entries.iter().map(|entry| entry.key.as_str()).collect()
    }

    #[test]
    fn values_know_their_place() {
        let text = "a: 1\nb:\n  - 'two'\n  - {c: [x]}\n";
        let (root, problems) = parse(text).unwrap();
        assert!(problems.is_empty());
        assert_eq!(keys(&root), ["a", "b"]);
        let Kind::Map(entries) = &root.kind else { panic!() };
        assert_eq!(&text[entries[1].at.clone()], "b");
        let Kind::List(items) = &entries[1].value.kind else { panic!() };
        assert_eq!(&text[items[0].at.clone()], "'two'");
        assert_eq!(&text[items[1].at.clone()], "{c: [x]}");
    }

    #[test]
    fn a_merged_key_gives_way_to_a_written_one() {
        let (root, _) = parse("- &a {x: 1, y: 2}\n- {<<: *a, y: 3}\n- {y: 3, <<: [*a, {z: 1, x: 9}]}\n").unwrap();
        let Kind::List(items) = &root.kind else { panic!() };
        assert_eq!(keys(&items[1]), ["y", "x"]);
        assert_eq!(keys(&items[2]), ["y", "x", "z"]);
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = (1..=12).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
            let before = n - 1;
            format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{before}"); 10].join(", "))
        });
        for (text, what) in [
            ("[".repeat(40) + &"]".repeat(40), "nested deeper than 32 levels"),
            ("[".repeat(5_000), "nested deeper than 32 levels"),
            ((0..60).map(|n| format!("{}a:\n", " ".repeat(n))).collect(), "nested deeper than 32 levels"),
            (bomb, "more than 100000 values, counting what aliases repeat"),
            ("a: &a [*a]".to_owned(), "the alias stands inside what it refers to"),
            ("a: 1\n---\nb: 2\n".to_owned(), "a second document; the file must hold one"),
            ("[a]: b".to_owned(), "a key must be a word"),
        ] {
            let problem = parse(&text).unwrap_err();
            assert_eq!(problem.what, what);
        }
    }
}
