//! `tidegate version`: what is running, and what it is linked to.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::cli::output::{self, Output};

/// Arguments of `tidegate version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints the versions.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &VersionArgs) -> anyhow::Result<ExitCode> {
    let (_, kafka) = rdkafka::util::get_rdkafka_version();
    let versions = serde_json::json!({
        "tidegate": env!("CARGO_PKG_VERSION"),
        "librdkafka": kafka,
        "sqlite": rusqlite::version(),
        "state_version": crate::pipeline::state::block::VERSION,
        "event_version": crate::model::incident::EVENT_VERSION,
    });
    let mut out = anstream::stdout().lock();
    if args.output == Output::Json {
        output::json(&versions, &mut out)?;
    } else {
        let text = |name: &str| versions.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        writeln!(out, "tidegate {}", text("tidegate"))?;
        for name in ["librdkafka", "sqlite", "state_version", "event_version"] {
            writeln!(out, "  {:<14} {}", name.replace('_', " "), text(name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
