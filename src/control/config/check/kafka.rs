//! `kafka`: how the cluster is reached, for the store and for sources.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::control::config::section::{Section, Value};
use crate::control::config::{Kafka, KafkaConnection, secret};
use crate::model::time::Millis;

/// Properties that hold the delivery promise up or that have a key of their own; setting them here would undo either.
const OURS: [(&str, &str); 29] = [
    ("acks", "the delivery promise needs it as it is"),
    ("allow.auto.create.topics", "topics are made by `tidegate topics create`"),
    ("auto.commit.enable", "the delivery promise needs it as it is"),
    ("auto.offset.reset", "set start and on_offset_lost of the source"),
    ("bootstrap.servers", "set kafka.brokers"),
    ("delivery.timeout.ms", "it follows from kafka.transaction_timeout"),
    ("enable.auto.commit", "the delivery promise needs it as it is"),
    ("enable.auto.offset.store", "the delivery promise needs it as it is"),
    ("enable.idempotence", "the delivery promise needs it as it is"),
    ("enable.partition.eof", "idle partitions are noticed by it"),
    ("group.id", "set kafka.namespace"),
    ("group.protocol", "the delivery promise needs it as it is"),
    ("isolation.level", "the delivery promise needs it as it is"),
    ("message.timeout.ms", "it follows from kafka.transaction_timeout"),
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
    ("transaction.timeout.ms", "set kafka.transaction_timeout"),
    ("transactional.id", "set kafka.namespace"),
    ("enable.ssl.certificate.verification", "an unverified broker could be anybody; set kafka.tls.ca"),
];

pub(super) fn read(top: &Section<'_>) -> Option<Kafka> {
    top.get("kafka")?.fields(|section| {
        let brokers = section.require("brokers").and_then(|value| brokers(&value));
        let mut options = BTreeMap::new();
        let mut secrets = BTreeMap::new();
        let tls = section.get("tls");
        if let Some(value) = &tls {
            value.fields(|section| read_tls(section, &mut options, &mut secrets));
        }
        let sasl = section.get("sasl");
        if let Some(value) = &sasl {
            value.fields(|section| read_sasl(section, tls.is_some(), &mut options, &mut secrets));
        }
        let protocol = match (tls.is_some(), sasl.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        options.insert("security.protocol".to_owned(), protocol.to_owned());
        if let Some(value) = section.get("options") {
            free_options(&value, &mut options);
        }
        let mut namespace = "tidegate".to_owned();
        section.set("namespace", &mut namespace, Value::name);
        let mut transaction_timeout = Millis::seconds(30);
        // Below 10 s a slow broker aborts what is under way; above 15 min brokers refuse by default.
        let bounds = Millis::seconds(10)..=Millis::minutes(15);
        section.set("transaction_timeout", &mut transaction_timeout, |value| value.duration(bounds));
        let connection = KafkaConnection { brokers: brokers?, options, secrets };
        Some(Kafka { connection, namespace, transaction_timeout })
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

fn read_tls(
    section: &Section<'_>,
    options: &mut BTreeMap<String, String>,
    secrets: &mut BTreeMap<String, SecretString>,
) {
    for (key, property) in
        [("ca", "ssl.ca.location"), ("certificate", "ssl.certificate.location"), ("key", "ssl.key.location")]
    {
        if let Some(path) = section.get(key).and_then(|value| secret::file(&value)) {
            options.insert(property.to_owned(), path.display().to_string());
        }
    }
    if let Some(password) = section.get("key_password").and_then(|value| secret::read(&value)) {
        secrets.insert("ssl.key.password".to_owned(), password);
    }
    if section.get("certificate").is_some() != section.get("key").is_some() {
        section.value.fault("certificate and key belong together");
    }
}

fn read_sasl(
    section: &Section<'_>,
    tls: bool,
    options: &mut BTreeMap<String, String>,
    secrets: &mut BTreeMap<String, SecretString>,
) {
    let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map(|name| (name, name));
    let mechanism = section.require("mechanism").and_then(|value| value.one_of(&mechanisms));
    if let Some(mechanism) = mechanism {
        options.insert("sasl.mechanism".to_owned(), mechanism.to_owned());
        if mechanism == "PLAIN" && !tls {
            section.value.warn("the password crosses the network readable for everybody: set kafka.tls");
        }
    }
    if let Some(username) = section.require("username").and_then(|value| value.text()) {
        options.insert("sasl.username".to_owned(), username.to_owned());
    }
    if let Some(password) = section.require("password").and_then(|value| secret::read(&value)) {
        secrets.insert("sasl.password".to_owned(), password);
    }
}

fn free_options(value: &Value<'_>, options: &mut BTreeMap<String, String>) {
    for (name, value) in value.entries().unwrap_or_default() {
        if let Some((_, why)) = OURS.iter().find(|(ours, _)| *ours == name) {
            value.hide();
            value.fault(format!("cannot be set here: {why}"));
        } else if ["password", "secret", ".pem", "oauthbearer.config"].iter().any(|word| name.contains(word)) {
            value.hide();
            value.fault("a secret does not belong into this file");
        } else if let Some(text) = value.any_text() {
            options.insert(name.to_owned(), text.to_owned());
        }
    }
}
