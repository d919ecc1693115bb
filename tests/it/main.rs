//! Integration tests: one binary, a module per behaviour. They need no service, only the crate and its binary.

mod backlog;
mod demo;
mod downtime;
mod engine;
mod tidy;
