//! Seeded alert floods with known truth, for `tidegate storm`, the demo, tests and benches.
//! Knows nothing of the engine: what must be found is worked out here, independently.
//!
//! ```text
//! shape ──► cast (which groups) ──► script (who fires, repeats, resolves) ──► words (labels, texts, JSON)
//!                                        └──────────────► ledger ──► Truth ──► Comparison with what was found
//! ```
//!
//! The scripts are `churn` (stories), `corpus` (the bench corpus) and `distinct` (no repeats). A script gives one cue per
//! alert; its labels follow from the member's number, so a flood of any length needs little memory.

mod cast;
mod catalogue;
mod churn;
mod compare;
mod corpus;
mod cue;
mod distinct;
mod encode;
mod flood;
mod found;
mod member;
mod rng;
mod shape;
#[cfg(test)]
mod tests;
mod tickets;
mod truth;

pub use compare::{Comparison, Difference, group_name};
pub use flood::{AlertTruth, Flood, FloodOptions, StormAlert};
pub use found::FoundIncident;
pub use shape::{Shape, UnknownShape};
pub use truth::{GroupTruth, Truth};
