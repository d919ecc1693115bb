//! promtool's cases: each alert has one in which it fires, one in which it does not, and one with series missing. What
//! the cases say promtool itself checks (`.ci/check-dashboards`).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::dashboards::promql::{self, Selector};
use crate::dashboards::{TARGET_LABELS, alerts, base, check_expression, files, folder, items, text, yaml};

/// Every case of every file.
fn cases() -> Vec<Value> {
    let files = files(&folder().join("rules/tests"), "yaml");
    files.iter().flat_map(|file| items(&yaml(file), "tests").to_vec()).collect()
}

fn series(case: &Value) -> Vec<Selector> {
    let one = |series: &Value| promql::names(text(series, "series")).selectors.remove(0);
    items(case, "input_series").iter().map(one).collect()
}

/// Whose series it is.
fn target(series: &Selector) -> Vec<&str> {
    let value = |label: &str| series.matchers.iter().find(|(name, _)| name == label).map_or("", |(_, value)| value);
    TARGET_LABELS.into_iter().map(value).collect()
}

#[test]
fn cases_name_what_exists() {
    let alerts = alerts();
    for case in cases() {
        let place = text(&case, "name");
        for series in items(&case, "input_series") {
            check_expression(place, text(series, "series"));
        }
        for test in items(&case, "promql_expr_test") {
            check_expression(place, text(test, "expr"));
        }
        for test in items(&case, "alert_rule_test") {
            let alert = alerts.iter().find(|alert| alert["alert"] == test["alertname"]);
            let alert = alert.unwrap_or_else(|| panic!("{place}: there is no alert {}", test["alertname"]));
            let (_, labels) = check_expression(place, text(alert, "expr"));
            for expected in items(test, "exp_alerts") {
                for label in expected["exp_labels"].as_object().unwrap().keys() {
                    assert!(label == "severity" || labels.contains(label), "{place}: {label}");
                }
            }
        }
    }
}

#[test]
fn every_alert_has_its_three_cases() {
    let cases = cases();
    for alert in alerts() {
        let name = text(&alert, "alert");
        let case = |what: &str| {
            let wanted = format!("{name}: {what}");
            let found = cases.iter().find(|case| case["name"] == *wanted);
            let found = found.unwrap_or_else(|| panic!("there is no case {wanted:?}"));
            let tests = items(found, "alert_rule_test");
            assert!(!tests.is_empty() && tests.iter().all(|test| test["alertname"] == *name), "{wanted}");
            (found, tests.iter().map(|test| items(test, "exp_alerts").len()).sum::<usize>())
        };
        assert!(case("fires").1 > 0, "{name} does not fire in the case in which it does");
        let named: BTreeSet<String> =
            promql::names(text(&alert, "expr")).selectors.iter().map(|found| base(&found.metric).to_owned()).collect();
        if named.is_empty() {
            continue; // It fires whatever there is.
        }
        let (quiet, n_fires) = case("does not fire");
        assert_eq!(n_fires, 0, "{name} fires in the case in which it does not");
        let given: BTreeSet<String> = series(quiet).iter().map(|series| base(&series.metric).to_owned()).collect();
        assert!(named.is_subset(&given), "{name} is quiet only for want of series");
        let given = series(case("series are missing").0);
        let has = |metric: &str, at: &[&str]| given.iter().any(|one| base(&one.metric) == metric && target(one) == at);
        let some = given.iter().any(|one| named.iter().any(|metric| !has(metric, &target(one))));
        assert!(some, "{name}: no series is missing");
    }
}
