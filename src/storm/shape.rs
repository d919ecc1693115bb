//! The shapes of a flood, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a flood looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A normal day: some groups, repeats, a trickle of new alerts and of resolves.
    Steady,
    /// A service fails and its customers write: tickets and service alerts, 95 percent repeats.
    TicketStorm,
    /// One service fails, the services that depend on it follow, all recover in the end.
    Cascade,
    /// No fingerprint comes twice, and new groups never end.
    AllDistinct,
    /// Everything fires, then everything resolves.
    ResolveFlood,
    /// The corpus of the benches: 677 bytes an alert, Zipf over 50,000 fingerprints, 200 groups.
    Corpus,
}

impl Shape {
    /// All shapes, in the order in which they are documented.
    pub const ALL: [Self; 6] =
        [Self::Steady, Self::TicketStorm, Self::Cascade, Self::AllDistinct, Self::ResolveFlood, Self::Corpus];

    /// The name on the command line and in the truth file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::TicketStorm => "ticket-storm",
            Self::Cascade => "cascade",
            Self::AllDistinct => "all-distinct",
            Self::ResolveFlood => "resolve-flood",
            Self::Corpus => "corpus",
        }
    }
}

/// The text names no shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown shape {given:?} (known: {known})", known = known_names())]
pub struct UnknownShape {
    /// What was given.
    pub given: String,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|shape| shape.name() == text).ok_or_else(|| UnknownShape { given: text.to_owned() })
    }
}

fn known_names() -> String {
    Shape::ALL.map(Shape::name).join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for shape in Shape::ALL {
            assert_eq!(shape.to_string().parse::<Shape>().unwrap(), shape);
            assert_eq!(serde_json::to_string(&shape).unwrap(), format!("\"{shape}\""));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = "stedy".parse::<Shape>().unwrap_err().to_string();
        assert_eq!(
            message,
            "unknown shape \"stedy\" (known: steady, ticket-storm, cascade, all-distinct, resolve-flood, corpus)"
        );
    }
}
