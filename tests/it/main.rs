//! Integration tests: one binary, a module per behaviour. They need no service, only the crate and its binary.
#![allow(clippy::unwrap_used)]

mod backpressure;
mod daemon;
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod demo;
mod docs;
mod downtime;
mod engine;
mod order;
mod recovery;
mod reload;
mod shutdown;
mod schema;
mod program;
mod systemd;
mod tidy;
