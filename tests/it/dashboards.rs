//! Dashboards, rules, their tests, runbooks and the page of alerts name what the program has, all of it, and each other.

mod cases;
mod panels;
mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate::metrics::{self, ALL, Definition, Kind};
use tidegate::pipeline::outcome::Outcome;

use promql::Selector;

/// Labels that Prometheus gives to every target.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];
/// What a runbook answers, in this order.
const HEADINGS: [&str; 5] = ["What it means", "Why it matters", "How to look", "What to do", "When to escalate"];

/// The folder of what is shipped for Prometheus and Grafana.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files with that extension, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} in {}", folder.display());
    files
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key:?} in {value}"))
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Every rule, alerts and recorded ones.
fn rules() -> Vec<Value> {
    let file = yaml(&folder().join("rules/tidegate.yaml"));
    items(&file, "groups").iter().flat_map(|group| items(group, "rules").to_vec()).collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

/// What may be named, with its labels, closed ones with their values.
fn known() -> BTreeMap<String, BTreeMap<&'static str, Vec<&'static str>>> {
    let mut known = BTreeMap::new();
    for Definition { name, kind, labels, .. } in ALL.iter().map(|metric| metric.definition()) {
        let values = |label: &metrics::catalogue::LabelName| match label.name {
            "outcome" => Outcome::ALL.iter().map(|outcome| outcome.name()).collect(),
            _ => label.values.to_vec(),
        };
        let labels: BTreeMap<_, _> = labels.iter().map(|label| (label.name, values(label))).collect();
        if matches!(kind, Kind::Histogram(_)) {
            known.insert(format!("{name}_sum"), labels.clone());
            known.insert(format!("{name}_count"), labels.clone());
            let buckets = labels.into_iter().chain([("le", Vec::new())]).collect();
            known.insert(format!("{name}_bucket"), buckets);
        } else {
            known.insert(name.to_owned(), labels);
        }
    }
    for name in metrics::names().filter(|name| name.starts_with("process_")).chain(["up"]) {
        known.insert(name.to_owned(), BTreeMap::new());
    }
    let of_alerts = ["alertname", "alertstate", "severity"].map(|label| (label, Vec::new()));
    known.insert("ALERTS".to_owned(), of_alerts.into_iter().collect());
    for rule in rules().iter().filter(|rule| rule["record"].is_string()) {
        known.insert(text(rule, "record").to_owned(), BTreeMap::new());
    }
    known
}

/// The metric of a name as scraped: histograms have suffixes.
fn base(name: &str) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"];
    let of_histogram = |base: &&str| {
        ALL.iter()
            .map(|metric| metric.definition())
            .any(|known| known.name == *base && matches!(known.kind, Kind::Histogram(_)))
    };
    suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix)).find(of_histogram).unwrap_or(name)
}

/// Asserts that an expression names only metrics, labels and label values that exist; returns its metrics and all labels
/// that its result may have.
fn check_expression(place: &str, expression: &str) -> (Vec<Selector>, BTreeSet<String>) {
    let known = known();
    let names = promql::names(expression);
    let mut labels: BTreeSet<String> = TARGET_LABELS.into_iter().map(str::to_owned).collect();
    for Selector { metric, matchers } in &names.selectors {
        let of_metric =
            known.get(metric).unwrap_or_else(|| panic!("{place}: there is no metric {metric}: {expression}"));
        labels.extend(of_metric.keys().map(|label| (*label).to_owned()));
        for (label, wanted) in matchers {
            let closed = of_metric.get(label.as_str());
            let exists = closed.is_some() || TARGET_LABELS.contains(&label.as_str());
            assert!(exists, "{place}: {metric} has no label {label:?}: {expression}");
            for value in wanted.split('|').filter(|_| closed.is_some_and(|values| !values.is_empty())) {
                assert!(
                    closed.unwrap().contains(&value),
                    "{place}: {metric}: {label} is never {value:?}: {expression}"
                );
            }
        }
    }
    for label in &names.grouping {
        assert!(labels.contains(label), "{place}: nothing here has the label {label:?}: {expression}");
    }
    (names.selectors, labels)
}

/// The labels that a template names with `$labels.NAME`, or a legend with `{{NAME}}`.
fn labels_of(template: &str, before: &str) -> Vec<String> {
    let names = template.split(before).skip(1);
    let end = |rest: &str| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    names.map(|rest| rest[..end(rest)].to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn rules_name_what_exists() {
    for rule in rules() {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap();
        let (_, labels) = check_expression(name, text(&rule, "expr"));
        for template in rule["annotations"].as_object().into_iter().flat_map(|texts| texts.values()) {
            for label in labels_of(template.as_str().unwrap(), "$labels.") {
                assert!(labels.contains(&label), "{name}: no label {label:?} for {template}");
            }
        }
    }
}

#[test]
fn every_alert_is_labelled_described_and_linked() {
    let runbooks = format!("{}/blob/main/dashboards/runbooks", env!("CARGO_PKG_REPOSITORY"));
    let mut seen = BTreeSet::new();
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(name.starts_with("Tidegate") && seen.insert(name.to_owned()), "{name}");
        let severity = text(&alert["labels"], "severity");
        assert!(["critical", "warning", "none"].contains(&severity), "{name}: severity {severity:?}");
        let annotations = &alert["annotations"];
        let (summary, description) = (text(annotations, "summary"), text(annotations, "description"));
        assert!(!summary.ends_with('.') && !summary.contains("{{"), "{name}: {summary}");
        assert!(description.contains('.') && summary != description, "{name}: {description}");
        assert_eq!(text(annotations, "runbook_url"), format!("{runbooks}/{name}.md"));
        assert!(folder().join(format!("runbooks/{name}.md")).is_file(), "{name} has no runbook");
    }
}

#[test]
fn every_runbook_is_of_an_alert_and_answers_the_questions() {
    let alerts = alerts();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| text(alert, "alert")).collect();
    for file in files(&folder().join("runbooks"), "md") {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(names.contains(name), "{name}.md is of no alert");
        let page = read(&file);
        assert_eq!(page.lines().next().unwrap(), format!("# {name}"));
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{name}.md");
        for link in page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            assert!(file.with_file_name(link).is_file(), "{name}.md links to {link}");
        }
        check_words(name, &page);
    }
}

/// What looks like a metric of ours is one, or, cut short in a search, the beginning of one.
fn check_words(place: &str, page: &str) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for word in page.split(|c: char| !is_word(c)).filter(|word| word.starts_with("tidegate_")) {
        let cut = word.ends_with('_');
        let fits = metrics::names().any(|name| if cut { name.starts_with(word) } else { name == base(word) });
        assert!(fits, "{place} names {word}, which is no metric");
    }
}

#[test]
fn the_page_of_alerts_is_the_rules() {
    let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md"));
    check_words("docs/alerts.md", &page);
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `Tidegate"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let alerts = alerts();
    assert_eq!(rows.len(), alerts.len(), "docs/alerts.md has other alerts than the rules");
    for (row, alert) in rows.iter().zip(&alerts) {
        let name = text(alert, "alert");
        let link = format!("[what to do](../dashboards/runbooks/{name}.md)");
        let [shown, severity, means, step, runbook] = row.as_slice() else { panic!("{row:?} has not five cells") };
        assert_eq!((*shown, *runbook), (format!("`{name}`").as_str(), link.as_str()), "in the order of the rules");
        assert_eq!(*severity, text(&alert["labels"], "severity"), "{name}");
        assert_eq!(*means, text(&alert["annotations"], "summary"), "{name}");
        assert!(!step.is_empty(), "{name} has no first step");
    }
    for rule in rules().iter().filter(|rule| rule["record"].is_string()) {
        assert!(page.contains(&format!("| `{}` |", text(rule, "record"))), "{rule}");
    }
}
