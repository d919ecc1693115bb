//! Standing by before a take-over: a copy of the state is kept up by reading what is committed, as the product's follower does.

use std::sync::Arc;

use tidegate::pipeline::sink::RestoreError;
use tidegate::pipeline::sink::kafka::cluster::{Bound, Cluster as _, Entry};
use tidegate::pipeline::sink::kafka::standby::{Shadow, Warm};

use crate::client::SimCluster;
use crate::line::Line;

/// Looks at the state before it takes over, at most: most of the troubled part of a run.
const LOOKS: u64 = 150;

/// Follows the state for some time, in half of all lives; what there is then to take over with.
///
/// # Errors
/// When the state cannot be followed although nothing was deleted, or the process dies.
pub(crate) fn follow(line: &Arc<Line>, name: &str) -> Result<Option<Warm>, RestoreError> {
    if line.chance(|chance| chance.one_in(2)) {
        return Ok(None);
    }
    let cluster = SimCluster::new(Arc::clone(line), name.to_owned());
    let (mut shadow, mut next) = (Shadow::default(), 0);
    for _ in 0..line.chance(|chance| chance.within(1, LOOKS as i64)) {
        line.pass().map_err(|_| RestoreError("killed".to_owned()))?;
        let from = next;
        let mut fault = None;
        let read = cluster.read_state(from, Bound::Settled, &mut |offset, entry| {
            if let Entry::Block(key, bytes) = entry {
                let taken = shadow.take(offset, key.epoch, key.index, bytes);
                fault = taken.err().map(|error| error.0);
            }
            fault.clone().map_or(Ok(()), Err)
        });
        match read {
            Ok(read) if read.begin > from && from > 0 || fault.is_some() => {
                // Deleted before it was read, as one that stood still for long finds it: it begins anew.
                line.tell(|| format!("begins to follow anew: {fault:?}"));
                (shadow, next) = (Shadow::default(), 0);
            }
            Ok(read) => next = read.end,
            // Nothing is deleted in the midst of an epoch, so what is there follows.
            Err(error) if fault.is_some() && from == 0 => return Err(RestoreError(format!("follow: {error}"))),
            Err(_) if fault.is_some() => (shadow, next) = (Shadow::default(), 0),
            Err(_) => {} // No broker.
        }
    }
    let epoch = shadow.epoch();
    line.tell(|| format!("takes over with a copy up to epoch {epoch}"));
    Ok(shadow.into_warm())
}
