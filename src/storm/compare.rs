//! Truth against findings: which incidents are missing, too many or split, and which counts differ.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::storm::found::FoundIncident;
use crate::storm::truth::{GroupTruth, Truth};

/// How many lines of each kind of fault [`Comparison`] prints.
const SHOWN_MAX: usize = 10;

/// One value that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `cluster/service` or `cluster/alertname`.
    pub group: String,
    /// Which value, such as `alerts` or `by_severity.high`.
    pub value: String,
    /// The truth.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// The outcome of [`Truth::compare`]. Groups are named `cluster/service` or `cluster/alertname`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How many groups were found as one incident with all values right.
    pub exact: usize,
    /// Groups without an incident.
    pub missing: Vec<String>,
    /// Incidents without a true group.
    pub unexpected: Vec<String>,
    /// Groups with several incidents, and how many.
    pub split: Vec<(String, usize)>,
    /// Values that differ in groups with one incident.
    pub different: Vec<Difference>,
}

impl Comparison {
    /// Everything was found, nothing else, and every count is right.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.split.is_empty() && self.different.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups exact", self.exact)?;
        list(f, "missing", &self.missing, |f, group| f.write_str(group))?;
        list(f, "unexpected", &self.unexpected, |f, group| f.write_str(group))?;
        list(f, "split", &self.split, |f, (group, incidents)| write!(f, "{group}: {incidents} incidents"))?;
        list(f, "different", &self.different, |f, Difference { group, value, expected, found }| {
            write!(f, "{group}: {value} is {found}, must be {expected}")
        })
    }
}

pub(crate) fn compare(truth: &Truth, found: &[FoundIncident]) -> Comparison {
    let mut by_group: BTreeMap<String, Vec<&FoundIncident>> = BTreeMap::new();
    for incident in found {
        by_group.entry(group_name(&incident.group_labels)).or_default().push(incident);
    }
    let mut comparison = Comparison::default();
    for group in &truth.groups {
        let name = group.name();
        match by_group.remove(&name).as_deref() {
            None | Some([]) => comparison.missing.push(name),
            Some([incident]) => {
                let before = comparison.different.len();
                differences(&name, group, incident, &mut comparison.different);
                comparison.exact += usize::from(comparison.different.len() == before);
            }
            Some(several) => comparison.split.push((name, several.len())),
        }
    }
    let rest = by_group.into_iter().flat_map(|(name, incidents)| std::iter::repeat_n(name, incidents.len()));
    comparison.unexpected.extend(rest);
    comparison
}

/// The name of a group with these labels: `cluster/service` or `cluster/alertname`.
/// A service is never called like an alert, so it does not matter under which key the name stands.
#[must_use]
pub fn group_name(labels: &BTreeMap<String, String>) -> String {
    let value = |key: &str| labels.get(key).filter(|value| !value.is_empty());
    let cluster = value("cluster").map_or("", String::as_str);
    let subject = value("service").or_else(|| value("alertname")).or_else(|| value("service|alertname"));
    format!("{cluster}/{}", subject.map_or("", String::as_str))
}

fn differences(name: &str, truth: &GroupTruth, found: &FoundIncident, out: &mut Vec<Difference>) {
    let mut check = |value: &str, expected: &dyn fmt::Debug, found: &dyn fmt::Debug| {
        let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
        if expected != found {
            out.push(Difference { group: name.to_owned(), value: value.to_owned(), expected, found });
        }
    };
    check("alerts", &truth.alerts, &found.alerts);
    check("members", &truth.members, &found.members);
    check("status", &truth.status, &found.status);
    check("revisions_contiguous", &true, &found.revisions_contiguous);
    let counts =
        [("by_severity", &truth.by_severity, &found.by_severity), ("by_status", &truth.by_status, &found.by_status)];
    for (kind, expected, found) in counts {
        let mut keys: Vec<&String> = expected.keys().chain(found.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let count = |counts: &BTreeMap<String, u64>| counts.get(key).copied().unwrap_or(0);
            check(&format!("{kind}.{key}"), &count(expected), &count(found));
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    write_item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "\n{} {title}:", items.len())?;
    for item in items.iter().take(SHOWN_MAX) {
        f.write_str("\n  ")?;
        write_item(f, item)?;
    }
    if items.len() > SHOWN_MAX {
        write!(f, "\n  and {} more", items.len() - SHOWN_MAX)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::storm::{Flood, FloodOptions};

    fn perfect() -> (Truth, Vec<FoundIncident>) {
        let mut flood = Flood::new(FloodOptions { alerts: 3_000, ..FloodOptions::default() });
        while flood.next_into(&mut Vec::new()).is_some() {}
        let truth = flood.truth();
        let found = truth.groups.iter().map(found).collect();
        (truth, found)
    }

    fn found(group: &GroupTruth) -> FoundIncident {
        FoundIncident {
            group_labels: group.labels.clone(),
            alerts: group.alerts,
            members: group.members,
            by_severity: group.by_severity.clone(),
            by_status: group.by_status.clone(),
            status: group.status,
            revisions_contiguous: true,
        }
    }

    #[test]
    fn a_perfect_answer_is_exact_whatever_the_key_of_the_alternative() {
        let (truth, mut incidents) = perfect();
        for incident in &mut incidents {
            incident.by_status.entry("resolved".to_owned()).or_insert(0);
            let subject = incident.group_labels.remove("service").or_else(|| incident.group_labels.remove("alertname"));
            incident.group_labels.insert("service|alertname".to_owned(), subject.unwrap());
        }
        let comparison = truth.compare(&incidents);
        assert!(comparison.is_exact(), "{comparison}");
        assert_eq!(comparison.exact, truth.groups.len());
    }

    #[test]
    fn every_fault_is_named() {
        let (truth, mut incidents) = perfect();
        let names: Vec<String> = truth.groups.iter().map(GroupTruth::name).collect();
        incidents.remove(0);
        incidents.push(incidents[0].clone());
        incidents[1].alerts += 1;
        incidents[1].by_severity.insert("purple".to_owned(), 1);
        let mut stranger = incidents[2].clone();
        stranger.group_labels.insert("cluster".to_owned(), "nowhere".to_owned());
        incidents.push(stranger);
        let comparison = truth.compare(&incidents);
        assert!(!comparison.is_exact());
        assert_eq!(comparison.missing, [names[0].clone()]);
        assert_eq!(comparison.split, [(names[1].clone(), 2)]);
        assert_eq!(comparison.unexpected.len(), 1);
        assert!(comparison.unexpected[0].starts_with("nowhere/"));
        let values: Vec<&str> = comparison.different.iter().map(|difference| difference.value.as_str()).collect();
        assert_eq!(values, ["alerts", "by_severity.purple"]);
        assert_eq!(comparison.different[0].group, names[2]);
    }
}
