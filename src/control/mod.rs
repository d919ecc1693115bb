//! What stands around the pipeline: the HTTP doors, the read side, what the daemon says of itself.
//!
//! `routes` has every route in one table; `guard` decides who may pass; `server` listens; `intake` takes alerts;
//! `api` answers programs and `pages` people, both from `index`, `history`, `feed`, `busiest`, `pulse` and `status`;
//! `config` is what everything is told. Runs on tokio and never asks the hot path anything.

pub mod api;
pub mod busiest;
pub mod config;
mod entrance;
#[cfg(test)]
pub(crate) mod example;
pub mod feed;
pub mod guard;
pub mod history;
pub mod index;
pub mod intake;
mod pages;
pub mod problem;
pub mod pulse;
pub mod routes;
pub mod server;
mod session;
pub mod status;

#[cfg(test)]
mod tests;
