//! Level 1 and 2 in virtual time: what design.md promises of windows, resolves, time and order, as scenarios, against a
//! naive model, and as equalities between runs. No thread, no clock, no store: `pipeline::inline::Engine` is the engine.
#![allow(clippy::unwrap_used)]

mod alert;
mod content;
mod equality;
mod flood;
mod members;
mod model;
mod naive;
mod overload;
mod reload;
mod reopen;
mod resolve;
mod restart;
mod snapshot;
mod tap;
mod telling;
mod threshold;
mod time;
mod windows;
mod world;
