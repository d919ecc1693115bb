//! The physical limit of a design that reads Kafka with librdkafka: its batch interface, one thread, every payload touched once,
//! nothing else. `rdkafka` has no safe way to it; this file is the one place where benches call the library itself.
#![expect(unsafe_code, reason = "rd_kafka_consume_batch_queue has no safe wrapper; each call says why it holds")]

use std::ptr::{NonNull, null_mut};
use std::slice;

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_message_destroy, rd_kafka_message_t, rd_kafka_poll_set_consumer,
    rd_kafka_queue_destroy, rd_kafka_queue_get_consumer, rd_kafka_queue_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaRespErr;

use crate::kafka::{all_from_start, consumer};
use crate::measure::Meter;

/// Messages taken at once.
const BATCH: usize = 1_024;
/// How long one call waits for a full batch; at the end of the topic it will not come.
const WAIT_MS: i32 = 2;
/// Calls without a message until the run is given up.
const PATIENCE: u32 = 10_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `host:port` of a broker
    #[arg(long)]
    bootstrap: String,
    /// The topic, read from its beginning to where it ends now
    #[arg(long)]
    topic: String,
    /// KiB that the client may hold ahead
    #[arg(long, default_value_t = 131_072)]
    ahead_kib: u32,
}

/// The queue of a consumer. Holds a reference of its own to it; must not outlive the consumer, hence the borrow.
struct Queue<'a> {
    queue: NonNull<rd_kafka_queue_t>,
    _consumer: &'a BaseConsumer,
}

impl<'a> Queue<'a> {
    fn of(consumer: &'a BaseConsumer) -> Result<Self> {
        let client = consumer.client().native_ptr();
        // SAFETY: `client` is a live consumer handle for as long as `consumer`, which the returned value borrows.
        let (code, queue) = unsafe { (rd_kafka_poll_set_consumer(client), rd_kafka_queue_get_consumer(client)) };
        ensure!(code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, "redirect the main queue: {code:?}");
        Ok(Self { queue: NonNull::new(queue).context("a consumer has a queue")?, _consumer: consumer })
    }

    /// Takes up to `BATCH` messages and shows the payload of each to `each`.
    fn take(&self, each: &mut impl FnMut(&[u8])) -> Result<usize> {
        let mut messages = [null_mut::<rd_kafka_message_t>(); BATCH];
        // SAFETY: the queue is live (a reference of our own), the array has room for the BATCH pointers it may write.
        let taken = unsafe { rd_kafka_consume_batch_queue(self.queue.as_ptr(), WAIT_MS, messages.as_mut_ptr(), BATCH) };
        let taken = usize::try_from(taken).ok().context("the batch could not be consumed")?;
        let mut fault = None;
        for message in messages.into_iter().take(taken) {
            // SAFETY: the first `taken` pointers are messages that are ours until they are destroyed, which happens once,
            // at the end of this turn; payload and length belong together and live as long as the message.
            unsafe {
                let view = &*message;
                if view.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    fault = Some(view.err);
                } else if !view.payload.is_null() {
                    each(slice::from_raw_parts(view.payload.cast::<u8>(), view.len));
                }
                rd_kafka_message_destroy(message);
            }
        }
        if let Some(fault) = fault {
            bail!("the broker says {fault:?}");
        }
        Ok(taken)
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that `of` took.
        unsafe { rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut config = consumer(&args.bootstrap, "peers-consume");
    config.set("queued.max.messages.kbytes", args.ahead_kib.to_string());
    config.set("queued.min.messages", "1000000");
    config.set("fetch.queue.backoff.ms", "1");
    config.set("fetch.wait.max.ms", "5");
    let consumer: BaseConsumer = config.create()?;
    let (list, total) = all_from_start(&consumer, &args.topic)?;
    let queue = Queue::of(&consumer)?;
    consumer.assign(&list)?;
    let (mut alerts, mut bytes, mut touched) = (0_u64, 0_u64, 0_u64);
    let mut each = |payload: &[u8]| {
        bytes += payload.len() as u64;
        touched = touched.wrapping_add(u64::from(payload.first().copied().unwrap_or(0)));
    };
    let (mut meter, mut in_vain) = (None, 0);
    while alerts < total {
        let taken = queue.take(&mut each)? as u64;
        // From the first message on: connecting is not reading.
        if taken > 0 {
            meter.get_or_insert_with(Meter::start);
            in_vain = 0;
        } else {
            in_vain += 1;
            ensure!(in_vain < PATIENCE, "{alerts} of {total} messages came");
        }
        alerts += taken;
    }
    let spent = meter.context("the topic is empty")?.stop();
    spent.print("consume", alerts, bytes, serde_json::json!({"threads": 1, "touched": touched}))
}
