//! The way out over HTTP: batches over a few connections, all driven by one thread.
//!
//! All alerts of a group go over the same connection, one request after the other, so a resolve never overtakes
//! its alert. A request that is not answered is sent again: at least once, and what may be doubled is counted.

mod lane;
mod link;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::body::Bytes;
use reqwest::Url;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::cli::storm::delivery::Delivery;
use crate::cli::storm::http::lane::Worker;
use crate::cli::storm::http::link::Way;
use crate::cli::storm::outlet::{Outlet, Parcel};

/// Alerts that may wait for the connections of a paced flood: some 130 MB, two seconds at 100,000/s. Then the generator
/// waits; what was due meanwhile keeps its due time.
const WAITING_ALERTS_MAX: usize = 200_000;
/// Alerts that are ready for each connection where nothing is paced: enough that a thread does not wake another for each of
/// them, if they go one by one.
const READY_ALERTS: usize = 500;
/// Empty buffers kept for the next batches; more than wait at a time are never needed.
const SPARE_MAX: usize = 64;

/// How to send over HTTP.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The intake.
    pub url: Url,
    /// Alerts per request.
    pub batch: u32,
    /// Connections.
    pub connections: u32,
    /// After this long, a request that does not get through is given up, and the flood with it.
    pub patience: Duration,
    /// How long an alert may wait for others to fill its batch.
    pub linger: Duration,
    /// The flood has a pace: as much as may waits for the connections, so that the pace is kept.
    pub is_paced: bool,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
}

/// The connections of a flood.
#[derive(Debug)]
pub(crate) struct Connections {
    lanes: Vec<Lane>,
    batch: u32,
    linger: Duration,
    pool: Pool,
    thread: JoinHandle<()>,
}

/// One connection's queue, and the batch that is being filled for it.
#[derive(Debug)]
struct Lane {
    batch: Batch,
    /// When the first alert came into the batch.
    since: Option<Duration>,
    queue: Sender<Batch>,
}

/// A request to be.
#[derive(Debug, Default)]
struct Batch {
    body: Vec<u8>,
    alerts: u32,
    /// When its alerts are due; empty where nothing is.
    dues: Vec<Duration>,
}

/// Buffers that were sent and can be filled again: fresh memory costs more than an alert.
#[derive(Debug, Clone, Default)]
struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A body on its way; its buffer goes back to the pool.
struct Sent {
    body: Vec<u8>,
    pool: Pool,
}

impl Connections {
    pub(crate) fn open(options: HttpOptions, delivery: &Delivery) -> Result<Self> {
        let way = Arc::new(Way::new(&options.url, options.token.as_deref())?);
        let n_lanes = options.connections.max(1);
        let (batch, linger) = (options.batch, options.linger);
        let alerts_max = if options.is_paced { WAITING_ALERTS_MAX / n_lanes as usize } else { READY_ALERTS };
        let waiting = (alerts_max / batch as usize).max(1);
        let pool = Pool::default();
        let mut lanes = Vec::new();
        let mut workers: Vec<(Worker, Receiver<Batch>)> = Vec::new();
        for _ in 0..n_lanes {
            let (queue, batches) = channel(waiting);
            lanes.push(Lane { batch: Batch::default(), since: None, queue });
            workers.push((Worker::new(&way, options.patience, delivery, &pool), batches));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start runtime")?;
        let thread = std::thread::Builder::new()
            .name("storm-http".to_owned())
            .spawn(move || runtime.block_on(lane::run(workers)))
            .context("start a thread")?;
        Ok(Self { lanes, batch, linger, pool, thread })
    }
}

impl Outlet for Connections {
    fn push(&mut self, parcel: Parcel<'_>) -> Result<()> {
        let lanes = self.lanes.len();
        let lane = &mut self.lanes[parcel.group as usize % lanes];
        if lane.batch.alerts == 0 {
            lane.batch.body = self.pool.take();
            lane.since = parcel.due;
        }
        lane.batch.add(&parcel);
        if lane.batch.alerts >= self.batch { lane.pass_on() } else { Ok(()) }
    }

    /// A batch waits for company until its time is over and its connection has nothing else to send.
    fn flush(&mut self, now: Duration) -> Result<()> {
        let linger = self.linger;
        let is_over = |lane: &Lane| lane.since.is_some_and(|since| now.saturating_sub(since) >= linger);
        let mut ripe = self.lanes.iter_mut().filter(|lane| is_over(lane) && lane.is_idle());
        ripe.try_for_each(Lane::pass_on)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.lanes.iter_mut().try_for_each(Lane::pass_on)?;
        drop(self.lanes);
        if self.thread.join().is_err() {
            bail!("the sending thread has failed");
        }
        Ok(())
    }
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.queue.capacity() == self.queue.max_capacity()
    }

    fn pass_on(&mut self) -> Result<()> {
        self.since = None;
        if self.batch.alerts == 0 {
            return Ok(());
        }
        let mut full = std::mem::take(&mut self.batch);
        full.body.push(b']');
        self.queue.blocking_send(full).ok().context("the sending thread has failed")
    }
}

impl Batch {
    fn add(&mut self, parcel: &Parcel<'_>) {
        self.body.push(if self.alerts == 0 { b'[' } else { b',' });
        self.body.extend_from_slice(parcel.json);
        self.dues.extend(parcel.due);
        self.alerts += 1;
    }
}

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// The body as what is sent, as often as it takes.
    fn send(&self, body: Vec<u8>) -> Bytes {
        Bytes::from_owner(Sent { body, pool: self.clone() })
    }
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut body = std::mem::take(&mut self.body);
        let mut spare = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            body.clear();
            spare.push(body);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Connections to nobody: the queue of the only lane stays with the test.
    fn connections(batch: u32) -> (Connections, Receiver<Batch>) {
        let (queue, batches) = channel(4);
        let lanes = vec![Lane { batch: Batch::default(), since: None, queue }];
        let thread = std::thread::Builder::new().name("nobody".to_owned()).spawn(|| {}).unwrap();
        (Connections { lanes, batch, linger: 5 * MS, pool: Pool::default(), thread }, batches)
    }

    fn push(connections: &mut Connections, due: Option<Duration>) {
        connections.push(Parcel { group: 0, key: "a/b", json: b"{}", due }).unwrap();
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_its_time_is_over_and_nothing_else_waits() {
        let (mut connections, mut batches) = connections(3);
        push(&mut connections, Some(10 * MS));
        push(&mut connections, Some(12 * MS));
        connections.flush(14 * MS).unwrap();
        assert!(batches.try_recv().is_err(), "the first alert has waited for 4 ms");
        connections.flush(15 * MS).unwrap();
        let batch = batches.try_recv().unwrap();
        assert_eq!((batch.alerts, batch.dues, batch.body.as_slice()), (2, vec![10 * MS, 12 * MS], &b"[{},{}]"[..]));
        for ms in 20..23 {
            push(&mut connections, Some(ms * MS));
        }
        push(&mut connections, Some(23 * MS));
        connections.flush(99 * MS).unwrap();
        assert_eq!(batches.try_recv().unwrap().alerts, 3, "a full one goes at once");
        assert!(batches.try_recv().is_err(), "another one was waiting: there is time to gather more");
        connections.flush(99 * MS).unwrap();
        assert_eq!(batches.try_recv().unwrap().dues, [23 * MS]);
    }

    #[test]
    fn where_nothing_is_due_only_full_batches_go_and_the_rest_in_the_end() {
        let (mut connections, mut batches) = connections(2);
        for _ in 0..3 {
            push(&mut connections, None);
        }
        connections.flush(Duration::MAX).unwrap();
        Box::new(connections).finish().unwrap();
        let sizes: Vec<u32> = std::iter::from_fn(|| batches.try_recv().ok()).map(|batch| batch.alerts).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn a_buffer_that_was_sent_is_filled_again() {
        let pool = Pool::default();
        let body = Vec::with_capacity(4_096);
        let place = body.as_ptr();
        let sent = pool.send(body);
        let again = sent.clone();
        drop(sent);
        assert!(pool.take().capacity() == 0, "it is still on its way");
        drop(again);
        let taken = pool.take();
        assert_eq!((taken.as_ptr(), taken.len()), (place, 0));
    }
}
