//! The dashboards: what every panel has, what the queries name, and that no metric is left out.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tidegate::metrics::ALL;

use crate::dashboards::promql;
use crate::dashboards::{alerts, base, check_expression, files, folder, items, labels_of, read, text};

fn dashboards() -> Vec<(String, Value)> {
    let parse = |file: &Path| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let dashboard = serde_json::from_str(&read(file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, dashboard)
    };
    files(&folder().join("grafana"), "json").iter().map(|file| parse(file)).collect()
}

/// Panels that show something, with their dashboard's name.
fn panels() -> Vec<(String, Value)> {
    let of = |(name, dashboard): (String, Value)| {
        let shown = items(&dashboard, "panels").iter().filter(|panel| panel["type"] != "row").cloned();
        shown.map(|panel| (format!("{name}: {}", text(&panel, "title")), panel)).collect::<Vec<_>>()
    };
    dashboards().into_iter().flat_map(of).collect()
}

/// Grafana puts a duration there, which PromQL's own brackets hold.
fn check_query(place: &str, query: &str) -> BTreeSet<String> {
    let (selectors, labels) = check_expression(place, query);
    assert!(!selectors.is_empty(), "{place}: {query}");
    for selector in selectors.iter().filter(|selector| selector.metric != "ALERTS") {
        let chosen = |label: &str| selector.matchers.contains(&(label.to_owned(), format!("${label}")));
        assert!(chosen("job") && chosen("instance"), "{place}: {} is not of the chosen instance", selector.metric);
    }
    labels
}

#[test]
fn every_dashboard_can_be_provisioned() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(dashboard["id"].is_null() && dashboard.get("__inputs").is_none(), "{name}");
        assert!(uids.insert(text(&dashboard, "uid").to_owned()), "{name}: its uid is another's");
        assert!((39..=42).contains(&dashboard["schemaVersion"].as_u64().unwrap()), "{name}");
        assert_eq!(dashboard["editable"], true, "{name}");
        assert!(items(&dashboard, "tags").contains(&json!("tidegate")), "{name}");
        assert!(!items(&dashboard, "links").is_empty() && !text(&dashboard, "description").is_empty(), "{name}");
        let variables = items(&dashboard["templating"], "list");
        let names: Vec<&str> = variables.iter().map(|variable| text(variable, "name")).collect();
        assert_eq!(names, ["datasource", "job", "instance"], "{name}");
        for variable in &variables[1..] {
            let query = text(variable, "definition");
            let asked = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(','));
            check_expression(&name, asked.unwrap_or_else(|| panic!("{name}: {query}")).0);
        }
        for note in items(&dashboard["annotations"], "list") {
            check_query(&name, text(note, "expr"));
        }
    }
}

#[test]
fn every_panel_has_a_unit_a_description_and_good_queries() {
    let alerts = alerts();
    let runbook = |url: &str| alerts.iter().any(|alert| alert["annotations"]["runbook_url"] == *url);
    for (place, panel) in panels() {
        assert!(text(&panel, "description").ends_with('.'), "{place} is not described in a sentence");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{place} has no unit");
        let datasource = json!({ "type": "prometheus", "uid": "${datasource}" });
        assert_eq!(panel["datasource"], datasource, "{place}");
        assert!(!items(&panel, "targets").is_empty(), "{place} shows nothing");
        for target in items(&panel, "targets") {
            assert_eq!(target["datasource"], datasource, "{place}");
            let labels = check_query(&place, text(target, "expr"));
            for label in labels_of(text(target, "legendFormat"), "{{") {
                assert!(labels.contains(&label), "{place}: nothing has the label {label:?} of its legend");
            }
        }
        for link in items(&panel, "links") {
            assert!(runbook(text(link, "url")), "{place} links to {}", link["url"]);
        }
    }
}

#[test]
fn panels_neither_overlap_nor_share_an_id() {
    for (name, dashboard) in dashboards() {
        let panels = items(&dashboard, "panels");
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}");
        let mut taken = BTreeSet::new();
        for panel in panels {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24, "{name}: {} is too wide", panel["title"]);
            let cells = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y)));
            assert!(cells.into_iter().all(|cell| taken.insert(cell)), "{name}: {} overlaps", panel["title"]);
        }
    }
}

#[test]
fn every_metric_is_in_a_panel() {
    let mut shown = BTreeSet::new();
    for (_, panel) in panels() {
        for target in items(&panel, "targets") {
            let selectors = promql::names(text(target, "expr")).selectors;
            shown.extend(selectors.into_iter().map(|selector| base(&selector.metric).to_owned()));
        }
    }
    for metric in ALL {
        let name = metric.definition().name;
        assert!(shown.contains(name), "{name} is in no panel: add one to dashboards/grafana/panels.py");
    }
}
