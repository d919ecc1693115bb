//! Reading the state back at a start: from the snapshot and what the store has behind it, or from the store alone. What is
//! read of the store goes into the snapshot, so that the next start has it.

use crate::model::time::Timestamp;
use crate::pipeline::sink::kafka::standby::Warm;
use crate::pipeline::sink::{EpochSink, RestoreError, Resumed};
use crate::pipeline::snapshot::Refused;
use crate::pipeline::snapshot::load::Loaded;
use crate::pipeline::snapshot::record::Durable;
use crate::pipeline::state::block::epoch_of;
use crate::pipeline::state::{Restored, Seam};

/// A snapshot and whoever writes it: a thread (`Keeper`), or the caller's own (`Recorder`), for simulation.
pub trait LocalCopy {
    /// Reads the snapshot, with everything that was taken before; `None` if there is none. The next epoch taken goes on from
    /// it, unless `begin` says otherwise.
    ///
    /// # Errors
    /// Why the one that is there is not used.
    fn load(&mut self) -> Result<Option<Loaded>, Refused>;

    /// The epoch taken next is the oldest that the store has: from it on the snapshot will be written anew.
    fn begin(&mut self, first: u64);

    /// Takes an epoch that was read from the store. May wait a little.
    fn take_restored(&mut self, durable: Durable);

    /// A snapshot was there and is not used.
    fn note_refused(&mut self);
}

/// Reads the state back.
///
/// # Errors
/// As `EpochSink::restore`; a snapshot that cannot be used is no error.
pub fn read_back<C: LocalCopy>(sink: &mut dyn EpochSink, copy: Option<&mut C>) -> Result<Restored, RestoreError> {
    let Some(copy) = copy else {
        let mut restored = Restored::default();
        sink.restore(&mut |block| restored.take_block(block))?;
        return Ok(restored);
    };
    match copy.load() {
        Ok(Some(loaded)) => {
            if let Some(restored) = go_on(sink, copy, loaded)? {
                return Ok(restored);
            }
        }
        Ok(None) => tracing::info!("there is no local snapshot: the state topic is read as a whole"),
        Err(refused) => tell_refused(copy, &refused.to_string()),
    }
    let mut restored = Restored::default();
    let mut tee = Tee { copy, has_begun: false, open: None };
    sink.restore(&mut |block| {
        restored.take_block(block)?;
        tee.take(block);
        Ok(())
    })?;
    tee.finish(sink.place());
    Ok(restored)
}

/// Reads the state back for one who has followed the store: of it only what is behind that state.
///
/// # Errors
/// As `read_back`; a state that does not fit is no error.
pub fn take_over<C: LocalCopy>(
    sink: &mut dyn EpochSink,
    mut copy: Option<&mut C>,
    warm: Warm,
) -> Result<Restored, RestoreError> {
    let Warm { mut restored, seam } = warm;
    let (n_held, epoch) = (restored.n_blocks, seam.epoch);
    if let Err(why) = continue_from(sink, copy.as_deref_mut(), &mut restored, &seam)? {
        tracing::warn!("the state that was followed does not fit the topic, and is read anew: {why}");
        return read_back(sink, copy);
    }
    let n_read = restored.n_blocks - n_held;
    tracing::info!(epoch, n_read, "state followed up to epoch {epoch}; {n_read} more blocks from the state topic");
    Ok(restored)
}

/// `None` if the snapshot does not fit the store.
fn go_on<C: LocalCopy>(
    sink: &mut dyn EpochSink,
    copy: &mut C,
    loaded: Loaded,
) -> Result<Option<Restored>, RestoreError> {
    let Loaded { mut restored, seam, .. } = loaded;
    let (n_local, epoch) = (restored.n_blocks, seam.epoch);
    if let Err(why) = continue_from(sink, Some(&mut *copy), &mut restored, &seam)? {
        tell_refused(copy, &why);
        return Ok(None);
    }
    let n_read = restored.n_blocks - n_local;
    tracing::info!(
        epoch,
        n_local,
        n_read,
        "state read from the local snapshot up to epoch {epoch}, {n_local} blocks; {n_read} more from the state topic"
    );
    Ok(Some(restored))
}

/// Adds what the store has behind the seam, and hands it on to the local copy. The inner error: why it does not fit.
fn continue_from<C: LocalCopy>(
    sink: &mut dyn EpochSink,
    copy: Option<&mut C>,
    restored: &mut Restored,
    seam: &Seam,
) -> Result<Result<(), String>, RestoreError> {
    let mut tee = copy.map(|copy| Tee { copy, has_begun: true, open: None });
    let resumed = sink.restore_after(seam, &mut |block| {
        restored.take_block(block)?;
        tee.iter_mut().for_each(|tee| tee.take(block));
        Ok(())
    })?;
    if let Resumed::Misfit(why) = resumed {
        return Ok(Err(why));
    }
    if let Some(tee) = tee {
        tee.finish(sink.place());
    }
    Ok(Ok(()))
}

fn tell_refused(copy: &mut impl LocalCopy, why: &str) {
    copy.note_refused();
    tracing::warn!("the local snapshot is not used, the state topic is read as a whole: {why}");
}

/// Takes blocks as they are restored, and makes epochs of them.
struct Tee<'a, C> {
    copy: &'a mut C,
    has_begun: bool,
    open: Option<Durable>,
}

impl<C: LocalCopy> Tee<'_, C> {
    fn take(&mut self, block: &[u8]) {
        let Some(epoch) = epoch_of(block) else { return };
        if !std::mem::replace(&mut self.has_begun, true) {
            self.copy.begin(epoch);
        }
        if self.open.as_ref().is_some_and(|open| open.epoch != epoch) {
            self.close(None);
        }
        let open =
            self.open.get_or_insert_with(|| Durable { epoch, committed_at: Timestamp::MIN, ..Durable::default() });
        open.blocks.push(block.to_vec());
    }

    /// `place`: where the last epoch begins in the store, if that is known.
    fn finish(mut self, place: Option<u64>) {
        if !self.has_begun {
            self.copy.begin(1); // The store is empty: epochs are numbered from 1.
        }
        self.close(place);
    }

    fn close(&mut self, place: Option<u64>) {
        if let Some(durable) = self.open.take() {
            self.copy.take_restored(Durable { place, ..durable });
        }
    }
}
