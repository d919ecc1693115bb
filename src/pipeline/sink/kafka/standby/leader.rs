//! Who leads: membership in a consumer group on a topic of one partition, which nothing is ever written to. Whoever has the
//! partition leads; when it is not heard of for the session timeout, the group gives it to the other one.
//!
//! Membership is static (KIP-345): a member that is restarted within the session timeout leads as before, and one that stops
//! in order leaves the group, so that the other need not wait. The protocol is cooperative (KIP-429): another one that joins
//! takes nothing away.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::model::time::Stopwatch;
use crate::pipeline::source::kafka::connection::Connection;
use crate::pipeline::source::kafka::health::log;
use crate::pipeline::source::kafka::partitions::close;

/// How long a member may not be heard of before another leads. Brokers allow 6 s to 30 min unless they are told otherwise
/// (`group.min.session.timeout.ms`).
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two signs of life; by the answer a member learns that it leads now.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long one poll waits.
const TURN: Duration = Duration::from_millis(100);
/// How long leaving the group may take.
const LEAVE: Duration = Duration::from_secs(2);

/// How to take part in the election.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to reach the cluster.
    pub connection: Connection,
    /// Name of the group and of its topic.
    pub name: String,
    /// Who we are, the same over restarts and another for each instance.
    pub member: String,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// It has not joined yet, or its membership was lost.
    Unknown,
    /// Another leads.
    Follows,
    /// It leads.
    Leads,
}

/// Membership in the group; it ends when this is dropped.
#[derive(Debug)]
pub struct Leader {
    election: Arc<Election>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Leader {
    /// Joins the group, on a thread of its own.
    ///
    /// # Errors
    /// When the settings are not accepted, or the system refuses a thread.
    pub fn join(options: &Options) -> io::Result<Self> {
        let election = Arc::new(Election::default());
        let stop = Arc::new(AtomicBool::new(false));
        let consumer: BaseConsumer<Voter> =
            config(options).create_with_context(Voter(Arc::clone(&election))).map_err(io::Error::other)?;
        consumer.subscribe(&[&options.name]).map_err(io::Error::other)?;
        let (shared, stopped) = (Arc::clone(&election), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("leader".to_owned()).spawn(move || {
            take_part(&consumer, &shared, &stopped);
            leave(&consumer, &shared);
            close(Arc::new(consumer));
        })?;
        Ok(Self { election, stop, thread: Some(thread) })
    }

    /// Where we stand now.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.election.rank()
    }

    /// Why we cannot take part any more; `None` while we can.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.election.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It is over either way.
        }
    }
}

fn config(options: &Options) -> ClientConfig {
    let mut config = options.connection.client("leader");
    config.set("group.id", &options.name).set("group.instance.id", &options.member);
    config.set("partition.assignment.strategy", "cooperative-sticky");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "latest").set("statistics.interval.ms", "0");
    if !options.connection.options.contains_key("session.timeout.ms") {
        config.set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string());
    }
    config.set("heartbeat.interval.ms", HEARTBEAT.as_millis().to_string());
    config
}

fn take_part(consumer: &BaseConsumer<Voter>, election: &Election, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        // Nothing is written to the topic; what comes are errors.
        let Some(Err(error)) = consumer.poll(TURN) else { continue };
        let is_over = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || matches!(error.rdkafka_error_code(), Some(Code::FencedInstanceId | Code::GroupAuthorizationFailed));
        if is_over {
            *election.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            return;
        }
        tracing::debug!(%error, "election");
    }
}

/// Says good-bye, so that another may lead at once. Closing alone would not: a static member counts as absent only.
fn leave(consumer: &BaseConsumer<Voter>, election: &Election) {
    consumer.unsubscribe();
    let watch = Stopwatch::start();
    let (mut quiet, had_it) = (0, election.rank() == Rank::Leads);
    // The partition is given back first, in an event, and the request to leave goes out after that.
    while watch.elapsed() < LEAVE && quiet < 3 {
        let event = consumer.poll(TURN);
        let is_done = event.is_none() && (!had_it || election.rank() != Rank::Leads);
        quiet = if is_done { quiet + 1 } else { 0 };
    }
}

/// What the group says, for those who ask.
#[derive(Debug, Default)]
struct Election {
    rank: AtomicU8,
    fault: Mutex<Option<String>>,
}

impl Election {
    fn rank(&self) -> Rank {
        match self.rank.load(Ordering::Acquire) {
            0 => Rank::Unknown,
            1 => Rank::Follows,
            _ => Rank::Leads,
        }
    }

    fn set(&self, rank: Rank) {
        self.rank.store(rank as u8, Ordering::Release);
    }
}

struct Voter(Arc<Election>);

impl ConsumerContext for Voter {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) if list.count() > 0 => self.0.set(Rank::Leads),
            // Told after each rebalance, of what is new: with nothing new the leader leads on.
            Rebalance::Assign(_) if self.0.rank() == Rank::Leads => {}
            Rebalance::Assign(_) => self.0.set(Rank::Follows),
            Rebalance::Revoke(list) if list.count() == 0 => {}
            Rebalance::Revoke(_) => self.0.set(Rank::Unknown),
            Rebalance::Error(error) => tracing::warn!("election: {error}"),
        }
    }
}

impl ClientContext for Voter {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(reason, "Kafka client: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_ours_unless_the_operator_says_otherwise() {
        let mut options =
            Options { connection: Connection::default(), name: "ns.leader".to_owned(), member: "one".to_owned() };
        let told = config(&options);
        assert_eq!(told.get("session.timeout.ms"), Some("10000"));
        assert_eq!(told.get("group.instance.id"), Some("one"));
        assert_eq!(told.get("group.id"), Some("ns.leader"));
        options.connection.options.insert("session.timeout.ms".to_owned(), "6000".to_owned());
        assert_eq!(config(&options).get("session.timeout.ms"), Some("6000"));
    }
}
