//! `&[u8]` to alerts, borrowed; one file per wire format. Knows nothing of where bytes come from or where alerts go.
//!
//! Two ways lead through it. `scan` passes once over a record and reads only what decides the fate of its alerts; what it
//! does not take, and what people want to read (`detail`), goes through the general parser. There `decoder` is the front; a
//! format's file says where its alerts are and what they read differently; `parser` makes JSON a tape, `nodes` walks over
//! it, `fields` and `pairs` read one alert. `split` finds the bytes of what was rejected.

mod alertmanager_v2;
mod alertmanager_webhook;
mod decoder;
mod detail;
mod fields;
mod limits;
mod lines;
mod native;
mod nodes;
mod pairs;
mod parser;
mod scan;
mod split;
#[cfg(test)]
pub(crate) mod tests;

pub use decoder::Decoder;
pub use detail::{Detail, DetailReader};
pub use limits::Limits;
pub use scan::{LabelReader, ScannedAlert, Scanner};
pub use split::{SplitRecord, element_bytes};

/// Why a record or one of its elements could not be taken. Copy, no strings; one counter per variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reject {
    /// Not JSON: a syntax error.
    MalformedJson = 0,
    /// Not UTF-8.
    InvalidUtf8 = 1,
    /// Nested deeper than 32 levels.
    TooDeep = 2,
    /// Larger than 1 MiB (a request body: than the limit of the intake).
    TooLarge = 3,
    /// Empty record or empty body.
    Empty = 4,
    /// The JSON is not of the shape the format asks for (an object or array where the format has it).
    WrongShape = 5,
    /// `labels` is missing or not an object, or no label has a value.
    NoLabels = 6,
    /// A label's value is not a text.
    LabelNotText = 7,
    /// More than 64 labels.
    TooManyLabels = 8,
    /// A label name is empty or longer than 256 bytes, a value longer than 4 KiB, or all together over 64 KiB.
    LabelTooLong = 9,
    /// `status` is neither `firing` nor `resolved`.
    UnknownStatus = 10,
    /// A version of the format that is not known.
    UnknownVersion = 11,
    /// A number that no JSON reader can hold.
    InvalidNumber = 12,
    /// A panic was seen while this record was in hand.
    Panic = 13,
}

impl Reject {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 14] = [
        Self::MalformedJson,
        Self::InvalidUtf8,
        Self::TooDeep,
        Self::TooLarge,
        Self::Empty,
        Self::WrongShape,
        Self::NoLabels,
        Self::LabelNotText,
        Self::TooManyLabels,
        Self::LabelTooLong,
        Self::UnknownStatus,
        Self::UnknownVersion,
        Self::InvalidNumber,
        Self::Panic,
    ];

    /// The word used in dead letters, metrics and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::Empty => "empty",
            Self::WrongShape => "wrong_shape",
            Self::NoLabels => "no_labels",
            Self::LabelNotText => "label_not_text",
            Self::TooManyLabels => "too_many_labels",
            Self::LabelTooLong => "label_too_long",
            Self::UnknownStatus => "unknown_status",
            Self::UnknownVersion => "unknown_version",
            Self::InvalidNumber => "invalid_number",
            Self::Panic => "panic",
        }
    }
}
