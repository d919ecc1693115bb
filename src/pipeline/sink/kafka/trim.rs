//! Deleting state that no restore needs any more, and waiting for the admin client, which knows futures only.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};

use crate::pipeline::source::kafka::connection::Connection;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Deletes the records before `offset` in partition 0.
pub(super) fn trim(connection: &Connection, topic: &str, offset: i64) -> Result<(), String> {
    let fault = |error: rdkafka::error::KafkaError| format!("trim topic {topic:?}: {error}");
    let admin: AdminClient<DefaultClientContext> = connection.client("trim").create().map_err(fault)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).map_err(fault)?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
    let outcome = block_on(admin.delete_records(&list, &options)).map_err(fault)?;
    outcome.elements().iter().try_for_each(|element| element.error()).map_err(fault)
}

/// Waits for a future on this thread. The requests of the admin client end by their own time-outs.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
