//! Which groups are shown: those with a text anywhere in them, or those whose labels pass matchers.

use crate::control::busiest::GroupStanding;
use crate::model::Matcher;

/// What a person typed, and what it means.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    text: String,
    meaning: Meaning,
}

#[derive(Clone, Debug, Default)]
enum Meaning {
    #[default]
    Everything,
    /// Lower case.
    Text(String),
    Labels(Vec<Matcher>),
}

impl Filter {
    /// Understands what was typed: with `=` or `!~` in it label matchers if they can be read, else a text.
    pub(super) fn new(text: &str) -> Self {
        let wanted = text.trim();
        let speaks_of_labels = wanted.contains('=') || wanted.contains("!~");
        let matchers = if speaks_of_labels { Matcher::parse_all(wanted).ok() } else { None };
        let meaning = match matchers {
            _ if wanted.is_empty() => Meaning::Everything,
            Some(matchers) => Meaning::Labels(matchers),
            None => Meaning::Text(wanted.to_lowercase()),
        };
        Self { text: text.to_owned(), meaning }
    }

    /// As it was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it hides anything.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.meaning, Meaning::Everything)
    }

    /// How it was understood.
    pub(super) fn how(&self) -> &'static str {
        match self.meaning {
            Meaning::Everything => "everything",
            Meaning::Text(_) => "text",
            Meaning::Labels(_) => "labels",
        }
    }

    /// Whether a group is shown.
    pub(super) fn passes(&self, group: &GroupStanding) -> bool {
        match &self.meaning {
            Meaning::Everything => true,
            Meaning::Text(wanted) => texts(group).any(|text| text.to_lowercase().contains(wanted)),
            Meaning::Labels(matchers) => {
                matchers.iter().all(|matcher| matcher.matches_value(value(group, matcher.name())))
            }
        }
    }
}

/// Everything of a group that a person can read.
fn texts(group: &GroupStanding) -> impl Iterator<Item = String> {
    let labels = group.group_labels.iter().map(|(name, value)| format!("{name}={value}"));
    let words = [group.rule.clone(), group.severity_max.name().to_owned(), group.status.name().to_owned()];
    labels.chain(words).chain(group.incident_id.map(|id| id.to_string()))
}

/// A label; where the group has none of that name, rule, severity and status can be asked for like one.
fn value<'g>(group: &'g GroupStanding, name: &str) -> &'g str {
    match (group.group_labels.get(name), name) {
        (Some(value), _) => value,
        (None, "rule") => &group.rule,
        (None, "severity") => group.severity_max.name(),
        (None, "status") => group.status.name(),
        (None, _) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::tests::group;

    #[test]
    fn a_text_or_matchers() {
        let group = group(1, "checkout", 5.0, 12);
        for (text, how, expected) in [
            ("", "everything", true),
            ("  ", "everything", true),
            ("CHECK", "text", true),
            ("cluster=eu", "labels", true),
            ("payments", "text", false),
            ("service=\"checkout\"", "labels", true),
            ("service=~\"check.*\", cluster!=eu", "labels", false),
            ("severity=critical", "labels", true),
            ("status=resolved", "labels", false),
            ("absent=\"\"", "labels", true),
            ("service=\"check", "text", false),
            ("00000000000000000000000000000001", "text", true),
        ] {
            let filter = Filter::new(text);
            assert_eq!((filter.how(), filter.passes(&group)), (how, expected), "{text}");
            assert_eq!(filter.is_on(), how != "everything");
        }
    }
}
