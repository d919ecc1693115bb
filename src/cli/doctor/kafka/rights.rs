//! What we are allowed to do, proven by doing it, without a trace: in transactions that are aborted, under a transactional
//! id of the doctor's own, so that no running daemon is shut out. Input topics are read only.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::cli::doctor::kafka::clock;
use crate::cli::doctor::kafka::ear::Ear;
use crate::control::config::{Config, Kafka, Store};
use crate::model::time::{Clock as _, Millis, Stopwatch, SystemClock, Timestamp};
use crate::pipeline::sink::kafka::trim::block_on;

/// For one step. The first one makes the log of transactions in a new cluster, which takes seconds.
const PATIENCE: Duration = Duration::from_secs(12);
const TURN: Duration = Duration::from_millis(20);
/// How long a killed doctor could hide the end of a topic from readers.
const TRANSACTION_TIMEOUT_MS: &str = "10000";
/// Our record is this much older than its mark, so that the two times cannot be taken for each other.
const BACKDATED: Millis = Millis::hours(24);

/// What became of something that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is allowed and works.
    Granted,
    /// The broker refused, by this code.
    Denied(Code),
    /// Neither: no answer in time, or another failure.
    Failed(String),
}

/// A record that was written to partition 0 and taken back, by our clock and by its offsets.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) topic: String,
    /// Offset of the record; its mark of abort should follow at once.
    pub(super) offset: i64,
    /// Before the abort was asked for.
    pub(super) before: Timestamp,
    /// When the mark was seen, or why it was not.
    pub(super) after: Result<Timestamp, String>,
}

/// Everything that was tried.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) transactional_id: String,
    pub(super) transaction: Option<Outcome>,
    /// Topic and outcome.
    pub(super) writes: Vec<(String, Outcome)>,
    pub(super) reads: Vec<(String, Outcome)>,
    pub(super) trim: Option<(String, Outcome)>,
    pub(super) offsets: Option<Outcome>,
    pub(super) mark: Option<Mark>,
}

/// The doctor's own transactional id: a grant for everything that begins with the namespace covers both.
pub(super) fn transactional_id(kafka: &Kafka) -> String {
    format!("{}-doctor", kafka.namespace)
}

/// Tries everything that the daemon will do with the topics that are there.
pub(super) fn try_all(config: &Config, kafka: &Kafka, there: &[String]) -> Tried {
    let mut tried = Tried { transactional_id: transactional_id(kafka), ..Tried::default() };
    let inputs = config.input_topics();
    let is_there = |name: &String| there.contains(name);
    if config.store == Store::Kafka {
        // Dead letters last: theirs is the mark by which the clocks are compared.
        let ours = ["incidents", "state", "commands", "dead-letters"].map(|purpose| kafka.topic(purpose));
        let ours: Vec<String> = ours.into_iter().filter(is_there).collect();
        let input = inputs.iter().find(|name| is_there(name));
        transact(kafka, &ours, input.map(String::as_str), &mut tried);
        let state = kafka.topic("state");
        if is_there(&state) {
            tried.trim = Some((state.clone(), try_trim(kafka, &state)));
        }
        for name in [state, kafka.topic("commands")].into_iter().filter(is_there) {
            tried.reads.push((name.clone(), try_read(kafka, &name)));
        }
    }
    for name in inputs.into_iter().filter(is_there) {
        let outcome = try_read(kafka, &name);
        tried.reads.push((name, outcome));
    }
    tried
}

fn outcome(result: Result<(), KafkaError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Granted,
        Err(error) => match error.rdkafka_error_code() {
            Some(code) if is_denial(code) => Outcome::Denied(code),
            _ => Outcome::Failed(error.to_string()),
        },
    }
}

const fn is_denial(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}

fn transact(kafka: &Kafka, topics: &[String], input: Option<&str>, tried: &mut Tried) {
    let mut config = kafka.connection.producer("doctor", &tried.transactional_id);
    config.set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS).set("message.timeout.ms", "8000");
    config.set("statistics.interval.ms", "0").set("linger.ms", "0");
    let producer: BaseProducer<Ear> = match config.create_with_context(Ear::default()) {
        Ok(producer) => producer,
        Err(error) => {
            tried.transaction = Some(Outcome::Failed(error.to_string()));
            return;
        }
    };
    let begun = outcome(producer.init_transactions(PATIENCE));
    let is_granted = begun == Outcome::Granted;
    tried.transaction = Some(begun);
    if !is_granted {
        return;
    }
    let lookout = clock::lookout(kafka).ok();
    for topic in topics {
        let lookout = lookout.as_ref().filter(|_| *topic == kafka.topic("dead-letters"));
        let (outcome, mark) = try_write(&producer, topic, lookout);
        tried.writes.push((topic.clone(), outcome));
        tried.mark = mark.or(tried.mark.take());
        if producer.client().fatal_error().is_some() {
            return; // A second doctor has taken the id over; it will say what there is to say.
        }
    }
    tried.offsets = input.map(|input| try_offsets(&producer, kafka, input));
}

/// Writes a record and takes it back; with a lookout its mark is waited for.
fn try_write(
    producer: &BaseProducer<Ear>,
    topic: &str,
    lookout: Option<&BaseConsumer<Ear>>,
) -> (Outcome, Option<Mark>) {
    let ear = producer.client().context();
    ear.forget();
    if let Err(error) = producer.begin_transaction() {
        return (outcome(Err(error)), None);
    }
    let at = SystemClock.now() - BACKDATED;
    let record = BaseRecord::<str, str>::to(topic).partition(0).payload("").key("doctor").timestamp(at.0);
    let sent = producer.send(record).map_err(|(error, _)| error);
    let watch = Stopwatch::start();
    let is_waiting = || producer.in_flight_count() > 0 && ear.lines("TXNERR").is_empty();
    while sent.is_ok() && is_waiting() && watch.elapsed() < PATIENCE {
        producer.poll(TURN);
    }
    producer.poll(TURN); // The log comes by the same way.
    let written = match (sent, ear.delivered()) {
        (Err(error), _) => outcome(Err(error)),
        (Ok(()), Some(Ok(_))) => Outcome::Granted,
        _ => failed_in_the_log(&ear.lines("TXNERR")),
    };
    // Its connections are there before the time counts.
    let is_connected = lookout.is_some_and(|lookout| lookout.fetch_watermarks(topic, 0, PATIENCE).is_ok());
    let before = SystemClock.now();
    let aborted = abort(producer);
    let offset = ear.delivered().and_then(Result::ok);
    let mark = offset.zip(lookout).filter(|_| is_connected && aborted.is_ok()).map(|(offset, lookout)| {
        let after = clock::wait_for(lookout, topic, offset + 1);
        Mark { topic: topic.to_owned(), offset, before, after }
    });
    (written, mark)
}

/// What the library purges at an abort must be polled for, or the abort waits for it in vain.
fn abort(producer: &BaseProducer<Ear>) -> Result<(), KafkaError> {
    let watch = Stopwatch::start();
    while producer.in_flight_count() > 0 && watch.elapsed() < PATIENCE {
        producer.poll(TURN);
    }
    producer.abort_transaction(PATIENCE)
}

/// Why a transaction failed behind our back: the code stands in the log, by its protocol name.
fn failed_in_the_log(lines: &[String]) -> Outcome {
    let names = [
        ("TOPIC_AUTHORIZATION_FAILED", Code::TopicAuthorizationFailed),
        ("GROUP_AUTHORIZATION_FAILED", Code::GroupAuthorizationFailed),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Code::TransactionalIdAuthorizationFailed),
        ("CLUSTER_AUTHORIZATION_FAILED", Code::ClusterAuthorizationFailed),
    ];
    let Some(line) = lines.first() else { return Outcome::Failed(format!("no answer within {PATIENCE:?}")) };
    let named = names.into_iter().find(|(name, _)| line.contains(&format!("({name}")));
    named.map_or_else(|| Outcome::Failed(line.clone()), |(_, code)| Outcome::Denied(code))
}

/// Commits an offset of the input to our group, and takes it back.
fn try_offsets(producer: &BaseProducer<Ear>, kafka: &Kafka, input: &str) -> Outcome {
    let mut config = kafka.connection.consumer("doctor", &kafka.namespace);
    config.set("statistics.interval.ms", "0");
    let consumer: Result<BaseConsumer<Ear>, _> = config.create_with_context(Ear::default());
    let group = match consumer {
        Ok(consumer) => consumer.group_metadata(),
        Err(error) => return outcome(Err(error)),
    };
    let mut list = TopicPartitionList::new();
    let listed = list.add_partition_offset(input, 0, Offset::Offset(0));
    let (Some(group), Ok(())) = (group, listed) else { return Outcome::Failed("no group".to_owned()) };
    if let Err(error) = producer.begin_transaction() {
        return outcome(Err(error));
    }
    let committed = outcome(producer.send_offsets_to_transaction(&list, &group, PATIENCE));
    match abort(producer) {
        Err(error) if committed == Outcome::Granted => outcome(Err(error)),
        _ => committed,
    }
}

/// Asks to remove what lies before the first record there can be: nothing is removed, but the right to it is needed.
fn try_trim(kafka: &Kafka, state: &str) -> Outcome {
    let admin: Result<AdminClient<DefaultClientContext>, _> = kafka.connection.client("doctor").create();
    let mut list = TopicPartitionList::new();
    let listed = list.add_partition_offset(state, 0, Offset::Offset(0));
    let removed = admin.and_then(|admin| {
        listed?;
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let answer = block_on(admin.delete_records(&list, &options))?;
        answer.elements().iter().try_for_each(|element| element.error())
    });
    match removed {
        // What lies before is gone already: the right to ask was there.
        Err(error) if error.rdkafka_error_code() == Some(Code::OffsetOutOfRange) => Outcome::Granted,
        other => outcome(other),
    }
}

/// Reads partition 0 from its end on; the end itself is the answer.
fn try_read(kafka: &Kafka, topic: &str) -> Outcome {
    let mut config = kafka.connection.consumer("doctor", &kafka.namespace);
    config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
    let consumer: Result<BaseConsumer<Ear>, _> = config.create_with_context(Ear::default());
    let begun = consumer.and_then(|consumer| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::End)?;
        consumer.assign(&list).map(|()| consumer)
    });
    let consumer = match begun {
        Ok(consumer) => consumer,
        Err(error) => return outcome(Err(error)),
    };
    let watch = Stopwatch::start();
    let mut trouble = None;
    while watch.elapsed() < PATIENCE {
        match consumer.poll(TURN) {
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Outcome::Granted,
            Some(Err(error)) => match outcome(Err(error)) {
                denied @ Outcome::Denied(Code::TopicAuthorizationFailed) => return denied,
                // The library also looks for the coordinator of the group, which reading does not need.
                Outcome::Denied(code) => trouble = Some(Outcome::Failed(code.to_string())),
                other => trouble = Some(other),
            },
            None => {}
        }
    }
    trouble.unwrap_or_else(|| Outcome::Failed(format!("no answer within {PATIENCE:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_found_in_the_log() {
        let line = "Current transaction failed in state InTransaction: Failed to add partition(s) to transaction on broker \
                    localhost:1/1: Broker: Topic authorization failed (after 3 ms) (TOPIC_AUTHORIZATION_FAILED)";
        assert_eq!(failed_in_the_log(&[line.to_owned()]), Outcome::Denied(Code::TopicAuthorizationFailed));
        assert_eq!(failed_in_the_log(&["other".to_owned()]), Outcome::Failed("other".to_owned()));
        assert!(matches!(failed_in_the_log(&[]), Outcome::Failed(_)));
    }
}
