//! Runs the pipeline on its threads, and exchanges it at a reload: what was taken becomes durable, the state is read
//! back, and a pipeline with the new rules goes on where the old one stopped. The sources notice nothing but a pause.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use anyhow::Context as _;

use crate::model::fingerprint::HashKey;
use crate::pipeline::options::Options;
use crate::pipeline::run::{Outside, RunError, Running, start};
use crate::pipeline::sequencer::Sequencer;
use crate::pipeline::sink::EpochSink;
use crate::pipeline::snapshot::{Keeper, read_back};
use crate::pipeline::start::Start;

/// Reads the state back from the sink, with the help of a local snapshot if one is kept.
pub(super) fn restore(
    sink: &mut dyn EpochSink,
    keeper: Option<&Keeper>,
    options: Arc<Options>,
) -> anyhow::Result<Start> {
    let restored = read_back(sink, keeper.cloned().as_mut()).context("restore state")?;
    Start::new(options, restored, fresh_key()).context("restore state")
}

/// A key of keyed hashes, of the stable ones at a first start, drawn from the operating system's randomness.
pub(super) fn fresh_key() -> HashKey {
    let mut key = [0; 16];
    // Two hashers of the standard library: each is keyed from the system's randomness.
    let draw = |salt: u64| {
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(salt);
        hasher.finish().to_le_bytes()
    };
    key.iter_mut().zip(draw(1).into_iter().chain(draw(2))).for_each(|(byte, drawn)| *byte = drawn);
    HashKey(key)
}

/// Stops the pipeline and starts another with these options from its state.
pub(super) fn exchange(running: Running, keeper: Option<&Keeper>, options: Arc<Options>) -> Result<Running, RunError> {
    running.stop();
    let (sequencer, mut outside): (Sequencer, Outside) = running.join()?;
    let from = restore(outside.sink.as_mut(), keeper, options);
    let from = from.map_err(|error| RunError::Store(format!("{error:#}")))?;
    Ok(start(from, outside, Some(sequencer)))
}
