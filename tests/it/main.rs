//! Integration tests: one binary, a module per behaviour. They need no service, only the crate and its binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod demo;
mod downtime;
mod program;
mod systemd;
mod tidy;
