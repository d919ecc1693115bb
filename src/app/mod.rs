//! Wires the rooms, names the phases, drains in order.
//!
//! `daemon` starts and stops everything; `engine` runs the pipeline and exchanges it at a reload; `store` and `sources`
//! open what the configuration names; `publish` hands durable epochs to readers and metrics; `bridge` joins HTTP to the
//! pipeline; `upkeep` is what has to be done some times a second: gauges, watchdog, status.

pub mod bridge;
pub mod daemon;
mod doors;
mod engine;
mod publish;
mod reload;
mod sources;
pub(crate) mod store;
mod upkeep;
