//! `identity`: which labels make two alerts the same.

use regex::Regex;

use crate::control::config::section::{Section, Value};
use crate::pipeline::options::{Identity, Mask};

pub(super) fn read(value: Option<&Value<'_>>) -> Identity {
    let mut identity = Identity::default();
    let Some(value) = value else { return identity };
    value.fields(|section| {
        section.set("labels", &mut identity.labels, Value::texts);
        section.set("drop", &mut identity.drop, Value::texts);
        section.set("mask", &mut identity.mask, |value| {
            let masks = value.items()?;
            masks.iter().map(|item| item.fields(mask).flatten()).collect()
        });
        section.set("alias", &mut identity.alias, aliases);
        if !identity.labels.is_empty()
            && let Some(drop) = section.get("drop")
            && let Some(odd) = identity.drop.iter().find(|label| !identity.labels.contains(label))
        {
            drop.warn(format!("{odd:?} is not in labels, so it does not count anyway"));
        }
        if let Some(labels) = section.get("labels")
            && !identity.labels.is_empty()
            && identity.labels.iter().all(|label| identity.drop.contains(label))
        {
            labels.fault("all of them are in drop: no label would be left to tell alerts apart");
        }
    });
    identity
}

fn mask(section: &Section<'_>) -> Option<Mask> {
    let label = section.get("label").map(|value| value.text().map(str::to_owned));
    let pattern = section.require("pattern").map(|value| regex(&value));
    let mut replace = String::new();
    section.set("replace", &mut replace, |value| value.any_text().map(str::to_owned));
    let label = match label {
        None => None,
        Some(label) => Some(label?),
    };
    Some(Mask { label, pattern: pattern??, replace })
}

fn regex(value: &Value<'_>) -> Option<Regex> {
    let text = value.text()?;
    match Regex::new(text) {
        Ok(regex) if regex.is_match("") => {
            value.fault(format!("{text:?} finds empty text everywhere; it must find at least one character"));
            None
        }
        Ok(regex) => Some(regex),
        Err(error) => {
            let reason = error.to_string();
            let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            value.fault(format!("bad regular expression: {last}"));
            None
        }
    }
}

/// `canonical: [alias, ...]` to pairs (alias, canonical).
fn aliases(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let entries = value.entries()?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (canonical, names) in &entries {
        for item in names.items_or_one()? {
            let alias = item.text()?;
            if entries.iter().any(|(other, _)| *other == alias) {
                item.fault(format!("{alias:?} has aliases itself; an alias leads to one name"));
            } else if let Some((_, other)) = pairs.iter().find(|(known, _)| known == alias) {
                item.fault(format!("{alias:?} already stands for {other:?}"));
            } else {
                pairs.push((alias.to_owned(), (*canonical).to_owned()));
            }
        }
    }
    Some(pairs)
}
