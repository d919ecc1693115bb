//! A run: time, the broker, one to four instances, and a scheduler that lets one of them move at a time.
//!
//! The first part is trouble: crashes, processes that stand still and wake, requests that get lost, doubled or late, two
//! instances at once. The second is calm, until everything must have been read, committed and told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use tidegate::metrics::Metrics;
use tidegate::model::time::Millis;

use crate::broker::Broker;
use crate::bug::Bug;
use crate::chance::Chance;
use crate::check;
use crate::client::{DEAD_LETTERS, INCIDENTS, STATE};
use crate::instance::live;
use crate::line::{Back, Ending, Go, Line, Odds};
use crate::workload::{ALERTS, Workload};

/// Time starts here: 2023-11-14, in milliseconds.
const BEGIN: i64 = 1_700_000_000_000;
/// Turns of the troubled part, of so many actions each, and how often something is sent in it.
const TURNS: u64 = 240;
const ACTIONS: i64 = 6;
const RECORDS: u64 = 100;
/// Turns after which calm must have ended everything (I8).
const TURNS_OF_CALM: u64 = 20_000;
/// After the last record, time moves on by this until nothing is left to tell.
const LAST_WORDS: i64 = 70_000;
const PARTITIONS_OF_INCIDENTS: usize = 2;

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Story {
    pub(crate) alerts: u64,
    pub(crate) incidents: u64,
    pub(crate) epochs: u64,
    pub(crate) kills: u64,
    pub(crate) fenced: u64,
    pub(crate) stops: u64,
    pub(crate) lives: u64,
    /// Milliseconds of simulated time.
    pub(crate) time: i64,
}

struct Process {
    go: Sender<Go>,
    back: Receiver<Back>,
    thread: JoinHandle<()>,
    /// Stands still until then, as after SIGSTOP.
    still_until: i64,
}

struct World {
    broker: Arc<Mutex<Broker>>,
    calm: Arc<AtomicBool>,
    chance: Chance,
    seed: u64,
    bug: Option<Bug>,
    odds: Odds,
    workload: Workload,
    processes: Vec<Option<Process>>,
    /// When a process that is down may start again.
    down_until: Vec<i64>,
    metrics: Metrics,
    story: Story,
}

/// Runs a seed.
///
/// # Errors
/// What was seen broken.
pub(crate) fn run(seed: u64, bug: Option<Bug>, metrics: &Metrics) -> Result<Story, String> {
    let mut world = World::new(seed, bug, metrics);
    let outcome = world.trouble().and_then(|()| world.calm());
    world.end();
    outcome?;
    let broker = world.broker.lock().unwrap();
    let mut story = world.story;
    (story.incidents, story.epochs) = check::check(&broker, &world.workload)?;
    story.time = broker.now - BEGIN;
    Ok(story)
}

impl World {
    fn new(seed: u64, bug: Option<Bug>, metrics: &Metrics) -> Self {
        let mut chance = Chance::new(seed, 0);
        let workload = Workload::new(&mut chance);
        let mut broker = Broker::default();
        broker.advance(BEGIN);
        broker.never_fences = bug == Some(Bug::NoFence);
        broker.create(ALERTS, workload.partitions);
        broker.create(STATE, 1);
        broker.create(INCIDENTS, PARTITIONS_OF_INCIDENTS);
        broker.create(DEAD_LETTERS, 1);
        let odds = Odds {
            crash: *chance.pick(&[0, 60, 200, 1_000]),
            stand_still: *chance.pick(&[0, 20, 100]),
            request: *chance.pick(&[0, 10, 40, 200]),
            record: *chance.pick(&[0, 40, 200]),
        };
        let n = chance.within(1, 4) as usize;
        Self {
            broker: Arc::new(Mutex::new(broker)),
            calm: Arc::default(),
            chance,
            seed,
            bug,
            odds,
            workload,
            processes: (0..n).map(|_| None).collect(),
            down_until: vec![0; n],
            metrics: metrics.clone(),
            story: Story::default(),
        }
    }

    fn now(&self) -> i64 {
        self.broker.lock().unwrap().now
    }

    /// Time moves on, and sometimes something is sent.
    fn pass_time(&mut self, sends: bool) {
        let step = match self.chance.below(100) {
            0..=79 => self.chance.within(1, 60),
            80..=97 => self.chance.within(60, 1_500),
            _ => self.chance.within(1_500, 40_000),
        };
        let mut broker = self.broker.lock().unwrap();
        let now = broker.now + step;
        broker.advance(now);
        if sends {
            for _ in 0..self.chance.below(4) {
                self.workload.append(&mut broker, &mut self.chance);
                self.story.alerts += 1;
            }
        }
    }

    fn trouble(&mut self) -> Result<(), String> {
        for turn in 0..TURNS {
            let sends = turn * RECORDS / TURNS != (turn + 1) * RECORDS / TURNS;
            self.pass_time(sends);
            let n = self.chance.below(self.processes.len() as u64) as usize;
            self.harm(n);
            self.start_what_may_start();
            self.turn(n)?;
        }
        Ok(())
    }

    /// `kill -9`, or a stop that ends after up to two minutes.
    fn harm(&mut self, n: usize) {
        if self.chance.one_in(40) && self.processes[n].is_some() {
            self.kill(n);
        }
        let now = self.now();
        if self.chance.one_in(25)
            && let Some(process) = &mut self.processes[n]
        {
            process.still_until = now + self.chance.within(100, 120_000);
            self.story.stops += 1;
        }
    }

    /// Somebody starts when nobody moves; now and then by mistake, beside another.
    fn start_what_may_start(&mut self) {
        let now = self.now();
        let moves = |process: &Option<Process>| process.as_ref().is_some_and(|process| process.still_until <= now);
        let is_alone = !self.processes.iter().any(moves);
        let may: Vec<usize> =
            (0..self.processes.len()).filter(|n| self.processes[*n].is_none() && self.down_until[*n] <= now).collect();
        if !may.is_empty() && (is_alone || self.chance.one_in(60)) {
            let n = *self.chance.pick(&may);
            self.start(n);
        }
    }

    fn start(&mut self, n: usize) {
        let (go, told) = bounded(1);
        let (answer, back) = bounded(1);
        self.story.lives += 1;
        let life = self.story.lives;
        let chance = Chance::new(self.seed, 1_000 + life);
        let (broker, calm) = (Arc::clone(&self.broker), Arc::clone(&self.calm));
        let line = Arc::new(Line::new(broker, chance, (self.odds, self.bug), calm, (told, answer)));
        let shards = self.chance.within(1, 3) as usize;
        let wait = Millis(*self.chance.pick(&[0, 2_000]));
        let options = Arc::new(self.workload.options(shards, wait));
        let (partitions, metrics) = (self.workload.partitions, self.metrics.clone());
        let name = format!("instance-{n}-{life}");
        let body = {
            let name = name.clone();
            move || line.end(live(&line, name, options, partitions, metrics))
        };
        let thread = std::thread::Builder::new().name(name).spawn(body).expect("a test may start threads");
        self.processes[n] = Some(Process { go, back, thread, still_until: 0 });
    }

    fn kill(&mut self, n: usize) {
        if let Some(process) = self.processes[n].take() {
            let _ = process.go.send(Go::Die); // It may have panicked, which `join` tells.
            while let Ok(Back::Turn) = process.back.recv() {}
            let _ = process.thread.join();
            self.story.kills += 1;
            self.down_until[n] = self.now() + self.chance.within(10, 20_000);
        }
    }

    /// Lets an instance go on until it gives the turn back.
    fn turn(&mut self, n: usize) -> Result<(), String> {
        let now = self.now();
        let Some(process) = self.processes[n].as_ref().filter(|process| process.still_until <= now) else {
            return Ok(());
        };
        let actions = self.chance.within(1, ACTIONS) as u64;
        let ending = match process.go.send(Go::Run(actions)).ok().and_then(|()| process.back.recv().ok()) {
            Some(Back::Turn) => return Ok(()),
            Some(Back::Ended(ending)) => ending,
            None => Ending::Fault("I9: it panicked".to_owned()),
        };
        if let Some(process) = self.processes[n].take() {
            let _ = process.thread.join();
        }
        self.down_until[n] = now + self.chance.within(10, 5_000);
        match ending {
            Ending::Fault(reason) => return Err(reason),
            Ending::Fenced => {
                self.story.fenced += 1;
                self.down_until[n] = now + self.chance.within(5_000, 60_000); // A person starts it again.
            }
            Ending::Killed => self.story.kills += 1,
            Ending::Restart(_) => {}
        }
        Ok(())
    }

    /// Nothing goes wrong any more: everything must end well, and soon.
    fn calm(&mut self) -> Result<(), String> {
        self.calm.store(true, Ordering::Relaxed);
        let now = self.now();
        // Whoever stood still wakes up now, as a zombie.
        self.processes.iter_mut().flatten().for_each(|process| process.still_until = now);
        let mut last_words = 6;
        for _ in 0..TURNS_OF_CALM {
            self.pass_time(false);
            let n = self.chance.below(self.processes.len() as u64) as usize;
            self.start_what_may_start();
            self.turn(n)?;
            if !self.has_read_all() {
                continue;
            }
            if last_words == 0 {
                return Ok(());
            }
            last_words -= 1;
            let mut broker = self.broker.lock().unwrap();
            let now = broker.now + LAST_WORDS;
            broker.advance(now);
            drop(broker);
            for _ in 0..12 {
                self.pass_time(false);
                self.start_what_may_start();
                (0..self.processes.len()).try_for_each(|n| self.turn(n))?;
            }
        }
        let broker = self.broker.lock().unwrap();
        Err(format!("I8: not all was read and committed in the end: {:?}", broker.group))
    }

    fn has_read_all(&self) -> bool {
        let broker = self.broker.lock().unwrap();
        (0..self.workload.partitions as i32).all(|n| {
            let end = broker.partition(ALERTS, n).records.len() as u64;
            end == 0 || broker.group.get(&(ALERTS.to_owned(), n)) == Some(&end)
        })
    }

    fn end(&mut self) {
        let kills = self.story.kills;
        (0..self.processes.len()).for_each(|n| self.kill(n));
        self.story.kills = kills;
    }
}
