//! A crash changes nothing: the daemon is killed again and again, and what it leaves is what it would have left anyway.
//!
//! `TIDEGATE_KILLS` says how often; 4 unless told otherwise, so that the tests end soon.

mod flood;
mod over_file;
mod over_http;

use std::time::Duration;

use tidegate::model::time::Stopwatch;

use crate::daemon::{Daemon, Home};

/// How often the daemon is killed.
fn kills() -> u32 {
    std::env::var("TIDEGATE_KILLS").map_or(4, |text| text.parse().expect("TIDEGATE_KILLS is a number"))
}

/// Starts the daemon, kills it 0.2 to 3 s after it is ready, as often as asked; the last one started lives on.
fn kill_again_and_again(home: &Home, kills: u32) -> (Daemon, Duration) {
    let mut slowest = Duration::ZERO;
    let mut start = || {
        let watch = Stopwatch::start();
        let daemon = home.start();
        slowest = slowest.max(watch.elapsed());
        daemon
    };
    for round in 0..kills {
        let daemon = start();
        std::thread::sleep(life(round));
        daemon.kill();
    }
    (start(), slowest)
}

/// Time to live in a round: 0.2 to 3 s, scattered, the same in every run (multiples of the golden ratio).
fn life(round: u32) -> Duration {
    let scattered = (f64::from(round + 1) * 0.618_033_988_749_895).fract();
    Duration::from_secs_f64(0.2 + 2.8 * scattered)
}
