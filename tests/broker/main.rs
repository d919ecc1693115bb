//! Tests against a real Apache Kafka. One broker is started for all of them (few tests need other ones, and start them
//! themselves); where it cannot be, they say "skipped" and why.
//!
//! Arguments: words that the names of the tests to run must contain. `TIDEGATE_REQUIRE_BROKER=1` makes a skip a failure.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs, reason = "test code")]

mod cluster;
mod coordinators;
mod dlq;
mod doctor;
mod end_to_end;
mod faults;
mod flood;
mod kills;
mod messages;
mod node;
mod poison;
mod requeue;
mod sink;
mod snapshot;
mod source;
mod standby;
mod storm;
mod topics;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use cluster::Cluster;
use node::Kind;
use tidegate::model::time::Stopwatch;

type Test = (&'static str, fn(&Cluster));

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let tests: Vec<Test> = [
        source::TESTS.as_slice(),
        sink::TESTS.as_slice(),
        topics::TESTS.as_slice(),
        &end_to_end::TESTS,
        &kills::TESTS,
        &faults::TESTS,
        &poison::TESTS,
        &storm::TESTS,
        &dlq::TESTS,
        &doctor::TESTS,
        &requeue::TESTS,
        &messages::TESTS,
        &snapshot::TESTS,
        &standby::TESTS,
    ]
    .concat();
    let wanted: Vec<Test> = tests
        .into_iter()
        .filter(|(name, _)| words.is_empty() || words.iter().any(|word| name.contains(word)))
        .collect();
    if wanted.is_empty() {
        return ExitCode::SUCCESS;
    }
    let cluster = match Cluster::start(Kind::Single) {
        Ok(cluster) => cluster,
        Err(why) => {
            println!("skipped: {why}");
            let required = std::env::var_os("TIDEGATE_REQUIRE_BROKER").is_some();
            return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    println!("running {} tests against Apache Kafka", wanted.len());
    let mut failed = Vec::new();
    for (name, test) in &wanted {
        let begun = Stopwatch::start();
        let passed = catch_unwind(AssertUnwindSafe(|| test(&cluster))).is_ok();
        println!("test {name} ... {} ({:.1} s)", if passed { "ok" } else { "FAILED" }, begun.elapsed().as_secs_f32());
        if !passed {
            failed.push(*name);
        }
    }
    println!("test result: {} passed, {} failed {failed:?}", wanted.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
