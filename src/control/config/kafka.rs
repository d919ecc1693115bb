//! What the configuration means for those who speak with Kafka: the options of its sources, its sink, its commands.

use crate::control::config::{Config, Kafka, KafkaSource, SourceConfig, SourceKind};
use crate::pipeline::sink::kafka as sink;
use crate::pipeline::sink::kafka::standby;
use crate::pipeline::source::kafka as source;
use crate::pipeline::source::kafka::commands;

impl Kafka {
    /// The options of the sink; `sources` are those whose positions are committed as offsets of our group.
    #[must_use]
    pub fn sink(&self, sources: &[SourceConfig]) -> sink::Options {
        let topics = sink::Topics {
            incidents: self.topic("incidents"),
            state: self.topic("state"),
            dead_letters: self.topic("dead-letters"),
        };
        let mut options = sink::Options::new(self.connection.clone(), &self.namespace, topics, &self.namespace);
        options.offsets_of = sources
            .iter()
            .filter_map(|source| match &source.kind {
                SourceKind::Kafka(kafka) => {
                    Some((source.name.clone(), kafka.topics.iter().map(|topic| topic.name.clone()).collect()))
                }
                SourceKind::Http | SourceKind::File(_) | SourceKind::Stdin { .. } => None,
            })
            .collect();
        options
    }

    /// The options of a source of that name.
    #[must_use]
    pub fn source(&self, name: &str, kafka: &KafkaSource) -> source::Options {
        let topics = kafka.topics.clone();
        let options = source::Options::new(name, self.connection.clone(), &self.namespace, topics);
        source::Options { on_offset_lost: kafka.on_offset_lost, ..options }
    }

    /// How to take part in the election of the active instance, as `member`.
    #[must_use]
    pub fn election(&self, member: String) -> standby::leader::Options {
        standby::leader::Options { connection: self.connection.clone(), name: self.topic("leader"), member }
    }

    /// Where a standby reads the state.
    #[must_use]
    pub fn followed(&self) -> standby::follow::Options {
        standby::follow::Options {
            connection: self.connection.clone(),
            group: self.namespace.clone(),
            topic: self.topic("state"),
        }
    }

    /// Where commands are read from and written to.
    #[must_use]
    pub fn commands(&self) -> commands::Options {
        commands::Options {
            connection: self.connection.clone(),
            group: self.namespace.clone(),
            topic: self.topic("commands"),
        }
    }
}

impl Config {
    /// The topics that the Kafka sources read, each once.
    #[must_use]
    pub fn input_topics(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .sources
            .iter()
            .filter_map(|source| if let SourceKind::Kafka(kafka) = &source.kind { Some(&kafka.topics) } else { None })
            .flatten()
            .map(|topic| topic.name.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}
