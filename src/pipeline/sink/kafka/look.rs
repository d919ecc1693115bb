//! The state of another instance, as it lies in its topic: read beside a running daemon, without taking anything over.

use std::sync::Arc;

use rdkafka::consumer::BaseConsumer;

use crate::pipeline::sink::RestoreError;
use crate::pipeline::sink::kafka::state_log::{Bound, Entry, StateLog};
use crate::pipeline::sink::kafka::transactions::Hook;
use crate::pipeline::sink::kafka::{Options, check_order, partitions_of};
use crate::pipeline::source::kafka::health::Health;
use crate::pipeline::source::kafka::partitions::close;

/// Hands every block on, oldest first, until `each` says `false`. A topic that does not exist has none.
///
/// # Errors
/// When the cluster does not answer, the state is torn, or `each` fails.
pub fn read_state(
    options: &Options,
    each: &mut dyn FnMut(&[u8]) -> Result<bool, RestoreError>,
) -> Result<(), RestoreError> {
    let mut config = options.connection.consumer("look", &options.group);
    config.set("isolation.level", "read_uncommitted").set("statistics.interval.ms", "0");
    let lookout: BaseConsumer<Health> =
        config.create_with_context(Health::default()).map_err(|error| RestoreError(error.to_string()))?;
    let lookout = Arc::new(lookout);
    let read = read_with(options, &lookout, each);
    close(lookout);
    read
}

fn read_with(
    options: &Options,
    lookout: &BaseConsumer<Health>,
    each: &mut dyn FnMut(&[u8]) -> Result<bool, RestoreError>,
) -> Result<(), RestoreError> {
    if partitions_of(lookout, &options.topics.state).map_err(RestoreError)? == 0 {
        return Ok(());
    }
    let hook: Hook = Arc::new(|| {});
    let log = StateLog {
        connection: options.connection.clone(),
        topic: options.topics.state.clone(),
        group: options.group.clone(),
        hook,
    };
    let (mut last, mut wanted) = (None, true);
    let read = log.read(lookout, 0, Bound::Settled, &mut |_, entry| {
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
