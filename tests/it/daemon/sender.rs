//! Senders that post alerts over several connections and repeat every request until it is answered with success.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::daemon::http::{self, Fault};

/// Where native alerts are posted.
pub(crate) const NATIVE: &str = "/api/v1/alerts";

/// How to send.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) connections: u64,
    /// Alerts of a request, each a fingerprint of its own.
    pub(crate) batch: u64,
    /// Pause between two requests of a connection.
    pub(crate) pause: Duration,
    /// Whether a request without success is sent again, or given up.
    pub(crate) repeats: bool,
}

/// What came of it. Every number counts alerts but the last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// In requests answered with success.
    pub(crate) answered: u64,
    /// In attempts that were refused with 503.
    pub(crate) refused: u64,
    /// In attempts whose connection broke: they may have been taken.
    pub(crate) broken: u64,
    /// Attempts that nobody heard.
    pub(crate) unheard: u64,
}

impl Sent {
    /// At most this many alerts may be counted twice, or without an answer.
    pub(crate) fn excess_max(&self) -> u64 {
        self.refused + self.broken
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.broken += other.broken;
        self.unheard += other.unheard;
    }
}

/// Running senders.
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Sent>>,
}

impl Senders {
    /// Starts to send to that address. The run's name makes its alerts differ from those of other runs.
    pub(crate) fn start(address: SocketAddr, run: &str, plan: Plan) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..plan.connections).map(|number| {
            let lane = Lane { address, name: format!("{run}-{number}"), plan, answered: answered.clone() };
            let stop = stop.clone();
            std::thread::Builder::new().name(format!("sender-{number}")).spawn(move || lane.run(&stop)).unwrap()
        });
        Self { threads: threads.collect(), stop, answered }
    }

    /// Alerts answered with success so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets every sender finish its request and tells what came of all.
    pub(crate) fn finish(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Sent::default();
        for thread in self.threads {
            sum.add(thread.join().unwrap());
        }
        sum
    }
}

struct Lane {
    address: SocketAddr,
    name: String,
    plan: Plan,
    answered: Arc<AtomicU64>,
}

impl Lane {
    fn run(&self, stop: &AtomicBool) -> Sent {
        let mut sent = Sent::default();
        let mut first = 0;
        while !stop.load(Ordering::Relaxed) {
            let body = self.body(first);
            first += self.plan.batch;
            while !self.attempt(&body, &mut sent) && self.plan.repeats {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(self.plan.pause);
        }
        sent
    }

    /// True if the request is answered with success.
    fn attempt(&self, body: &str, sent: &mut Sent) -> bool {
        let batch = self.plan.batch;
        match http::post(self.address, NATIVE, body.as_bytes()) {
            Ok(answer) if answer.status == 200 => {
                assert!(answer.body.contains(&format!("\"accepted\":{batch}")), "{}", answer.body);
                sent.answered += batch;
                self.answered.fetch_add(batch, Ordering::Relaxed);
                return true;
            }
            Ok(answer) if answer.status == 503 => sent.refused += batch,
            Ok(answer) => panic!("{}: {}", answer.status, answer.body),
            Err(Fault::Broken) => sent.broken += batch,
            Err(Fault::NotHeard) => sent.unheard += 1,
        }
        false
    }

    /// Alerts of seven services; each has a test id that no other has, in its labels and so in its identity.
    fn body(&self, first: u64) -> String {
        let alert = |number: u64| {
            let (service, name) = (number % 7, &self.name);
            format!(
                r#"{{"labels":{{"alertname":"Slow","service":"shop-{service}","test_id":"{name}-{number}"}},"status":"firing"}}"#
            )
        };
        let alerts: Vec<String> = (first..first + self.plan.batch).map(alert).collect();
        format!("[{}]", alerts.join(","))
    }
}
