//! Label matchers in Alertmanager's syntax: `name="value"`, `!=`, `=~`, `!~`; regular expressions are anchored.
//!
//! Source: Alertmanager, "matchers" in its configuration documentation (UTF-8 mode: any name may be quoted).

use std::fmt;

use regex::Regex;

/// How a matcher compares.
#[derive(Clone, Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Regex(Regex),
    NotRegex(Regex),
}

/// One condition on one label. An absent label counts as the empty text.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    test: Test,
}

/// Why a matcher could not be read; `at` is the byte offset of the fault in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct MatcherError {
    /// Offset of the fault, bytes from the start of the text.
    pub at: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

impl Matcher {
    /// Whether the value of the label this matcher names (empty if absent) passes.
    #[must_use]
    pub fn matches_value(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => value == wanted,
            Test::NotEqual(unwanted) => value != unwanted,
            Test::Regex(regex) => regex.is_match(value),
            Test::NotRegex(regex) => !regex.is_match(value),
        }
    }

    /// Whether the label set passes.
    #[must_use]
    pub fn matches(&self, labels: &[(&str, &str)]) -> bool {
        let value = labels.iter().find(|(name, _)| *name == self.name).map_or("", |(_, value)| value);
        self.matches_value(value)
    }

    /// The one value that passes, if there is only one.
    #[must_use]
    pub fn wanted(&self) -> Option<&str> {
        if let Test::Equal(value) = &self.test { Some(value) } else { None }
    }

    /// The label it looks at.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads one matcher or several, separated by commas, with or without braces around them.
    ///
    /// # Errors
    /// Names the place of the first fault and what was expected there.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, MatcherError> {
        let mut reader = Reader { text, at: 0 };
        let braces = reader.eat('{');
        let mut matchers = Vec::new();
        while !(reader.at_end() || braces && reader.looking_at('}')) {
            matchers.push(reader.matcher()?);
            if !reader.eat(',') {
                break;
            }
        }
        if braces && !reader.eat('}') {
            return Err(reader.fault("expected \",\" or \"}\""));
        }
        if !reader.at_end() {
            return Err(reader.fault("expected \",\" or the end"));
        }
        Ok(matchers)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, value) = match &self.test {
            Test::Equal(value) => ("=", value.as_str()),
            Test::NotEqual(value) => ("!=", value.as_str()),
            Test::Regex(regex) => ("=~", unanchored(regex)),
            Test::NotRegex(regex) => ("!~", unanchored(regex)),
        };
        if self.name.is_empty() || self.name.contains(ends_name) {
            write_quoted(&self.name, f)?;
        } else {
            f.write_str(&self.name)?;
        }
        f.write_str(operator)?;
        write_quoted(value, f)
    }
}

/// Writes a quoted text so that `quoted` reads it back: only what it knows is escaped.
fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

/// What a label name that is not quoted ends at.
fn ends_name(c: char) -> bool {
    c.is_whitespace() || "=!~,{}\"'`".contains(c)
}

fn unanchored(regex: &Regex) -> &str {
    regex.as_str().strip_prefix("^(?s:").and_then(|text| text.strip_suffix(")$")).unwrap_or(regex.as_str())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    fn looking_at(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.rest().starts_with(wanted)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.looking_at(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn fault(&self, what: impl Into<String>) -> MatcherError {
        MatcherError { at: self.at, what: what.into() }
    }

    fn matcher(&mut self) -> Result<Matcher, MatcherError> {
        self.skip_space();
        let name = self.word(ends_name, "a label name")?;
        self.skip_space();
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|known| self.rest().starts_with(known));
        let Some(operator) = operator else {
            return Err(self.fault("expected one of =, !=, =~, !~"));
        };
        self.at += operator.len();
        self.skip_space();
        let value_at = self.at;
        let value = if self.rest().is_empty() || self.rest().starts_with([',', '}']) {
            String::new()
        } else {
            self.word(|c| c.is_whitespace() || ",{}\"".contains(c), "a value")?
        };
        let regex = || {
            // By itself first: `a)|(b` must not get out of the anchors.
            Regex::new(&value).and_then(|_| Regex::new(&format!("^(?s:{value})$"))).map_err(|error| {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                MatcherError { at: value_at, what: format!("bad regular expression: {last}") }
            })
        };
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => Test::Regex(regex()?),
            _ => Test::NotRegex(regex()?),
        };
        Ok(Matcher { name, test })
    }

    /// A bare word up to `ends`, or a double-quoted text with `\"`, `\\` and `\n` as escapes.
    fn word(&mut self, ends: impl Fn(char) -> bool, wanted: &str) -> Result<String, MatcherError> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let len = self.rest().find(ends).unwrap_or(self.rest().len());
        if len == 0 {
            return Err(self.fault(format!("expected {wanted}")));
        }
        let word = self.rest().get(..len).unwrap_or_default().to_owned();
        self.at += len;
        Ok(word)
    }

    fn quoted(&mut self) -> Result<String, MatcherError> {
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += offset + 1;
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                    Some((_, other)) => out.extend(['\\', other]), // As Alertmanager: kept, for regular expressions.
                    None => break,
                },
                other => out.push(other),
            }
        }
        Err(self.fault("the quote is not closed"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, labels: &[(&str, &str)], expected: bool) {
        let matchers = Matcher::parse_all(text).unwrap();
        assert_eq!(matchers.iter().all(|matcher| matcher.matches(labels)), expected, "{text} on {labels:?}");
    }

    #[test]
    fn matches_as_alertmanager_does() {
        let labels = [("severity", "critical"), ("service", "checkout-api"), ("größe", "ja")];
        check(r#"severity="critical""#, &labels, true);
        check(r#"{severity="critical", service=~"checkout.*"}"#, &labels, true);
        check(r#"service=~"checkout""#, &labels, false);
        check(r#"service=~"a|checkout-api""#, &labels, true);
        check(r#"service!~"a|checkout-api""#, &labels, false);
        check("severity=critical", &labels, true);
        check(r#"absent="""#, &labels, true);
        check(r#"absent!="x""#, &labels, true);
        check(r#"absent="#, &labels, true);
        check(r#""größe"=ja"#, &labels, true);
        check("{}", &labels, true);
        check(r#"service=~"checkout\\.api""#, &labels, false);
    }

    #[test]
    fn faults_name_their_place() {
        for (text, at, what) in [
            ("severity", 8, "expected one of =, !=, =~, !~"),
            (r#"a="b" c="d""#, 6, "expected \",\" or the end"),
            (r#"{a="b""#, 6, "expected \",\" or \"}\""),
            (r#"a="b"#, 2, "the quote is not closed"),
            (r#"="b""#, 0, "expected a label name"),
        ] {
            let error = Matcher::parse_all(text).unwrap_err();
            assert_eq!((error.at, error.what.as_str()), (at, what), "{text}");
        }
        let error = Matcher::parse_all(r#"a=~"(""#).unwrap_err();
        assert_eq!(error.at, 3);
        assert!(error.what.starts_with("bad regular expression: unclosed group"), "{}", error.what);
    }

    #[test]
    fn is_shown_as_it_is_written() {
        for text in [
            r#"service=~"a|b""#,
            r#""a b"="c""#,
            r#"a="\"x\" \\ \n""#,
            "größe!=\"\u{1b}\u{202e}\t\"",
            r#"""="x""#,
            r#"a!~"\\.b""#,
        ] {
            assert_eq!(Matcher::parse_all(text).unwrap().first().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_pattern_stays_within_its_anchors() {
        let error = Matcher::parse_all(r#"a=~"x)|(y""#).unwrap_err();
        assert!(error.at == 3 && error.what.contains("bad regular expression"), "{error:?}");
    }
}
