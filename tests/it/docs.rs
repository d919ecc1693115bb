//! The pages in `docs/` and the README name what the program has: every metric, reason, format and path.

use axum::http::Method;
use tidegate::control::routes::{Part, list};
use tidegate::metrics::{ALL, Kind};
use tidegate::model::alert::Format;
use tidegate::pipeline::decode::Reject;

const README: &str = include_str!("../../README.md");
const PAGE: &str = include_str!("../../docs/page.md");
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
fn the_readme_or_the_page_on_pages_names_every_path() {
    for (method, path) in list(Part::Everything) {
        let names = |text: &str| text.contains(&format!("`{path}`")) || text.contains(&format!("`{method} {path}`"));
        assert!(names(README) || names(PAGE), "{method} {path}");
    }
    let is_door = |path: &str| path.starts_with("/api/") && !path.contains('{');
    let doors = list(Part::Public).into_iter().filter(|(method, path)| *method == Method::POST && is_door(path));
    for (_, path) in doors {
        assert!(WIRE_FORMATS.contains(&format!("`POST {path}`")), "{path}");
    }
}
