//! The commit thread: gathers an epoch in order, materialises it, makes it durable, tells whoever waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};

use crate::model::time::{Clock, Millis, Stopwatch, Timestamp};
use crate::pipeline::crash::{self, Place};
use crate::pipeline::epoch::{EpochBuilder, ShardOutput};
use crate::pipeline::exchange::ChunkReport;
use crate::pipeline::run::durable::{Surroundings, make_durable};
use crate::pipeline::run::{COMMIT_BEAT, Committing, OnCommit, RunError, Shared};
use crate::pipeline::sink::{EpochSink, Removed};
use crate::pipeline::tap::Stage;

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
        crash::at(Place::EpochGathered);
        let watch = Stopwatch::start();
        make_durable(self.sink.as_mut(), &epoch, &*self.shared)?;
        attached.commit_time = watch.elapsed();
        crash::at(Place::Durable);
        attached.place = self.sink.place();
        self.shared.wants_sweep.store(self.builder.wants_sweep(), Ordering::Relaxed);
        self.shared.has_deadlines.store(attached.summary.tally.has_deadlines, Ordering::Relaxed);
        self.shared.set_tally(attached.summary.tally);
        self.shared.bytes_on_the_way.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        (self.on_commit)(&epoch, &attached);
        if let Some(look) = self.shared.tap.look(&[Stage::Incident], epoch.committed_at) {
            look.show_incidents(&epoch.incidents);
        }
        crash::at(Place::Published);
        // First: with the last answer an HTTP source hands on what it has gathered, and finds the sink free.
        self.shared.committed.fetch_add(1, Ordering::Release);
        for (reply, answer) in attached.replies {
            reply.send(answer);
        }
        crash::at(Place::Answered);
        let _ = self.wake.try_send(()); // If one is under way already, that is enough.
        Ok(())
    }

    fn tidy_up(&mut self, now: Timestamp) {
        crash::at(Place::Tidying);
        let removed = self.sink.tidy_up(now);
        crash::at(Place::Tidied);
        match removed {
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

impl Surroundings for Shared {
    fn was_aborted(&self) {
        self.aborted.fetch_add(1, Ordering::Relaxed);
    }

    fn was_unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    fn pause(&self, time: Duration) {
        self.beat(COMMIT_BEAT);
        std::thread::sleep(time);
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
