//! Our engine on the same bytes: from records in memory to epochs that only have to be written. The sink acknowledges and
//! drops them. One thread is the engine called inline; two are the daemon's own threads on two cores.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use crossbeam::channel::{Sender, bounded};
use tidegate::model::alert::Format;
use tidegate::model::incident::EventKind;
use tidegate::model::matcher::Matcher;
use tidegate::model::time::SystemClock;
use tidegate::model::{HashKey, Millis, Timestamp};
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{EpochOptions, Options, SourceOptions, WindowRule};
use tidegate::pipeline::run::{Outside, start};
use tidegate::pipeline::sequencer::Sequencer;
use tidegate::pipeline::sink::{CommitError, Committed, Epoch, EpochSink, Removed, RestoreError};
use tidegate::pipeline::source::buffer::Home;
use tidegate::pipeline::source::{Batch, RecordRef, SourceEvent, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;

use crate::corpus::{Corpus, Input};
use crate::measure::Meter;

/// Records that a source hands on at once.
pub(crate) const BATCH_RECORDS: usize = 1_000;
/// Batches that may wait for the sequencer: what a source has.
pub(crate) const BATCHES_WAITING: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: Input,
    /// 1: everything on one thread. 2: the daemon's threads on two cores
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2))]
    threads: u32,
    /// Decoders, with two threads
    #[arg(long, default_value_t = 2)]
    decoders: usize,
    /// Shards, with two threads
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Window rules; all but the last match nothing
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rules: u32,
}

/// What epochs said.
#[derive(Default)]
struct Found {
    records: u64,
    epochs: u64,
    incidents: u64,
    events: u64,
    state_bytes: u64,
}

impl Found {
    fn add(&mut self, epoch: &Epoch) {
        self.records = epoch.positions.first().map_or(0, |position| position.next);
        self.epochs += 1;
        self.events += epoch.incidents.len() as u64;
        let opened = epoch.incidents.iter().filter(|incident| incident.event.event == EventKind::Opened);
        self.incidents += opened.count() as u64;
        self.state_bytes += epoch.blocks.iter().map(|block| block.bytes.len() as u64).sum::<u64>();
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let corpus = Corpus::new(&args.input);
    let (n_records, n_bytes) = (corpus.len() as u64, corpus.bytes.len() as u64);
    let (batches, _home) = batches(&corpus);
    let truth = corpus.truth;
    drop(corpus.bytes);
    let (decoders, shards) = if args.threads > 1 { (args.decoders, args.shards) } else { (1, 1) };
    let options = engine(decoders, shards, args.rules);
    let start = Start::new(options.clone(), Restored::default(), HashKey::FIXED)?;
    let meter = Meter::start();
    let found =
        if args.threads == 1 { inline(start, &options, batches)? } else { threaded(start, batches, n_records)? };
    let spent = meter.stop();
    anyhow::ensure!(found.records == n_records, "{} of {n_records} records became durable", found.records);
    let groups = truth.groups.len() as u64;
    anyhow::ensure!(found.incidents == groups, "{} incidents, and there are {groups}", found.incidents);
    let more = serde_json::json!({
        "shape": args.input.shape, "dress": args.input.dress.name(), "threads": args.threads, "rules": args.rules,
        "decoders": options.decoders, "shards": options.shards, "identities": truth.members,
        "incidents": found.incidents, "events": found.events, "epochs": found.epochs, "state_bytes": found.state_bytes,
    });
    spent.print("memory", n_records, n_bytes, more)
}

/// As by default, but that an incident is told at once, as the peers do. All rules but the last match nothing.
pub(crate) fn engine(decoders: usize, shards: usize, rules: u32) -> Arc<Options> {
    let rule = |number: u32| {
        let is_last = number + 1 == rules;
        let matchers = if is_last { Vec::new() } else { never(number) };
        WindowRule { wait: Millis(0), matchers, ..WindowRule::named(&format!("rule-{number}")) }
    };
    Arc::new(Options {
        decoders,
        shards,
        epoch: EpochOptions::default(),
        rules: (0..rules).map(rule).collect(),
        sources: vec![SourceOptions::named("alerts")].into(),
        samples: 10,
        config_version: 1,
    })
}

/// A rule that a person might write for one of a thousand teams, none of which is in the corpus.
fn never(number: u32) -> Vec<Matcher> {
    let text = format!("team=\"team-{number}\"");
    Matcher::parse_all(&text).expect("a plain matcher can be read")
}

/// The records as a source with record times hands them on, on one partition.
fn batches(corpus: &Corpus) -> (Vec<Batch>, Home) {
    let records: Vec<_> = (0..).zip(corpus.records()).collect();
    // Buffers go back to their home, as in the daemon, and are not given back to the system while the clock runs.
    let home = Home::new(corpus.len() / BATCH_RECORDS + 1, 0);
    let batch = |records: &[(u64, (&[u8], Timestamp))]| {
        let mut batch = Batch { bytes: home.take(), partitions: vec!["alerts/0".into()], ..Batch::default() };
        for (position, (bytes, time)) in records {
            let (position, next) = (*position, position + 1);
            let at = RecordRef { start: 0, len: 0, partition: 0, position, next, time: *time, format: Format::Native };
            batch.push(bytes, at);
        }
        batch
    };
    (records.chunks(BATCH_RECORDS).map(batch).collect(), home)
}

fn inline(start: Start, options: &Arc<Options>, batches: Vec<Batch>) -> Result<Found> {
    let mut sequencer = Sequencer::new(options, &[], &[], start.next_record);
    let mut engine = Engine::new(start, false);
    let (mut found, mut wall, mut gathered) = (Found::default(), Timestamp::MIN, 0);
    for batch in batches {
        wall = batch.records.last().map_or(wall, |record| record.time);
        gathered += batch.records.len() as u64;
        let chunk = sequencer.take(SourceIndex(0), SourceEvent::Records(batch), wall)?;
        engine.feed_chunk(chunk.context("records are a chunk")?);
        if gathered >= options.epoch.max_records {
            gathered = 0;
            found.add(&engine.end_epoch(wall)?.0);
        }
    }
    found.add(&engine.end_epoch(wall)?.0);
    Ok(found)
}

/// Takes every epoch as durable and drops it.
struct Acknowledging {
    found: Found,
    n_records: u64,
    /// Told once; epochs of ticks may follow.
    done: Option<Sender<Found>>,
}

impl EpochSink for Acknowledging {
    fn restore(&mut self, _: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError> {
        Ok(0)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError> {
        self.found.add(epoch);
        if self.found.records == self.n_records
            && let Some(done) = self.done.take()
        {
            let found = std::mem::take(&mut self.found);
            done.send(found).map_err(|_| CommitError::Fatal("nobody waits for the end".to_owned()))?;
        }
        Ok(Committed { epoch: epoch.number })
    }

    fn recover(&mut self) -> Result<u64, CommitError> {
        Ok(self.found.epochs)
    }

    fn tidy_up(&mut self, _: Timestamp) -> Result<Removed, CommitError> {
        Ok(Removed::default())
    }

    fn on_retry(&mut self, _: Arc<dyn Fn() + Send + Sync>) {}
}

fn threaded(start_from: Start, batches: Vec<Batch>, n_records: u64) -> Result<Found> {
    let (sender, input) = bounded(BATCHES_WAITING);
    let (done, found) = bounded(1);
    let outside = Outside {
        valves: Arc::default(),
        inputs: vec![input],
        sink: Box::new(Acknowledging { found: Found::default(), n_records, done: Some(done) }),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_, _| {}),
        refusing: Arc::default(),
        tap: Arc::default(),
        watched: Arc::default(),
        suspicion: Default::default(),
    };
    let running = start(start_from, outside, None);
    for batch in batches {
        sender.send(SourceEvent::Records(batch)).ok().context("the engine has ended")?;
    }
    let found = found.recv().context("the engine has ended")?;
    running.stop();
    running.join()?;
    Ok(found)
}
