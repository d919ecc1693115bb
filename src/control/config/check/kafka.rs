//! `kafka`: how the cluster is reached, for the store and for sources.

use std::collections::BTreeMap;

use crate::control::config::section::{Section, Value};
use crate::control::config::{Kafka, secret};
use crate::pipeline::source::kafka::connection::{Connection, Mechanism, Sasl, Tls, check_option, refused_option};

pub(super) fn read(top: &Section<'_>) -> Option<Kafka> {
    top.get("kafka")?.fields(|section| {
        let brokers = section.require("brokers").and_then(|value| brokers(&value));
        let tls = section.get("tls").and_then(|value| value.fields(tls));
        let sasl = section.get("sasl").map(|value| {
            let sasl = value.fields(sasl).flatten();
            if sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::Plain && tls.is_none()) {
                value.warn("the password crosses the network readable for everybody: set kafka.tls");
            }
            sasl
        });
        let options = section.get("options").map(|value| free_options(&value)).unwrap_or_default();
        let mut namespace = "tidegate".to_owned();
        section.set("namespace", &mut namespace, Value::name);
        let mut snapshot = true;
        section.set("snapshot", &mut snapshot, Value::boolean);
        let mut standby = false;
        section.set("standby", &mut standby, Value::boolean);
        let sasl = match sasl {
            None => None,
            Some(sasl) => Some(sasl?),
        };
        let connection = Connection { brokers: brokers?, tls, sasl, options };
        Some(Kafka { connection, namespace, snapshot, standby })
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

fn tls(section: &Section<'_>) -> Tls {
    if section.get("certificate").is_some() != section.get("key").is_some() {
        section.value.fault("certificate and key belong together");
    }
    let file = |key| section.get(key).and_then(|value| secret::file(&value));
    Tls {
        ca: file("ca"),
        certificate: file("certificate"),
        key: file("key"),
        key_password: section.get("key_password").and_then(|value| secret::read(&value)),
    }
}

fn sasl(section: &Section<'_>) -> Option<Sasl> {
    let mechanisms = Mechanism::ALL.map(|mechanism| (mechanism.name(), mechanism));
    let mechanism = section.require("mechanism").and_then(|value| value.one_of(&mechanisms));
    let user = section.require("username").and_then(|value| value.text().map(str::to_owned));
    let password = section.require("password").and_then(|value| secret::read(&value));
    Some(Sasl { mechanism: mechanism?, user: user?, password: password? })
}

fn free_options(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for (name, value) in value.entries().unwrap_or_default() {
        let secret = ["password", "secret", ".pem", "oauthbearer.config"].iter().any(|word| name.contains(word));
        if secret {
            value.hide();
        }
        if let Some(why) = refused_option(name) {
            value.fault(format!("cannot be set here: {why}"));
        } else if secret {
            value.fault("a secret does not belong into this file");
        } else if let Some(text) = value.any_text() {
            match check_option(name, text) {
                Ok(()) => drop(options.insert(name.to_owned(), text.to_owned())),
                Err(what) => value.fault(what),
            }
        }
    }
    options
}
