//! `tidegate topics create|check`: our topics, made as the delivery promise needs them, and what is wrong with those there.
//!
//! `run` never creates a topic: a name with a slip of the pen would become a topic nobody reads.

pub(super) mod cluster;
pub(super) mod judge;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::output::{self, Output};
use crate::cli::terminal::coloured;
use crate::cli::topics::cluster::Cluster;
pub(in crate::cli) use crate::cli::topics::cluster::unanswered;
use crate::cli::topics::judge::{Finding, Wanted, Weight, judge, wanted};
use crate::control::config::{Config, Loaded, Overrides};

/// Make or check the Kafka topics that the configuration names.
#[derive(Debug, Args)]
pub struct TopicsArgs {
    #[command(subcommand)]
    command: TopicsCommand,
    /// The configuration file.
    #[arg(long, value_name = "FILE", global = true, default_value = "/etc/tidegate/tidegate.yaml")]
    config: PathBuf,
    /// Copies of each partition; 1 only for a cluster that may lose everything with one disk.
    #[arg(long, value_name = "N", global = true, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=15))]
    replication: u16,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum TopicsCommand {
    /// Create the topics that are missing, then check all. Those that are there are not changed.
    Create {
        /// Partitions of the incidents topic (and, with --inputs, of input topics).
        #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        partitions: u16,
        /// Create missing input topics too; usually that is for whoever writes to them.
        #[arg(long)]
        inputs: bool,
    },
    /// Check them: what is wrong, why it matters, what to do. Exit code 1 if something is wrong.
    Check,
}

/// Runs the subcommand. Exit code 0: all is well; 1: something is wrong with a topic; 2: the configuration has none.
///
/// # Errors
/// When the cluster does not answer or refuses, or the output cannot be written.
pub fn run(args: &TopicsArgs) -> anyhow::Result<ExitCode> {
    run_to(args, &mut anstream::stdout().lock(), &mut anstream::stderr().lock()).map(ExitCode::from)
}

fn run_to(args: &TopicsArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let config = match Config::load(&args.config, &Overrides::default()) {
        Ok(Loaded { config, .. }) => config,
        Err(faults) => {
            writeln!(err, "{}", coloured(&format!("{}{}", faults.details(false), faults.summary())))?;
            return Ok(2);
        }
    };
    let Some(kafka) = &config.kafka else {
        writeln!(err, "error: {} has no section kafka, so there are no topics", args.config.display())?;
        return Ok(2);
    };
    let (partitions, inputs) = match &args.command {
        TopicsCommand::Create { partitions, inputs } => (*partitions, *inputs),
        TopicsCommand::Check => (1, false),
    };
    let topics = wanted(&config, kafka, partitions, args.replication);
    let cluster = Cluster::connect(&kafka.connection)?;
    let mut created = Vec::new();
    if matches!(args.command, TopicsCommand::Create { .. }) {
        for topic in topics.iter().filter(|topic| topic.is_ours || inputs) {
            if cluster.create(topic)? {
                created.push(topic.name.as_str());
            }
        }
    }
    let mut findings = Vec::new();
    for topic in &topics {
        findings.extend(judge(topic, cluster.describe(&topic.name)?.as_ref()));
    }
    match args.output {
        Output::Text => as_text(&topics, &created, &findings, out)?,
        Output::Json => output::json(&as_json(&topics, &created, &findings), out)?,
    }
    out.flush()?;
    Ok(u8::from(findings.iter().any(|finding| finding.weight == Weight::Fault)))
}

fn as_text(topics: &[Wanted], created: &[&str], findings: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    for topic in topics {
        let mut ours = findings.iter().filter(|finding| finding.topic == topic.name).peekable();
        let state = if created.contains(&topic.name.as_str()) { "created" } else { "there" };
        match ours.peek() {
            None => writeln!(out, "{}: {state}, good", topic.name)?,
            Some(finding) if finding.is_missing => writeln!(out, "{}: missing", topic.name)?,
            Some(_) => writeln!(out, "{}: {state}", topic.name)?,
        }
        for finding in ours {
            let weight = if finding.weight == Weight::Fault { "fault" } else { "hint" };
            writeln!(out, "  {weight}: {}", finding.what)?;
            writeln!(out, "    why: {}", finding.why)?;
            writeln!(out, "    do:  {}", finding.remedy)?;
        }
    }
    let n_faults = findings.iter().filter(|finding| finding.weight == Weight::Fault).count();
    writeln!(out, "{} topics, {n_faults} {}", topics.len(), if n_faults == 1 { "fault" } else { "faults" })
}

fn as_json(topics: &[Wanted], created: &[&str], findings: &[Finding]) -> serde_json::Value {
    let finding = |finding: &Finding| {
        serde_json::json!({
            "topic": finding.topic,
            "fault": finding.weight == Weight::Fault,
            "what": finding.what,
            "why": finding.why,
            "do": finding.remedy,
        })
    };
    serde_json::json!({
        "topics": topics.iter().map(|topic| &topic.name).collect::<Vec<_>>(),
        "created": created,
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        topics: TopicsArgs,
    }

    fn run_line(line: &str) -> (u8, String) {
        let args = Line::try_parse_from(std::iter::once("topics").chain(line.split(' '))).unwrap().topics;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run_to(&args, &mut out, &mut err).unwrap();
        (code, String::from_utf8(err).unwrap())
    }

    #[test]
    fn without_a_cluster_there_is_nothing_to_check() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        std::fs::write(&file, "store: sqlite\n").unwrap();
        let (code, fault) = run_line(&format!("check --config {}", file.display()));
        assert_eq!(code, 2);
        assert!(fault.contains("has no section kafka"), "{fault}");
        std::fs::write(&file, "stoer: sqlite\n").unwrap();
        assert_eq!(run_line(&format!("check --config {}", file.display())).0, 2);
    }

    #[test]
    fn text_says_what_why_and_what_to_do() {
        let topic = |name: &str| Wanted { name: name.to_owned(), ..Wanted::default() };
        let finding = Finding {
            topic: "t.state".to_owned(),
            weight: Weight::Fault,
            is_missing: false,
            what: "has 2 partitions, must have 1".to_owned(),
            why: "state is one ordered log",
            remedy: "make it anew".to_owned(),
        };
        let mut out = Vec::new();
        as_text(&[topic("t.incidents"), topic("t.state")], &["t.incidents"], &[finding], &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        t.incidents: created, good
        t.state: there
          fault: has 2 partitions, must have 1
            why: state is one ordered log
            do:  make it anew
        2 topics, 1 fault
        ");
    }
}
