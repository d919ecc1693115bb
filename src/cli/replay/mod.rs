//! `tidegate replay`: a file of alerts through a configuration, outputs off, in virtual time.
//!
//! Record time is `receivedAt`, else `startsAt`, else that of the line before. At the end the clock runs on until no
//! timer is left. Also how grouping is judged: `--assignments` tells for every line what became of it.

mod draw;
mod flags;
mod look;
mod person;
mod picture;
mod scene;
mod ticks;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::output::{self, Output};
use crate::cli::replay::person::Person;
use crate::cli::replay::picture::Picture;
use crate::cli::{FAILED, terminal};
use crate::control::config::{Config, Overrides};
use crate::model::alert::Format;
use crate::model::fingerprint::{HashKey, IncidentId};
use crate::model::time::Timestamp;
use crate::pipeline::chunk::{Seq, Step, StepKind};
use crate::pipeline::epoch::{Attached, Summary};
use crate::pipeline::inline::Engine;
use crate::pipeline::options::{Options, RecordTime, SourceOptions};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::sink::{DeadLetter, Epoch};
use crate::pipeline::source::{Batch, RecordRef, SourceIndex};
use crate::pipeline::start::Start;
use crate::pipeline::state::Restored;

/// Lines per batch, and batches per epoch: neither shows in the result.
const BATCH_LINES: usize = 1_000;
const EPOCH_BATCHES: u64 = 50;
/// Rejected lines that are explained one by one.
const EXPLAINED_MAX: usize = 20;

/// Arguments of `tidegate replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Configuration file: its window rules and identity are used.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Alerts in the native format, one a line.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Writes every incident event here, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    incidents: Option<PathBuf>,
    /// Writes for every line, in order, what became of it.
    #[arg(long, value_name = "FILE")]
    assignments: Option<PathBuf>,
    /// Draws what the configuration makes of a small file: alerts in lanes, incidents, windows and events over time.
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// How to write the summary.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// A person resolves, at this record time, every incident that is open then.
    #[arg(long, value_name = "TIME", value_parser = person::time)]
    resolve_at: Option<Timestamp>,
}

/// Replays.
///
/// # Errors
/// When a file cannot be read or written.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config, &Overrides::default()) {
        Ok(loaded) => loaded.config,
        Err(faults) => {
            terminal::show_faults(&faults)?;
            return Ok(ExitCode::from(FAILED));
        }
    };
    let mut replay = Replay::new(&config, args)?;
    let progress = progress_bar(&args.from)?;
    let file = File::open(&args.from).with_context(|| format!("open {}", args.from.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
    let mut line = Vec::new();
    let mut offset = 0;
    loop {
        line.clear();
        let n_bytes =
            lines.read_until(b'\n', &mut line).with_context(|| format!("read {}", args.from.display()))? as u64;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if replay.person.as_ref().is_some_and(|person| person.speaks_before(text)) {
            let fresh = Batch { partitions: batch.partitions.clone(), ..Batch::default() };
            replay.feed(std::mem::replace(&mut batch, fresh))?;
            replay.resolve()?;
        }
        if n_bytes > 0 {
            batch.push(text, record_at(offset, n_bytes));
            offset += n_bytes;
        }
        if batch.records.len() >= BATCH_LINES || n_bytes == 0 {
            let fresh = Batch { partitions: batch.partitions.clone(), ..Batch::default() };
            replay.feed(std::mem::replace(&mut batch, fresh))?;
            progress.set_position(offset);
        }
        if n_bytes == 0 {
            break;
        }
    }
    let summary = replay.finish()?;
    progress.finish_and_clear();
    let mut out = anstream::stdout().lock();
    match args.output {
        Output::Text => tell(&summary, &replay, &mut out)?,
        Output::Json => output::json(&as_json(&summary, &replay), &mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn record_at(offset: u64, n_bytes: u64) -> RecordRef {
    let next = offset + n_bytes;
    RecordRef { start: 0, len: 0, partition: 0, position: offset, next, time: Timestamp::MIN, format: Format::Native }
}

fn progress_bar(file: &Path) -> anyhow::Result<ProgressBar> {
    let len = file.metadata().with_context(|| format!("read alerts from {}", file.display()))?.len();
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")?;
    Ok(ProgressBar::new(len).with_style(style)) // Hidden by itself where standard error is no terminal.
}

/// What became of a line; a line that holds several alerts is shown by its first.
#[derive(Clone, Copy)]
struct Fate {
    outcome: Outcome,
    incident: Option<IncidentId>,
}

struct Replay {
    engine: Engine,
    /// By line; only filled if assignments are asked for.
    fates: Option<Vec<Fate>>,
    assignments: Option<PathBuf>,
    /// Gathers for the picture, and where it goes.
    picture: Option<(Picture, PathBuf)>,
    person: Option<Person>,
    /// Name of the configuration without folder and ending.
    title: String,
    incidents: Option<BufWriter<File>>,
    rejected: Vec<DeadLetter>,
    n_rejected: u64,
    n_events: u64,
    n_incidents: u64,
    batches: u64,
    lines: u64,
    last: Summary,
}

impl Replay {
    fn new(config: &Config, args: &ReplayArgs) -> anyhow::Result<Self> {
        let options = Arc::new(replay_options(config));
        let picture = args.picture.clone().map(|path| (Picture::new(options.clone()), path));
        let with_decisions = args.assignments.is_some() || picture.is_some();
        let start = Start::new(options, Restored::default(), HashKey::FIXED).context("start engine")?;
        let create = |path: &PathBuf| {
            File::create(path).map(BufWriter::new).with_context(|| format!("create {}", path.display()))
        };
        Ok(Self {
            engine: Engine::new(start, with_decisions),
            fates: args.assignments.is_some().then(Vec::new),
            assignments: args.assignments.clone(),
            picture,
            person: args.resolve_at.map(Person::new),
            title: args.config.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            incidents: args.incidents.as_ref().map(create).transpose()?,
            rejected: Vec::new(),
            n_rejected: 0,
            n_events: 0,
            n_incidents: 0,
            batches: 0,
            lines: 0,
            last: Summary::default(),
        })
    }

    fn feed(&mut self, batch: Batch) -> anyhow::Result<()> {
        let n_lines = batch.records.len();
        self.lines += n_lines as u64;
        if let Some(fates) = &mut self.fates {
            // What no decision names later was rejected.
            let rejected = Fate { outcome: Outcome::Rejected, incident: None };
            fates.resize(fates.len() + n_lines, rejected);
        }
        if let Some((picture, _)) = &mut self.picture {
            picture.see(&batch)?;
        }
        self.engine.feed(SourceIndex(0), batch, Vec::new(), Timestamp(0));
        self.batches += 1;
        if self.batches.is_multiple_of(EPOCH_BATCHES) {
            self.end_epoch()?;
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> anyhow::Result<()> {
        let (epoch, attached) = self.engine.end_epoch(Timestamp(0))?;
        self.take(&epoch, attached)
    }

    fn take(&mut self, epoch: &Epoch, attached: Attached) -> anyhow::Result<()> {
        for record in &epoch.incidents {
            self.n_events += 1;
            if let Some(person) = &mut self.person {
                person.note(&record.event);
            }
            self.n_incidents += u64::from(record.event.revision == 1);
            if let Some(out) = &mut self.incidents {
                out.write_all(&record.json).context("write incidents")?;
                out.write_all(b"\n").context("write incidents")?;
            }
        }
        if let Some(fates) = &mut self.fates {
            // The first alert of a line speaks for it; what comes later (held back, then opened) comes with index 0 too.
            for decision in attached.decisions.iter().filter(|decision| decision.seq.index == 0) {
                if let Some(fate) = fates.get_mut(decision.seq.record as usize) {
                    *fate = Fate { outcome: decision.outcome, incident: decision.incident };
                }
            }
        }
        if let Some((picture, _)) = &mut self.picture {
            picture.take(epoch, &attached);
        }
        self.n_rejected += epoch.dead_letters.len() as u64;
        let room = EXPLAINED_MAX.saturating_sub(self.rejected.len());
        self.rejected.extend(epoch.dead_letters.iter().take(room).cloned());
        self.last = attached.summary;
        Ok(())
    }

    /// The person speaks: time goes on to their word, so that they see what was told before it.
    fn resolve(&mut self) -> anyhow::Result<()> {
        let Some(person) = &self.person else { return Ok(()) };
        let source = SourceIndex(0);
        self.step(vec![StepKind::Clock { source, to: person.at }]);
        self.end_epoch()?;
        if let Some(person) = self.person.take() {
            self.step(person.speak());
        }
        Ok(())
    }

    /// Something between two lines; unlike a step of the engine it takes no number, for numbers are those of lines.
    fn step(&mut self, kinds: Vec<StepKind>) {
        let seq = Seq { record: self.engine.next_record(), index: 0 };
        let steps = kinds.into_iter().map(|kind| Step { seq, kind }).collect();
        self.engine.feed(SourceIndex(0), Batch::default(), steps, Timestamp(0));
    }

    fn finish(&mut self) -> anyhow::Result<Summary> {
        self.resolve()?;
        self.engine.step(StepKind::RunOut);
        self.end_epoch()?;
        if let Some(out) = &mut self.incidents {
            out.flush().context("write incidents")?;
        }
        if let (Some(path), Some(fates)) = (&self.assignments, &self.fates) {
            let mut out = BufWriter::new(File::create(path).with_context(|| format!("create {}", path.display()))?);
            for (line, Fate { outcome, incident }) in fates.iter().enumerate() {
                write!(out, "{{\"line\":{line},\"outcome\":\"{}\",\"incident_id\":", outcome.name())?;
                match incident {
                    Some(id) => writeln!(out, "\"{id}\"}}")?,
                    None => writeln!(out, "null}}")?,
                }
            }
            out.flush().context("write assignments")?;
        }
        if let Some((picture, path)) = &self.picture {
            let svg = picture.draw(self.title.clone())?;
            std::fs::write(path, svg).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(self.last.clone())
    }
}

/// The rules and the identity of the configuration, one file as the only source.
fn replay_options(config: &Config) -> Options {
    let first = config.pipeline.sources.first();
    let identity = first.map(|source| source.identity.clone()).unwrap_or_default();
    let resend_interval = first.and_then(|source| source.resend_interval);
    let time = RecordTime::Payload;
    let source = SourceOptions { identity, resend_interval, time, ..SourceOptions::named("replay") };
    Options { decoders: 1, shards: 1, sources: vec![source].into(), ..config.pipeline.clone() }
}

fn as_json(summary: &Summary, replay: &Replay) -> serde_json::Value {
    let counts = summary.totals.first().copied().unwrap_or_default().counts;
    let outcomes: BTreeMap<&str, u64> =
        Outcome::ALL.iter().map(|outcome| outcome.name()).zip(counts.outcomes).collect();
    let rejected = replay.rejected.iter().map(|letter| {
        let begins_with = terminal::excerpt(&letter.bytes, 60);
        json!({ "position": letter.position, "reason": letter.reason.name(), "begins_with": begins_with })
    });
    json!({
        "lines": replay.lines,
        "alerts": counts.received,
        "outcomes": outcomes,
        "held": counts.held,
        "incidents": replay.n_incidents,
        "events": replay.n_events,
        "rejected": rejected.collect::<Vec<_>>(),
    })
}

fn tell(summary: &Summary, replay: &Replay, out: &mut dyn Write) -> anyhow::Result<()> {
    for letter in &replay.rejected {
        let text = terminal::excerpt(&letter.bytes, 60);
        writeln!(out, "rejected at byte {}: {}: {text}", letter.position, letter.reason.name())?;
    }
    if replay.n_rejected > replay.rejected.len() as u64 {
        writeln!(out, "and {} more rejected", replay.n_rejected - replay.rejected.len() as u64)?;
    }
    let totals = summary.totals.first().copied().unwrap_or_default();
    write!(out, "{} lines, {} alerts:", replay.lines, totals.counts.received)?;
    for (outcome, count) in Outcome::ALL.iter().zip(totals.counts.outcomes) {
        write!(out, " {count} {}", outcome.name())?;
    }
    writeln!(out, ", {} held", totals.counts.held)?;
    writeln!(out, "{} incidents, {} events", replay.n_incidents, replay.n_events)?;
    Ok(())
}
