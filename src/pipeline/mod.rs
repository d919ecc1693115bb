//! From record to durable incident event: plain threads, synchronous, in the order in which an alert walks through.
//!
//! `source` → `sequencer` → `decode` × M → `exchange` → `shard` × N → `correlate` → `epoch` → `sink`. Nothing here knows
//! tokio or reads a clock; time comes with the records and the sequencer's ticks.

pub mod chunk;
pub mod command;
pub mod correlate;
pub mod crash;
pub mod decode;
pub mod epoch;
pub mod exchange;
pub mod identify;
pub mod inline;
pub mod options;
pub mod outcome;
pub mod pressure;
pub mod run;
pub mod sequencer;
pub mod shard;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod start;
pub mod state;
pub mod suspect;
pub mod tap;
mod trap;
mod unreadable;
