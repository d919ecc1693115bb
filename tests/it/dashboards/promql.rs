//! Reads what a PromQL expression names: metrics with the labels of their selectors, and the labels it groups by.
//!
//! No parser: promtool checks the grammar. Text in quotes and durations in brackets are passed over.

/// A metric and the matchers on its labels: name and text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) matchers: Vec<(String, String)>,
}

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) selectors: Vec<Selector>,
    /// Labels in `by`, `without`, `on` and the like.
    pub(crate) grouping: Vec<String>,
}

/// Words that are followed by a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words between expressions.
const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "inf"];

/// Everything that `expression` names.
pub(crate) fn names(expression: &str) -> Names {
    let mut names = Names::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            rest = quoted(rest).1;
        } else if first == '[' {
            rest = rest.split_once(']').map_or("", |(_, rest)| rest);
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_word(first) {
            let (word, behind) = split_word(rest);
            rest = behind.trim_start();
            if GROUPING.contains(&word) {
                let (list, behind) = rest.strip_prefix('(').and_then(|list| list.split_once(')')).unwrap_or(("", rest));
                names.grouping.extend(list.split(',').map(|label| label.trim().to_owned()).filter(|l| !l.is_empty()));
                rest = behind;
            } else if let Some(list) = rest.strip_prefix('{') {
                let (matchers, behind) = matchers(list);
                names.selectors.push(Selector { metric: word.to_owned(), matchers });
                rest = behind;
            } else if !rest.starts_with('(') && !is_aggregation(rest) && !OPERATORS.contains(&word) {
                names.selectors.push(Selector { metric: word.to_owned(), matchers: Vec::new() });
            }
        } else {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    names
}

/// Whether the word before was an aggregation: what it keeps may stand between its name and its argument.
fn is_aggregation(behind: &str) -> bool {
    ["by", "without"].contains(&split_word(behind).0)
}

/// The matchers of a selector and what follows it.
fn matchers(list: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        if rest.is_empty() || rest.starts_with('}') {
            return (found, rest.get(1..).unwrap_or_default());
        }
        let (label, behind) = split_word(rest);
        let (text, behind) = quoted(behind.trim_start_matches(['=', '!', '~', ' ']));
        assert!(!label.is_empty(), "no label at {rest:?}");
        found.push((label.to_owned(), text.to_owned()));
        rest = behind;
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':'
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !is_word(c) && !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// The text in quotes at the beginning and what follows it.
fn quoted(text: &str) -> (&str, &str) {
    let Some(quote) = text.chars().next() else { return ("", "") };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return (&text[1..at], &text[at + 1..]);
        }
        escaped = c == '\\' && !escaped;
    }
    panic!("no end of {text}");
}

fn check(expression: &str, metrics: &[(&str, &[(&str, &str)])], grouping: &[&str]) {
    let found = names(expression);
    let selectors = metrics.iter().map(|(metric, matchers)| Selector {
        metric: (*metric).to_owned(),
        matchers: matchers.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect(),
    });
    assert_eq!(found.selectors, selectors.collect::<Vec<_>>(), "{expression}");
    assert_eq!(found.grouping, grouping, "{expression}");
}

#[test]
fn metrics_labels_and_groupings_are_found() {
    check("up", &[("up", &[])], &[]);
    check("rate(a_total{x=\"1\", y=~\"b|c\"}[5m]) > 0.5", &[("a_total", &[("x", "1"), ("y", "b|c")])], &[]);
    check("sum without (le, p) (a[5m] offset 1h) or b", &[("a", &[]), ("b", &[])], &["le", "p"]);
    check("a / on (job) group_left (v) b:c:d", &[("a", &[]), ("b:c:d", &[])], &["job", "v"]);
    check("count_values(\"hash\", a{q=\"\\\"}\"})", &[("a", &[("q", "\\\"}")])], &[]);
    check("vector(1) + 1e-9 + time()", &[], &[]);
    check("label_values(a{job=~\"$job\"}, instance)", &[("a", &[("job", "$job")]), ("instance", &[])], &[]);
}
