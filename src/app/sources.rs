//! Starts the sources that the configuration names, each on a thread of its own with a bounded channel to the sequencer.

use std::sync::Arc;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, Sender, bounded};

use crate::app::store::{COMMANDS, cluster};
use crate::control::config::{Config, SourceKind, Store};
use crate::metrics::Metrics;
use crate::model::time::SystemClock;
use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::sink::sqlite::CommandLog;
use crate::pipeline::source::file::FileOptions;
use crate::pipeline::source::stdin::StdinOptions;
use crate::pipeline::source::thread::SourceThread;
use crate::pipeline::source::{Position, SourceEvent, SourceIndex, commands, file, kafka, stdin};

/// Batches that may wait for the sequencer, per source of records: 256 KiB each from Kafka. A few milliseconds of work, as long
/// as the operating system may let the sequencer or the source wait for a processor; more is only memory.
const BATCHES: usize = 8;
/// Batches of requests that may wait for the sequencer; beyond that the intake refuses.
const REQUESTS: usize = 4_096;

/// The running sources.
pub(super) struct Sources {
    /// What each says, in the order of the pipeline's sources: those of the configuration, then the commands.
    pub(super) inputs: Vec<Receiver<SourceEvent>>,
    /// The way in for HTTP, with its index and the position of its first request; one per HTTP source, of which there is at most one.
    pub(super) http: Option<(SourceIndex, Sender<SourceEvent>, u64)>,
    threads: Vec<SourceThread>,
}

impl Sources {
    /// Starts every source where its committed positions say, each behind its valve.
    pub(super) fn start(
        config: &Config,
        positions: &[Position],
        metrics: &Metrics,
        valves: &Arc<Valves>,
    ) -> anyhow::Result<Self> {
        let mut sources = Self { inputs: Vec::new(), http: None, threads: Vec::new() };
        let next = |name: &str| {
            let mut of_source =
                positions.iter().filter(|position| position.source == name && position.partition.is_empty());
            of_source.next().map_or(0, |position| position.next)
        };
        for (index, source) in (0_u8..).map(SourceIndex).zip(&config.sources) {
            let name = source.name.as_str();
            let capacity = if source.kind == SourceKind::Http { REQUESTS } else { BATCHES };
            let (sender, input) = bounded(capacity);
            sources.inputs.push(input);
            match &source.kind {
                SourceKind::Http => sources.http = Some((index, sender, next(name))),
                SourceKind::File(options) => {
                    let options = FileOptions {
                        format: options.format,
                        follow: options.follow,
                        ..FileOptions::new(&options.path)
                    };
                    let thread = file::spawn(name, options, next(name), sender);
                    let thread = thread.with_context(|| format!("start source {name:?}"))?;
                    sources.threads.push(thread.behind(Arc::clone(valves), index));
                }
                SourceKind::Stdin { format } => {
                    let options = StdinOptions { format: *format, ..StdinOptions::default() };
                    let thread = stdin::spawn(name, options, next(name), sender);
                    let thread = thread.with_context(|| format!("start source {name:?}"))?;
                    sources.threads.push(thread.behind(Arc::clone(valves), index));
                }
                SourceKind::Kafka(source) => {
                    let options = cluster(config)?.source(name, source);
                    let clock = Arc::new(SystemClock);
                    let thread = kafka::spawn(options, positions.to_vec(), clock, metrics.clone(), sender);
                    let thread = thread.with_context(|| format!("start source {name:?}"))?;
                    sources.threads.push(thread.behind(Arc::clone(valves), index));
                }
            }
        }
        let (sender, input) = bounded(BATCHES);
        sources.inputs.push(input);
        sources.start_commands(config, next(COMMANDS), sender)?;
        Ok(sources)
    }

    fn start_commands(&mut self, config: &Config, next: u64, sender: Sender<SourceEvent>) -> anyhow::Result<()> {
        match &config.store {
            Store::Sqlite { file } => {
                let log = CommandLog::open(file).context("open command log")?;
                self.threads.push(commands::spawn(log, next, sender).context("start command source")?);
            }
            Store::Kafka => {
                let options = cluster(config)?.commands();
                let thread = kafka::commands::spawn(options, next, sender).context("start command source")?;
                self.threads.push(thread);
            }
        }
        Ok(())
    }

    /// Asks every source to stop. What they have not handed on stays unread.
    pub(super) fn stop(&self) {
        self.threads.iter().for_each(SourceThread::stop);
    }

    /// Waits for the threads.
    pub(super) fn join(self) {
        drop(self.inputs);
        for thread in self.threads {
            let name = thread.name().to_owned();
            if thread.join().is_err() {
                tracing::error!(source = name, "source {name} panicked");
            }
        }
    }
}
