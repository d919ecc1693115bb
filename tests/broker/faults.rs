//! Brokers that go and come back, coordinators that move, a daemon that stands still: what it tells is what it would have told
//! in peace, and it goes on.
//!
//! Three brokers with three copies of everything. `TIDEGATE_FAULTS` says how many faults (20), `TIDEGATE_FAULT_RATE` how many
//! alerts a second come meanwhile (5,000), `TIDEGATE_FAULT_SECONDS` how long a fault lasts at most (5) where that is
//! a matter of choice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::model::time::Stopwatch;

use crate::Test;
use crate::cluster::Cluster;
use crate::coordinators::Coordinated::{self, Offsets, Transactions};
use crate::coordinators::{Coordinator, until_whole};
use crate::end_to_end::{Daemon, setting};
use crate::flood::{Flood, spread};
use crate::node::{Kind, Node};

pub const TESTS: [Test; 1] = [("faults::change_nothing", faults_change_nothing)];

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Another broker becomes the coordinator.
    Moves(Coordinated),
    /// The broker that coordinates is stopped in order and started again.
    Restarts(Coordinated),
    /// It is killed and started again.
    Dies(Coordinated),
    /// It stands still for longer than the others wait for it, and wakes.
    Freezes(Coordinated),
    /// The daemon stands still, and wakes.
    Sleeps,
    /// It stands still, a second one takes over, and it wakes.
    SleepsThroughTakeOver,
}

/// One after the other, and then from the beginning.
const FAULTS: [Fault; 10] = [
    Fault::Moves(Transactions),
    Fault::Sleeps,
    Fault::Restarts(Transactions),
    Fault::SleepsThroughTakeOver,
    Fault::Dies(Offsets),
    Fault::Moves(Offsets),
    Fault::Freezes(Transactions),
    Fault::Sleeps,
    Fault::Dies(Transactions),
    Fault::Restarts(Offsets),
];
/// The shortest fault.
const SHORTEST: Duration = Duration::from_millis(200);
/// A broker that is not heard of for 3 s loses what it leads.
const UNTIL_GIVEN_UP: Duration = Duration::from_millis(3_500);
/// How long the daemon may take to go on: whatever happened, a minute later nothing shows any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a storm lasts: over all its groups, with what they open, resolve and reopen; then another begins.
const STORM_SECONDS: u64 = 30;

/// The daemon that works, and where the next one will live.
struct Scene<'a> {
    config: &'a Path,
    coordinators: [Coordinator<'a>; 2],
    flood: Flood<'a>,
    daemon: Daemon,
    home: PathBuf,
    next_home: PathBuf,
    longest: Duration,
}

impl Scene<'_> {
    fn coordinator(&self, what: Coordinated) -> &Coordinator<'_> {
        &self.coordinators[what as usize]
    }

    fn suffer(&mut self, fault: Fault, n: u64) {
        let long = SHORTEST + self.longest.saturating_sub(SHORTEST).mul_f64(spread(n));
        match fault {
            Fault::Moves(what) => self.coordinator(what).move_on(),
            Fault::Restarts(what) => away(self.coordinator(what).node(), Node::stop, long / 2),
            Fault::Dies(what) => away(self.coordinator(what).node(), Node::kill, long / 2),
            Fault::Freezes(what) => {
                let node = self.coordinator(what).node();
                node.signal("STOP");
                std::thread::sleep(UNTIL_GIVEN_UP + long / 2);
                node.signal("CONT");
            }
            Fault::Sleeps => {
                self.daemon.signal("STOP");
                std::thread::sleep(long);
                self.daemon.signal("CONT");
            }
            Fault::SleepsThroughTakeOver => {
                self.daemon.signal("STOP");
                std::mem::swap(&mut self.home, &mut self.next_home);
                let second = Daemon::start(self.config, &self.home);
                let first = std::mem::replace(&mut self.daemon, second);
                self.until_it_goes_on();
                std::thread::sleep(long / 2);
                first.signal("CONT");
                assert_eq!(first.ended(PATIENCE), 3, "whoever was overtaken ends with 3");
            }
        }
    }

    /// Waits for more to become durable; how long that took.
    fn until_it_goes_on(&mut self) -> Duration {
        let watch = Stopwatch::start();
        let before = self.daemon.metric("tidegate_alerts_received_total");
        let Self { daemon, flood, .. } = self;
        daemon.until("going on", PATIENCE, |daemon| {
            flood.keep_up();
            daemon.metric("tidegate_alerts_received_total") > before
        });
        watch.elapsed()
    }
}

/// A broker is gone for a while.
fn away(node: &Node, go: fn(&Node), long: Duration) {
    go(node);
    std::thread::sleep(long);
    node.start();
}

/// Nothing in the log but what must be: each that was overtaken says so, once.
fn assert_calm(homes: &[PathBuf], n_overtaken: usize) {
    // Where nothing was overtaken, nobody lived in the second home.
    let log = |home: &PathBuf| std::fs::read_to_string(home.join("daemon.log")).unwrap_or_default();
    let logs: String = homes.iter().map(log).collect();
    assert!(logs.contains("takes alerts on"), "{logs}");
    let errors: Vec<&str> = logs.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked")).collect();
    let overtaken = errors.iter().filter(|line| line.contains("another instance has taken over")).count();
    assert_eq!((overtaken, errors.len()), (n_overtaken, n_overtaken), "{errors:#?}");
}

fn faults_change_nothing(_: &Cluster) {
    let (n_faults, rate) = (setting("TIDEGATE_FAULTS", 20), setting("TIDEGATE_FAULT_RATE", 5_000));
    let seconds = setting("TIDEGATE_FAULT_SECONDS", 5);
    let cluster = Cluster::start(Kind::Three).unwrap();
    let flood = Flood::start(&cluster, "fault", rate, STORM_SECONDS);
    let namespace = cluster.name("troubled");
    let config = flood.configure(&namespace);
    let homes = ["first", "second"].map(|name| flood.folder().join(name));
    homes.iter().for_each(|home| std::fs::create_dir(home).unwrap());
    let daemon = Daemon::start(&config, &homes[0]);
    let coordinators = [Transactions, Offsets].map(|what| Coordinator::of(&cluster, what, &namespace));
    let [home, next_home] = homes.clone();
    let longest = Duration::from_secs(seconds);
    let mut scene = Scene { config: &config, coordinators, flood, daemon, home, next_home, longest };
    scene.until_it_goes_on();
    until_whole(&cluster);
    let (watch, mut worst) = (Stopwatch::start(), Duration::ZERO);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for n in 0..n_faults {
        let fault = FAULTS[n as usize % FAULTS.len()];
        let begun = Stopwatch::start();
        scene.suffer(fault, n);
        let suffered = begun.elapsed();
        let went_on = scene.until_it_goes_on();
        until_whole(&cluster);
        worst = worst.max(went_on);
        println!("  {fault:?}: {suffered:.1?}, going on after {went_on:.1?}, whole after {:.1?}", begun.elapsed());
        *counts.entry(format!("{fault:?}")).or_insert(0) += 1;
    }
    let suffering = watch.elapsed();
    let Scene { daemon, mut flood, .. } = scene;
    let alerts = flood.cut();
    daemon.finish(alerts);
    let n_incidents = flood.assert_as_in_peace(&namespace, alerts);
    println!("  {n_faults} faults in {suffering:.0?}, {alerts} alerts: {counts:?}");
    println!(
        "  {n_incidents} incidents, equal to an undisturbed run; going on within {worst:.1?} of the end of a fault"
    );
    assert_calm(&homes, counts.get("SleepsThroughTakeOver").copied().unwrap_or(0) as usize);
}
