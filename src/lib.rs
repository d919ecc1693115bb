//! tidegate: an alert flood in, a small and exact stream of incidents out.
//!
//! The engine (`pipeline`) decides purely: `(state, batch, now) -> (state, effects)`. Kafka, SQLite, HTTP and tokio are
//! shells around it. `model` is the vocabulary; `control` holds configuration, intake, API; `app` wires the rooms;
//! `cli` has one file per subcommand. See ARCHITECTURE.md.

pub mod app;
pub mod cli;
pub mod control;
pub mod metrics;
pub mod model;
pub mod pipeline;
pub mod storm;
