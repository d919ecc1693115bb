//! Readers of what others wrote, asked about anything: whatever comes, there is an answer, and never a panic.
//!
//! `cargo test` runs the short form: every seed, every regression, and some thousand inputs made of them by damage. The long
//! form, `TIDEGATE_FUZZ_SECONDS=600 cargo test --test fuzz -- --nocapture --test-threads 2`, goes on for that time with each
//! target. The same targets run under libFuzzer, led by coverage: `fuzz/README.md`.
//!
//! A target is a file in `targets/` that needs nothing but the library: `check`, `seeds` and `PIECES`. A new reader (a snapshot,
//! another wire format) gets a file there, a test here and a file in `fuzz/fuzz_targets`. Readers that are private to their room are
//! asked in its own tests: bodies of requests, headers of dead letters, keys of state records.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and says what it measured"
)]

mod harness;
mod targets;

use harness::Target;
use targets::{configuration, engine, matchers, records, state, words};

#[test]
fn records_of_every_format() {
    Target { name: "records", seeds: records::seeds(), pieces: records::PIECES, check: records::check }.run(4_000);
}

#[test]
fn records_on_their_way_through_the_engine() {
    Target { name: "engine", seeds: engine::seeds(), pieces: records::PIECES, check: engine::check }.run(300);
}

#[test]
fn matchers_of_rules_and_filters() {
    Target { name: "matchers", seeds: matchers::seeds(), pieces: matchers::PIECES, check: matchers::check }.run(4_000);
}

#[test]
fn the_configuration() {
    let (seeds, pieces) = (configuration::seeds(), configuration::PIECES);
    Target { name: "configuration", seeds, pieces, check: configuration::check }.run(1_500);
}

#[test]
fn blocks_of_state() {
    Target { name: "state", seeds: state::seeds(), pieces: state::PIECES, check: state::check }.run(1_000);
}

#[test]
fn times_ids_and_durations() {
    Target { name: "words", seeds: words::seeds(), pieces: words::PIECES, check: words::check }.run(4_000);
}
