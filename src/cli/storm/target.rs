//! Where a flood goes, as written on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;

/// The path of the native intake, for a URL that has none.
const INTAKE_PATH: &str = "/api/v1/alerts";

/// Where a flood goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `-`: one alert a line.
    Stdout,
    /// `file:PATH`: one alert a line.
    File(PathBuf),
    /// `http://` or `https://`: JSON arrays, to the native intake unless the URL has a path.
    Http(Url),
    /// `kafka://BROKER[,BROKER]/TOPIC`: one record an alert.
    Kafka {
        /// As librdkafka takes them: `host:port[,host:port]`.
        brokers: String,
        /// The topic, which must exist.
        topic: String,
    },
}

/// The text names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableTarget {
    /// Nothing known begins like this.
    #[error("must be -, file:PATH, http://HOST:PORT, https://.. or kafka://BROKER[,BROKER]/TOPIC")]
    Unknown,
    /// `file:` without a path.
    #[error("file: needs a path")]
    NoPath,
    /// `kafka://` without brokers or topic.
    #[error("must be kafka://BROKER[,BROKER]/TOPIC")]
    Kafka,
    /// Not a URL.
    #[error("not a URL: {0}")]
    Url(String),
}

impl Target {
    /// A daemon or a broker listens there, and puts its own arrival times.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Kafka { .. })
    }
}

impl FromStr for Target {
    type Err = UnusableTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" {
            return Ok(Self::Stdout);
        }
        if let Some(path) = text.strip_prefix("file:") {
            return if path.is_empty() { Err(UnusableTarget::NoPath) } else { Ok(Self::File(path.into())) };
        }
        if let Some(rest) = text.strip_prefix("kafka://") {
            return match rest.split_once('/') {
                Some((brokers, topic)) if !brokers.is_empty() && !topic.is_empty() && !topic.contains('/') => {
                    Ok(Self::Kafka { brokers: brokers.to_owned(), topic: topic.to_owned() })
                }
                _ => Err(UnusableTarget::Kafka),
            };
        }
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Err(UnusableTarget::Unknown);
        }
        let mut url = Url::parse(text).map_err(|error| UnusableTarget::Url(error.to_string()))?;
        if url.path() == "/" {
            url.set_path(INTAKE_PATH);
        }
        Ok(Self::Http(url))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Http(url) => write!(f, "{url}"),
            Self::Kafka { brokers, topic } => write!(f, "kafka://{brokers}/{topic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Target>() {
            Ok(target) => target.to_string(),
            Err(error) => format!("! {error}"),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn targets_read_as_written() {
        check("-", "-");
        check("file:/tmp/a.jsonl", "file:/tmp/a.jsonl");
        check("file:", "! file: needs a path");
        check("http://127.0.0.1:9093", "http://127.0.0.1:9093/api/v1/alerts");
        check("http://127.0.0.1:9093/", "http://127.0.0.1:9093/api/v1/alerts");
        check("https://gate.example.org/x/api/v1/alerts", "https://gate.example.org/x/api/v1/alerts");
        check("kafka://a:9092,b:9092/alerts", "kafka://a:9092,b:9092/alerts");
        check("kafka://a:9092", "! must be kafka://BROKER[,BROKER]/TOPIC");
        check("kafka:///alerts", "! must be kafka://BROKER[,BROKER]/TOPIC");
        check("http://", "! not a URL: empty host");
        check("ftp://a", "! must be -, file:PATH, http://HOST:PORT, https://.. or kafka://BROKER[,BROKER]/TOPIC");
    }
}
