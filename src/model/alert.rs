//! An alert as the decoders hand it on: borrowed from the record, typed, not yet identified.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// Whether an alert says that something is wrong or that it no longer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Status {
    /// The condition holds.
    Firing = 0,
    /// The condition no longer holds.
    Resolved = 1,
}

impl Status {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Firing, Self::Resolved];

    /// The word used in events and queries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// How bad it is, from the label `severity`; the order is the order of badness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Severity {
    /// No severity label, or a word that is not known.
    #[default]
    Unknown = 0,
    /// For the record only.
    Info = 1,
    /// Can wait for days.
    Low = 2,
    /// Should be looked at in working hours.
    Warning = 3,
    /// Should be looked at soon.
    High = 4,
    /// Somebody has to act now.
    Critical = 5,
}

impl Severity {
    /// Every severity, least to worst. The index of each is its number in state and counts.
    pub const ALL: [Self; 6] = [Self::Unknown, Self::Info, Self::Low, Self::Warning, Self::High, Self::Critical];

    /// Reads the words of the common monitoring systems, whatever their case.
    ///
    /// Sources: Alertmanager practice (`critical`, `page`, `warning`, `info`, `none`), PagerDuty Events v2
    /// (`critical`, `error`, `warning`, `info`), Opsgenie (`P1` to `P5`), Alerta (`major`, `minor`), syslog.
    #[must_use]
    pub fn from_label(word: &str) -> Self {
        let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        if is(&["critical", "page", "fatal", "emergency", "emerg", "disaster", "p1", "sev0"]) {
            Self::Critical
        } else if is(&["high", "error", "major", "p2", "sev1", "err"]) {
            Self::High
        } else if is(&["warning", "warn", "medium", "average", "minor", "p3", "sev2"]) {
            Self::Warning
        } else if is(&["low", "notice", "p4", "sev3"]) {
            Self::Low
        } else if is(&["info", "information", "informational", "none", "ok", "debug", "p5", "sev4"]) {
            Self::Info
        } else {
            Self::Unknown
        }
    }

    /// The word used in events and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Info => "info",
            Self::Low => "low",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity with this number, for reading state; numbers out of range are `Unknown`.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a wire format, as written in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Our own: one object, an array, or one object per line.
    Native,
    /// The array that Prometheus posts to Alertmanager's `/api/v2/alerts`.
    AlertmanagerV2,
    /// What Alertmanager's webhook receiver posts (version 4).
    AlertmanagerWebhook,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Native, Self::AlertmanagerV2, Self::AlertmanagerWebhook];

    /// The word used in configuration and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::AlertmanagerV2 => "alertmanager_v2",
            Self::AlertmanagerWebhook => "alertmanager_webhook",
        }
    }
}

impl FromStr for Format {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == word).ok_or_else(|| format!("unknown format {word:?}"))
    }
}

/// One alert of a record, borrowed from the decoder's buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView<'a> {
    /// Name and value of each label, in the order received, names unique (of duplicates the last is kept),
    /// labels with an empty value left out, as Prometheus treats them as absent.
    pub labels: &'a [(&'a str, &'a str)],
    /// Name and value of each annotation; cut to the limits of `decode::Limits`.
    pub annotations: &'a [(&'a str, &'a str)],
    /// What the alert says of itself; for Alertmanager v2 always firing, as `ends_at` decides there.
    pub status: Status,
    /// When the condition began, by the sender's word. Data, never a clock.
    pub starts_at: Option<Timestamp>,
    /// When it ended or will be taken to have ended; only Alertmanager v2 has it count (design: time).
    pub ends_at: Option<Timestamp>,
    /// Where the alert came from, as a link.
    pub generator_url: Option<&'a str>,
    /// Arrival time recorded by whoever wrote the file; read by file sources and replay only.
    pub received_at: Option<Timestamp>,
    /// Number of time fields that could not be used and were ignored.
    pub unusable_times: u8,
}
