//! Wires the rooms, names the phases, drains in order.
//!
//! `daemon` starts and stops everything; `engine` runs the pipeline and exchanges it at a reload; `standby` waits for the lead
//! where another instance has it; `store` and `sources` open what the configuration names, `snapshot` what lies beside them; `publish` hands durable epochs to readers, metrics and
//! `announce`, which tells the log; `log` is where that goes; `pressure` looks at memory; `bridge` joins HTTP to the pipeline;
//! `credentials` tells when certificates expire; `suspects` is the file of records that made the program panic; `upkeep` is what has
//! to be done some times a second: gauges, status, and through `systemd` the watchdog, through `turns` the log.

mod announce;
pub mod bridge;
mod credentials;
pub mod daemon;
mod doors;
mod engine;
pub mod log;
mod pressure;
mod publish;
mod reload;
mod snapshot;
mod sources;
mod standby;
pub(crate) mod store;
mod suspects;
mod systemd;
mod turns;
mod upkeep;
