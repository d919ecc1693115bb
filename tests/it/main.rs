//! Integration tests: one binary, a module per behaviour. They need no service, only the crate and its binary.
#![allow(clippy::unwrap_used)]

mod backlog;
mod demo;
mod docs;
mod downtime;
mod schema;
mod tidy;
