//! Integration tests: one binary, a module per behaviour. They need no service, only the crate and its binary.
#![allow(clippy::unwrap_used)]

mod backpressure;
mod daemon;
mod demo;
mod docs;
mod downtime;
mod engine;
mod order;
mod recovery;
mod reload;
mod shutdown;
mod schema;
mod tidy;
