//! Where a letter goes: back the way it came, by what its source is now.

use crate::cli::dlq::letter::Letter;
use crate::control::config::{Config, SourceKind};
use crate::model::alert::Format;
use crate::pipeline::decode::Limits;

/// A way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The daemon's door for that format.
    Door(Format),
    /// The partition it came from, which is read in that format now.
    Partition { topic: String, partition: i32, format: Format },
}

impl Way {
    /// The way of a letter; `format` is the person's word on how it is to be read over HTTP.
    pub(super) fn of(letter: &Letter, format: Option<Format>, config: &Config) -> Result<Self, String> {
        let name = &letter.source;
        let source = config.sources.iter().find(|source| source.name == *name).ok_or_else(|| {
            let where_to = if config.file.is_some() { "" } else { ": name the daemon's with --config FILE" };
            format!("the configuration has no source {name:?}{where_to}")
        })?;
        let door = || {
            let format = format.or(letter.format).ok_or(
                "it does not tell its wire format, as letters of the first version do not: name it with --format",
            )?;
            Ok(Self::Door(format))
        };
        let has_door = || config.sources.iter().any(|source| source.kind == SourceKind::Http);
        match &source.kind {
            SourceKind::Http => door(),
            SourceKind::File(_) | SourceKind::Stdin { .. } if has_door() => door(),
            SourceKind::File(_) | SourceKind::Stdin { .. } => Err(format!(
                "it came from source {name:?}, which is only read, and the configuration has no source of type http"
            )),
            SourceKind::Kafka(kafka) => {
                let place = letter.partition.rsplit_once('/');
                let (topic, partition) = place
                    .and_then(|(topic, partition)| Some((topic, partition.parse().ok()?)))
                    .ok_or_else(|| format!("it does not tell its partition: {:?}", letter.partition))?;
                let read = kafka.topics.iter().find(|read| read.name == topic);
                let read = read.ok_or_else(|| format!("source {name:?} does not read topic {topic:?} any more"))?;
                Ok(Self::Partition { topic: topic.to_owned(), partition, format: read.format })
            }
        }
    }

    /// How it will be read.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Door(format) | Self::Partition { format, .. } => *format,
        }
    }

    /// How much may be sent this way.
    pub(super) fn bytes_max(&self) -> usize {
        match self {
            Self::Door(_) => Limits::BODY_BYTES,
            Self::Partition { .. } => Limits::RECORD_BYTES,
        }
    }
}

/// The path of a format's door.
pub(super) const fn path(format: Format) -> &'static str {
    match format {
        Format::Native => "/api/v1/alerts",
        Format::AlertmanagerV2 => "/api/v2/alerts",
        Format::AlertmanagerWebhook => "/api/v1/webhooks/alertmanager",
    }
}
