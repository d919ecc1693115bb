//! From labels to identity: fingerprint, window rule, group key, severity; computed once per distinct label text.
//!
//! `known` remembers label texts, `hashes` single labels, `rules` finds the window rule; here is what is computed of a text
//! seen for the first time.

mod hashes;
mod known;
mod rules;

use std::sync::Arc;

use crate::model::alert::Severity;
use crate::model::fingerprint::{Fingerprint, FingerprintBuilder, GroupHash, HashKey, group_hash};
use crate::model::labels::Pairs;
use crate::pipeline::identify::hashes::LabelHashes;
use crate::pipeline::identify::known::KnownTexts;
use crate::pipeline::identify::rules::RuleIndex;
use crate::pipeline::options::{Identity, Options, SourceOptions, WindowRule};
use crate::pipeline::pressure::novelty::Novelty;
use crate::pipeline::source::SourceIndex;

pub use known::{Form, TextHash};

/// What is known of a label text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Identity of the alert.
    pub fingerprint: Fingerprint,
    /// Group key.
    pub group: GroupHash,
    /// Index of the window rule.
    pub rule: u16,
    /// From the label `severity`.
    pub severity: Severity,
}

/// Computes and remembers identities. One per decoder: it is not shared.
pub struct Identifier {
    rules: Arc<[WindowRule]>,
    index: RuleIndex,
    sources: Arc<[SourceOptions]>,
    key: HashKey,
    known: KnownTexts,
    hashes: LabelHashes,
    /// What is new, where somebody wants to know.
    novelty: Option<Box<Novelty>>,
}

impl Identifier {
    /// Memory that each takes for what it remembers.
    pub const BYTES: u64 = (known::BYTES + hashes::BYTES) as u64;

    /// An identifier that knows nothing yet.
    #[must_use]
    pub fn new(options: &Options, key: HashKey) -> Self {
        Self {
            rules: options.rules.clone(),
            index: RuleIndex::new(&options.rules),
            sources: options.sources.clone(),
            key,
            known: KnownTexts::new(),
            hashes: LabelHashes::new(key),
            novelty: None,
        }
    }

    /// What is new is noted from now on, by source and label.
    pub fn note_novelty(&mut self) {
        self.novelty = Some(Box::default());
    }

    /// What is new, if it is noted.
    pub fn novelty(&mut self) -> Option<&mut Novelty> {
        self.novelty.as_deref_mut()
    }

    /// The hash of a label text, for `recall` and `learn`.
    #[inline]
    #[must_use]
    pub fn hash(&self, source: SourceIndex, form: Form, text: &[u8]) -> TextHash {
        self.known.hash(source, form, text)
    }

    /// What is known of a label text.
    #[inline]
    #[must_use]
    pub fn recall(&self, text: TextHash) -> Option<Known> {
        self.known.get(text)
    }

    /// Computes the identity of a label set, and remembers it for its text. `encoded`: the set in the encoding of
    /// `model::labels`.
    pub fn learn(&mut self, text: TextHash, source: SourceIndex, labels: &[(&str, &str)], encoded: &[u8]) -> Known {
        let known = self.compute(source, labels, encoded);
        self.known.put(text, known);
        known
    }

    /// The identity of a label set, given in the encoding of `model::labels`.
    pub fn identify(&mut self, source: SourceIndex, encoded: &[u8]) -> Known {
        let text = self.hash(source, Form::Encoded, encoded);
        self.recall(text).unwrap_or_else(|| {
            let labels: Vec<(&str, &str)> = Pairs(encoded).collect();
            self.learn(text, source, &labels, encoded)
        })
    }

    fn compute(&mut self, source: SourceIndex, labels: &[(&str, &str)], encoded: &[u8]) -> Known {
        let value_of = |name: &str| labels.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let rule = self.index.first_match(&self.rules, labels);
        let group = self
            .rules
            .get(rule)
            .map_or_else(GroupHash::default, |rule| group_hash(self.key, &rule.name, rule.group_labels(value_of)));
        let severity = value_of("severity").map_or(Severity::Unknown, Severity::from_label);
        let identity = self.sources.get(usize::from(source.0)).map(|source| source.identity.as_ref());
        let identity = identity.filter(|identity| !identity.is_plain());
        let Self { hashes, known, novelty, .. } = self;
        if let Some(novelty) = novelty {
            novelty.begin_text(source);
        }
        let note = |place: usize, name: &[u8], hash: u64| {
            if let Some(novelty) = novelty {
                novelty.note(source, place, name, hash);
            }
        };
        let fingerprint = match identity {
            Some(identity) => {
                hashes.each(&known.secret, encoded, note);
                fingerprint_of(self.key, identity, labels)
            }
            None => hashes.fingerprint(&known.secret, encoded, note),
        };
        Known { fingerprint, group, rule: rule as u16, severity }
    }
}

/// The fingerprint of a label set under an identity: aliases resolved, volatile parts masked, the rest as it is.
#[must_use]
pub fn fingerprint_of(key: HashKey, identity: &Identity, labels: &[(&str, &str)]) -> Fingerprint {
    let mut builder = FingerprintBuilder::new(key);
    let has = |name: &str| labels.iter().any(|(known, _)| *known == name);
    for (name, value) in labels {
        let Some(canonical) = canonical_name(identity, name, &has) else { continue };
        let counts = identity.labels.is_empty() || identity.labels.iter().any(|wanted| wanted == canonical);
        if !counts || identity.drop.iter().any(|dropped| dropped == canonical) {
            continue;
        }
        let mut masked = std::borrow::Cow::Borrowed(*value);
        for mask in &identity.mask {
            if mask.label.as_deref().is_none_or(|label| label == canonical)
                && let std::borrow::Cow::Owned(replaced) = mask.pattern.replace_all(&masked, mask.replace.as_str())
            {
                masked = std::borrow::Cow::Owned(replaced);
            }
        }
        builder.label(canonical, &masked);
    }
    builder.finish()
}

/// The name under which a label counts; `None` if another label of the set already stands for the same thing.
fn canonical_name<'a>(identity: &'a Identity, name: &'a str, has: &impl Fn(&str) -> bool) -> Option<&'a str> {
    let Some((_, canonical)) = identity.alias.iter().find(|(alias, _)| alias == name) else { return Some(name) };
    let first = identity.alias.iter().find(|(alias, of)| of == canonical && has(alias));
    let stands_for_it = !has(canonical) && first.is_some_and(|(alias, _)| alias == name);
    stands_for_it.then_some(canonical)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::labels;
    use crate::model::matcher::Matcher;
    use crate::pipeline::options::Mask;

    fn of(identity: &Identity, labels: &[(&str, &str)]) -> Fingerprint {
        fingerprint_of(HashKey::FIXED, identity, labels)
    }

    #[test]
    fn identity_drops_masks_and_renames() {
        let identity = Identity {
            labels: Vec::new(),
            drop: vec!["value".to_owned()],
            mask: vec![Mask {
                label: Some("pod".to_owned()),
                pattern: regex::Regex::new("-[a-z0-9]{5}$").unwrap(),
                replace: "-*".to_owned(),
            }],
            alias: vec![("host".to_owned(), "instance".to_owned()), ("hostname".to_owned(), "instance".to_owned())],
        };
        let plain = of(&identity, &[("alertname", "A"), ("pod", "web-abc12"), ("instance", "n1")]);
        for same in [
            vec![("alertname", "A"), ("pod", "web-zzz99"), ("host", "n1"), ("value", "3")],
            vec![("hostname", "n1"), ("pod", "web-00000"), ("alertname", "A")],
            vec![("hostname", "other"), ("instance", "n1"), ("pod", "web-00000"), ("alertname", "A")],
            vec![("hostname", "other"), ("host", "n1"), ("pod", "web-00000"), ("alertname", "A")],
        ] {
            assert_eq!(of(&identity, &same), plain, "{same:?}");
        }
        assert_ne!(of(&identity, &[("alertname", "A"), ("pod", "db-abc12"), ("instance", "n1")]), plain);
        let only = Identity { labels: vec!["alertname".to_owned()], ..Identity::default() };
        assert_eq!(of(&only, &[("alertname", "A"), ("pod", "x")]), of(&only, &[("alertname", "A")]));
    }

    #[test]
    fn the_first_rule_that_matches_wins_and_repeats_agree() {
        let mut critical = WindowRule::named("critical");
        critical.matchers = Matcher::parse_all(r#"severity="critical""#).unwrap();
        let options = Options {
            decoders: 1,
            shards: 1,
            epoch: crate::pipeline::options::EpochOptions::default(),
            rules: vec![critical, WindowRule::named("default")].into(),
            sources: vec![SourceOptions::named("http")].into(),
            samples: 1,
            config_version: 1,
        };
        let mut identifier = Identifier::new(&options, HashKey::FIXED);
        let mut known = |pairs: &[(&str, &str)]| {
            let mut encoded = Vec::new();
            labels::encode(pairs.iter().copied(), &mut encoded);
            let first = identifier.identify(SourceIndex(0), &encoded);
            assert_eq!(identifier.identify(SourceIndex(0), &encoded), first);
            first
        };
        let critical = known(&[("alertname", "A"), ("severity", "critical"), ("service", "s")]);
        let other = known(&[("alertname", "A"), ("severity", "warning"), ("service", "s")]);
        assert_eq!((critical.rule, critical.severity), (0, Severity::Critical));
        assert_eq!((other.rule, other.severity), (1, Severity::Warning));
        assert_ne!(critical.group, other.group, "the rule's name is part of the group key");
        assert_eq!(known(&[("alertname", "B"), ("service", "s")]).group, other.group);
        assert_ne!(known(&[("alertname", "B")]).group, known(&[("alertname", "C")]).group);
    }
}
