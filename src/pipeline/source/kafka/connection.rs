//! How to reach a Kafka cluster, and the client settings the delivery promise rests on.
//!
//! Everything is set explicitly, because the library's defaults lose data: it starts at the end of a topic, commits
//! on its own and buffers up to 1 GiB. What the promise rests on cannot be overridden by `options`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use secrecy::{ExposeSecret as _, SecretString};

/// How to reach a cluster.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `host:port` of some brokers; the others are learnt from them.
    pub brokers: Vec<String>,
    /// Encryption; `None` means plain text.
    pub tls: Option<Tls>,
    /// Authentication; `None` means none, or by client certificate.
    pub sasl: Option<Sasl>,
    /// Further librdkafka settings, already checked with `refused_option`.
    pub options: BTreeMap<String, String>,
}

/// Encryption.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Authorities to trust, PEM; `None` means those of the operating system.
    pub ca: Option<PathBuf>,
    /// Our own certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// What the key is encrypted with.
    pub key_password: Option<SecretString>,
}

/// Authentication by name and password.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// How the password is proven.
    pub mechanism: Mechanism,
    /// Who we are.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// How a password is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Sent as it is: only with TLS.
    Plain,
    /// Challenge and response with SHA-256.
    ScramSha256,
    /// Challenge and response with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// Every mechanism, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::ScramSha512, Self::ScramSha256, Self::Plain];

    /// The word used in configuration and by Kafka.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Properties that hold the delivery promise up or that have a key of their own; setting them would undo either. By exact
/// name, or by a prefix that ends in `*`.
const REFUSED: [(&str, &str); 36] = [
    ("acks", "the delivery promise needs it as it is"),
    ("allow.auto.create.topics", "topics are made by `tidegate topics create`"),
    ("auto.commit.enable", "the delivery promise needs it as it is"),
    ("auto.offset.reset", "set on_offset_lost of the source"),
    ("bootstrap.servers", "set kafka.brokers"),
    ("check.crcs", "damaged records must be noticed"),
    ("client.id", "tidegate names its clients itself"),
    ("delivery.timeout.ms", "it must stay below the time-out of the transaction"),
    ("enable.auto.commit", "the delivery promise needs it as it is"),
    ("enable.auto.offset.store", "the delivery promise needs it as it is"),
    ("enable.idempotence", "the delivery promise needs it as it is"),
    ("enable.partition.eof", "idle partitions are noticed by it"),
    ("enable.ssl.certificate.verification", "an unverified broker could be anybody; set kafka.tls.ca"),
    ("fetch.wait.max.ms", "idle partitions are noticed by it"),
    ("group.id", "set kafka.namespace"),
    ("isolation.level", "the delivery promise needs it as it is"),
    ("message.timeout.ms", "it must stay below the time-out of the transaction"),
    ("metadata.broker.list", "set kafka.brokers"),
    ("partition.assignment.strategy", "the delivery promise needs it as it is"),
    ("plugin.library.paths", "foreign code is not loaded"),
    ("request.required.acks", "the delivery promise needs it as it is"),
    ("sasl.mechanism", "set kafka.sasl.mechanism"),
    ("sasl.mechanisms", "set kafka.sasl.mechanism"),
    ("sasl.password", "set kafka.sasl.password"),
    ("sasl.username", "set kafka.sasl.username"),
    ("security.protocol", "it follows from kafka.tls and kafka.sasl"),
    ("ssl.ca.location", "set kafka.tls.ca"),
    ("ssl.certificate.location", "set kafka.tls.certificate"),
    ("ssl.endpoint.identification.algorithm", "an unverified broker could be anybody"),
    ("ssl.key.location", "set kafka.tls.key"),
    ("ssl.key.password", "set kafka.tls.key_password"),
    ("statistics.interval.ms", "idle partitions are noticed by it"),
    ("transaction.timeout.ms", "a stopped instance must not hold up readers for long"),
    ("transactional.id", "set kafka.namespace"),
    ("group.*", "the delivery promise needs it as it is"),
    ("max.in.flight*", "the delivery promise needs it as it is"),
];

/// Why a free option is refused; `None` if it may be set.
#[must_use]
pub fn refused_option(name: &str) -> Option<&'static str> {
    let is = |known: &str| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == known,
    };
    REFUSED.iter().find(|(known, _)| is(known)).map(|(_, reason)| *reason)
}

/// Whether the library takes this option. Does not connect.
///
/// # Errors
/// What is wrong, in its own words: the name is unknown, or the value out of range.
pub fn check_option(name: &str, value: &str) -> Result<(), String> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, fault, ..)) => Err(fault.trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Connection {
    /// What every client needs; `purpose` appears in the broker's logs and quotas as part of the client id.
    #[must_use]
    pub fn client(&self, purpose: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.options {
            config.set(name, value);
        }
        config.set("bootstrap.servers", self.brokers.join(","));
        config.set("client.id", format!("tidegate-{purpose}"));
        config.set("socket.keepalive.enable", "true");
        config.set("allow.auto.create.topics", "false");
        // The default of 60 s is how long a silent network loss would go unnoticed.
        self.set_unless_given(&mut config, "socket.timeout.ms", "10000");
        self.set_unless_given(&mut config, "reconnect.backoff.max.ms", "10000");
        config.set("security.protocol", self.protocol());
        if let Some(tls) = &self.tls {
            let paths = [("ca", &tls.ca), ("certificate", &tls.certificate), ("key", &tls.key)];
            for (what, path) in paths {
                if let Some(path) = path {
                    config.set(format!("ssl.{what}.location"), path.to_string_lossy());
                }
            }
            if let Some(password) = &tls.key_password {
                config.set("ssl.key.password", password.expose_secret());
            }
        }
        if let Some(sasl) = &self.sasl {
            config.set("sasl.mechanisms", sasl.mechanism.name());
            config.set("sasl.username", &sasl.user);
            config.set("sasl.password", sasl.password.expose_secret());
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// A consumer that takes partitions by `assign` and never commits by itself.
    ///
    /// `group` is needed by the library even so; no group protocol is spoken, so that no poll interval can be missed
    /// and no partition can be taken away.
    #[must_use]
    pub fn consumer(&self, purpose: &str, group: &str) -> ClientConfig {
        let mut config = self.client(purpose);
        config.set("group.id", group);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_committed");
        config.set("check.crcs", "true");
        config.set("statistics.interval.ms", "1000");
        config.set("fetch.wait.max.ms", "500");
        self.set_unless_given(&mut config, "queued.min.messages", "100000");
        self.set_unless_given(&mut config, "queued.max.messages.kbytes", "65536");
        // How long a full queue is left alone. It may hold as little as 5 ms of a catch-up, so that the default of 1 s would
        // leave it empty most of the time; the look itself costs microseconds.
        self.set_unless_given(&mut config, "fetch.queue.backoff.ms", "2");
        config
    }

    /// A transactional producer.
    #[must_use]
    pub fn producer(&self, purpose: &str, transactional_id: &str) -> ClientConfig {
        let mut config = self.client(purpose);
        config.set("transactional.id", transactional_id);
        config.set("enable.idempotence", "true");
        // How long a killed instance that is not restarted blocks `read_committed` readers.
        config.set("transaction.timeout.ms", "30000");
        config.set("message.timeout.ms", "20000");
        config.set("statistics.interval.ms", "1000");
        // The client's own bound, above that of the topics: an incident with many samples may pass 1 MB.
        self.set_unless_given(&mut config, "message.max.bytes", "8388608");
        // The records of an epoch are handed over within a millisecond, and then waited for: anything is only delay.
        self.set_unless_given(&mut config, "linger.ms", "0");
        // The broker refuses a partition to a transaction while it marks the end of the one before, some milliseconds. The
        // default of 100 ms made every commit that came right behind another wait that long.
        self.set_unless_given(&mut config, "retry.backoff.ms", "5");
        self.set_unless_given(&mut config, "compression.type", "lz4");
        // The default of 1 GiB would break every memory budget.
        self.set_unless_given(&mut config, "queue.buffering.max.kbytes", "65536");
        self.set_unless_given(&mut config, "queue.buffering.max.messages", "100000");
        config
    }

    fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }

    fn set_unless_given(&self, config: &mut ClientConfig, name: &str, value: &str) {
        if !self.options.contains_key(name) {
            config.set(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promise_cannot_be_overridden() {
        for name in
            ["auto.offset.reset", "enable.auto.commit", "transactional.id", "group.id", "ssl.ca.location", "acks"]
        {
            assert!(refused_option(name).is_some(), "{name}");
        }
        for name in ["linger.ms", "compression.type", "fetch.max.bytes", "ssl.cipher.suites", "socket.timeout.ms"] {
            assert_eq!(refused_option(name), None, "{name}");
        }
    }

    #[test]
    fn free_options_win_over_defaults_and_are_checked() {
        let with = |name: &str, value: &str| Connection {
            brokers: vec!["127.0.0.1:1".to_owned()],
            options: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..Connection::default()
        };
        let connection = with("linger.ms", "50");
        assert_eq!(connection.producer("sink", "id").get("linger.ms"), Some("50"));
        assert_eq!(connection.producer("sink", "id").get("retry.backoff.ms"), Some("5"));
        assert_eq!(check_option("linger.ms", "50"), Ok(()));
        assert_eq!(check_option("lingerms", "50"), Err("No such configuration property: \"lingerms\"".to_owned()));
        assert!(check_option("linger.ms", "minus one").is_err());
    }

    #[test]
    fn protocol_and_secrets_follow_from_the_connection() {
        let sasl = Sasl {
            mechanism: Mechanism::ScramSha512,
            user: "tidegate".to_owned(),
            password: SecretString::from("hush".to_owned()),
        };
        let connection = Connection {
            brokers: vec!["a:1".to_owned(), "b:2".to_owned()],
            tls: Some(Tls { ca: Some(PathBuf::from("/etc/ca.pem")), ..Tls::default() }),
            sasl: Some(sasl),
            ..Connection::default()
        };
        assert!(!format!("{connection:?}").contains("hush"));
        let config = connection.consumer("source", "group");
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(config.get("security.protocol"), Some("SASL_SSL"));
        assert_eq!(config.get("sasl.mechanisms"), Some("SCRAM-SHA-512"));
        assert_eq!(config.get("ssl.ca.location"), Some("/etc/ca.pem"));
        assert!(!format!("{config:?}").contains("hush"));
    }
}
