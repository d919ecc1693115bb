//! What is asked of each reader.

pub(crate) mod configuration;
pub(crate) mod engine;
pub(crate) mod matchers;
pub(crate) mod records;
pub(crate) mod state;
pub(crate) mod words;
