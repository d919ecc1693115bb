//! A state that is put together on a thread of its own, while whoever reads the blocks decodes the next one: at a start with
//! a million fingerprints both take about as long.
//!
//! The result is that of `Restored::take_block`, block by block: one thread decodes in order, one takes in that order.

use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};

use crate::pipeline::sink::RestoreError;
use crate::pipeline::state::Restored;
use crate::pipeline::state::block::{Decoded, decode_block};

/// Decoded blocks that may wait, each of about 2 MB.
const AHEAD: usize = 4;

/// A state in the making.
#[derive(Debug)]
pub struct Assembly {
    /// `None` once the thread has found a fault.
    blocks: Option<Sender<Decoded>>,
    worker: Option<JoinHandle<Result<Restored, RestoreError>>>,
}

impl Assembly {
    /// Goes on from a state.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(mut restored: Restored) -> Result<Self, RestoreError> {
        let (blocks, decoded) = bounded::<Decoded>(AHEAD);
        let worker = std::thread::Builder::new().name("restore".to_owned()).spawn(move || {
            decoded.into_iter().try_for_each(|block| restored.take_decoded(block))?;
            Ok(restored)
        });
        let worker = worker.map_err(|error| RestoreError(format!("start thread: {error}")))?;
        Ok(Self { blocks: Some(blocks), worker: Some(worker) })
    }

    /// Takes the next block, oldest first. A fault that shows only when it is put to the others may be told with a later one.
    ///
    /// # Errors
    /// As `Restored::take_block`.
    pub fn take_block(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let decoded = decode_block(bytes)?;
        let handed_over = self.blocks.as_ref().is_some_and(|blocks| blocks.send(decoded).is_ok());
        if handed_over { Ok(()) } else { self.end().map(|_| ()) }
    }

    /// The state with all of them.
    ///
    /// # Errors
    /// As `Restored::take_block`.
    pub fn finish(mut self) -> Result<Restored, RestoreError> {
        self.end()
    }

    fn end(&mut self) -> Result<Restored, RestoreError> {
        self.blocks = None;
        let ended = self.worker.take().map(JoinHandle::join);
        let Some(Ok(outcome)) = ended else {
            return Err(RestoreError("the state could not be put together".to_owned()));
        };
        outcome
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::state::BlockWriter;
    use crate::pipeline::state::entry::{IncidentEntry, Kind, MetaEntry};

    fn block(epoch: u64) -> Vec<u8> {
        let mut writer = BlockWriter::default();
        let (incident, revision) = (u128::from(epoch % 7).into(), epoch);
        writer.push(Kind::Incident(IncidentEntry { incident, revision }));
        writer.push(Kind::Meta(Box::new(MetaEntry { epoch, ..MetaEntry::default() })));
        writer.finish(epoch).remove(0).bytes
    }

    #[test]
    fn it_is_what_one_thread_makes() {
        let mut whole = Restored::default();
        let mut assembly = Assembly::new(Restored::default()).unwrap();
        for epoch in 1..=50 {
            whole.take_block(&block(epoch)).unwrap();
            assembly.take_block(&block(epoch)).unwrap();
        }
        let state = assembly.finish().unwrap();
        assert_eq!((state.meta, state.revisions), (whole.meta, whole.revisions));
        assert_eq!((state.n_blocks, state.n_bytes), (whole.n_blocks, whole.n_bytes));
    }

    #[test]
    fn a_fault_ends_it_with_its_reason() {
        let torn = "state: epoch 5 follows epoch 1: blocks in between are missing";
        let mut assembly = Assembly::new(Restored::default()).unwrap();
        assembly.take_block(&block(1)).unwrap();
        let later = (5..100).find_map(|epoch| assembly.take_block(&block(epoch)).err());
        let told = later.or_else(|| assembly.finish().err()).unwrap();
        assert_eq!(told.to_string(), torn);
        let mut assembly = Assembly::new(Restored::default()).unwrap();
        assert!(assembly.take_block(b"no block").unwrap_err().to_string().contains("shorter than its header"));
    }
}
