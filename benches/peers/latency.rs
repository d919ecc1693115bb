//! How long alerts take in memory: offered in an open loop to the daemon's threads, from the moment at which each was due until
//! the epoch that holds it, and the incident event that follows from it, is handed to the sink.
//!
//! A latency counts from when an alert was *due*, however late it could be sent: one that waited behind a stall has the stall
//! in it. Somebody waits for an answer to each batch, as over HTTP: so the daemon ends an epoch as soon as nothing more is there
//! and the sink is free.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crossbeam::channel::{Sender, bounded};
use hdrhistogram::Histogram;
use serde_json::Value;
use tidegate::model::alert::Format;
use tidegate::model::incident::EventKind;
use tidegate::model::time::{Stopwatch, SystemClock};
use tidegate::model::{HashKey, Timestamp};
use tidegate::pipeline::run::{Outside, start};
use tidegate::pipeline::sink::{CommitError, Committed, Epoch, EpochSink, Removed, RestoreError};
use tidegate::pipeline::source::buffer::Home;
use tidegate::pipeline::source::{Batch, RecordRef, Reply, SourceEvent};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::{Flood, FloodOptions, Shape, group_name};

use crate::measure::Meter;
use crate::memory::{BATCHES_WAITING, engine};

/// What is due within this time goes together: a source reads so often.
const PAUSE: Duration = Duration::from_micros(250);
/// The longest time told apart, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Buffers that go round, and their bytes: more than is on its way.
const BUFFERS: (usize, usize) = (16, 64 << 10);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the flood looks like
    #[arg(long, default_value = "corpus", value_parser = |text: &str| text.parse::<Shape>())]
    shape: Shape,
    /// How many alerts
    #[arg(long, default_value_t = 500_000)]
    alerts: u32,
    /// Alerts due per second
    #[arg(long, default_value_t = 100_000.0)]
    rate: f64,
}

/// The flood, and which alert is the first of each group.
struct Offer {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
    firsts: BTreeMap<String, u64>,
}

/// What epochs said, and when.
#[derive(Default)]
struct Sheet {
    /// The position after the last record of each epoch.
    epochs: Vec<(u64, Duration)>,
    /// The groups whose incidents were opened.
    opened: Vec<(String, Duration)>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let offer = Offer::new(args);
    let options = engine(1, 1, 1);
    let (sender, input) = bounded(BATCHES_WAITING);
    let (done, sheet) = bounded(1);
    let clock = Stopwatch::start();
    let n_records = offer.ends.len() as u64;
    let outside = Outside {
        valves: Arc::default(),
        inputs: vec![input],
        sink: Box::new(Noting { clock, n_records, sheet: Sheet::default(), done: Some(done) }),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_, _| {}),
        refusing: Arc::default(),
        tap: Arc::default(),
        watched: Arc::default(),
        suspicion: Default::default(),
    };
    let running = start(Start::new(options, Restored::default(), HashKey::FIXED)?, outside, None);
    let meter = Meter::start();
    let (origin, late) = offer.send(args.rate, clock, &sender)?;
    let sheet = sheet.recv().context("the engine has ended")?;
    let spent = meter.stop();
    running.stop();
    running.join()?;
    let due = |n: u64| origin + Duration::from_secs_f64(n as f64 / args.rate);
    let (mut all, mut incidents) = (histogram()?, histogram()?);
    let mut n = 0;
    for (next, at) in &sheet.epochs {
        (n..*next).for_each(|n| record(&mut all, at.saturating_sub(due(n))));
        n = *next;
    }
    for (group, at) in &sheet.opened {
        let first = offer.firsts.get(group).with_context(|| format!("{group} is no group of the flood"))?;
        record(&mut incidents, at.saturating_sub(due(*first)));
    }
    let groups = offer.firsts.len();
    ensure!(incidents.len() == groups as u64, "{} incidents, and there are {groups}", incidents.len());
    let more = serde_json::json!({
        "shape": args.shape, "rate": args.rate, "epochs": sheet.epochs.len(), "latency": quantiles(&all),
        "alert_to_incident": quantiles(&incidents), "late": quantiles(&late),
    });
    spent.print("latency", n_records, offer.bytes.len() as u64, more)
}

impl Offer {
    fn new(args: &Args) -> Self {
        let Args { shape, alerts, rate } = *args;
        let mut flood = Flood::new(FloodOptions { shape, alerts, rate, received_at: false, ..FloodOptions::default() });
        let (mut bytes, mut ends, mut firsts) = (Vec::new(), Vec::new(), BTreeMap::new());
        while let Some(truth) = flood.next_into(&mut bytes) {
            firsts.entry(truth.group).or_insert(ends.len() as u64);
            ends.push(bytes.len());
        }
        let firsts = firsts.into_iter().map(|(group, first)| (flood.group_name(group), first)).collect();
        Self { bytes, ends, firsts }
    }

    /// Sends each alert when it is due; when the first one was, and how late they went.
    fn send(&self, rate: f64, clock: Stopwatch, to: &Sender<SourceEvent>) -> Result<(Duration, Histogram<u64>)> {
        let (home, origin, mut late) = (Home::new(BUFFERS.0, BUFFERS.1), clock.elapsed(), histogram()?);
        let mut sent = 0;
        while sent < self.ends.len() {
            std::thread::sleep(PAUSE);
            let since = clock.elapsed() - origin;
            let n_due = ((since.as_secs_f64() * rate) as usize).min(self.ends.len());
            if n_due == sent {
                continue;
            }
            for n in sent..n_due {
                record(&mut late, since.saturating_sub(Duration::from_secs_f64(n as f64 / rate)));
            }
            let batch = self.batch(sent, n_due, &home);
            to.send(SourceEvent::Records(batch)).ok().context("the engine has ended")?;
            sent = n_due;
        }
        Ok((origin, late))
    }

    /// The records from `first` up to `end`, whose sender waits for an answer.
    fn batch(&self, first: usize, end: usize, home: &Home) -> Batch {
        let mut batch = Batch { bytes: home.take(), partitions: vec!["".into()], ..Batch::default() };
        for n in first..end {
            let start = if n == 0 { 0 } else { self.ends[n - 1] };
            let (position, next, time) = (n as u64, n as u64 + 1, Timestamp::MIN);
            let at = RecordRef { start: 0, len: 0, partition: 0, position, next, time, format: Format::Native };
            batch.push(&self.bytes[start..self.ends[n]], at);
        }
        batch.replies.push((end - first - 1, Reply::new(|_| {})));
        batch
    }
}

/// Notes when each epoch came, takes it as durable and drops it.
struct Noting {
    clock: Stopwatch,
    n_records: u64,
    sheet: Sheet,
    /// Told once; epochs of ticks may follow.
    done: Option<Sender<Sheet>>,
}

impl EpochSink for Noting {
    fn restore(&mut self, _: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>) -> Result<u64, RestoreError> {
        Ok(0)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Committed, CommitError> {
        let at = self.clock.elapsed();
        let next = epoch.positions.first().map_or(0, |position| position.next);
        self.sheet.epochs.push((next, at));
        let opened = epoch.incidents.iter().filter(|incident| incident.event.event == EventKind::Opened);
        self.sheet.opened.extend(opened.map(|incident| (group_name(&incident.event.group_labels), at)));
        if next == self.n_records
            && let Some(done) = self.done.take()
        {
            let sheet = std::mem::take(&mut self.sheet);
            done.send(sheet).map_err(|_| CommitError::Fatal("nobody waits for the end".to_owned()))?;
        }
        Ok(Committed { epoch: epoch.number })
    }

    fn recover(&mut self) -> Result<u64, CommitError> {
        Err(CommitError::Fatal("nothing is ever unknown here".to_owned()))
    }

    fn tidy_up(&mut self, _: Timestamp) -> Result<Removed, CommitError> {
        Ok(Removed::default())
    }

    fn on_retry(&mut self, _: Arc<dyn Fn() + Send + Sync>) {}
}

pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?)
}

pub(crate) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record((time.as_micros() as u64).max(1));
}

pub(crate) fn quantiles(histogram: &Histogram<u64>) -> Value {
    let within = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    serde_json::json!({
        "count": histogram.len(), "p50_ms": within(0.5), "p90_ms": within(0.9), "p99_ms": within(0.99),
        "p999_ms": within(0.999), "max_ms": histogram.max() as f64 / 1_000.0,
    })
}
