//! A file that grows by 20,000 alerts a second while somebody follows it; with damaged lines in between.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate::model::time::{Clock as _, Stopwatch, SystemClock};
use tidegate::storm::{Flood, FloodOptions, Shape};

/// Lines per second.
const RATE: u64 = 20_000;
/// Lines of one flood, before the next begins with another shape and seed.
const FLOOD_LINES: u32 = 30_000;
/// Every so many lines one is damaged.
const DAMAGED_EVERY: u64 = 997;
/// Time between two writes.
const WRITE_EVERY: Duration = Duration::from_millis(5);
/// What is kept for the next write, so that most writes end within a line.
const KEPT_BYTES: usize = 100;

const SHAPES: [Shape; 5] = [Shape::TicketStorm, Shape::Cascade, Shape::Corpus, Shape::ResolveFlood, Shape::AllDistinct];

/// The writer of the file.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) lines: u64,
    pub(super) damaged: u64,
    pub(super) elapsed: Duration,
}

impl Writer {
    /// Begins to write.
    pub(super) fn start(path: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, file) = (stop.clone(), File::create(path).unwrap());
        let thread = std::thread::Builder::new().name("writer".to_owned());
        Self { stop, thread: thread.spawn(move || write(file, &stopped)).unwrap() }
    }

    /// Ends the file with a whole line.
    pub(super) fn finish(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn write(mut file: File, stop: &AtomicBool) -> Written {
    let watch = Stopwatch::start();
    let mut alerts = Alerts { seed: 0, flood: None };
    let (mut lines, mut damaged, mut bytes) = (0, 0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let due = (watch.elapsed().as_secs_f64() * RATE as f64) as u64;
        while lines < due {
            lines += 1;
            if lines % DAMAGED_EVERY == 0 {
                damaged += 1;
                bytes.extend_from_slice(br#"{"labels":{"alertname":"Cut"#);
            } else {
                alerts.push_next(&mut bytes);
            }
            bytes.push(b'\n');
        }
        let rest = bytes.split_off(bytes.len().saturating_sub(KEPT_BYTES));
        file.write_all(&bytes).unwrap();
        bytes = rest;
        std::thread::sleep(WRITE_EVERY);
    }
    file.write_all(&bytes).unwrap();
    Written { lines, damaged, elapsed: watch.elapsed() }
}

/// Floods of all shapes, one after the other.
struct Alerts {
    seed: u64,
    flood: Option<Flood>,
}

impl Alerts {
    /// Appends the next alert, received now.
    fn push_next(&mut self, bytes: &mut Vec<u8>) {
        let now = SystemClock.now();
        let written = self.flood.as_mut().and_then(|flood| flood.next_into(bytes));
        if written.is_none() {
            let shape = SHAPES[(self.seed % SHAPES.len() as u64) as usize];
            self.seed += 1;
            let (seed, alerts, rate) = (self.seed, FLOOD_LINES, RATE as f64);
            let mut flood = Flood::new(FloodOptions { shape, seed, alerts, start: now, rate, received_at: false });
            flood.next_into(bytes).expect("a new flood has alerts");
            self.flood = Some(flood);
        }
        assert_eq!(bytes.pop(), Some(b'}'));
        write!(bytes, ",\"receivedAt\":\"{now}\"}}").expect("a vector takes every byte");
    }
}
