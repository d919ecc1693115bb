//! Finds the first window rule that matches, without asking every rule.
//!
//! Most rules ask for one value of one label (`service="checkout"`). Such a rule is looked at only for label sets that have
//! the value; the others are always looked at. Candidates are asked in the order of the file, so the result is the same.

use std::collections::BTreeMap;

use crate::pipeline::options::WindowRule;

/// Rules by a value they ask for.
pub(super) struct RuleIndex {
    /// Per label name, in the order of names: the rules that ask for a value of it, by that value.
    by_value: Vec<(String, BTreeMap<String, Vec<u16>>)>,
    /// The others.
    always: Vec<u16>,
}

impl RuleIndex {
    pub(super) fn new(rules: &[WindowRule]) -> Self {
        let mut shared: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for wanted in rules.iter().flat_map(wanted) {
            *shared.entry(wanted).or_default() += 1;
        }
        let mut by_value: BTreeMap<String, BTreeMap<String, Vec<u16>>> = BTreeMap::new();
        let mut always = Vec::new();
        for (index, rule) in (0..).zip(rules) {
            // The value that fewest rules ask for leaves the fewest candidates.
            match wanted(rule).min_by_key(|wanted| shared.get(wanted)) {
                Some((name, value)) => {
                    by_value.entry(name.to_owned()).or_default().entry(value.to_owned()).or_default().push(index);
                }
                None => always.push(index),
            }
        }
        Self { by_value: by_value.into_iter().collect(), always }
    }

    /// The index of the first rule that matches; 0 if none does, which the check of the configuration rules out.
    pub(super) fn first_match(&self, rules: &[WindowRule], labels: &[(&str, &str)]) -> usize {
        let first = |candidates: &[u16], before: usize| {
            let mut candidates = candidates.iter().map(|index| usize::from(*index)).take_while(|index| *index < before);
            candidates.find(|index| {
                rules.get(*index).is_some_and(|rule| rule.matchers.iter().all(|matcher| matcher.matches(labels)))
            })
        };
        let mut best = usize::MAX;
        for (name, values) in &self.by_value {
            let value = labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
            if let Some(candidates) = values.get(value) {
                best = first(candidates, best).unwrap_or(best);
            }
        }
        best = first(&self.always, best).unwrap_or(best);
        if best == usize::MAX { 0 } else { best }
    }
}

/// The values a rule asks for, by name.
fn wanted(rule: &WindowRule) -> impl Iterator<Item = (&str, &str)> {
    rule.matchers.iter().filter_map(|matcher| Some((matcher.name(), matcher.wanted()?)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::matcher::Matcher;
    use proptest::prelude::*;

    const MATCHERS: [&str; 9] = [
        r#"a="1""#,
        r#"a="2",b="1""#,
        r#"b="1""#,
        r#"b!="1""#,
        r#"c=~"1|2""#,
        r#"a="""#,
        r#"a="1",c="2""#,
        r#"a="1",a="2""#,
        r#"c!~"1",b="2""#,
    ];

    proptest! {
        #[test]
        fn finds_what_asking_every_rule_finds(
            chosen in prop::collection::vec(0..MATCHERS.len(), 0..12),
            values in prop::array::uniform3(0..4_usize),
        ) {
            let rule = |text: &str| {
                WindowRule { matchers: Matcher::parse_all(text).unwrap(), ..WindowRule::named("r") }
            };
            let mut rules: Vec<WindowRule> = chosen.iter().map(|index| rule(MATCHERS[*index])).collect();
            rules.push(rule(""));
            let all = [("a", values[0]), ("b", values[1]), ("c", values[2])];
            let texts = ["", "1", "2", "3"];
            let labels: Vec<(&str, &str)> =
                all.iter().filter(|(_, value)| *value > 0).map(|(name, value)| (*name, texts[*value])).collect();
            let matches = |rule: &WindowRule| rule.matchers.iter().all(|matcher| matcher.matches(&labels));
            let plain = rules.iter().position(matches).unwrap();
            prop_assert_eq!(RuleIndex::new(&rules).first_match(&rules, &labels), plain);
        }
    }
}
