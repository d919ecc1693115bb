//! The script of the bench corpus: 50,000 places with Zipf's law (s = 0.9) over 200 groups (s = 1.0), 8.7 percent
//! of the alerts resolve.
//!
//! A place is one fingerprint at a time. As no fingerprint fires again after its resolve, a place whose
//! alert has resolved is taken over by a new pod. The loudest thousand places never resolve (the noisiest alerts of a site
//! are those that nobody mends), so the head of the distribution stays as it is drawn.

use crate::storm::cue::{Act, Cue, Heartbeat};
use crate::storm::rng::{Rng, Weights};

/// How many fingerprints are alive at once at most.
pub(crate) const PLACES: usize = 50_000;
const LOUD_PLACES: usize = 1_000;
const PLACE_EXPONENT: f64 = 0.9;
const GROUP_EXPONENT: f64 = 1.0;
/// Resolves per thousand alerts.
const RESOLVED_PER_MILLE: u64 = 87;

/// The state of the script.
#[derive(Debug)]
pub(crate) struct Corpus {
    weights: Weights,
    places: Vec<Place>,
    /// Per group: the place of its first alert, which never resolves and so holds the group open.
    anchors: Vec<Option<u32>>,
    heartbeat: Heartbeat,
    next_member: u32,
    resolved: u64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    group: u32,
    /// The member that fires here, and when it began.
    firing: Option<(u32, u32)>,
}

impl Corpus {
    /// Spreads the places over `groups`; no group is silent for much longer than `interval` alerts.
    pub(crate) fn new(groups: usize, interval: u32, rng: &mut Rng) -> Self {
        let sizes = Weights::zipf(groups, GROUP_EXPONENT);
        let places = (0..PLACES).map(|_| Place { group: sizes.draw_any(rng) as u32, firing: None }).collect();
        Self {
            weights: Weights::zipf(PLACES, PLACE_EXPONENT),
            places,
            anchors: vec![None; groups],
            heartbeat: Heartbeat::new(interval, groups),
            next_member: 0,
            resolved: 0,
        }
    }

    /// The cue of alert `number`, which counts up from 0.
    pub(crate) fn next(&mut self, number: u32, rng: &mut Rng) -> Cue {
        let drawn = self.weights.draw_any(rng);
        let index = match self.heartbeat.overdue(number).and_then(|group| self.anchors[group as usize]) {
            Some(anchor) => anchor as usize,
            None => drawn,
        };
        let Place { group, firing } = self.places[index];
        let Some((member, began)) = firing else {
            return self.begin(index, group, number);
        };
        if self.may_resolve(index, group) && self.resolves_lag(number) && rng.chance(500_000) {
            self.places[index].firing = None;
            self.resolved += 1;
            return Cue { group, member, act: Act::Resolve, began };
        }
        self.heartbeat.sound(group, number);
        Cue { group, member, act: Act::Repeat, began }
    }

    fn begin(&mut self, index: usize, group: u32, number: u32) -> Cue {
        let member = self.next_member;
        self.next_member += 1;
        self.places[index].firing = Some((member, number));
        if self.anchors[group as usize].is_none() {
            self.anchors[group as usize] = Some(index as u32);
            self.heartbeat.begin(group, number);
        }
        self.heartbeat.sound(group, number);
        Cue { group, member, act: Act::Begin, began: number }
    }

    fn may_resolve(&self, index: usize, group: u32) -> bool {
        index >= LOUD_PLACES && self.anchors[group as usize] != Some(index as u32)
    }

    fn resolves_lag(&self, number: u32) -> bool {
        self.resolved * 1000 < u64::from(number) * RESOLVED_PER_MILLE
    }
}
