//! The commit thread: gathers an epoch in order, materialises it, makes it durable, tells whoever waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};

use crate::model::time::{Clock, Millis, Stopwatch, Timestamp};
use crate::pipeline::epoch::{EpochBuilder, ShardOutput};
use crate::pipeline::exchange::ChunkReport;
use crate::pipeline::run::{COMMIT_BEAT, Committing, OnCommit, RunError, Shared};
use crate::pipeline::sink::{CommitError, Epoch, EpochSink, Removed};
use crate::pipeline::tap::Stage;

/// Pauses between two attempts at the same epoch grow from the first to the second.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// Attempts at the same epoch after the run was told to stop: the epoch is not lost, its input is read again.
const ATTEMPTS_WHEN_STOPPING: u32 = 5;
/// Time between two rounds of retention.
const TIDY_EVERY: Millis = Millis::minutes(1);

pub(super) struct Committer {
    pub(super) builder: EpochBuilder,
    pub(super) sink: Box<dyn EpochSink>,
    pub(super) on_commit: OnCommit,
    pub(super) reports: Receiver<ChunkReport>,
    pub(super) outputs: Vec<Receiver<ShardOutput>>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) wake: Sender<()>,
    /// Bytes of records of the epoch that is being gathered.
    pub(super) bytes: i64,
}

impl Committer {
    pub(super) fn run(mut self) -> Result<Committing, RunError> {
        let mut early: BTreeMap<u64, ChunkReport> = BTreeMap::new();
        let mut next = 0;
        let mut tidied = Timestamp::MIN;
        while let Ok(report) = self.reports.recv() {
            early.insert(report.number, report);
            while let Some(report) = early.remove(&next) {
                next += 1;
                self.shared.beat(COMMIT_BEAT);
                let mark = report.mark;
                self.bytes += report.n_bytes as i64;
                self.builder.take_report(report);
                let Some(mark) = mark else { continue };
                let Some(outputs) = self.gather() else { return Ok((self.sink, self.on_commit)) };
                self.commit(outputs, mark.start_sweep)?;
                let now = self.clock.now();
                if now - tidied >= TIDY_EVERY {
                    tidied = now;
                    self.tidy_up(now);
                }
            }
        }
        Ok((self.sink, self.on_commit))
    }

    /// The output of every shard; `None` if one is gone, which ends the run.
    fn gather(&self) -> Option<Vec<ShardOutput>> {
        self.outputs.iter().map(|output| output.recv().ok()).collect()
    }

    fn commit(&mut self, outputs: Vec<ShardOutput>, swept: bool) -> Result<(), RunError> {
        let (epoch, mut attached) = self.builder.close(outputs, swept, self.clock.now())?;
        let watch = Stopwatch::start();
        self.make_durable(&epoch)?;
        attached.commit_time = watch.elapsed();
        self.shared.wants_sweep.store(self.builder.wants_sweep(), Ordering::Relaxed);
        self.shared.has_deadlines.store(attached.summary.tally.has_deadlines, Ordering::Relaxed);
        self.shared.set_tally(attached.summary.tally);
        self.shared.bytes_on_the_way.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        (self.on_commit)(&epoch, &attached);
        if let Some(look) = self.shared.tap.look(&[Stage::Incident], epoch.committed_at) {
            look.show_incidents(&epoch.incidents);
        }
        // First: with the last answer an HTTP source hands on what it has gathered, and finds the sink free.
        self.shared.committed.fetch_add(1, Ordering::Release);
        for (reply, answer) in attached.replies {
            reply.send(answer);
        }
        let _ = self.wake.try_send(()); // If one is under way already, that is enough.
        Ok(())
    }

    /// Sends the same epoch until it is durable: nothing is ever rolled back.
    fn make_durable(&mut self, epoch: &Epoch) -> Result<(), RunError> {
        let mut pause = RETRY_PAUSES.0;
        let mut attempts = 0;
        loop {
            let reason = match self.sink.commit(epoch) {
                Ok(_) => return Ok(()),
                Err(CommitError::Aborted(reason)) => {
                    self.shared.aborted.fetch_add(1, Ordering::Relaxed);
                    reason
                }
                Err(CommitError::Unknown(reason)) => {
                    self.shared.unknown.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        epoch = epoch.number,
                        "epoch {}: the outcome of the commit is unknown: {reason}",
                        epoch.number
                    );
                    if self.settle(epoch)? {
                        return Ok(());
                    }
                    reason
                }
                Err(error) => return Err(error.into()),
            };
            attempts += 1;
            tracing::warn!(
                epoch = epoch.number,
                attempts,
                "epoch {} is not durable yet, the same is sent again: {reason}",
                epoch.number
            );
            if self.shared.stop.load(Ordering::Relaxed) && attempts >= ATTEMPTS_WHEN_STOPPING {
                return Err(RunError::Store(format!("epoch {} is not durable: {reason}", epoch.number)));
            }
            self.shared.beat(COMMIT_BEAT);
            std::thread::sleep(pause);
            pause = (pause * 2).min(RETRY_PAUSES.1);
        }
    }

    /// Finds out what became of an epoch. True if it is durable, false if it is to be sent again.
    fn settle(&mut self, epoch: &Epoch) -> Result<bool, RunError> {
        let mut pause = RETRY_PAUSES.0;
        loop {
            match self.sink.recover() {
                Ok(last) if last == epoch.number => return Ok(true),
                Ok(last) if last + 1 == epoch.number => return Ok(false),
                Ok(last) => {
                    let number = epoch.number;
                    return Err(RunError::Fenced(format!("the store is at epoch {last}, this instance at {number}")));
                }
                Err(CommitError::Unknown(reason) | CommitError::Aborted(reason)) => {
                    // Counted again with every look: a store that is away must show as failures that go on.
                    self.shared.unknown.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(epoch = epoch.number, "the last durable epoch is not known yet: {reason}");
                    if self.shared.stop.load(Ordering::Relaxed) {
                        return Err(RunError::Store(reason));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            self.shared.beat(COMMIT_BEAT);
            std::thread::sleep(pause);
            pause = (pause * 2).min(RETRY_PAUSES.1);
        }
    }

    fn tidy_up(&mut self, now: Timestamp) {
        match self.sink.tidy_up(now) {
            Ok(removed) if removed == Default::default() => {}
            Ok(removed) => {
                let Removed { incident_events, dead_letters } = removed;
                self.shared.removed_events.fetch_add(incident_events, Ordering::Relaxed);
                self.shared.removed_letters.fetch_add(dead_letters, Ordering::Relaxed);
                tracing::info!(
                    incident_events,
                    dead_letters,
                    "retention removed {incident_events} incident events, {dead_letters} dead letters"
                );
            }
            Err(error) => tracing::warn!("retention failed, it is tried again in a minute: {error}"),
        }
    }
}
