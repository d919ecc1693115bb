//! Records of one partition, taken from the client library many at a time. The only room with `unsafe` in it.
//!
//! The safe interface hands out one record with two calls into the library, three locks and an allocation: 400 ns and more.
//! `rd_kafka_consume_batch_queue` gives up to `RECORDS_MAX` of them for about 100 ns each, but as raw pointers.
//!
//! Why it is sound, for the proofs below to refer to:
//! 1. The client outlives everything here: `Fetched` holds an `Arc` of its consumer, which is dropped after `Drop::drop`.
//! 2. `queue` is a counted reference of our own; it is given back once, in `Drop::drop`.
//! 3. `messages[..filled]` are messages that the library gave us and that we have not given back; all other places are
//!    never read. They are given back in `give_back` alone, which empties that range by setting `filled` to 0.
//! 4. A `Record` borrows the `Fetched` it came from, and `give_back` needs that mutably: no record outlives its message.
//! 5. Raw pointers are neither `Send` nor `Sync`, so all of this stays on the thread that made it.
//!
//! Held against the safe interface by tests (mock cluster; every codec and an aborted transaction on a broker), and free of
//! complaints under valgrind but for the queue handle that the wrapper itself loses with every client.

#![expect(unsafe_code, reason = "the batch interface has no safe wrapper; the proof is in the header of this file")]

use std::ffi::CString;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use rdkafka::Timestamp;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;

/// Records taken at once. The cost of a call is spread well by then, and what lies here counts against no bound.
const RECORDS_MAX: usize = 256;

/// A record as it lies in the library's memory.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its value; empty if it has none.
    pub payload: &'a [u8],
    /// Its offset, not negative but for what is no record.
    pub offset: i64,
    /// Its time, and who gave it.
    pub time: Timestamp,
}

impl<'a> Record<'a> {
    /// The same view of a record that came by the safe interface.
    pub fn of(message: &'a impl Message) -> Self {
        let payload = message.payload().unwrap_or_default();
        Self { payload, offset: message.offset(), time: message.timestamp() }
    }
}

/// What was fetched of one partition. The partition must have been split from the consumer's main queue before
/// (`split_partition_queue`), or its records come there.
pub struct Fetched<C: ConsumerContext> {
    queue: NonNull<native::rd_kafka_queue_t>,
    messages: Box<[*mut native::rd_kafka_message_t; RECORDS_MAX]>,
    /// How many of `messages` are ours.
    filled: usize,
    /// The one to hand out next, at most `filled`.
    next: usize,
    /// What all of the above lives in.
    _consumer: Arc<BaseConsumer<C>>,
}

impl<C: ConsumerContext> Fetched<C> {
    /// The queue of a partition; `None` if the name of the topic is none, or the library has no such queue.
    #[must_use]
    pub fn of(consumer: &Arc<BaseConsumer<C>>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client is alive (1), `topic` is a C string that outlives the call, which copies what it needs.
        let queue = unsafe { native::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        Some(Self {
            queue: NonNull::new(queue)?,
            messages: Box::new([null_mut(); RECORDS_MAX]),
            filled: 0,
            next: 0,
            _consumer: Arc::clone(consumer),
        })
    }

    /// The next record, or the fault that stands in its place; `None` if nothing is there now. Does not wait.
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, KafkaError>> {
        if self.next == self.filled {
            self.refill();
        }
        let message = self.messages.get(self.next..self.filled)?.first()?;
        self.next += 1;
        // SAFETY: a message of ours (3): the library gives no null pointers and no two pointers to the same message, and
        // writes to none of them before it has them back. The view borrows `self` (4).
        Some(unsafe { view(*message) })
    }

    fn refill(&mut self) {
        self.give_back();
        // SAFETY: the queue is ours (2) and its client alive (1). The library writes at most `RECORDS_MAX` pointers, for which
        // there is room, and returns how many it wrote; from then on those are ours (3). Time-out 0: it does not wait.
        let n = unsafe {
            native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.messages.as_mut_ptr(), RECORDS_MAX)
        };
        self.filled = usize::try_from(n).unwrap_or(0).min(RECORDS_MAX); // Negative is an error, and nothing was written.
    }

    /// Gives all messages back.
    fn give_back(&mut self) {
        let filled = std::mem::take(&mut self.filled);
        self.next = 0;
        for message in self.messages.iter().take(filled) {
            // SAFETY: a message of ours, given back once (3); its client is alive (1), and no record borrows it (4).
            unsafe { native::rd_kafka_message_destroy(*message) };
        }
    }
}

impl<C: ConsumerContext> Drop for Fetched<C> {
    fn drop(&mut self) {
        self.give_back();
        // SAFETY: ours, given back once (2), while its client is alive (1). The library keeps what others still refer to.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

impl<C: ConsumerContext> std::fmt::Debug for Fetched<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched").field("filled", &self.filled).field("next", &self.next).finish_non_exhaustive()
    }
}

/// A look at a message.
///
/// # Safety
/// `message` points to a message of the library that is neither changed nor given back for as long as `'a`.
unsafe fn view<'a>(message: *const native::rd_kafka_message_t) -> Result<Record<'a>, KafkaError> {
    // SAFETY: the caller says so.
    let message = unsafe { &*message };
    if message.err != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(fault(message));
    }
    let payload = if message.payload.is_null() {
        &[]
    } else {
        // SAFETY: without an error the payload is `len` initialised bytes of the message's own buffer, which lives as long.
        unsafe { std::slice::from_raw_parts(message.payload.cast::<u8>(), message.len) }
    };
    let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is alive, and `kind` a place to write to, into which nothing but the three values named below is put.
    let millis = unsafe { native::rd_kafka_message_timestamp(message, &raw mut kind) };
    let time = match kind {
        _ if millis < 0 => Timestamp::NotAvailable,
        native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => Timestamp::CreateTime(millis),
        native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => Timestamp::LogAppendTime(millis),
        native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => Timestamp::NotAvailable,
    };
    Ok(Record { payload, offset: message.offset, time })
}

/// The fault that a message stands for, told apart as the safe interface does.
fn fault(message: &native::rd_kafka_message_t) -> KafkaError {
    use native::rd_kafka_resp_err_t as Code;
    match message.err {
        Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => KafkaError::PartitionEOF(message.partition),
        Code::RD_KAFKA_RESP_ERR__FATAL => KafkaError::MessageConsumptionFatal(message.err.into()),
        other => KafkaError::MessageConsumption(other.into()),
    }
}

#[cfg(test)]
mod tests;
