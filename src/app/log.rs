//! The log of the daemon: text for a terminal, fields of the journal under systemd, JSON on request.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;

use anyhow::Context as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::control::config::{Log, LogFormat};

/// Before each of our fields in the journal: `incident_id` becomes `TIDEGATE_INCIDENT_ID`.
const JOURNAL_PREFIX: &str = "TIDEGATE";
/// What `journalctl -t` looks for.
const JOURNAL_IDENTIFIER: &str = "tidegate";

/// Starts the log of the process, where panics go too. `RUST_LOG` is heeded over the level of the configuration.
///
/// # Errors
/// When the process has a log already.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::from_level(log.level).into()).from_env_lossy();
    let registry = tracing_subscriber::registry().with(filter).with(layer(log.format));
    registry.try_init().context("start the log")?;
    std::panic::set_hook(Box::new(tell_panic));
    Ok(())
}

/// A panic of any thread, as a line like all others. What it says may hold what a sender wrote, so it is escaped.
fn tell_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current().name().unwrap_or("without a name").to_owned();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or("no message").escape_debug().to_string();
    tracing::error!(thread, place, "a fault of this program: thread {thread} panicked at {place}: {message}");
    let backtrace = Backtrace::capture(); // Only if RUST_BACKTRACE asks for it.
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, "{backtrace}");
    }
}

fn layer(format: LogFormat) -> Box<dyn Layer<FilteredRegistry> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => match journal() {
            Some(journal) => journal.boxed(),
            None => lines.with_ansi(has_colours()).boxed(),
        },
    }
}

type FilteredRegistry = tracing_subscriber::layer::Layered<EnvFilter, Registry>;

/// See <https://no-color.org>.
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The journal, if that is where standard error goes. One that cannot be reached leaves the lines on standard error.
fn journal() -> Option<tracing_journald::Layer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    if !leads_to(&stream, std::io::stderr()) {
        return None;
    }
    let layer = tracing_journald::layer().ok()?;
    Some(layer.with_field_prefix(Some(JOURNAL_PREFIX.to_owned())).with_syslog_identifier(JOURNAL_IDENTIFIER.to_owned()))
}

/// Whether a descriptor is the stream that systemd connected to the journal: `JOURNAL_STREAM` holds its device and inode
/// as decimal numbers, since a process may have redirected it (systemd.exec(5)).
fn leads_to(journal_stream: &str, descriptor: impl AsFd) -> bool {
    let Some((device, inode)) = journal_stream.split_once(':') else { return false };
    let Ok(stat) = rustix::fs::fstat(descriptor) else { return false };
    device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn only_the_very_stream_is_the_journal() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let (device, inode) = (metadata.dev(), metadata.ino());
        for (stream, expected) in [
            (format!("{device}:{inode}"), true),
            (format!("{device}:{}", inode + 1), false),
            (format!("{device}"), false),
            ("a:b".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(leads_to(&stream, &file), expected, "{stream}");
        }
    }
}
