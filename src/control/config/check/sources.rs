//! `sources`: where alerts come from.

use std::sync::Arc;

use crate::control::config::check::{ANY_LENGTH, identity};
use crate::control::config::section::{Section, Value};
use crate::control::config::{FileSource, KAFKA_TOPICS, Kafka, KafkaSource, SourceConfig, SourceKind};
use crate::model::alert::Format;
use crate::model::time::Millis;
use crate::pipeline::options::{Identity, RecordTime, SourceOptions};
use crate::pipeline::source::kafka::{OnOffsetLost, Topic};

/// A source is numbered by a byte, and each has a thread.
const MAX_SOURCES: usize = 64;

/// What a Kafka source must know of the section `kafka`.
#[derive(Clone, Copy)]
pub(super) struct Cluster<'a> {
    /// The file has the section.
    pub(super) written: bool,
    /// What it means, if it is without fault.
    pub(super) kafka: Option<&'a Kafka>,
}

pub(super) fn read(
    top: &Section<'_>,
    identity: &Identity,
    cluster: Cluster<'_>,
) -> (Vec<SourceConfig>, Vec<SourceOptions>) {
    let shared = Arc::new(identity.clone());
    let Some(value) = top.get("sources") else {
        let source = SourceConfig { name: "http".to_owned(), kind: SourceKind::Http };
        return (vec![source.clone()], vec![options(&source, &shared, None)]);
    };
    let items = value.items().unwrap_or_default();
    if items.len() > MAX_SOURCES {
        value.fault(format!("{} sources; at most {MAX_SOURCES} are taken", items.len()));
        return (Vec::new(), Vec::new());
    }
    let mut sources: Vec<SourceConfig> = Vec::new();
    let mut all_options = Vec::new();
    for item in &items {
        let read = item.fields(|section| {
            let own = section.get("identity").map(|value| Arc::new(identity::read(Some(&value))));
            let mut resend = None;
            section.set("resend_interval", &mut resend, |value| value.duration(Millis(1)..=ANY_LENGTH).map(Some));
            let source = source(section, &sources, cluster)?;
            let options = options(&source, own.as_ref().unwrap_or(&shared), resend);
            Some((source, options))
        });
        if let Some((source, options)) = read.flatten() {
            sources.push(source);
            all_options.push(options);
        }
    }
    (sources, all_options)
}

fn options(source: &SourceConfig, identity: &Arc<Identity>, resend_interval: Option<Millis>) -> SourceOptions {
    // What a file or a pipe holds may have happened long before it is read; requests and Kafka records bring their time.
    let time = match source.kind {
        SourceKind::Http | SourceKind::Kafka(_) => RecordTime::Record,
        SourceKind::File(_) | SourceKind::Stdin { .. } => RecordTime::Payload,
    };
    SourceOptions {
        identity: Arc::clone(identity),
        resend_interval,
        time,
        lossy_when_unread: source.kind == SourceKind::Http,
        ..SourceOptions::named(&source.name)
    }
}

/// What the key `type` says.
#[derive(Clone, Copy)]
enum Type {
    Http,
    Kafka,
    File,
    Stdin,
}

fn source(section: &Section<'_>, before: &[SourceConfig], cluster: Cluster<'_>) -> Option<SourceConfig> {
    let name = section.require("name").and_then(|value| {
        let name = value.name()?;
        let taken = before.iter().any(|other| other.name == name);
        if taken {
            value.fault(format!("a source before this has the name {name:?}"));
        }
        (!taken).then_some(name)
    });
    let types = [("http", Type::Http), ("kafka", Type::Kafka), ("file", Type::File), ("stdin", Type::Stdin)];
    let written = section.require("type");
    let Some((written, kind)) = written.and_then(|value| value.one_of(&types).map(|kind| (value, kind))) else {
        // Without a type it cannot be said which keys belong here, so none of them is called unknown.
        for key in ["topics", "on_offset_lost", "path", "format", "follow"] {
            section.get(key);
        }
        return None;
    };
    let once = |what: &str, same: fn(&SourceKind) -> bool| {
        if before.iter().any(|other| same(&other.kind)) {
            written.fault(format!("a source before this is {what} already; there can be only one"));
        }
    };
    let kind = match kind {
        Type::Http => {
            once("http", |kind| *kind == SourceKind::Http);
            Some(SourceKind::Http)
        }
        Type::Kafka => {
            if !cluster.written {
                written.fault("needs the section kafka, with its brokers");
            }
            kafka_source(section, before, cluster.kafka).map(SourceKind::Kafka)
        }
        Type::File => file_source(section).map(SourceKind::File),
        Type::Stdin => {
            once("stdin", |kind| matches!(kind, SourceKind::Stdin { .. }));
            Some(SourceKind::Stdin { format: format(section) })
        }
    };
    Some(SourceConfig { name: name?, kind: kind? })
}

fn kafka_source(section: &Section<'_>, before: &[SourceConfig], kafka: Option<&Kafka>) -> Option<KafkaSource> {
    let mut source = KafkaSource { topics: Vec::new(), on_offset_lost: OnOffsetLost::Stop };
    let lost = [("stop", OnOffsetLost::Stop), ("earliest", OnOffsetLost::Earliest)];
    section.set("on_offset_lost", &mut source.on_offset_lost, |value| value.one_of(&lost));
    let topics = section.require("topics")?;
    let items = topics.items()?;
    if items.is_empty() {
        topics.fault("at least one topic is needed");
    }
    for item in &items {
        if let Some(topic) = item.fields(topic).flatten() {
            let elsewhere = before.iter().find(|other| match &other.kind {
                SourceKind::Kafka(other) => other.topics.iter().any(|known| known.name == topic.name),
                _ => false,
            });
            if let Some(other) = elsewhere {
                item.fault(format!("topic {:?} is read by source {:?} already", topic.name, other.name));
            } else if source.topics.iter().any(|known| known.name == topic.name) {
                item.fault(format!("topic {:?} is given twice", topic.name));
            } else if kafka.is_some_and(|kafka| KAFKA_TOPICS.iter().any(|ours| kafka.topic(ours) == topic.name)) {
                item.fault(format!("topic {:?} is what tidegate itself writes", topic.name));
            }
            source.topics.push(topic);
        }
    }
    Some(source)
}

fn topic(section: &Section<'_>) -> Option<Topic> {
    let format = format(section);
    let value = section.require("name")?;
    let name = value.text()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() > 249 || !name.chars().all(fits) || [".", ".."].contains(&name) {
        value.fault(format!("{name:?} is no topic name (at most 249 of a-z, A-Z, 0-9, -, _ and .)"));
        return None;
    }
    Some(Topic { name: name.to_owned(), format })
}

fn file_source(section: &Section<'_>) -> Option<FileSource> {
    let format = format(section);
    let mut follow = true;
    section.set("follow", &mut follow, Value::boolean);
    let path = section.require("path")?.path()?;
    Some(FileSource { path, format, follow })
}

fn format(section: &Section<'_>) -> Format {
    let mut format = Format::Native;
    section.set("format", &mut format, |value| value.one_of(&Format::ALL.map(|format| (format.name(), format))));
    format
}
