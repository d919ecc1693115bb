//! For each reason of a rejection the sentence that tells a sender what would be right.

use crate::pipeline::decode::Reject;

/// What is wrong and what would be right, for people.
#[must_use]
pub const fn advice(reason: Reject) -> &'static str {
    match reason {
        Reject::MalformedJson => "this is not JSON; check quotes, commas and that the text is complete",
        Reject::InvalidUtf8 => "this is not UTF-8; JSON texts must be",
        Reject::TooDeep => "objects and arrays may be nested 32 levels deep",
        Reject::TooLarge => "a record may have 1 MiB; send fewer alerts at a time",
        Reject::Empty => "there is nothing in it; send at least one alert",
        Reject::WrongShape => "the format asks for another shape; see the format's page in the documentation",
        Reject::NoLabels => "`labels` must be an object with at least one label that has a value",
        Reject::LabelNotText => "the value of every label must be a text",
        Reject::TooManyLabels => "an alert may have 64 labels",
        Reject::LabelTooLong => "a label name may have 1 to 256 bytes, a value 4 KiB, all together 64 KiB",
        Reject::UnknownStatus => "`status` must be \"firing\" or \"resolved\"",
        Reject::UnknownVersion => "`version` must be \"4\"",
        Reject::InvalidNumber => "a number in it is too large for any reader; write it as a text",
        Reject::Panic => "reading this failed before in a way that should not happen; it is kept for examination",
    }
}
