//! The state of another instance, as it lies in its topic: read beside a running daemon, without taking anything over.

use crate::pipeline::sink::RestoreError;
use crate::pipeline::sink::kafka::brokers::Brokers;
use crate::pipeline::sink::kafka::cluster::{Bound, Cluster as _, Entry};
use crate::pipeline::sink::kafka::{Options, check_order};

/// Hands every block on, oldest first, until `each` says `false`. A topic that does not exist has none.
///
/// # Errors
/// When the cluster does not answer, the state is torn, or `each` fails.
pub fn read_state(
    options: &Options,
    each: &mut dyn FnMut(&[u8]) -> Result<bool, RestoreError>,
) -> Result<(), RestoreError> {
    let cluster = Brokers::new(options, "look").map_err(RestoreError)?;
    if cluster.partitions_of(&options.topics.state).map_err(RestoreError)? == 0 {
        return Ok(());
    }
    let (mut last, mut wanted) = (None, true);
    let read = cluster.read_state(0, Bound::Settled, &mut |_, entry| {
        if let Entry::Block(key, bytes) = entry {
            check_order(last, key)?;
            last = Some(key);
            wanted = wanted && each(bytes).map_err(|error| error.0)?;
        }
        // An error is the only way to end it early; it is told apart by `wanted`.
        if wanted { Ok(()) } else { Err("enough".to_owned()) }
    });
    match read {
        Err(fault) if wanted => Err(RestoreError(fault)),
        _ => Ok(()),
    }
}
