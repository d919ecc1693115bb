//! What an instance is connected by: to the broker, to the scheduler that says when it runs, and to fate.
//!
//! Each instance has a thread, but only one thread of a run moves at a time: it goes on when the scheduler says so and gives
//! the turn back at the end of an action, or in the middle of one (so a whole process may stand still between any two
//! requests, as one that was stopped or swapped out does).

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crossbeam::channel::{Receiver, Sender};

use crate::broker::Broker;
use crate::bug::Bug;
use crate::chance::Chance;

/// Longest time of an action, milliseconds.
const ACTION_MS: i64 = 60;

/// The scheduler's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// So many actions.
    Run(u64),
    /// `kill -9`.
    Die,
}

/// The instance's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// An action has ended, or waits for something.
    Turn,
    /// Its life has ended.
    Ended(Ending),
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Killed,
    /// Exit code 3.
    Fenced,
    /// It gave up for a reason that a restart mends.
    Restart(String),
    /// It should not have.
    Fault(String),
}

/// The process is no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dead;

/// How often what goes wrong: once in so many calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Odds {
    pub(crate) crash: u64,
    pub(crate) stand_still: u64,
    pub(crate) request: u64,
    pub(crate) record: u64,
}

/// An instance's connections.
pub(crate) struct Line {
    broker: Arc<Mutex<Broker>>,
    chance: Mutex<Chance>,
    odds: Odds,
    pub(crate) bug: Option<Bug>,
    /// Set for good at the end of a run: nothing goes wrong any more.
    calm: Arc<AtomicBool>,
    dead: AtomicBool,
    traces: bool,
    /// Actions until the turn is given back.
    actions_left: AtomicU64,
    go: Receiver<Go>,
    back: Sender<Back>,
}

impl Line {
    pub(crate) fn new(
        broker: Arc<Mutex<Broker>>,
        chance: Chance,
        (odds, bug): (Odds, Option<Bug>),
        calm: Arc<AtomicBool>,
        (go, back): (Receiver<Go>, Sender<Back>),
    ) -> Self {
        let traces = std::env::var_os("TIDEGATE_SIM_TRACE").is_some();
        let chance = Mutex::new(chance);
        let (dead, actions_left) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { broker, chance, odds, bug, calm, dead, traces, actions_left, go, back }
    }

    pub(crate) fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap()
    }

    pub(crate) fn chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.lock().unwrap())
    }

    /// Tells what happens, if somebody wants to know (`TIDEGATE_SIM_TRACE`).
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.traces {
            let now = self.broker().now;
            let thread = std::thread::current();
            let line = format!("{now} {}: {}\n", thread.name().unwrap_or_default(), what());
            let _ = std::io::stderr().write_all(line.as_bytes()); // Nobody may be reading.
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn dies(&self) -> Dead {
        self.tell(|| "dies".to_owned());
        self.dead.store(true, Ordering::Relaxed);
        Dead
    }

    /// Waits for the first turn.
    pub(crate) fn wait(&self) -> Result<(), Dead> {
        match self.go.recv() {
            Ok(Go::Run(actions)) => {
                self.actions_left.store(actions, Ordering::Relaxed);
                Ok(())
            }
            Ok(Go::Die) | Err(_) => Err(self.dies()),
        }
    }

    /// Ends an action; with the last of a turn gives it back and waits for the next.
    pub(crate) fn pass(&self) -> Result<(), Dead> {
        if self.is_dead() {
            return Err(Dead);
        }
        let left = self.actions_left.load(Ordering::Relaxed);
        if left > 1 {
            self.actions_left.store(left - 1, Ordering::Relaxed);
            let time = self.chance(|chance| chance.within(1, ACTION_MS));
            let mut broker = self.broker();
            let now = broker.now + time;
            broker.advance(now);
            return Ok(());
        }
        self.give_back()
    }

    fn give_back(&self) -> Result<(), Dead> {
        self.back.send(Back::Turn).map_err(|_| self.dies())?;
        self.wait()
    }

    pub(crate) fn end(&self, ending: Ending) {
        let _ = self.back.send(Back::Ended(ending)); // The scheduler may have ended first.
    }

    fn happens(&self, odds: u64) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.chance(|chance| chance.one_in(odds))
    }

    /// Between any two requests: the process may die here, or stand still.
    pub(crate) fn step(&self) -> Result<(), Dead> {
        if self.is_dead() {
            return Err(Dead);
        }
        if self.happens(self.odds.crash) {
            return Err(self.dies());
        }
        if self.happens(self.odds.stand_still) { self.give_back() } else { Ok(()) }
    }

    /// Whether this request goes wrong.
    pub(crate) fn request_fails(&self) -> bool {
        self.happens(self.odds.request)
    }

    /// Whether this record cannot be delivered.
    pub(crate) fn record_fails(&self) -> bool {
        self.happens(self.odds.record)
    }

    /// Whether a bug shows here, where it does once in so many times.
    pub(crate) fn shows(&self, bug: Bug, odds: u64) -> bool {
        self.bug == Some(bug) && self.happens(odds)
    }
}
