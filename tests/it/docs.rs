//! The pages in `docs/` and the README name what the program has: every metric, reason, format and path.

use axum::http::Method;
use tidegate::cli::doctor::checks::Check;
use tidegate::control::routes::{Part, list};
use tidegate::metrics::{ALL, Kind};
use tidegate::model::alert::Format;
use tidegate::pipeline::decode::Reject;

const DOCTOR: &str = include_str!("../../docs/doctor.md");
const HTTP: &str = include_str!("../../docs/http.md");
const METRICS: &str = include_str!("../../docs/metrics.md");
const WIRE_FORMATS: &str = include_str!("../../docs/wire-formats.md");

/// The first cell of every row of the tables of a page, without its code marks.
fn first_cells(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)).collect()
}

#[test]
fn the_page_of_metrics_is_the_catalogue() {
    let row = |metric: &tidegate::metrics::Metric| {
        let definition = metric.definition();
        let kind = match definition.kind {
            Kind::Counter | Kind::SecondsCounter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<&str> = definition.labels.iter().map(|label| label.name).collect();
        format!("| `{}` | {kind} | {} | {} |", definition.name, labels.join(", "), definition.help)
    };
    let rows: Vec<String> = ALL.iter().map(row).collect();
    let shown: Vec<&str> = METRICS.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(shown == rows, "docs/metrics.md must have these rows:\n{}", rows.join("\n"));
}

#[test]
fn every_reason_and_format_is_explained() {
    let explained = first_cells(WIRE_FORMATS);
    let reasons = Reject::ALL.map(Reject::name);
    let formats = Format::ALL.map(Format::name);
    for name in reasons.iter().chain(&formats) {
        assert!(explained.contains(name), "{name} is not in a table of docs/wire-formats.md");
    }
}

#[test]
fn the_page_of_doctor_has_every_check() {
    let explained: Vec<&str> = DOCTOR.lines().filter(|line| line.starts_with("| `")).collect();
    let mut rows = explained.iter().filter(|row| Check::named(first_cells(row).first().unwrap_or(&"")).is_some());
    for check in Check::ALL {
        let begins = format!("| `{}` | {} | ", check.name(), check.group().name());
        let row = rows.next().copied().unwrap_or_default();
        assert!(row.starts_with(&begins), "docs/doctor.md must have a row {begins:?}, and in its place has {row:?}");
        assert_eq!(row.matches(" | ").count(), 3, "{row}");
    }
    assert_eq!(rows.count(), 0, "a check has one row");
}

#[test]
fn the_page_on_http_names_every_path() {
    for (method, path) in list(Part::Everything) {
        let named = HTTP.contains(&format!("`{method} {path}`"));
        assert!(named, "{method} {path} is not in docs/http.md");
    }
    let is_door = |path: &str| path.starts_with("/api/") && !path.contains('{');
    let doors = list(Part::Public).into_iter().filter(|(method, path)| *method == Method::POST && is_door(path));
    for (_, path) in doors {
        assert!(WIRE_FORMATS.contains(&format!("`POST {path}`")), "{path}");
    }
}
