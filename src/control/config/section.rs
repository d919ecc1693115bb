//! Walking through the tree by key: every reader notes its own fault and says `None`, so that all faults are found.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use crate::control::config::duration;
use crate::control::config::fault::{Findings, shown};
use crate::control::config::raw::{Entry, Kind, Node};
use crate::control::config::secret::Surroundings;
use crate::model::time::Millis;

/// A value of the file on its way to what it means.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    node: &'a Node,
    at: Range<usize>,
    /// Its key with the keys around it, like `windows[2].gap`.
    pub(super) path: String,
    /// Where faults go.
    pub(super) findings: &'a Findings<'a>,
    /// What is outside the file.
    pub(super) around: &'a Surroundings,
}

impl<'a> Value<'a> {
    /// The file as a whole.
    pub(super) fn root(node: &'a Node, findings: &'a Findings<'a>, around: &'a Surroundings) -> Self {
        Self { node, at: node.at.clone(), path: String::new(), findings, around }
    }

    /// Notes that this value is wrong.
    pub(super) fn fault(&self, message: impl Into<String>) {
        self.findings.fault(Some(self.at.clone()), &self.path, message.into());
    }

    /// Notes that a place inside this text is wrong: `offset` bytes from the start of what it says.
    pub(super) fn fault_inside(&self, offset: usize, message: impl Into<String>) {
        let Kind::Scalar { text, .. } = &self.node.kind else { return self.fault(message) };
        let written = self.findings.text.get(self.node.at.clone()).unwrap_or_default();
        // Only where the text is written as it is meant does an offset in it lead to a place in the file.
        let at = match written.find(text.as_str()) {
            Some(0 | 1) => {
                let start = self.node.at.start + written.len().saturating_sub(text.len()) / 2 + offset;
                start..(start + 1).min(self.node.at.end)
            }
            _ => self.at.clone(),
        };
        self.findings.fault(Some(at), &self.path, message.into());
    }

    /// Notes that this value is legal but probably not meant.
    pub(super) fn warn(&self, message: impl Into<String>) {
        self.findings.warn(Some(self.at.clone()), &self.path, message.into());
    }

    /// Keeps this value out of everything that is shown.
    pub(super) fn hide(&self) {
        self.findings.hide(self.node.at.clone());
    }

    fn wanted(&self, what: &str) {
        match &self.node.kind {
            Kind::Empty => self.fault(format!("has no value; {what} is wanted (or leave the key out)")),
            Kind::Scalar { text, .. } => self.fault(format!("{} is not {what}", shown(text))),
            Kind::List(_) => self.fault(format!("a list is not {what}")),
            Kind::Map(_) => self.fault(format!("a map is not {what}")),
        }
    }

    /// Whether it is one word, text or number.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar { .. })
    }

    /// The text, without asking what it stands for.
    pub(super) fn word(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Scalar { text, .. } => Some(text.as_str()),
            _ => None,
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.word().filter(|text| !text.is_empty());
        if text.is_none() {
            self.wanted("a text");
        }
        text
    }

    /// A text, `""` too.
    pub(super) fn any_text(&self) -> Option<&'a str> {
        if self.word().is_none() {
            self.wanted("a text");
        }
        self.word()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.kind {
            Kind::Scalar { text, plain: true } if text == "true" => Some(true),
            Kind::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.wanted("true or false");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let digits = self.word().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(digits) = digits else {
            self.wanted("a whole number");
            return None;
        };
        let number = digits.parse().ok().filter(|number| bounds.contains(number));
        if number.is_none() {
            self.fault(format!("{} is not between {} and {}", shown(digits), bounds.start(), bounds.end()));
        }
        number
    }

    /// A duration within bounds.
    pub(super) fn duration(&self, bounds: RangeInclusive<Millis>) -> Option<Millis> {
        let Some(text) = self.word() else {
            self.wanted("a duration (like 1m30s)");
            return None;
        };
        let span = duration::parse(text).map_err(|what| self.fault(what)).ok()?;
        if bounds.contains(&span) {
            return Some(span);
        }
        let (least, most) = (duration::show(*bounds.start()), duration::show(*bounds.end()));
        if bounds.end().0 == i64::MAX {
            self.fault(format!("{text:?} is less than {least}"));
        } else {
            self.fault(format!("{text:?} is not between {least} and {most}"));
        }
        None
    }

    /// A size within bounds.
    pub(super) fn size(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let Some(text) = self.word() else {
            self.wanted("a size (like 8MiB)");
            return None;
        };
        let bytes = duration::parse_size(text).map_err(|what| self.fault(what)).ok()?;
        if !bounds.contains(&bytes) {
            let (least, most) = (duration::show_size(*bounds.start()), duration::show_size(*bounds.end()));
            self.fault(format!("{text:?} is not between {least} and {most}"));
            return None;
        }
        Some(bytes)
    }

    /// One of the known words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        let Some(text) = self.word() else {
            self.wanted(&format!("one of {}", names().join(", ")));
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.fault(format!("{} is unknown ({})", shown(text), hint(text, &names())));
        }
        found
    }

    /// A path; a relative one is meant from the folder of the configuration file.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.text().map(|text| self.around.folder.join(text))
    }

    /// A name that can stand in a position, a metric and a group key.
    pub(super) fn name(&self) -> Option<String> {
        let text = self.text()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.len() > 64 || !text.chars().all(fits) {
            self.fault(format!("{} is no name (at most 64 of a-z, A-Z, 0-9, -, _ and .)", shown(text)));
            return None;
        }
        Some(text.to_owned())
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        let Kind::List(nodes) = &self.node.kind else {
            self.wanted("a list");
            return None;
        };
        let item = |(index, node): (usize, &'a std::rc::Rc<Node>)| Self {
            node,
            at: node.at.clone(),
            path: format!("{}[{index}]", self.path),
            ..self.clone()
        };
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// The items of a list, or the value itself if it is a single text.
    pub(super) fn items_or_one(&self) -> Option<Vec<Self>> {
        if self.is_scalar() { Some(vec![self.clone()]) } else { self.items() }
    }

    /// A list of texts, or one.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        self.items_or_one()?.iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// The entries of a map whose keys are names of the user's.
    pub(super) fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let Kind::Map(entries) = &self.node.kind else {
            self.wanted("a map");
            return None;
        };
        self.name_duplicates(entries);
        Some(entries.iter().map(|entry| (entry.key.as_str(), self.child(entry))).collect())
    }

    /// The value of a map with known keys. Keys that `read` does not ask for are faults.
    pub(super) fn fields<T>(&self, read: impl FnOnce(&Section<'a>) -> T) -> Option<T> {
        let entries: &'a [Entry] = match &self.node.kind {
            Kind::Map(entries) => entries,
            Kind::Empty if self.path.is_empty() => &[],
            _ => {
                self.wanted("a map");
                return None;
            }
        };
        self.name_duplicates(entries);
        let section = Section { value: self.clone(), entries, asked: RefCell::default() };
        let meant = read(&section);
        section.name_unknown();
        Some(meant)
    }

    fn child(&self, entry: &'a Entry) -> Self {
        let path = join(&self.path, &entry.key);
        let empty = matches!(entry.value.kind, Kind::Empty) || entry.value.at.is_empty();
        let at = if empty { entry.at.clone() } else { entry.value.at.clone() };
        Self { node: &entry.value, at, path, ..self.clone() }
    }

    fn name_duplicates(&self, entries: &[Entry]) {
        let mut seen = BTreeSet::new();
        for entry in entries {
            if !seen.insert(entry.key.as_str()) {
                let path = join(&self.path, &entry.key);
                self.findings.fault(Some(entry.at.clone()), &path, "is given twice".to_owned());
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    // A quoted key can hold anything, and messages go to terminals.
    let escaped = key.chars().any(char::is_control).then(|| key.escape_debug().to_string());
    let key = escaped.as_deref().unwrap_or(key);
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The nearest of the known words if one is near, else all of them.
fn hint(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (strsim::damerau_levenshtein(word, name), *name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + word.chars().count() / 4 => format!("did you mean {name:?}?"),
        _ => format!("known: {}", known.join(", ")),
    }
}

/// A map with known keys while it is read.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// The map itself, for faults that are about no single key.
    pub(super) value: Value<'a>,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The value of a key, if the file has it.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        self.value.findings.known(join(&self.value.path, key));
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(self.value.child(entry))
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &'static str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.value.fault(format!("{key} is missing"));
        }
        value
    }

    /// Puts what a key means into `slot`; without the key, or with a fault, the default stays there.
    pub(super) fn set<T>(&self, key: &'static str, slot: &mut T, read: impl FnOnce(&Value<'a>) -> Option<T>) {
        if let Some(meant) = self.get(key).and_then(|value| read(&value)) {
            *slot = meant;
        }
    }

    fn name_unknown(&self) {
        let asked = self.asked.borrow();
        for entry in self.entries.iter().filter(|entry| !asked.contains(&entry.key.as_str())) {
            let path = join(&self.value.path, &entry.key);
            let message = format!("unknown key ({})", hint(&entry.key, &asked));
            self.value.findings.fault(Some(entry.at.clone()), &path, message);
        }
    }
}
