//! A crash changes nothing: the daemon is killed again and again, and what it leaves is what it would have left anyway.
//!
//! `TIDEGATE_KILLS` says how often; 20 unless told otherwise, so that the tests end soon.

mod flood;
mod over_file;
mod over_http;

use std::time::Duration;

use tidegate::model::time::Stopwatch;
use tidegate::pipeline::crash::Place;

use crate::daemon::{Daemon, Home};

/// Where a daemon with an embedded store may die.
const PLACES: [Place; 11] = [
    Place::EpochEnded,
    Place::EpochGathered,
    Place::EpochSent,
    Place::SqlBegun,
    Place::SqlWritten,
    Place::SqlCommitted,
    Place::Durable,
    Place::Published,
    Place::Answered,
    Place::StateRead,
    Place::Tidied,
];
/// One that does not come to its place within this time is killed where it is.
const LONGEST_LIFE: Duration = Duration::from_secs(4);

/// How often the daemon is killed.
fn kills() -> u32 {
    std::env::var("TIDEGATE_KILLS").map_or(20, |text| text.parse().expect("TIDEGATE_KILLS is a number"))
}

/// Starts the daemon and kills it, as often as asked: in turn 0.2 to 3 s after it is ready, and at a named place. The last one
/// started lives on. Says how many died at their place.
fn kill_again_and_again(home: &Home, kills: u32) -> (Daemon, Duration, u32) {
    let (mut slowest, mut at_places) = (Duration::ZERO, 0);
    let mut start = || {
        let watch = Stopwatch::start();
        let daemon = home.start();
        slowest = slowest.max(watch.elapsed());
        daemon
    };
    for round in 0..kills {
        if round % 2 == 0 {
            let daemon = start();
            std::thread::sleep(life(round));
            daemon.kill();
        } else {
            let place = PLACES[round as usize / 2 % PLACES.len()];
            let pass = if matches!(place, Place::StateRead | Place::Tidied) { 1 } else { pass(round) };
            at_places += u32::from(home.start_to_die(place, pass).die(LONGEST_LIFE));
        }
    }
    (start(), slowest, at_places)
}

/// At which pass of a place it dies: 1 to 20, scattered, the same in every run.
fn pass(round: u32) -> u64 {
    1 + u64::from(round) * 7 % 20
}

/// Time to live in a round: 0.2 to 3 s, scattered, the same in every run (multiples of the golden ratio).
fn life(round: u32) -> Duration {
    let scattered = (f64::from(round + 1) * 0.618_033_988_749_895).fract();
    Duration::from_secs_f64(0.2 + 2.8 * scattered)
}
