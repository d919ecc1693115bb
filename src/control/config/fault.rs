//! What is wrong with a configuration: every fault with file, line, column, key and an excerpt with a caret.
//!
//! The text of a secret that was written into the file by mistake is never shown: its place is masked in excerpts.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// More faults than this are counted, not listed: nobody mends more than this at once.
const MAX_LISTED: usize = 100;
/// Longer values are cut in messages.
const SHOWN_CHARS: usize = 60;

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Line in the file, from 1; 0 if it is not about a place in the file.
    pub line: usize,
    /// Column in characters, from 1; 0 if it is not about a place in the file.
    pub column: usize,
    /// The key, like `windows[2].gap`; empty if it is about the text as a whole.
    pub key: String,
    /// What is wrong and, where it can be said, what would be right.
    pub message: String,
    /// The line with the place marked below it; empty without a place.
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line_text: String,
    mark: Range<usize>,
}

impl fmt::Display for Fault {
    /// `31:17: windows[2].gap: message`, with only the parts that there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl Fault {
    /// The source line with a caret below the place; empty without a place.
    #[must_use]
    pub fn excerpt(&self, colours: bool) -> String {
        let Some(Excerpt { line_text, mark }) = &self.excerpt else { return String::new() };
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let snippet = Snippet::source(line_text.as_str())
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(mark.clone()));
        let rendered = renderer.render(&[Group::with_level(Level::ERROR).element(snippet)]);
        rendered.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// Why a configuration was refused: all of its faults at once, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Faults {
    /// The file as it was named.
    pub file: String,
    /// What is wrong; at least one, at most the first 100.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub count: usize,
    /// What is not wrong but worth a look.
    pub warnings: Vec<Fault>,
}

impl Faults {
    /// A single fault that is not about a place in the file.
    pub(super) fn whole_file(file: &str, message: String) -> Self {
        let fault = Fault { line: 0, column: 0, key: String::new(), message, excerpt: None };
        Self { file: file.to_owned(), faults: vec![fault], count: 1, warnings: Vec::new() }
    }

    /// The faults with excerpts, without a last line.
    #[must_use]
    pub fn details(&self, colours: bool) -> String {
        let mut out = list(&self.file, "", &self.faults, colours);
        if self.count > self.faults.len() {
            out.push_str(&format!("and {} more\n", self.count - self.faults.len()));
        }
        out
    }

    /// `2 faults, nothing was started`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}, nothing was started", counted(self.count, "fault"))
    }
}

impl fmt::Display for Faults {
    /// Every fault on a line and the summary, without excerpts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{}", headline(&self.file, "", fault))?;
        }
        f.write_str(&self.summary())
    }
}

/// Faults or warnings of a file, each with its excerpt; `kind` stands before what is said, like `warning: `.
#[must_use]
pub fn list(file: &str, kind: &str, faults: &[Fault], colours: bool) -> String {
    faults.iter().map(|fault| format!("{}\n{}", headline(file, kind, fault), fault.excerpt(colours))).collect()
}

/// `file:31:17: windows[2].gap: message`; an argument of the command line has no file.
fn headline(file: &str, kind: &str, fault: &Fault) -> String {
    let Fault { line, column, key, message, .. } = fault;
    let place = match line {
        0 if key.starts_with("--") => String::new(),
        0 => format!("{file}: "),
        line => format!("{file}:{line}:{column}: "),
    };
    let colon = if key.is_empty() { "" } else { ": " };
    format!("{place}{kind}{key}{colon}{message}")
}

/// `1 fault`, `2 faults`.
#[must_use]
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A value as it is shown in a message: quoted, and cut when it is long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A fault before its line and column are worked out.
#[derive(Debug)]
struct Found {
    at: Option<Range<usize>>,
    key: String,
    message: String,
}

/// Gathers what is wrong while the file is walked through.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    /// The text of the file.
    pub(super) text: &'a str,
    faults: RefCell<Vec<Found>>,
    n_faults: Cell<usize>,
    warnings: RefCell<Vec<Found>>,
    secrets: RefCell<Vec<Range<usize>>>,
    keys: RefCell<Vec<String>>,
}

impl<'a> Findings<'a> {
    /// Nothing found yet in this text.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            faults: RefCell::default(),
            n_faults: Cell::new(0),
            warnings: RefCell::default(),
            secrets: RefCell::default(),
            keys: RefCell::default(),
        }
    }

    /// Notes a fault; no place if it is about an argument of the command line.
    pub(super) fn fault(&self, at: Option<Range<usize>>, key: &str, message: String) {
        self.n_faults.set(self.n_faults.get() + 1);
        if self.faults.borrow().len() < MAX_LISTED {
            self.faults.borrow_mut().push(Found { at, key: key.to_owned(), message });
        }
    }

    /// Notes a warning.
    pub(super) fn warn(&self, at: Option<Range<usize>>, key: &str, message: String) {
        if self.warnings.borrow().len() < MAX_LISTED {
            self.warnings.borrow_mut().push(Found { at, key: key.to_owned(), message });
        }
    }

    /// From now on this part of the text is not shown to anybody.
    pub(super) fn hide(&self, at: Range<usize>) {
        self.secrets.borrow_mut().push(at);
    }

    /// Notes that a key is known, for the test that compares `config/reference.yaml` with the code.
    pub(super) fn known(&self, key: String) {
        if cfg!(test) {
            self.keys.borrow_mut().push(key);
        }
    }

    /// The keys that were asked for, whether the file has them or not.
    #[cfg(test)]
    pub(super) fn known_keys(&self) -> Vec<String> {
        self.keys.borrow().clone()
    }

    /// Ends the gathering: the warnings if there is no fault.
    pub(super) fn finish(self, file: &str) -> Result<Vec<Fault>, Faults> {
        let masked = mask(self.text, &self.secrets.into_inner());
        let placed = |mut found: Vec<Found>| -> Vec<Fault> {
            found.sort_by_key(|found| found.at.as_ref().map_or(0, |at| at.start));
            found.into_iter().map(|found| place(&masked, found)).collect()
        };
        let (faults, warnings) = (placed(self.faults.into_inner()), placed(self.warnings.into_inner()));
        if faults.is_empty() {
            return Ok(warnings);
        }
        Err(Faults { file: file.to_owned(), faults, count: self.n_faults.get(), warnings })
    }
}

/// Replaces the secret parts by stars, byte for byte, so that every place stays where it is.
fn mask(text: &str, secrets: &[Range<usize>]) -> String {
    let mut out = text.to_owned();
    for secret in secrets {
        if let Some(part) = text.get(secret.clone()) {
            let stars: String =
                part.chars().map(|c| if c == '\n' { "\n".to_owned() } else { "*".repeat(c.len_utf8()) }).collect();
            out.replace_range(secret.clone(), &stars);
        }
    }
    out
}

fn place(text: &str, found: Found) -> Fault {
    let Found { at, key, message } = found;
    let Some(at) = at else { return Fault { line: 0, column: 0, key, message, excerpt: None } };
    let before = text.get(..at.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line_text = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let column = text.get(line_start..at.start).unwrap_or_default().chars().count() + 1;
    let start = (at.start - line_start).min(line_text.len());
    let end = at.end.saturating_sub(line_start).clamp(start, line_text.len());
    let excerpt = Excerpt { line_text: line_text.to_owned(), mark: start..end };
    Fault { line, column, key, message, excerpt: Some(excerpt) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fault_shows_its_place() {
        let text = "a: 1\nwindows:\n  - {name: größe, gap: 5x}\n";
        let findings = Findings::new(text);
        let at = text.find("5x").unwrap();
        findings.fault(Some(at..at + 2), "windows[0].gap", "\"5x\" is no duration".to_owned());
        findings.fault(None, "--listen", "\"x\" is no address".to_owned());
        let faults = findings.finish("c.yaml").unwrap_err();
        insta::assert_snapshot!(faults.details(false) + &faults.summary(), @r#"
        --listen: "x" is no address
        c.yaml:3:24: windows[0].gap: "5x" is no duration
          |
        3 |   - {name: größe, gap: 5x}
          |                        ^^
        2 faults, nothing was started
        "#);
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "sasl: {user: ada, password: hunter2, extra: 1}\n";
        let findings = Findings::new(text);
        let at = text.find("hunter2").unwrap();
        findings.hide(at..at + 7);
        let at = text.find("extra").unwrap();
        findings.fault(Some(at..at + 5), "extra", "unknown key".to_owned());
        let shown = findings.finish("c.yaml").unwrap_err().details(false);
        assert!(shown.contains("password: *******, extra"), "{shown}");
    }

    #[test]
    fn a_flood_of_faults_is_counted() {
        let findings = Findings::new("");
        for _ in 0..250 {
            findings.fault(Some(0..0), "x", "unknown key".to_owned());
        }
        let faults = findings.finish("c.yaml").unwrap_err();
        assert_eq!((faults.faults.len(), faults.count), (100, 250));
        assert!(faults.details(false).ends_with("and 150 more\n"));
    }
}
