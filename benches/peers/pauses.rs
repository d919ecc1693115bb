//! What the machine itself takes: threads that do nothing but look at the clock, and how long an alert would have waited for one.
//!
//! No program on this machine answers faster than these figures, however it is written: what interrupts a thread here (the
//! kernel, the host, other processes) interrupts the engine's threads, too.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tidegate::model::time::Stopwatch;

use crate::latency::{histogram, quantiles, record};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long, in seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How many threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Imagined alerts per second and thread
    #[arg(long, default_value_t = 100_000.0)]
    rate: f64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let clock = Stopwatch::start();
    let until = clock.elapsed() + Duration::from_secs_f64(args.seconds);
    let pauses = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads).map(|_| scope.spawn(move || watch(clock, until, args.rate))).collect();
        threads.into_iter().map(|thread| thread.join().ok().context("a thread has ended")).collect::<Result<Vec<_>>>()
    })?;
    let (mut all, mut n_alerts) = (histogram()?, 0);
    for (waits, n) in pauses {
        n_alerts += n;
        waits.iter().for_each(|wait| record(&mut all, *wait));
    }
    // Who found the thread at work waited for nothing.
    all.record_n(1, n_alerts - all.len())?;
    let told = serde_json::json!({
        "what": "pauses", "threads": args.threads, "rate": args.rate, "alerts": n_alerts, "seconds": args.seconds,
        "latency": quantiles(&all),
    });
    println!("{told}");
    Ok(())
}

/// How long alerts due at an even rate would have waited for this thread, none that did not, and how many there were.
fn watch(clock: Stopwatch, until: Duration, rate: f64) -> (Vec<Duration>, u64) {
    let (mut waits, mut last, mut n) = (Vec::new(), clock.elapsed(), 0_u64);
    let begin = last;
    while last < until {
        let now = clock.elapsed();
        let n_due = ((now - begin).as_secs_f64() * rate) as u64;
        for alert in n..n_due {
            let wait = now.saturating_sub(begin + Duration::from_secs_f64(alert as f64 / rate));
            if wait > Duration::from_micros(1) {
                waits.push(wait);
            }
        }
        (n, last) = (n_due, now);
    }
    (waits, n)
}
