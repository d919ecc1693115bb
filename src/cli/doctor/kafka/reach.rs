//! Reaching the cluster: each configured address by itself, then each broker under the address that it tells.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, time};
use crate::cli::doctor::kafka::ear::Ear;
use crate::control::config::Kafka;
use crate::control::config::fault::counted;
use crate::model::time::Stopwatch;
use crate::pipeline::sink::kafka::trim::block_on;
use crate::pipeline::source::kafka::connection::Connection;

/// For one address: TLS and SASL over a slow line included.
const PATIENCE: Duration = Duration::from_secs(6);
/// Between two looks at what the library says meanwhile.
const TURN: Duration = Duration::from_millis(500);

/// As long as a hundred lines of log take, many times over.
const SERVED_FOR: Duration = Duration::from_millis(200);

/// A broker that answered.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// From the first attempt to the answer, connecting included.
    pub(super) after: Duration,
    /// Number and address of each broker of the cluster.
    pub(super) brokers: Vec<(i32, String)>,
    /// Protocol requests by number, with the highest version.
    pub(super) requests: BTreeMap<i16, i16>,
}

/// Why one did not answer, in the library's words.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: Option<Code>,
    pub(super) reason: String,
}

/// Asks one address for the brokers of the cluster.
pub(super) fn ask(connection: &Connection, address: &str) -> Result<Told, Refusal> {
    let only = Connection { brokers: vec![address.to_owned()], ..connection.clone() };
    let failed = |error: KafkaError| Refusal { code: error.rdkafka_error_code(), reason: error.to_string() };
    // Protocol versions are told in the log of the facility `feature` only.
    let mut config = only.consumer("doctor", "tidegate-doctor");
    config.set("debug", "feature").set("statistics.interval.ms", "0").set_log_level(RDKafkaLogLevel::Debug);
    let consumer: BaseConsumer<Ear> = config.create_with_context(Ear::default()).map_err(failed)?;
    let watch = Stopwatch::start();
    loop {
        let answer = consumer.fetch_metadata(None, TURN);
        let after = watch.elapsed();
        serve(&consumer);
        match answer {
            Ok(metadata) => {
                let brokers = metadata.brokers().iter().map(|one| (one.id(), format!("{}:{}", one.host(), one.port())));
                let requests = consumer.context().lines("APIVERSION");
                let requests = requests.iter().filter_map(|line| request(line)).collect();
                return Ok(Told { after, brokers: brokers.collect(), requests });
            }
            Err(error) => {
                let heard = worst(consumer.context());
                let is_final = heard.as_ref().is_some_and(|refusal| refusal.code != Some(Code::OperationTimedOut));
                if is_final || watch.elapsed() >= PATIENCE {
                    return Err(heard.unwrap_or_else(|| failed(error)));
                }
            }
        }
    }
}

/// Lets the library say what it has to say: a call hands over one thing at most. Nothing is assigned, so no record comes.
fn serve(consumer: &BaseConsumer<Ear>) {
    let watch = Stopwatch::start();
    while watch.elapsed() < SERVED_FOR {
        let _ = consumer.poll(SERVED_FOR / 10); // What it says goes to the `Ear`.
    }
}

/// The error that says most: that every broker is down is said besides, and says nothing.
fn worst(ear: &Ear) -> Option<Refusal> {
    let said = |(code, reason): (Option<Code>, String)| Refusal { code, reason };
    // The library looks for the coordinator of a group as soon as it has one, and it must have one; nobody joins it.
    let is_beside = |code| matches!(code, Some(Code::AllBrokersDown | Code::GroupAuthorizationFailed));
    let error = ear.errors().into_iter().map(said).find(|refusal| !is_beside(refusal.code));
    // Some failures to connect are only logged.
    error.or_else(|| ear.lines("FAIL").pop().map(|reason| Refusal { code: None, reason }))
}

/// `[thrd:..]: 127.0.0.1:9092/1:   ApiKey EndTxn (26) Versions 0..5`: number and highest version.
fn request(line: &str) -> Option<(i16, i16)> {
    let (_, rest) = line.split_once("ApiKey ")?;
    let (_, rest) = rest.split_once('(')?;
    let (number, rest) = rest.split_once(") Versions ")?;
    let (_, highest) = rest.split_once("..")?;
    Some((number.parse().ok()?, highest.trim().parse().ok()?))
}

pub(super) fn judge(address: &str, answer: &Result<Told, Refusal>) -> Finding {
    match answer {
        Ok(told) => Finding::ok(
            Check::Brokers,
            format!(
                "{address} answers after {}, the cluster has {}",
                time(told.after),
                counted(told.brokers.len(), "broker")
            ),
        ),
        Err(refusal) => {
            let code = refusal.code.map(|code| format!(" ({code})")).unwrap_or_default();
            let (why, remedy) = explained(refusal);
            Finding::problem(Check::Brokers, format!("{address}: {}{code}", refusal.reason), why, remedy)
        }
    }
}

/// Why, and what to do, by what the library says.
fn explained(refusal: &Refusal) -> (&'static str, &'static str) {
    let has = |text: &str| refusal.reason.contains(text);
    match refusal.code {
        Some(Code::Resolve) => {
            ("the name is not known to this machine", "check kafka.brokers and DNS: getent hosts NAME")
        }
        Some(Code::SSL) => (
            "encryption could not be agreed on: another authority, another name in the certificate, or a plain listener",
            "check kafka.tls.ca and the port: openssl s_client -connect HOST:PORT",
        ),
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => (
            "the broker does not know this user, or not with this password or mechanism",
            "check kafka.sasl; show users: kafka-configs.sh --describe --entity-type users",
        ),
        _ if has("Connection refused") => {
            ("nothing listens at this address", "check host and port in kafka.brokers, and whether the broker runs")
        }
        _ if has("Disconnected") || has("ApiVersion") || has("security.protocol") => (
            "the connection is closed before the first answer: most often a listener with TLS or SASL, spoken to without",
            "compare kafka.tls and kafka.sasl with the broker's listeners",
        ),
        _ => ("without a broker nothing is read or made durable", "check network and firewall: nc -vz HOST PORT"),
    }
}

/// Asks every broker something that only it can answer, under the address that the cluster tells for it.
pub(super) fn advertised(kafka: &Kafka, brokers: &[(i32, String)]) -> (Vec<Finding>, BTreeMap<String, String>) {
    let mut findings = Vec::new();
    let mut settings = BTreeMap::new();
    let admin: Result<AdminClient<DefaultClientContext>, _> = kafka.connection.client("doctor").create();
    let Ok(admin) = admin else { return (findings, settings) };
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    for (number, address) in brokers {
        let answer = block_on(admin.describe_configs([&ResourceSpecifier::Broker(*number)], &options));
        let outcome = answer.and_then(|mut all| all.pop().unwrap_or(Err(Code::Unknown)).map_err(KafkaError::AdminOp));
        let code = outcome.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        if let Ok(resource) = outcome {
            settings = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
        }
        findings.push(judge_advertised(*number, address, code));
    }
    (findings, settings)
}

fn judge_advertised(number: i32, address: &str, code: Option<Code>) -> Finding {
    let name = format!("broker {number} at {address}");
    match code {
        // It answered, and that is the question here.
        None | Some(Code::ClusterAuthorizationFailed) => {
            Finding::ok(Check::AdvertisedBrokers, format!("{name} answers"))
        }
        Some(code) => Finding::problem(
            Check::AdvertisedBrokers,
            format!("{name} does not answer: {code}"),
            "partitions that it leads can neither be read nor written; the address is what the cluster tells, not the configuration",
            "correct advertised.listeners of that broker, or make the name and port reachable from here",
        ),
    }
}

/// Numbers of protocol requests (kafka.apache.org/protocol).
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;
const DESCRIBE_TRANSACTIONS: i16 = 65;

/// The least release that has a request in a version, newest first.
const RELEASES: [(i16, i16, &str); 5] = [
    (END_TXN, 5, "4.0"),
    (END_TXN, 4, "3.8"),
    (DESCRIBE_TRANSACTIONS, 0, "3.0"),
    (TXN_OFFSET_COMMIT, 3, "2.5"),
    (END_TXN, 0, "0.11"),
];

pub(super) fn judge_version(requests: &BTreeMap<i16, i16>, is_store: bool) -> Finding {
    if requests.is_empty() {
        return Finding::note(
            Check::BrokerVersion,
            "the broker did not say which requests it knows",
            "whether it can do transactions was not seen here",
            "see transactional_id",
        );
    }
    let has = |number: i16, version: i16| requests.get(&number).is_some_and(|highest| *highest >= version);
    let release = RELEASES.into_iter().find(|(number, version, _)| has(*number, *version));
    let release = release.map_or_else(|| "before 0.11".to_owned(), |(_, _, name)| format!("{name} or newer"));
    let what = format!("speaks the protocol of Apache Kafka {release} ({})", counted(requests.len(), "request"));
    if has(TXN_OFFSET_COMMIT, 3) {
        return Finding::ok(Check::BrokerVersion, format!("{what}, with transactions"));
    }
    let why = "each epoch is one transaction with its input positions (KIP-447, since Kafka 2.5)";
    let remedy = "update the brokers, or use store: sqlite";
    match is_store {
        true => Finding::problem(Check::BrokerVersion, what, why, remedy),
        false => Finding::note(Check::BrokerVersion, what, "Kafka is only read here, which needs no transactions", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(findings: &[Finding]) -> String {
        let line = |one: &Finding| format!("{} {} | {}", one.level.name(), one.what, one.why);
        findings.iter().map(|one| format!("{}\n", line(one).trim_end_matches(" | "))).collect()
    }

    #[test]
    fn versions_are_read_from_the_log() {
        let line =
            "[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap:   ApiKey TxnOffsetCommit (28) Versions 0..5";
        assert_eq!(request(line), Some((28, 5)));
        assert_eq!(request("Broker API support:"), None);
    }

    #[test]
    fn a_broker_is_judged_by_what_it_can_do() {
        let of = |requests: &[(i16, i16)]| requests.iter().copied().collect::<BTreeMap<_, _>>();
        let found = [
            judge_version(&of(&[(26, 5), (28, 5)]), true),
            judge_version(&of(&[(26, 3), (28, 3), (65, 0)]), true),
            judge_version(&of(&[(26, 1), (28, 2)]), true),
            judge_version(&of(&[(0, 3)]), false),
            judge_version(&of(&[]), true),
        ];
        insta::assert_snapshot!(shown(&found), @"
        ok speaks the protocol of Apache Kafka 4.0 or newer (2 requests), with transactions
        ok speaks the protocol of Apache Kafka 3.0 or newer (3 requests), with transactions
        problem speaks the protocol of Apache Kafka 0.11 or newer (2 requests) | each epoch is one transaction with its input positions (KIP-447, since Kafka 2.5)
        note speaks the protocol of Apache Kafka before 0.11 (1 request) | Kafka is only read here, which needs no transactions
        note the broker did not say which requests it knows | whether it can do transactions was not seen here
        ");
    }

    #[test]
    fn a_broker_that_is_not_reached_is_explained() {
        let refusal = |code: Option<Code>, reason: &str| Err(Refusal { code, reason: reason.to_owned() });
        let answers = [
            Ok(Told { after: Duration::from_millis(3), ..Told::default() }),
            refusal(Some(Code::BrokerTransportFailure), "Connect to ipv4#127.0.0.1:1 failed: Connection refused"),
            refusal(Some(Code::Resolve), "Failed to resolve 'kafka.example:9092'"),
            refusal(Some(Code::Authentication), "SASL authentication error"),
            refusal(Some(Code::SSL), "SSL handshake failed"),
            refusal(None, "timed out"),
        ];
        let advertised = [None, Some(Code::OperationTimedOut)].map(|code| judge_advertised(1, "kafka-1:9092", code));
        let found: Vec<Finding> = answers.iter().map(|answer| judge("a:9092", answer)).chain(advertised).collect();
        insta::assert_snapshot!(shown(&found), @"
        ok a:9092 answers after 3.0 ms, the cluster has 0 brokers
        problem a:9092: Connect to ipv4#127.0.0.1:1 failed: Connection refused (BrokerTransportFailure (Local: Broker transport failure)) | nothing listens at this address
        problem a:9092: Failed to resolve 'kafka.example:9092' (Resolve (Local: Host resolution failure)) | the name is not known to this machine
        problem a:9092: SASL authentication error (Authentication (Local: Authentication failure)) | the broker does not know this user, or not with this password or mechanism
        problem a:9092: SSL handshake failed (SSL (Local: SSL error)) | encryption could not be agreed on: another authority, another name in the certificate, or a plain listener
        problem a:9092: timed out | without a broker nothing is read or made durable
        ok broker 1 at kafka-1:9092 answers
        problem broker 1 at kafka-1:9092 does not answer: OperationTimedOut (Local: Timed out) | partitions that it leads can neither be read nor written; the address is what the cluster tells, not the configuration
        ");
    }
}
