//! The Kafka cluster: is it reached, can it do what is needed, may we do it, do the clocks agree, who else is there.
//!
//! Each question is asked on a thread of its own, with a time limit: some calls of the client library do not end by
//! themselves (librdkafka 5456).

mod acl;
mod clock;
mod ear;
mod positions;
mod reach;
mod rights;
mod settings;
mod verdict;

use std::time::Duration;

use crossbeam::channel::bounded;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::kafka::ear::Ear;
use crate::cli::doctor::state::{Read, STATE_MAX};
use crate::control::config::{Config, Kafka, SourceKind, Store};
use crate::model::time::{Clock as _, SystemClock};
use crate::pipeline::sink::kafka::read_state;
use crate::pipeline::state::Restored;

/// The release that the delivery promise was proven with.
const LIBRARY_MIN: i32 = 0x02_0c_01_ff;
/// One question, with every wait in it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A state of 1 GiB over a slow line.
const READ_PATIENCE: Duration = Duration::from_secs(300);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything about the cluster. `is_local`: a daemon of this configuration answers on this machine.
pub(super) fn look(config: &Config, kafka: &Kafka, replication: u16, is_local: bool) -> (Vec<Finding>, bool) {
    let mut findings = vec![library()];
    let is_store = config.store == Store::Kafka;
    let mut told = None;
    for address in &kafka.connection.brokers {
        let (connection, name) = (kafka.connection.clone(), address.clone());
        let Some(answer) = within(PATIENCE, move || reach::ask(&connection, &name)) else { continue };
        findings.push(reach::judge(address, &answer));
        told = told.or(answer.ok());
    }
    let Some(told) = told else { return (findings, false) };
    findings.push(reach::judge_version(&told.requests, is_store));
    let asked = (kafka.clone(), told.brokers.clone());
    if let Some((advertised, settings)) = within(PATIENCE, move || reach::advertised(&asked.0, &asked.1)) {
        findings.extend(advertised);
        findings.extend(settings::judge_brokers(&settings, told.brokers.len()).into_iter().filter(|_| is_store));
    }
    let asked = (config.clone(), kafka.clone());
    let topics = within(PATIENCE, move || settings::topics(&asked.0, &asked.1, replication));
    let (of_topics, there) = topics.unwrap_or_default();
    findings.extend(of_topics);
    let asked = (config.clone(), kafka.clone(), there.clone());
    match within(READ_PATIENCE, move || rights::try_all(&asked.0, &asked.1, &asked.2)) {
        Some(tried) => {
            findings.extend(verdict::judge(&tried, kafka, is_local));
            let asked = (config.clone(), kafka.clone());
            findings.extend(within(PATIENCE, move || times(&asked.0, &asked.1, &there, &tried)).unwrap_or_default());
        }
        None => findings.push(unanswered(Check::TransactionalId)),
    }
    (findings, true)
}

fn unanswered(check: Check) -> Finding {
    Finding::problem(
        check,
        "the cluster stopped answering half way",
        "a coordinator that does not answer stops every commit",
        "kafka-topics.sh --describe --under-min-isr-partitions",
    )
}

/// The clock, record times, and the group.
fn times(config: &Config, kafka: &Kafka, there: &[String], tried: &rights::Tried) -> Vec<Finding> {
    let lookout = match clock::lookout(kafka) {
        Ok(lookout) => lookout,
        Err(fault) => return vec![Finding::note(Check::BrokerClock, fault, "", "")],
    };
    let mut findings = Vec::new();
    if config.store == Store::Kafka {
        let dead_letters = kafka.topic("dead-letters");
        let mark = tried.mark.as_ref().filter(|mark| mark.topic == dead_letters);
        let measured = mark.ok_or_else(|| "it needs a transaction in the topic of dead letters".to_owned());
        findings.push(clock::judge(&measured.and_then(|mark| clock::measure(&lookout, mark))));
    }
    let inputs = input_partitions(&lookout, config, there);
    if !inputs.is_empty() {
        let found = clock::from_the_future(&lookout, &inputs, SystemClock.now());
        findings.push(clock::judge_input_times(&found, inputs.len()));
    }
    if let Ok(groups) = lookout.client().fetch_group_list(Some(&kafka.namespace), REQUEST_TIMEOUT) {
        for group in groups.groups() {
            let members = group.members().iter().map(|one| format!("{} at {}", one.client_id(), one.client_host()));
            findings.push(verdict::members(group.name(), group.state(), &members.collect::<Vec<_>>()));
        }
    }
    findings
}

/// Every partition of the input topics that are there.
fn input_partitions(lookout: &BaseConsumer<Ear>, config: &Config, there: &[String]) -> Vec<(String, i32)> {
    let mut partitions = Vec::new();
    for topic in config.input_topics().into_iter().filter(|topic| there.contains(topic)) {
        let Ok(metadata) = lookout.fetch_metadata(Some(&topic), REQUEST_TIMEOUT) else { continue };
        let found = metadata.topics().iter().flat_map(|found| found.partitions());
        partitions.extend(found.map(|partition| (topic.clone(), partition.id())));
    }
    partitions
}

/// The state as it lies in its topic, without taking anything over.
pub(super) fn state(config: &Config, kafka: &Kafka) -> Read {
    let options = kafka.sink(&config.sources);
    let read = within(READ_PATIENCE, move || {
        let mut restored = Box::<Restored>::default();
        let read = read_state(&options, &mut |bytes| {
            if restored.n_bytes > STATE_MAX {
                return Ok(false);
            }
            restored.take_block(bytes).map(|()| true)
        });
        match read {
            Ok(()) if restored.n_bytes > STATE_MAX => Read::TooLarge(restored.n_bytes),
            Ok(()) => {
                restored.settle();
                Read::Whole(restored)
            }
            Err(error) => Read::Failed(error.to_string()),
        }
    });
    read.unwrap_or_else(|| Read::Failed("it could not be read in time".to_owned()))
}

/// The positions of a state against the topics.
pub(super) fn positions(config: &Config, kafka: &Kafka, read: &Read) -> Vec<Finding> {
    let Read::Whole(restored) = read else { return Vec::new() };
    let is_kafka = |kind: &SourceKind| matches!(kind, SourceKind::Kafka(_));
    let Some(meta) = restored.meta.clone().filter(|_| config.sources.iter().any(|source| is_kafka(&source.kind)))
    else {
        return Vec::new();
    };
    let asked = (config.clone(), kafka.clone());
    let found = within(PATIENCE, move || {
        clock::lookout(&asked.1).map(|lookout| positions::look(&lookout, &asked.0, &meta)).unwrap_or_default()
    });
    found.unwrap_or_default()
}

fn library() -> Finding {
    let (number, name) = rdkafka::util::get_rdkafka_version();
    if number >= LIBRARY_MIN {
        return Finding::ok(Check::Librdkafka, format!("librdkafka {name}"));
    }
    Finding::problem(
        Check::Librdkafka,
        format!("librdkafka {name}, older than 2.12.1"),
        "the delivery promise was tested with 2.12.1; older ones lose or repeat epochs in ways that are mended since",
        "use the program as it is released: it has its own librdkafka",
    )
}

/// Runs it on a thread of its own; `None` when it does not end in time, and is left behind.
fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = bounded(1);
    let thread = std::thread::Builder::new().name("doctor-kafka".to_owned());
    let spawned = thread.spawn(move || {
        let _ = done.send(work()); // Nobody waits for it any more.
    });
    spawned.ok()?;
    result.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn the_library_is_new_enough() {
        assert_eq!(library().level, Level::Ok, "{}", library().what);
    }

    #[test]
    fn what_does_not_end_is_left_behind() {
        let (_hold, never) = bounded::<()>(0);
        assert_eq!(within(Duration::from_millis(10), move || never.recv()), None);
        assert_eq!(within(PATIENCE, || 7), Some(7));
    }
}
