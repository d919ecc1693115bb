//! The way out over HTTP: batches over a few connections, each with a thread of its own.
//!
//! All alerts of a group go over the same connection, one request after the other, so a resolve never overtakes
//! its alert. A request that is not answered is sent again: at least once, and what may be doubled is counted.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crossbeam::channel::{Receiver, Sender, bounded};
use reqwest::blocking::{Client, Response};
use reqwest::{StatusCode, Url, header};

use crate::cli::client;
use crate::cli::storm::outlet::{Delivery, Outlet, Parcel};
use crate::model::time::Stopwatch;

/// Batches that wait per connection: one is sent, one is ready, one is being filled.
const WAITING_MAX: usize = 1;
/// Longer than the receiver takes for its slowest epoch.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How much of a refusal is worth showing.
const REASON_CHARS_MAX: usize = 200;

/// How to send over HTTP.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The intake.
    pub url: Url,
    /// Alerts per request.
    pub batch: u32,
    /// Connections, and threads.
    pub connections: u32,
    /// After this long, a request that does not get through is given up, and the flood with it.
    pub patience: Duration,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
}

/// The connections of a flood.
#[derive(Debug)]
pub(crate) struct Connections {
    lanes: Vec<Lane>,
    batch: u32,
}

/// One connection and the batch that is being filled for it.
#[derive(Debug)]
struct Lane {
    batch: Batch,
    queue: Sender<Batch>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Batch {
    body: Vec<u8>,
    alerts: u32,
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

struct Worker {
    client: Client,
    options: HttpOptions,
    delivery: Delivery,
}

impl Connections {
    pub(crate) fn open(options: HttpOptions, delivery: &Delivery) -> Result<Self> {
        let client = client(&options.url, options.connections as usize)?;
        let batch = options.batch;
        let lane = |number: u32| {
            let (queue, batches) = bounded(WAITING_MAX);
            let worker = Worker { client: client.clone(), options: options.clone(), delivery: delivery.clone() };
            let thread = std::thread::Builder::new()
                .name(format!("storm-http-{number}"))
                .spawn(move || worker.run(&batches))
                .context("start a thread")?;
            Ok(Lane { batch: Batch::default(), queue, thread })
        };
        Ok(Self { lanes: (0..options.connections.max(1)).map(lane).collect::<Result<_>>()?, batch })
    }
}

/// A client for the receiver at this address.
pub(crate) fn client(url: &Url, connections: usize) -> Result<Client> {
    let builder = client::builder(url).timeout(REQUEST_TIMEOUT).pool_max_idle_per_host(connections);
    builder.build().context("prepare the HTTP client")
}

impl Outlet for Connections {
    fn push(&mut self, parcel: Parcel<'_>) -> Result<()> {
        let lanes = self.lanes.len();
        let lane = &mut self.lanes[parcel.group as usize % lanes];
        lane.batch.add(parcel.json);
        if lane.batch.alerts >= self.batch { lane.pass_on() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.lanes.iter_mut().try_for_each(Lane::pass_on)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.flush()?;
        for Lane { queue, thread, .. } in self.lanes {
            drop(queue);
            if thread.join().is_err() {
                bail!("a sending thread has failed");
            }
        }
        Ok(())
    }
}

impl Lane {
    fn pass_on(&mut self) -> Result<()> {
        if self.batch.alerts == 0 {
            return Ok(());
        }
        let capacity = self.batch.body.len() + 1_024;
        let next = Batch { body: Vec::with_capacity(capacity), alerts: 0 };
        let mut full = std::mem::replace(&mut self.batch, next);
        full.body.push(b']');
        self.queue.send(full).ok().context("a sending thread has failed")
    }
}

impl Batch {
    fn add(&mut self, json: &[u8]) {
        self.body.push(if self.alerts == 0 { b'[' } else { b',' });
        self.body.extend_from_slice(json);
        self.alerts += 1;
    }
}

impl Worker {
    fn run(&self, batches: &Receiver<Batch>) {
        for Batch { body, alerts } in batches {
            let alerts = u64::from(alerts);
            match self.deliver(&body, alerts) {
                Ok(()) => self.delivery.sent(alerts),
                Err(error) => self.delivery.failed(alerts, &error),
            }
        }
    }

    /// Sends until it is taken, refused for good, or patience ends; then the whole flood is given up.
    fn deliver(&self, body: &[u8], alerts: u64) -> Result<()> {
        let started = Stopwatch::start();
        let mut backoff = BACKOFF_MIN;
        loop {
            if self.delivery.gave_up() {
                bail!("given up");
            }
            let asked = Stopwatch::start();
            let (reason, maybe_taken, pause) = match self.attempt(body) {
                Attempt::Taken => {
                    self.delivery.answered(asked.elapsed());
                    return Ok(());
                }
                Attempt::Refused(reason) => bail!(reason),
                Attempt::Again { reason, maybe_taken, pause } => (reason, maybe_taken, pause),
            };
            let pause = pause.unwrap_or(backoff);
            if started.elapsed() + pause > self.options.patience {
                self.delivery.give_up();
                bail!(reason);
            }
            std::thread::sleep(pause);
            backoff = (backoff * 2).min(BACKOFF_MAX);
            self.delivery.retried(if maybe_taken { alerts } else { 0 });
        }
    }

    fn attempt(&self, body: &[u8]) -> Attempt {
        let request = self.client.post(self.options.url.clone()).header(header::CONTENT_TYPE, "application/json");
        let request = match &self.options.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        match request.body(body.to_vec()).send() {
            Ok(response) => judge(response),
            Err(error) => Attempt::Again {
                // Without a connection nothing can have arrived.
                maybe_taken: !error.is_connect(),
                reason: format!("{:#}", anyhow::Error::new(error)),
                pause: None,
            },
        }
    }
}

/// 2xx is taken; overload and faults of the receiver are worth another attempt; the rest is refused for good.
fn judge(response: Response) -> Attempt {
    let status = response.status();
    if status.is_success() {
        return Attempt::Taken;
    }
    let pause = retry_after(&response);
    let text: String = response.text().unwrap_or_default().trim().chars().take(REASON_CHARS_MAX).collect();
    let reason = format!("answered {status} {text}");
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Attempt::Again { reason, maybe_taken: true, pause };
    }
    Attempt::Refused(reason)
}

/// The pause in seconds that the receiver asks for. Dates are not understood, the own back-off is used then.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
