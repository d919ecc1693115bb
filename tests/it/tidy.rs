//! The rules of the code base that no compiler knows, read from the source text: who may import whom, what stays pure,
//! where a client library may be named, how long a file may get.
//!
//! A finding names file, line and rule. To change a rule, change the tables at the top: they are the map of the rooms.

mod fakes;
mod source;

use std::fs;
use std::path::Path;

use source::Source;

/// The import law. A room may import itself and those to the right of its name; all other arrows are faults.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli", "app", "control", "pipeline", "response", "storm", "model", "metrics"]),
    ("cli", &["app", "control", "pipeline", "response", "storm", "model", "metrics"]),
    ("app", &["control", "pipeline", "response", "model", "metrics"]),
    ("control", &["pipeline", "response", "model", "metrics"]),
    ("pipeline", &["model", "metrics"]),
    ("response", &["model", "metrics"]),
    ("storm", &["model"]),
    ("model", &[]),
    ("metrics", &[]),
];

/// What decides but never waits: no async code and no clock in here, so that a replay decides the same.
const PURE: &[&str] = &[
    "model/",
    "metrics.rs",
    "metrics/",
    "pipeline/",
    "response/escalation/",
    "response/oncall/",
    "response/timeline.rs",
    "response/status_page/",
    "response/report/",
];

/// The only file that reads a clock for the others.
const CLOCK: &str = "model/time.rs";

/// The words of async code.
const ASYNC_WORDS: &[&str] = &["tokio", "async", "await"];

/// Each of them reads a clock.
const CLOCK_READS: &[&str] = &["Instant::now", "SystemTime::now", "Zoned::now", "Timestamp::now"];

/// Client libraries, and the paths (as prefixes) that may name them. Elsewhere the code speaks our own vocabulary.
const HOMES: &[(&str, &[&str])] = &[
    ("rdkafka", &["pipeline/source/kafka", "pipeline/sink/kafka", "response/inbox/kafka.rs", "storm/", "cli/"]),
    ("rusqlite", &["pipeline/sink/sqlite", "response/inbox/sqlite.rs", "response/journal/", "cli/"]),
    ("reqwest", &["response/notify/", "response/export/", "storm/", "cli/"]),
];

/// The one place where plain threads and tokio meet.
const BRIDGE: &str = "app/bridge.rs";

/// The kinds of tokio channels.
const TOKIO_CHANNELS: &[&str] = &["mpsc", "oneshot", "watch", "broadcast"];

/// A name like these says that a noun is missing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "types", "manager", "managers"];

/// What has no place in any file, tests included.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "#[ignore", "should_panic"];

/// Lines of a file outside its test modules.
const LINES_MAX: usize = 500;

/// The folders that are read.
const FOLDERS: &[&str] = &["src", "tests", "benches"];

/// A broken rule.
#[derive(Debug)]
struct Finding {
    path: String,
    line: usize,
    rule: String,
}

#[test]
fn the_repository_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut findings = Vec::new();
    let mut n_files = 0;
    for folder in FOLDERS {
        for path in rust_files(&root.join(folder)) {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8 text");
            let name = path.strip_prefix(root).expect("the walk started at the root");
            findings.extend(check(&name.to_string_lossy().replace('\\', "/"), &text));
            n_files += 1;
        }
    }
    assert!(n_files >= 3, "the walk found {n_files} files: it looks in the wrong place");
    assert!(findings.is_empty(), "{}", report(&findings));
}

/// All Rust files below a folder, in a fixed order.
fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        // Not every crate has every folder.
        let Ok(entries) = fs::read_dir(&next) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a folder that opened can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn report(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|f| format!("{}:{}: {}\n", f.path, f.line, f.rule));
    format!("broken rules in the source: {}\n{}", findings.len(), lines.collect::<String>())
}

/// Everything there is to say about one file; `path` is relative to the root, as in `src/pipeline/epoch.rs`.
fn check(path: &str, text: &str) -> Vec<Finding> {
    let source = Source::read(path, text);
    let mut faults = check_any_file(&source);
    if let Some(inner) = path.strip_prefix("src/") {
        faults.extend(check_rooms(inner, &source));
        faults.extend(check_words(inner, &source));
        faults.extend(check_shape(inner, &source));
    }
    faults.sort();
    let finding = |(line, rule)| Finding { path: path.to_string(), line, rule };
    faults.into_iter().map(finding).collect()
}

/// Line and rule.
type Fault = (usize, String);

/// The rules for tests and benches too.
fn check_any_file(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for part in source.path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&part) {
            faults.push((1, format!("`{part}` names nothing, find the missing noun")));
        }
    }
    if !source.has_header && !source.is_test_of_a_room {
        faults.push((1, "the first line is a `//!` that says what the file is for".to_string()));
    }
    for pattern in UNFINISHED {
        for line in source.lines_with(&source.code, pattern) {
            faults.push((line, format!("`{pattern}` has no place here")));
        }
    }
    for line in source.lines_with(&source.code, "super::super") {
        faults.push((line, "write `crate::..`, not `super::super`".to_string()));
    }
    faults
}

/// The import law.
fn check_rooms(inner: &str, source: &Source) -> Vec<Fault> {
    if inner == "lib.rs" {
        return Vec::new();
    }
    let room = inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs");
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![(1, format!("`{room}` is no room of the map"))];
    };
    // In a room's first file, `super` is the root of the crate.
    let is_front_door = !inner.contains('/') || inner == format!("{room}/mod.rs");
    let mut roots = vec!["crate"];
    if is_front_door {
        roots.push(if room == "main" { "tidegate" } else { "super" });
    }
    let is_room = |name: &str| ROOMS.iter().any(|(known, _)| *known == name);
    let mut faults = Vec::new();
    for root in roots {
        for (line, name) in source.imports_from(root) {
            if is_room(&name) && name != room && !allowed.contains(&name.as_str()) {
                faults.push((line, format!("`{room}` must not import `{name}`")));
            }
        }
    }
    faults
}

/// Words that belong to certain places only.
fn check_words(inner: &str, source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    let production = &source.production;
    if PURE.iter().any(|prefix| inner.starts_with(prefix)) {
        for word in ASYNC_WORDS {
            for line in source.lines_with(production, word) {
                faults.push((line, format!("`{word}` in a room that never waits")));
            }
        }
        for read in CLOCK_READS.iter().filter(|_| inner != CLOCK) {
            for line in source.lines_with(production, read) {
                faults.push((line, format!("`{read}` in a room without a clock, take `now` as an argument")));
            }
        }
    }
    for (library, homes) in HOMES {
        if !homes.iter().any(|home| inner.starts_with(home)) {
            for line in source.lines_with(production, library) {
                faults.push((line, format!("`{library}` is named in {} only", homes.join(", "))));
            }
        }
    }
    let has = |word: &str| !source.lines_with(production, word).is_empty();
    if inner != BRIDGE && has("tokio") && TOKIO_CHANNELS.iter().any(|channel| has(channel)) {
        for line in source.lines_with(production, "crossbeam").into_iter().take(1) {
            faults.push((line, format!("crossbeam and tokio channels meet in {BRIDGE} only")));
        }
    }
    faults
}

/// Length and front doors.
fn check_shape(inner: &str, source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    if source.n_lines > LINES_MAX {
        faults.push((1, format!("{} lines before the tests, {LINES_MAX} at most", source.n_lines)));
    }
    if !inner.ends_with("mod.rs") {
        for pattern in ["pub use", "pub(crate) use", "pub(super) use"] {
            for line in source.lines_with(&source.production, pattern) {
                faults.push((line, "only a room's front door, its mod.rs, re-exports".to_string()));
            }
        }
    }
    faults
}
