//! A configuration as JSON: what it means, in one spelling, without secrets. For hashes, comparisons and the summary.
//!
//! The same meaning gives the same bytes on every machine: no numbers of processors, no order of a hash map.

use std::hash::Hasher as _;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use siphasher::sip::SipHasher13;

use crate::control::config::duration::{show, show_size};
use crate::control::config::{Config, Http, Kafka, LogFormat, SourceConfig, SourceKind, Store};
use crate::model::alert::Severity;
use crate::model::time::Millis;
use crate::pipeline::options::{Identity, ResolveAfter, SourceOptions, WindowKind, WindowRule};
use crate::pipeline::source::kafka::OnOffsetLost;

/// The stable hash of a meaning.
pub(super) fn hash(meaning: &Value) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(meaning.to_string().as_bytes());
    hasher.finish()
}

/// What decides about alerts: the state has to be looked at again when it changes.
pub(super) fn of_decisions(config: &Config) -> Value {
    let sources: Vec<Value> = config.pipeline.sources.iter().map(decisions_of_source).collect();
    let rules: Vec<Value> = config.pipeline.rules.iter().map(rule).collect();
    json!({ "windows": rules, "sources": sources, "samples": config.pipeline.samples })
}

/// Everything, by the keys of the file.
pub(super) fn of(config: &Config) -> Value {
    let pipeline = &config.pipeline;
    let sources: Vec<Value> = config
        .sources
        .iter()
        .zip(pipeline.sources.iter())
        .map(|(source, options)| joined(how_reached(source), decisions_of_source(options)))
        .collect();
    let own = json!({
        "data_dir": config.data_dir.display().to_string(),
        "store": match config.store { Store::Sqlite { .. } => "sqlite", Store::Kafka => "kafka" },
        "sqlite": match &config.store { Store::Sqlite { file } => json!(file.display().to_string()), Store::Kafka => Value::Null },
        "kafka": config.kafka.as_ref().map(kafka),
        "sources": sources,
        "windows": pipeline.rules.iter().map(rule).collect::<Vec<_>>(),
        "epoch": {
            "interval": show(pipeline.epoch.interval),
            "records": pipeline.epoch.max_records,
            "output": show_size(pipeline.epoch.max_output_bytes),
            "clock_interval": show(pipeline.epoch.clock_interval),
        },
        "engine": { "samples": pipeline.samples },
        "memory": { "budget": config.memory.budget.map_or_else(|| "auto".to_owned(), show_size) },
        "limits": {
            "watch_labels": config.limits.watch_labels,
            "label_values": config.limits.label_values,
        },
        "retention": {
            "incidents": show(config.retention.incidents),
            "dead_letters": show(config.retention.dead_letters),
            "dead_letters_size": show_size(config.retention.dead_letters_size),
        },
        "log": {
            "level": config.log.level.as_str().to_lowercase(),
            "format": match config.log.format { LogFormat::Text => "text", LogFormat::Json => "json" },
        },
    });
    joined(http(&config.http), own)
}

fn joined(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut first), Value::Object(second)) => {
            first.extend(second);
            Value::Object(first)
        }
        (first, _) => first,
    }
}

fn http(http: &Http) -> Value {
    json!({
        "listen": http.listen.to_string(),
        "admin_listen": http.admin_listen.map(|address| address.to_string()),
        "insecure_listen": http.insecure_listen,
        "tls": http.tls.as_ref().map(|tls| json!({
            "certificate": tls.certificate.display().to_string(),
            "key": tls.key.display().to_string(),
        })),
        "token": http.token.is_some(),
        "external_url": http.external_url,
    })
}

fn kafka(kafka: &Kafka) -> Value {
    let connection = &kafka.connection;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    json!({
        "brokers": connection.brokers,
        "tls": connection.tls.as_ref().map(|tls| json!({
            "ca": path(&tls.ca),
            "certificate": path(&tls.certificate),
            "key": path(&tls.key),
            "key_password": tls.key_password.is_some(),
        })),
        "sasl": connection.sasl.as_ref().map(|sasl| json!([sasl.mechanism.name(), sasl.user])),
        "options": connection.options,
        "namespace": kafka.namespace,
        "snapshot": kafka.snapshot,
        "standby": kafka.standby,
    })
}

/// A source without what can change while it runs.
pub(super) fn how_reached(source: &SourceConfig) -> Value {
    let kind = match &source.kind {
        SourceKind::Http => json!({ "type": "http" }),
        SourceKind::Kafka(kafka) => json!({
            "type": "kafka",
            "topics": kafka.topics.iter().map(|topic| json!([topic.name, topic.format.name()])).collect::<Vec<_>>(),
            "on_offset_lost": match kafka.on_offset_lost {
                OnOffsetLost::Stop => "stop",
                OnOffsetLost::Earliest => "earliest",
            },
        }),
        SourceKind::File(file) => json!({
            "type": "file",
            "path": file.path.display().to_string(),
            "format": file.format.name(),
            "follow": file.follow,
        }),
        SourceKind::Stdin { format } => json!({ "type": "stdin", "format": format.name() }),
    };
    joined(json!({ "name": source.name }), kind)
}

fn decisions_of_source(source: &SourceOptions) -> Value {
    json!({
        "name": source.name,
        "identity": identity(&source.identity),
        "resend_interval": source.resend_interval.map(show),
    })
}

fn identity(identity: &Identity) -> Value {
    json!({
        "labels": identity.labels,
        "drop": identity.drop,
        "mask": identity
            .mask
            .iter()
            .map(|mask| json!([mask.label, mask.pattern.as_str(), mask.replace]))
            .collect::<Vec<_>>(),
        "alias": identity.alias,
    })
}

fn rule(rule: &WindowRule) -> Value {
    let or = |span: Option<Millis>, word: &str| span.map_or_else(|| word.to_owned(), show);
    let waits: Map<String, Value> = Severity::ALL
        .into_iter()
        .zip(rule.wait_by_severity)
        .filter_map(|(severity, wait)| Some((severity.name().to_owned(), json!(show(wait?)))))
        .collect();
    json!({
        "name": rule.name,
        "match": rule.matchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "group_by": rule.group_by.iter().map(|alternatives| alternatives.join("|")).collect::<Vec<_>>(),
        "open_after": { "count": rule.open_after.count, "within": show(rule.open_after.within) },
        "wait": show(rule.wait),
        "wait_by_severity": waits,
        "update_every": show(rule.update_every),
        "gap": show(rule.gap),
        "max_age": or(rule.max_age, "never"),
        "max_alerts": rule.max_alerts,
        "kind": match rule.kind {
            WindowKind::Session => "session",
            WindowKind::Fixed => "fixed",
            WindowKind::UntilResolved => "until_resolved",
        },
        "resolve_after": match rule.resolve_after {
            ResolveAfter::BySource => "default".to_owned(),
            ResolveAfter::Never => "never".to_owned(),
            ResolveAfter::After(span) => show(span),
        },
        "reopen": show(rule.reopen),
        "forget_after": or(rule.forget_after, "never"),
    })
}

/// What a configuration says of identity and windows that is no default, a line each, as one would write it; for titles.
/// A rule is named only where there are several.
#[must_use]
pub fn own_settings(identity: &Identity, rules: &[WindowRule]) -> Vec<String> {
    let mut lines = own_identity(identity);
    for of_file in rules {
        let default = rule(&WindowRule::named(&of_file.name));
        let Value::Object(fields) = rule(of_file) else { continue };
        let own = fields.iter().filter(|(key, value)| default.get(key.as_str()) != Some(value));
        let own: Vec<String> = own.map(|(key, value)| format!("{key}: {}", as_written(value))).collect();
        match (own.is_empty(), rules.len() > 1) {
            (true, _) => {}
            (false, true) => lines.push(format!("{}: {{{}}}", of_file.name, own.join(", "))),
            (false, false) => lines.extend(own),
        }
    }
    lines
}

fn own_identity(identity: &Identity) -> Vec<String> {
    let list = |labels: &[String]| format!("[{}]", labels.join(", "));
    let mut lines = Vec::new();
    if !identity.labels.is_empty() {
        lines.push(format!("labels: {}", list(&identity.labels)));
    }
    if !identity.drop.is_empty() {
        lines.push(format!("drop: {}", list(&identity.drop)));
    }
    for mask in &identity.mask {
        let label = mask.label.as_deref().unwrap_or("every label");
        lines.push(format!("mask: {label} {} → {}", mask.pattern.as_str(), mask.replace));
    }
    for (alias, canonical) in &identity.alias {
        lines.push(format!("alias: {alias} = {canonical}"));
    }
    lines
}

/// A value without the quotes of JSON.
fn as_written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(as_written).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}: {}", as_written(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Null => "none".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
