//! Tidy's own tests: small sources that must, and must not, trigger its rules.

use super::{check, report};

/// Each line is `path | body | findings`: the findings as `line: rule`, none if the body is clean. In a body `\n` ends a
/// line. Its text starts in line 2, for the header is given.
#[track_caller]
fn findings_are(table: &str) {
    for case in table.lines().map(str::trim).filter(|case| !case.is_empty()) {
        let mut fields = case.split('|').map(str::trim);
        let mut field = || fields.next().unwrap_or_default();
        let (path, body, expected) = (field(), field(), field());
        let text = format!("//! A file.\n{}", body.replace("\\n", "\n"));
        let found = check(path, &text);
        let found: Vec<_> = found.iter().map(|f| format!("{}: {}", f.line, f.rule)).collect();
        assert_eq!(found.join("; "), expected, "{case}");
    }
}

#[test]
fn arrows_may_be_followed() {
    findings_are(
        r"
        src/main.rs | use tidegate::cli; |
        src/cli/run.rs | use crate::app::App;\nuse crate::storm::Shape;\nuse crate::cli::Exit; |
        src/app/mod.rs | use crate::{control::config, pipeline::epoch, response}; |
        src/pipeline/epoch.rs | use crate::model::{Alert, time::Timestamp};\nuse crate::metrics; |
        src/pipeline/shard/window.rs | use super::dedup; |
        src/storm/shape.rs | use crate::model::Alert; |
        src/lib.rs | pub mod pipeline;\npub mod control; |
        ",
    );
}

#[test]
fn arrows_must_not_be_reversed_or_skip_sideways() {
    findings_are(
        r"
        src/model/alert.rs | use crate::pipeline::Out; | 2: `model` must not import `pipeline`
        src/model/alert.rs | use crate::metrics; | 2: `model` must not import `metrics`
        src/pipeline/a.rs | \nuse crate::response::X; | 3: `pipeline` must not import `response`
        src/pipeline/a.rs | use crate::control::X; | 2: `pipeline` must not import `control`
        src/response/a.rs | use crate::pipeline::X; | 2: `response` must not import `pipeline`
        src/control/a.rs | use crate::storm::X; | 2: `control` must not import `storm`
        src/storm/a.rs | use crate::metrics; | 2: `storm` must not import `metrics`
        src/app/mod.rs | use super::cli; | 2: `app` must not import `cli`
        src/engine/mod.rs | | 1: `engine` is no room of the map
        src/engine.rs | | 1: `engine` is no room of the map
        ",
    );
}

#[test]
fn an_arrow_is_seen_in_a_group_and_in_an_expression() {
    findings_are(
        r"
        src/pipeline/a.rs | use crate::{\n  model::{app, Alert},\n  app::App,\n}; | 4: `pipeline` must not import `app`
        src/pipeline/a.rs | fn f() {\n  crate::control::f(1);\n} | 3: `pipeline` must not import `control`
        src/metrics.rs | pub(in crate::cli) fn f() {} | 2: `metrics` must not import `cli`
        ",
    );
}

#[test]
fn comments_literals_and_tests_import_nothing() {
    findings_are(
        r###"
        src/model/a.rs | // use crate::pipeline::X; |
        src/model/a.rs | /* crate::cli /* crate::app */ crate::cli */ |
        src/model/a.rs | const A: &str = "crate::pipeline \" todo!"; |
        src/model/a.rs | const A: &str = r#"crate::pipeline " todo!"#; |
        src/model/a.rs | const A: &[u8] = br"crate::pipeline \"; |
        src/model/a.rs | const Q: char = '"'; // crate::cli |
        src/model/a.rs | const Q: char = '\''; const A: &str = "crate::cli"; |
        src/model/a.rs | #[cfg(test)]\nmod tests {\n    use crate::storm::Shape;\n} |
        src/model/tests.rs | use crate::storm::Shape; |
        "###,
    );
}

#[test]
fn code_behind_a_literal_or_a_test_module_still_counts() {
    findings_are(
        r###"
        src/model/a.rs | f('"'); crate::cli::f('"'); | 2: `model` must not import `cli`
        src/model/a.rs | fn f<'a>(x: &'a str) { crate::cli::f('\\') } | 2: `model` must not import `cli`
        src/model/a.rs | /* a */ use crate::cli; | 2: `model` must not import `cli`
        src/model/a.rs | let r#type = "a"; use crate::cli; | 2: `model` must not import `cli`
        src/model/mod.rs | #[cfg(test)]\nmod tests;\nuse crate::cli; | 4: `model` must not import `cli`
        src/model/a.rs | #[cfg(test)]\n#[expect(\n  a\n)]\nmod tests {\n}\nuse crate::cli; | 8: `model` must not import `cli`
        "###,
    );
}

#[test]
fn pure_rooms_neither_wait_nor_read_a_clock() {
    findings_are(
        r"
        src/pipeline/a.rs | use tokio::time; | 2: `tokio` in a room that never waits
        src/metrics.rs | async fn f() {} | 2: `async` in a room that never waits
        src/response/oncall/a.rs | fn f() { x.await } | 2: `await` in a room that never waits
        src/control/a.rs | async fn f() { tokio::task::yield_now().await } |
        src/pipeline/a.rs | let async_like = awaiting(tokio_free); |
        src/pipeline/a.rs | Instant::now() | 2: `Instant::now` in a room without a clock, take `now` as an argument
        src/model/a.rs | SystemTime::now() | 2: `SystemTime::now` in a room without a clock, take `now` as an argument
        src/pipeline/a.rs | Zoned::now() | 2: `Zoned::now` in a room without a clock, take `now` as an argument
        src/metrics.rs | Timestamp::now() | 2: `Timestamp::now` in a room without a clock, take `now` as an argument
        src/model/time.rs | SystemTime::now() |
        src/cli/run.rs | Instant::now() |
        ",
    );
}

#[test]
fn client_libraries_have_homes() {
    let strangers = [
        ("src/pipeline/epoch.rs", "rdkafka", 1),
        ("src/pipeline/sink/sqlite.rs", "rdkafka", 1),
        ("src/app/mod.rs", "rdkafka", 1),
        ("src/pipeline/state/codec.rs", "rusqlite", 1),
        ("src/response/timeline.rs", "rusqlite", 1),
        ("src/control/api/mod.rs", "reqwest", 1),
        ("src/pipeline/source/kafka/poll.rs", "rdkafka", 0),
        ("src/pipeline/sink/kafka.rs", "rdkafka", 0),
        ("src/cli/topics.rs", "rdkafka", 0),
        ("src/pipeline/sink/sqlite_schema.rs", "rusqlite", 0),
        ("src/response/journal/store.rs", "rusqlite", 0),
        ("src/storm/http.rs", "reqwest", 0),
    ];
    for (path, library, n_findings) in strangers {
        let found = check(path, &format!("//! A file.\nuse {library}::Client;\n"));
        assert_eq!(found.len(), n_findings, "{path} {library}: {found:?}");
        assert!(found.iter().all(|f| f.rule.starts_with(&format!("`{library}` is named in "))));
    }
}

#[test]
fn channels_meet_at_the_bridge_only() {
    findings_are(
        r"
        src/app/bridge.rs | use crossbeam::channel;\nuse tokio::sync::mpsc; |
        src/app/a.rs | use crossbeam::channel;\nuse tokio::{sync::mpsc}; | 2: crossbeam and tokio channels meet in app/bridge.rs only
        src/app/a.rs | use crossbeam::channel;\nuse tokio::signal; |
        ",
    );
}

#[test]
fn nothing_is_left_unfinished() {
    findings_are(
        r#"
        src/model/a.rs | fn f() { todo!() } | 2: `todo!` has no place here
        tests/it/a.rs | fn f() { unimplemented!() } | 2: `unimplemented!` has no place here
        src/model/tests.rs | #[test]\n#[ignore = "x"] | 3: `#[ignore` has no place here
        tests/it/a.rs | #[should_panic] | 2: `should_panic` has no place here
        "#,
    );
}

#[test]
fn files_have_a_name_a_header_and_a_front_door() {
    findings_are(
        r"
        src/model/types.rs | | 1: `types` names nothing, find the missing noun
        tests/common/mod.rs | | 1: `common` names nothing, find the missing noun
        src/app/b.rs | use super::super::x; | 2: write `crate::..`, not `super::super`
        src/model/a.rs | pub use x::Y; | 2: only a room's front door, its mod.rs, re-exports
        src/model/mod.rs | pub use alert::Alert; |
        ",
    );
    let found = check("src/model/a.rs", "use std::fmt;\n");
    assert_eq!(
        report(&found),
        "broken rules in the source: 1\n\
         src/model/a.rs:1: the first line is a `//!` that says what the file is for\n"
    );
}

#[test]
fn files_have_a_length() {
    let rules = |lines: &str| check("src/model/a.rs", &format!("//! A file.\n{lines}"));
    assert!(rules(&"\n".repeat(499)).is_empty());
    let found = rules(&"\n".repeat(500));
    assert_eq!(found[0].rule, "501 lines before the tests, 500 at most");
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(600));
    assert!(rules(&tests).is_empty());
}
