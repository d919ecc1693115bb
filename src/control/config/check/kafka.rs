//! `kafka`: how the cluster is reached, for the store and for sources.

use std::collections::BTreeMap;

use crate::control::config::section::{Section, Value};
use crate::control::config::{Kafka, KafkaConnection, KafkaMechanism, KafkaSasl, KafkaTls, secret};

/// Properties that hold the delivery promise up or that have a key of their own; setting them here would undo either.
const OURS: [(&str, &str); 35] = [
    ("acks", "the delivery promise needs it as it is"),
    ("allow.auto.create.topics", "topics are made by `tidegate topics create`"),
    ("auto.commit.enable", "the delivery promise needs it as it is"),
    ("auto.offset.reset", "set on_offset_lost of the source"),
    ("bootstrap.servers", "set kafka.brokers"),
    ("delivery.timeout.ms", "it must stay below the time-out of the transaction"),
    ("enable.auto.commit", "the delivery promise needs it as it is"),
    ("enable.auto.offset.store", "the delivery promise needs it as it is"),
    ("enable.idempotence", "the delivery promise needs it as it is"),
    ("enable.partition.eof", "idle partitions are noticed by it"),
    ("group.id", "set kafka.namespace"),
    ("group.protocol", "the delivery promise needs it as it is"),
    ("isolation.level", "the delivery promise needs it as it is"),
    ("message.timeout.ms", "it must stay below the time-out of the transaction"),
    ("metadata.broker.list", "set kafka.brokers"),
    ("partition.assignment.strategy", "the delivery promise needs it as it is"),
    ("request.required.acks", "the delivery promise needs it as it is"),
    ("sasl.mechanism", "set kafka.sasl.mechanism"),
    ("sasl.mechanisms", "set kafka.sasl.mechanism"),
    ("sasl.password", "set kafka.sasl.password"),
    ("sasl.username", "set kafka.sasl.username"),
    ("security.protocol", "it follows from kafka.tls and kafka.sasl"),
    ("ssl.ca.location", "set kafka.tls.ca"),
    ("ssl.certificate.location", "set kafka.tls.certificate"),
    ("ssl.key.location", "set kafka.tls.key"),
    ("ssl.key.password", "set kafka.tls.key_password"),
    ("transaction.timeout.ms", "a stopped instance must not hold up readers for long"),
    ("transactional.id", "set kafka.namespace"),
    ("check.crcs", "damaged records must be noticed"),
    ("client.id", "tidegate names its clients itself"),
    ("fetch.wait.max.ms", "idle partitions are noticed by it"),
    ("plugin.library.paths", "foreign code is not loaded"),
    ("ssl.endpoint.identification.algorithm", "an unverified broker could be anybody"),
    ("statistics.interval.ms", "idle partitions are noticed by it"),
    ("enable.ssl.certificate.verification", "an unverified broker could be anybody; set kafka.tls.ca"),
];

pub(super) fn read(top: &Section<'_>) -> Option<Kafka> {
    top.get("kafka")?.fields(|section| {
        let brokers = section.require("brokers").and_then(|value| brokers(&value));
        let tls = section.get("tls").and_then(|value| value.fields(tls));
        let sasl = section.get("sasl").map(|value| {
            let sasl = value.fields(sasl).flatten();
            if sasl.as_ref().is_some_and(|sasl| sasl.mechanism == KafkaMechanism::Plain && tls.is_none()) {
                value.warn("the password crosses the network readable for everybody: set kafka.tls");
            }
            sasl
        });
        let options = section.get("options").map(|value| free_options(&value)).unwrap_or_default();
        let mut namespace = "tidegate".to_owned();
        section.set("namespace", &mut namespace, Value::name);
        let sasl = match sasl {
            None => None,
            Some(sasl) => Some(sasl?),
        };
        Some(Kafka { connection: KafkaConnection { brokers: brokers?, tls, sasl, options }, namespace })
    })?
}

fn brokers(value: &Value<'_>) -> Option<Vec<String>> {
    let items = value.items_or_one()?;
    if items.is_empty() {
        value.fault("at least one broker is needed");
    }
    let broker = |item: &Value<'_>| {
        let text = item.text()?;
        let (host, port) = text.rsplit_once(':').unwrap_or(("", ""));
        let sound = !host.is_empty()
            && port.parse::<u16>().is_ok_and(|port| port > 0)
            && !text.contains(|c: char| c == ',' || c == '/' || c.is_whitespace());
        if !sound {
            item.fault(format!("{text:?} is no broker (like kafka-1.example.org:9092)"));
        }
        sound.then(|| text.to_owned())
    };
    items.iter().map(broker).collect()
}

fn tls(section: &Section<'_>) -> KafkaTls {
    if section.get("certificate").is_some() != section.get("key").is_some() {
        section.value.fault("certificate and key belong together");
    }
    let file = |key| section.get(key).and_then(|value| secret::file(&value));
    KafkaTls {
        ca: file("ca"),
        certificate: file("certificate"),
        key: file("key"),
        key_password: section.get("key_password").and_then(|value| secret::read(&value)),
    }
}

fn sasl(section: &Section<'_>) -> Option<KafkaSasl> {
    let mechanisms = KafkaMechanism::ALL.map(|mechanism| (mechanism.name(), mechanism));
    let mechanism = section.require("mechanism").and_then(|value| value.one_of(&mechanisms));
    let user = section.require("username").and_then(|value| value.text().map(str::to_owned));
    let password = section.require("password").and_then(|value| secret::read(&value));
    Some(KafkaSasl { mechanism: mechanism?, user: user?, password: password? })
}

fn free_options(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for (name, value) in value.entries().unwrap_or_default() {
        let secret = ["password", "secret", ".pem", "oauthbearer.config"].iter().any(|word| name.contains(word));
        if secret {
            value.hide();
        }
        if let Some((_, why)) = OURS.iter().find(|(ours, _)| *ours == name) {
            value.fault(format!("cannot be set here: {why}"));
        } else if secret {
            value.fault("a secret does not belong into this file");
        } else if let Some(text) = value.any_text() {
            options.insert(name.to_owned(), text.to_owned());
        }
    }
    options
}
