//! The HTTP interface as its users see it, without sockets: every route, every answer, every refusal.
#![allow(clippy::unwrap_used)]

mod api;
mod guard;
mod intake;
mod pages;
mod streams;
mod tap;
