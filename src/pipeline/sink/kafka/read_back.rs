//! Reading the state back at a start: all of the state topic, or what it holds behind a state that is there already.

use crate::pipeline::crash::{self, Place};
use crate::pipeline::sink::kafka::cluster::{Bound, Cluster, Entry};
use crate::pipeline::sink::kafka::records::StateKey;
use crate::pipeline::sink::kafka::{TransactionalSink, check_order};
use crate::pipeline::sink::{RestoreError, Resumed};
use crate::pipeline::state::{Seam, SeamCheck};

impl<C: Cluster> TransactionalSink<C> {
    /// Takes over and reads the state topic: all of it, or what is behind the seam.
    pub(super) fn read_back(
        &mut self,
        seam: Option<&Seam>,
        each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>,
    ) -> Result<Resumed, RestoreError> {
        self.find_topics()?;
        // The order is fixed: first the fence, then the bound, then reading. Nobody can write behind it.
        let id = self.options.transactional_id.clone();
        self.take_over().map_err(|trouble| RestoreError(format!("take over {id:?}: {}", trouble.into_text())))?;
        let mut check = seam.map(SeamCheck::new);
        let from = seam.map_or(0, |seam| i64::try_from(seam.place).unwrap_or(i64::MAX));
        let (mut last, mut owner, mut misfit): (Option<StateKey>, _, _) = (None, None, None);
        let mut firsts = Vec::new();
        let read = self.cluster.read_state(from, Bound::Everything, &mut |offset, entry| {
            match entry {
                Entry::Owner(name) => owner = Some(name.to_owned()),
                Entry::Block(key, bytes) => {
                    let fits = check.as_mut().map_or(Ok(true), |check| check.take(key.epoch, key.index, bytes));
                    let is_new = fits.inspect_err(|why| misfit = Some(why.clone()))?;
                    check_order(last, key)?;
                    if key.index == 0 {
                        firsts.push((key.epoch, offset));
                    }
                    last = Some(key);
                    if is_new {
                        each(bytes).map_err(|error| error.0)?;
                    }
                }
            }
            Ok(())
        });
        // Whatever ended the reading: a state that does not fit is told as that.
        let misfit = misfit.or_else(|| check.filter(|_| read.is_ok()).and_then(|check| check.close().err()));
        if let Some(why) = misfit {
            return Ok(Resumed::Misfit(why));
        }
        self.seen_to = read.map_err(RestoreError)?.end;
        // Our own record is the last of its kind; if it is gone, another has deleted it together with its own.
        if owner.as_deref() != Some(self.instance.as_str()) {
            return Err(RestoreError("another instance took over while the state was read".to_owned()));
        }
        self.marks.clear();
        firsts.into_iter().for_each(|(epoch, offset)| self.note_offset(epoch, offset));
        self.last = last.map_or(0, |key| key.epoch);
        crash::at(Place::StateRead);
        Ok(Resumed::To(self.last))
    }
}
