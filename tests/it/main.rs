//! Integration tests: one binary, a module per behaviour. They need no service, only the crate and its binary.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and says what it measured"
)]

mod backlog;
mod backpressure;
mod bad_input;
mod daemon;
mod damage;
mod dashboards;
mod demo;
mod docs;
mod doctor;
mod downtime;
mod engine;
mod full_disk;
mod hostile;
mod incident;
mod json;
mod messages;
mod order;
mod overload;
mod page;
mod poison;
mod program;
mod recovery;
mod reload;
mod requeue;
mod schema;
mod shutdown;
mod storm;
mod systemd;
mod tap;
mod tidy;
mod top;
mod tuning;
