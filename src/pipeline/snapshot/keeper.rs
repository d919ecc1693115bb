//! The thread that keeps the snapshot, and the way to it. The commit thread never waits for it: an epoch for which there is
//! no room is left out, and the snapshot goes on from the next complete sweep.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::metrics::{Metric, Metrics};
use crate::model::time::{Stopwatch, Timestamp};
use crate::pipeline::sink::Epoch;
use crate::pipeline::snapshot::Refused;
use crate::pipeline::snapshot::disk::Disk;
use crate::pipeline::snapshot::load::Loaded;
use crate::pipeline::snapshot::read_back::LocalCopy;
use crate::pipeline::snapshot::record::{Durable, PENDING_BYTES, Recorder};

/// Time between two additions to the snapshot: what a start has to read from the topic at least.
const SEAL_EVERY: Duration = Duration::from_secs(5);
/// Bytes after which it is added to at once: a flood must not wait for its seconds in memory.
const SEAL_BYTES: u64 = 8 << 20;
/// Pause after trouble with the disk.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest wait for an order, so that time is looked at.
const TURN: Duration = Duration::from_secs(1);
/// Bytes on their way to the thread; an epoch that is larger still passes when nothing else is on its way.
const IN_FLIGHT_BYTES: u64 = 16 << 20;
/// Orders on their way: a minute and a half of ten epochs a second, behind a disk that hangs.
const ORDERS: usize = 1_024;
/// How long a start waits for room, in all. A disk that takes longer is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stop waits for the last addition.
const LAST_SEAL: Duration = Duration::from_secs(5);

/// The way to the thread. Clones share it; it ends when the last one is gone.
#[derive(Clone)]
pub struct Keeper {
    orders: Sender<Order>,
    in_flight: Arc<AtomicU64>,
    metrics: Metrics,
    /// Time that starts have waited for room.
    waited: Duration,
}

enum Order {
    Load(Sender<Result<Option<Loaded>, Refused>>),
    Begin(u64),
    Take(Durable),
    Seal(Sender<()>),
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(disk: impl Disk + 'static, namespace: &str, metrics: Metrics) -> std::io::Result<Self> {
        let (orders, inbox) = bounded(ORDERS);
        let in_flight = Arc::new(AtomicU64::new(0));
        let (taken, counted, namespace) = (Arc::clone(&in_flight), metrics.clone(), namespace.to_owned());
        std::thread::Builder::new().name("snapshot".to_owned()).spawn(move || {
            let recorder = Recorder::new(disk, &namespace);
            let sealed = Stopwatch::start();
            Worker { recorder, in_flight: taken, metrics: counted, trouble: None, sealed }.run(&inbox);
        })?;
        Ok(Self { orders, in_flight, metrics, waited: Duration::ZERO })
    }

    /// Takes a durable epoch. Never waits.
    pub fn take(&self, epoch: &Epoch, place: Option<u64>) {
        let n_bytes = epoch.blocks.iter().map(|block| block.bytes.len() as u64).sum();
        if !self.has_room(n_bytes) {
            return self.count_overrun();
        }
        self.hand_over(Durable {
            epoch: epoch.number,
            place,
            safe_from: epoch.safe_from,
            committed_at: epoch.committed_at,
            blocks: epoch.blocks.iter().map(|block| block.bytes.clone()).collect(),
        });
    }

    /// Adds what was taken to the snapshot now; waits for it, but not for ever.
    pub fn seal(&self) {
        let (reply, answer) = bounded(1);
        if self.orders.try_send(Order::Seal(reply)).is_ok() {
            let _ = answer.recv_timeout(LAST_SEAL); // Too late is as good as never.
        }
    }

    fn has_room(&self, n_bytes: u64) -> bool {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        in_flight == 0 || in_flight + n_bytes <= IN_FLIGHT_BYTES
    }

    fn hand_over(&self, durable: Durable) {
        let n_bytes = durable.n_bytes();
        self.in_flight.fetch_add(n_bytes, Ordering::Relaxed);
        if self.orders.try_send(Order::Take(durable)).is_err() {
            self.in_flight.fetch_sub(n_bytes, Ordering::Relaxed);
            self.count_overrun();
        }
    }

    fn count_overrun(&self) {
        self.metrics.add(Metric::SnapshotFailures, &["overrun"], 1);
    }
}

impl LocalCopy for Keeper {
    fn load(&mut self) -> Result<Option<Loaded>, Refused> {
        let (reply, answer) = bounded(1);
        if self.orders.send(Order::Load(reply)).is_err() {
            return Ok(None);
        }
        answer.recv().unwrap_or(Ok(None)) // A thread that is gone has no snapshot.
    }

    fn begin(&mut self, first: u64) {
        let _ = self.orders.send(Order::Begin(first)); // A thread that is gone keeps nothing.
    }

    fn take_restored(&mut self, durable: Durable) {
        let watch = Stopwatch::start();
        let n_bytes = durable.n_bytes();
        while !self.has_room(n_bytes) || self.orders.is_full() {
            if self.waited + watch.elapsed() > PATIENCE {
                return self.count_overrun();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.waited += watch.elapsed();
        self.hand_over(durable);
    }

    fn note_refused(&mut self) {
        self.metrics.add(Metric::SnapshotFailures, &["refused"], 1);
    }
}

struct Worker<D> {
    recorder: Recorder<D>,
    in_flight: Arc<AtomicU64>,
    metrics: Metrics,
    /// What the disk said last, if it was no good.
    trouble: Option<ErrorKind>,
    /// Since the last try to add to the snapshot.
    sealed: Stopwatch,
}

impl<D: Disk> Worker<D> {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            match inbox.recv_timeout(TURN) {
                Ok(Order::Load(reply)) => {
                    self.seal();
                    let _ = reply.send(self.recorder.load()); // Whoever asked may have given up.
                }
                Ok(Order::Begin(first)) => self.recorder.begin(first),
                Ok(Order::Take(durable)) => self.take(durable),
                Ok(Order::Seal(reply)) => {
                    self.seal();
                    let _ = reply.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.seal(),
            }
            let is_much = self.trouble.is_none() && self.recorder.pending_bytes() >= SEAL_BYTES;
            let pause = if self.trouble.is_some() { PAUSE } else { SEAL_EVERY };
            if is_much || self.sealed.elapsed() >= pause {
                self.seal();
            }
        }
    }

    fn take(&mut self, durable: Durable) {
        let n_bytes = durable.n_bytes();
        let epoch = durable.epoch;
        if !self.recorder.take(durable) {
            tracing::info!(
                epoch,
                "the local snapshot goes on from the next complete sweep: epochs before {epoch} are missing"
            );
        }
        self.in_flight.fetch_sub(n_bytes, Ordering::Relaxed);
        if self.trouble.is_some() && self.recorder.pending_bytes() > PENDING_BYTES {
            self.metrics.add(Metric::SnapshotFailures, &["overrun"], 1);
            self.recorder.give_up();
        }
    }

    fn seal(&mut self) {
        self.sealed = Stopwatch::start();
        match self.recorder.seal() {
            Ok(committed_at) => {
                if self.trouble.take().is_some() {
                    tracing::info!("the local snapshot is written again");
                }
                if let Some(at) = committed_at.filter(|at| *at != Timestamp::MIN) {
                    self.metrics.set(Metric::SnapshotTimestamp, &[], at.0 as f64 / 1_000.0);
                }
            }
            Err(error) => {
                self.metrics.add(Metric::SnapshotFailures, &["write"], 1);
                if self.trouble.replace(error.kind()) != Some(error.kind()) {
                    tracing::warn!(
                        "the local snapshot is not written, the one before stays, and a start reads more of the state topic: {error}"
                    );
                }
            }
        }
    }
}
