//! `tidegate check-config FILE`: says what is wrong with a configuration, or what it would start.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::output::{self, Output};
use crate::cli::terminal::coloured;
use crate::control::config::fault::{Faults, counted, list};
use crate::control::config::{Config, Loaded, Overrides, SourceKind, Store};

/// Checks a configuration file without starting anything.
#[derive(Args, Debug)]
pub struct CheckConfigArgs {
    /// The file to check.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Checks the file; exit code 0 if it can be used, 1 if it has faults.
///
/// # Errors
/// When the result cannot be written.
pub fn run(args: &CheckConfigArgs) -> anyhow::Result<ExitCode> {
    let checked = Config::load(&args.file, &Overrides::default());
    let colours = std::io::stdout().is_terminal();
    let mut out = anstream::stdout().lock();
    match args.output {
        Output::Text => out.write_all(coloured(&as_text(&checked, colours)).as_bytes())?,
        Output::Json => output::json(&as_json(&checked), &mut out)?,
    }
    Ok(if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn as_text(checked: &Result<Loaded, Faults>, colours: bool) -> String {
    match checked {
        Ok(Loaded { config, warnings }) => {
            let file = config.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
            let warned = match warnings.len() {
                0 => String::new(),
                number => format!(", {}", counted(number, "warning")),
            };
            let lines: String = summary(config).iter().map(|(name, what)| format!("  {name:<8} {what}\n")).collect();
            format!("{}{file}: good{warned}\n{lines}", list(&file, "warning: ", warnings, colours))
        }
        Err(faults) => {
            let warnings = list(&faults.file, "warning: ", &faults.warnings, colours);
            format!("{}{warnings}{}\n", faults.details(colours), faults.summary())
        }
    }
}

fn as_json(checked: &Result<Loaded, Faults>) -> serde_json::Value {
    match checked {
        Ok(Loaded { config, warnings }) => json!({
            "file": config.file,
            "good": true,
            "faults": [],
            "warnings": warnings,
            "hash": format!("{:016x}", config.hash),
            "summary": summary(config).into_iter().collect::<BTreeMap<_, _>>(),
        }),
        Err(faults) => json!({
            "file": faults.file,
            "good": false,
            "faults": faults.faults,
            "warnings": faults.warnings,
        }),
    }
}

/// What would be started, a line each.
fn summary(config: &Config) -> [(&'static str, String); 4] {
    let http = &config.http;
    let guard = match (&http.tls, &http.token) {
        (Some(_), Some(_)) => "with TLS and token",
        (Some(_), None) => "with TLS, without token",
        (None, Some(_)) => "with token",
        (None, None) => "without token",
    };
    let admin = http.admin_listen.map(|address| format!(", admin on {address}")).unwrap_or_default();
    let store = match (&config.store, &config.kafka) {
        (Store::Sqlite { file }, _) => format!("sqlite, {}", file.display()),
        (Store::Kafka, Some(kafka)) => format!("kafka, {}.*", kafka.namespace),
        (Store::Kafka, None) => "kafka".to_owned(),
    };
    let sources: Vec<String> = config
        .sources
        .iter()
        .map(|source| match &source.kind {
            SourceKind::Http => format!("{} (http)", source.name),
            SourceKind::Kafka(kafka) => format!("{} (kafka, {})", source.name, counted(kafka.topics.len(), "topic")),
            SourceKind::File(file) => format!("{} (file {})", source.name, file.path.display()),
            SourceKind::Stdin { .. } => format!("{} (stdin)", source.name),
        })
        .collect();
    let rules: Vec<&str> = config.pipeline.rules.iter().map(|rule| rule.name.as_str()).collect();
    [
        ("listens", format!("{} {guard}{admin}", http.listen)),
        ("store", store),
        ("sources", sources.join(", ")),
        ("windows", rules.join(", ")),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::control::config::Surroundings;

    fn checked(text: &str) -> Result<Loaded, Faults> {
        let around = Surroundings { folder: "/etc/tidegate".into(), credentials: None, environment: |_| None };
        Config::from_bytes(text.as_bytes(), Some(Path::new("c.yaml")), &Overrides::default(), &around)
    }

    #[test]
    fn a_good_file_is_summed_up() {
        let text = "data_dir: state\nkafka: {brokers: [a:9092]}\nsources:\n  - {name: in, type: kafka, topics: [{name: t}]}\n  \
                    - {name: http, type: http}\nwindows: [{name: a, match: x=y, wait: 10m}]\n";
        insta::assert_snapshot!(as_text(&checked(text), false), @r#"
        c.yaml:6:39: warning: windows[0].wait: is longer than gap (5m): sessions may end before they speak
          |
        6 | windows: [{name: a, match: x=y, wait: 10m}]
          |                                       ^^^
        c.yaml: good, 1 warning
          listens  127.0.0.1:9093 without token
          store    sqlite, /etc/tidegate/state/state.db
          sources  in (kafka, 1 topic), http (http)
          windows  a, default
        "#);
        let json = format!("{:#}", as_json(&checked(text)));
        let hash = format!("{:016x}", checked(text).unwrap().config.hash);
        insta::assert_snapshot!(json.replace(&hash, "HASH"), @r#"
        {
          "faults": [],
          "file": "c.yaml",
          "good": true,
          "hash": "HASH",
          "summary": {
            "listens": "127.0.0.1:9093 without token",
            "sources": "in (kafka, 1 topic), http (http)",
            "store": "sqlite, /etc/tidegate/state/state.db",
            "windows": "a, default"
          },
          "warnings": [
            {
              "column": 39,
              "key": "windows[0].wait",
              "line": 6,
              "message": "is longer than gap (5m): sessions may end before they speak"
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_faulty_file_is_taken_apart() {
        let text = "epoch: {interval: 5x}\nwindows: [{name: a, gap: 1s}]\n";
        insta::assert_snapshot!(as_text(&checked(text), false), @r#"
        c.yaml:1:19: epoch.interval: "5x" is no duration (like 1m30s or 1500ms)
          |
        1 | epoch: {interval: 5x}
          |                   ^^
        1 fault, nothing was started
        "#);
        insta::assert_snapshot!(format!("{:#}", as_json(&checked(text))), @r#"
        {
          "faults": [
            {
              "column": 19,
              "key": "epoch.interval",
              "line": 1,
              "message": "\"5x\" is no duration (like 1m30s or 1500ms)"
            }
          ],
          "file": "c.yaml",
          "good": false,
          "warnings": []
        }
        "#);
    }
}
