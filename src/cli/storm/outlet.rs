//! The way out of a flood: one trait for files, HTTP and Kafka, and the loop that sends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::cli::storm::delivery::Delivery;
use crate::cli::storm::pace::{Pacer, nap};
use crate::storm::Flood;

/// How many alerts pass between two looks at the clock where nothing is paced.
const LOOK_EVERY: u64 = 64;
/// How many delays are gathered before they are counted.
const LATES: usize = 1_024;

/// One alert on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The true group's number: alerts of one group must stay in order.
    pub group: u32,
    /// The true group's name, `cluster/service` or `cluster/alertname`.
    pub key: &'a str,
    /// One line, without a line feed.
    pub json: &'a [u8],
    /// When it is due, by the delivery's clock; `None` where alerts go as fast as possible.
    pub due: Option<Duration>,
}

/// Takes alerts to where they shall go. What has arrived is told to its [`Delivery`].
pub trait Outlet {
    /// Takes one alert; blocks while the receiver is slow and as much waits as may.
    ///
    /// # Errors
    /// When nothing further can be sent.
    fn push(&mut self, parcel: Parcel<'_>) -> Result<()>;

    /// Passes on what has waited for company for long enough, without waiting for an answer. `now` is by the delivery's
    /// clock.
    ///
    /// # Errors
    /// When nothing further can be sent.
    fn flush(&mut self, now: Duration) -> Result<()>;

    /// Passes on the rest and waits until all is answered.
    ///
    /// # Errors
    /// When the rest cannot be sent.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// When the first alert of each group was due (or made, where nothing is due): it opens the group's incident.
#[derive(Debug, Clone, Default)]
pub struct Openings(Arc<Mutex<Vec<(String, Duration)>>>);

impl Openings {
    fn add(&self, group: &str, due: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((group.to_owned(), due));
    }

    /// Those since the last time this was asked, by the group's name.
    #[must_use]
    pub fn take(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends the whole flood at its pace, and returns when everything is answered or given up.
///
/// # Errors
/// When the outlet can send nothing further.
pub fn send(
    flood: &mut Flood,
    mut outlet: Box<dyn Outlet>,
    pacer: &mut Pacer,
    delivery: &Delivery,
    openings: &Openings,
) -> Result<()> {
    let mut keys: Vec<String> = Vec::new();
    let mut heard: Vec<bool> = Vec::new();
    let mut line = Vec::with_capacity(1_024);
    let mut lates = Vec::with_capacity(LATES);
    let mut now = pacer.now();
    let mut n_made = 0;
    while let Some(truth) = flood.next_into(&mut line) {
        let due = pacer.next_due();
        if due.map_or(n_made % LOOK_EVERY == 0, |due| due > now) {
            now = pacer.now();
        }
        while let Some(pause) = due.and_then(|due| nap(due, now)).filter(|_| !delivery.gave_up()) {
            outlet.flush(now)?;
            std::thread::sleep(pause);
            now = pacer.now();
        }
        if delivery.gave_up() {
            break;
        }
        for group in keys.len() as u32..=truth.group {
            keys.push(flood.group_name(group));
            heard.push(false);
        }
        if !std::mem::replace(&mut heard[truth.group as usize], true) {
            openings.add(&keys[truth.group as usize], due.unwrap_or_else(|| pacer.now()));
        }
        if let Some(due) = due {
            lates.push(now.saturating_sub(due));
            if lates.len() == LATES {
                // What blocked since the last look is seen here at the latest.
                now = pacer.now();
                delivery.late(&mut lates);
                outlet.flush(now)?;
            }
        }
        outlet.push(Parcel { group: truth.group, key: &keys[truth.group as usize], json: &line, due })?;
        line.clear();
        n_made += 1;
        delivery.made(n_made);
    }
    delivery.late(&mut lates);
    outlet.finish()
}
