//! What sends the batches of one connection: one after the other, again if need be, until patience ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use hyper::StatusCode;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use crate::cli::storm::delivery::Delivery;
use crate::cli::storm::http::link::{Answer, Fault, Link, Way};
use crate::cli::storm::http::{Batch, Pool};
use crate::model::time::Stopwatch;

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Sends the batches of one connection.
pub(super) struct Worker {
    link: Link,
    patience: Duration,
    delivery: Delivery,
    pool: Pool,
}

/// What an attempt came to.
enum Attempt {
    Taken,
    Refused(String),
    /// Worth another attempt, after the pause that the receiver asks for.
    Again {
        reason: String,
        maybe_taken: bool,
        pause: Option<Duration>,
    },
}

/// Runs all connections until their queues hang up.
pub(super) async fn run(workers: Vec<(Worker, Receiver<Batch>)>) {
    let mut lanes = JoinSet::new();
    for (worker, batches) in workers {
        lanes.spawn(worker.run(batches));
    }
    // A lane that panics takes its queue with it: the generator then meets a queue that hung up.
    while lanes.join_next().await.is_some() {}
}

impl Worker {
    pub(super) fn new(way: &Arc<Way>, patience: Duration, delivery: &Delivery, pool: &Pool) -> Self {
        Self { link: Link::new(way), patience, delivery: delivery.clone(), pool: pool.clone() }
    }

    async fn run(mut self, mut batches: Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            let alerts = u64::from(batch.alerts);
            match self.deliver(batch).await {
                Ok(()) => self.delivery.sent(alerts),
                Err(error) => self.delivery.failed(alerts, &error),
            }
        }
    }

    /// Sends until it is taken, refused for good, or patience ends; then the whole flood is given up.
    async fn deliver(&mut self, batch: Batch) -> Result<()> {
        let Batch { body, alerts, dues } = batch;
        let body = self.pool.send(body);
        let started = Stopwatch::start();
        let since = self.delivery.clock().elapsed();
        let mut backoff = BACKOFF_MIN;
        loop {
            if self.delivery.gave_up() {
                bail!("given up");
            }
            let (reason, maybe_taken, pause) = match judge(self.link.post(body.clone()).await) {
                Attempt::Taken => {
                    let first_attempt = dues.is_empty().then(|| std::iter::repeat_n(since, alerts as usize));
                    self.delivery.answered(dues.into_iter().chain(first_attempt.into_iter().flatten()));
                    return Ok(());
                }
                Attempt::Refused(reason) => bail!(reason),
                Attempt::Again { reason, maybe_taken, pause } => (reason, maybe_taken, pause),
            };
            let pause = pause.unwrap_or(backoff);
            if started.elapsed() + pause > self.patience {
                self.delivery.give_up();
                bail!(reason);
            }
            tokio::time::sleep(pause).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            self.delivery.retried(if maybe_taken { u64::from(alerts) } else { 0 });
        }
    }
}

/// 2xx is taken; overload and faults of the receiver are worth another attempt; the rest is refused for good.
fn judge(answer: Result<Answer, Fault>) -> Attempt {
    let Answer { status, retry_after, text } = match answer {
        Ok(answer) => answer,
        Err(fault) => {
            return Attempt::Again { reason: fault.reason, maybe_taken: fault.maybe_arrived, pause: None };
        }
    };
    if status.is_success() {
        return Attempt::Taken;
    }
    let reason = format!("answered {status} {text}");
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Attempt::Again { reason, maybe_taken: true, pause: retry_after };
    }
    Attempt::Refused(reason)
}
