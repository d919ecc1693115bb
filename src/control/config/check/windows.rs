//! `windows`: the rules that group alerts, in order; the first that matches an alert wins.

use crate::control::config::check::{ANY_LENGTH, or_never};
use crate::control::config::duration::show;
use crate::control::config::section::{Section, Value};
use crate::model::alert::Severity;
use crate::model::matcher::Matcher;
use crate::model::time::Millis;
use crate::pipeline::options::{OpenAfter, ResolveAfter, WindowKind, WindowRule};

/// Name of the rule that is added when no rule matches everything.
const DEFAULT_RULE: &str = "default";
/// Each alert is tried against the rules in turn: more than this would be felt on the hot path.
const MAX_RULES: usize = 1_000;

pub(super) fn read(top: &Section<'_>) -> Vec<WindowRule> {
    let Some(value) = top.get("windows") else { return vec![WindowRule::named(DEFAULT_RULE)] };
    let items = value.items().unwrap_or_default();
    if items.len() > MAX_RULES {
        value.fault(format!("{} rules; at most {MAX_RULES} are taken", items.len()));
        return Vec::new();
    }
    let mut read: Vec<Rule<'_>> = Vec::with_capacity(items.len());
    for item in &items {
        if let Some((rule, everything)) = item.fields(|section| rule(section, &read)) {
            read.push(Rule { item, rule, everything });
        }
    }
    let mut above = read.iter().skip_while(|rule| !rule.everything);
    if let Some(Rule { rule, .. }) = above.next() {
        above.for_each(|below| {
            below.item.warn(format!("no alert comes here: rule {:?} above matches everything", rule.name));
        });
    }
    if read.last().is_none_or(|last| !last.rule.matchers.is_empty()) {
        if let Some(taken) = read.iter().find(|rule| rule.rule.name == DEFAULT_RULE) {
            taken.item.fault(
                "the last rule does not match everything, so one of this name is added at the end: \
                 take another name here, or write a last rule without match",
            );
        }
        let default = WindowRule::named(DEFAULT_RULE);
        return read.into_iter().map(|rule| rule.rule).chain([default]).collect();
    }
    read.into_iter().map(|rule| rule.rule).collect()
}

/// A rule with the place where it is written.
struct Rule<'v> {
    item: &'v Value<'v>,
    rule: WindowRule,
    /// It has no matchers and is not meant to have any.
    everything: bool,
}

fn rule(section: &Section<'_>, before: &[Rule<'_>]) -> (WindowRule, bool) {
    let name = section.require("name");
    let mut rule = WindowRule::named("");
    if let Some(text) = name.as_ref().and_then(Value::name) {
        if before.iter().any(|other| other.rule.name == text) {
            section.get("name").inspect(|value| value.fault(format!("a rule before this has the name {text:?}")));
        }
        rule.name = text;
    }
    let matchers = section.get("match").map_or(Some(Vec::new()), |value| matchers(&value));
    let everything = matchers.as_ref().is_some_and(Vec::is_empty);
    rule.matchers = matchers.unwrap_or_default();
    section.set("group_by", &mut rule.group_by, group_by);
    section.set("open_after", &mut rule.open_after, |value| value.fields(open_after)?);

    let any = || Millis::ZERO..=ANY_LENGTH;
    let some = || Millis(1)..=ANY_LENGTH;
    section.set("wait", &mut rule.wait, |value| value.duration(any()));
    section.set("wait_by_severity", &mut rule.wait_by_severity, wait_by_severity);
    section.set("update_every", &mut rule.update_every, |value| value.duration(some()));
    section.set("gap", &mut rule.gap, |value| value.duration(some()));
    section.set("max_age", &mut rule.max_age, |value| or_never(value, "never", |value| value.duration(some())));
    let most = 1..=1_000_000_000;
    section.set("max_alerts", &mut rule.max_alerts, |value| or_never(value, "none", |value| value.number(most)));
    let kinds =
        [("session", WindowKind::Session), ("fixed", WindowKind::Fixed), ("until_resolved", WindowKind::UntilResolved)];
    section.set("kind", &mut rule.kind, |value| value.one_of(&kinds));
    section.set("resolve_after", &mut rule.resolve_after, |value| match value.word() {
        Some("default") => Some(ResolveAfter::BySource),
        Some("never") => Some(ResolveAfter::Never),
        _ => value.duration(some()).map(ResolveAfter::After),
    });
    section.set("reopen", &mut rule.reopen, |value| match value.word() {
        Some("never") => Some(Millis::ZERO),
        _ => value.duration(any()),
    });
    section
        .set("forget_after", &mut rule.forget_after, |value| or_never(value, "never", |value| value.duration(some())));
    together(section, &rule);
    (rule, everything)
}

/// What is wrong or odd only in combination.
fn together(section: &Section<'_>, rule: &WindowRule) {
    let Millis(gap) = rule.gap;
    match rule.kind {
        WindowKind::Fixed => {
            match section.get("max_age") {
                None => section.value.fault("max_age is missing: it is the length of a fixed window"),
                Some(value) if value.word() == Some("never") => {
                    value.fault("a fixed window needs a length: max_age cannot be never");
                }
                Some(_) => {}
            }
            section.get("gap").inspect(|value| value.warn("is not looked at: the kind is fixed"));
        }
        WindowKind::UntilResolved => {
            section.get("gap").inspect(|value| value.warn("is not looked at: the kind is until_resolved"));
        }
        WindowKind::Session => {
            if let Some(value) = section.get("wait")
                && rule.wait.0 > gap
            {
                value.warn(format!("is longer than gap ({}): sessions may end before they speak", show(rule.gap)));
            }
            if let (Some(value), Some(max_age)) = (section.get("max_age"), rule.max_age)
                && max_age.0 < gap
            {
                value.warn(format!("is shorter than gap ({}): gap never decides", show(rule.gap)));
            }
        }
    }
    if let (Some(value), Some(forget)) = (section.get("forget_after"), rule.forget_after)
        && rule.kind != WindowKind::Fixed
        && forget.0 < gap
    {
        value.warn(format!("is shorter than gap ({}): members are forgotten in open windows", show(rule.gap)));
    }
}

fn matchers(value: &Value<'_>) -> Option<Vec<Matcher>> {
    let mut matchers = Vec::new();
    let mut sound = true;
    for item in value.items_or_one()? {
        let Some(text) = item.text() else {
            sound = false;
            continue;
        };
        match Matcher::parse_all(text) {
            Ok(parsed) => matchers.extend(parsed),
            Err(error) => {
                item.fault_inside(error.at, error.what);
                sound = false;
            }
        }
    }
    sound.then_some(matchers)
}

fn group_by(value: &Value<'_>) -> Option<Vec<Vec<String>>> {
    let mut labels: Vec<Vec<String>> = Vec::new();
    for item in value.items_or_one()? {
        let alternatives: Vec<String> = item.text()?.split('|').map(|label| label.trim().to_owned()).collect();
        if alternatives.iter().any(String::is_empty) {
            item.fault("a label name is missing beside |");
        } else if labels.contains(&alternatives) {
            item.warn("is given twice");
        } else {
            labels.push(alternatives);
        }
    }
    Some(labels)
}

fn open_after(section: &Section<'_>) -> Option<OpenAfter> {
    let mut open_after = WindowRule::named("").open_after;
    section.set("count", &mut open_after.count, |value| value.number(1..=1_000).map(|count| count as u32));
    section.set("within", &mut open_after.within, |value| value.duration(Millis(1)..=ANY_LENGTH));
    Some(open_after)
}

fn wait_by_severity(value: &Value<'_>) -> Option<[Option<Millis>; 6]> {
    let mut waits = [None; 6];
    value.fields(|section| {
        for severity in Severity::ALL {
            if let Some(wait) = waits.get_mut(severity as usize) {
                section.set(severity.name(), wait, |value| value.duration(Millis::ZERO..=ANY_LENGTH).map(Some));
            }
        }
    })?;
    Some(waits)
}
