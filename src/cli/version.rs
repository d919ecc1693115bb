//! `tidegate version`: what is running, and what it is linked to.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

/// Arguments of `tidegate version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Form of the output.
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
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
    if args.output == "json" {
        writeln!(out, "{versions}")?;
    } else {
        let text = |name: &str| versions.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        writeln!(out, "tidegate {}", text("tidegate"))?;
        for name in ["librdkafka", "sqlite", "state_version", "event_version"] {
            writeln!(out, "  {:<14} {}", name.replace('_', " "), text(name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
