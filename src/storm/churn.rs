//! The script of the floods that tell a story: groups begin, grow, repeat themselves, and some recover.
//!
//! Invariants that make the truth simple: the first member of a group (its anchor) fires until the end of the
//! flood, so no incident is resolved and then fires again; a member that has resolved is gone for good.

use crate::storm::cast::Group;
use crate::storm::cue::{Act, Cue, Heartbeat};
use crate::storm::rng::{Rng, Weights};
use crate::storm::shape::Shape;

/// How a story runs, in millionths.
#[derive(Debug, Clone, Copy)]
struct Tempo {
    new: u64,
    resolve: u64,
    /// At the end members resolve group by group, in the order in which the groups began.
    in_order: bool,
}

/// The state of the story.
#[derive(Debug)]
pub(crate) struct Churn {
    tempo: Tempo,
    alerts: u32,
    onsets: Vec<u32>,
    recovers: Vec<bool>,
    weights: Weights,
    heartbeat: Heartbeat,
    /// Per group that has begun: the members that fire, the anchor first.
    firing: Vec<Vec<Member>>,
    next_member: u32,
    /// How many members fire in groups that recover: the alerts to keep for the end.
    recovering: u32,
    /// The members that still have to resolve, the next one last; filled when the end begins.
    finale: Vec<(u32, Member)>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    id: u32,
    began: u32,
}

impl Churn {
    /// `alerts` in all; no group is silent for much longer than `interval` alerts.
    pub(crate) fn new(shape: Shape, groups: &[Group], alerts: u32, interval: u32) -> Self {
        let tempo = match shape {
            Shape::TicketStorm => Tempo { new: 40_000, resolve: 4_000, in_order: false },
            Shape::Cascade => Tempo { new: 60_000, resolve: 0, in_order: true },
            Shape::ResolveFlood => Tempo { new: 670_000, resolve: 0, in_order: false },
            Shape::Steady | Shape::AllDistinct | Shape::Corpus => {
                Tempo { new: 50_000, resolve: 30_000, in_order: false }
            }
        };
        let onset = |group: &Group| (u64::from(alerts) * group.onset / 1_000_000) as u32;
        Self {
            tempo,
            alerts,
            onsets: groups.iter().map(onset).collect(),
            recovers: groups.iter().map(|group| group.recovers).collect(),
            weights: Weights::new(groups.iter().map(|group| group.weight)),
            heartbeat: Heartbeat::new(interval, groups.len()),
            firing: Vec::with_capacity(groups.len()),
            next_member: 0,
            recovering: 0,
            finale: Vec::new(),
        }
    }

    /// The cue of alert `number`, which counts up from 0.
    pub(crate) fn next(&mut self, number: u32, rng: &mut Rng) -> Cue {
        let remaining = self.alerts - number;
        if !self.finale.is_empty() || (self.recovering > 0 && remaining <= self.recovering) {
            return self.end(rng);
        }
        // A new member takes this alert and one of the end for its resolve.
        let room_for_new = remaining >= self.recovering + 2;
        if self.firing.is_empty() || (room_for_new && self.begins_now(number)) {
            self.firing.push(Vec::new());
            let group = self.firing.len() as u32 - 1;
            self.heartbeat.begin(group, number);
            return self.begin(group, number);
        }
        if let Some(group) = self.heartbeat.overdue(number) {
            return self.repeat(group, 0, number);
        }
        let group = self.weights.draw(rng, self.firing.len()) as u32;
        if room_for_new && rng.chance(self.tempo.new) {
            return self.begin(group, number);
        }
        let place = rng.index(self.firing[group as usize].len());
        if place > 0 && rng.chance(self.tempo.resolve) {
            return self.resolve(group, place);
        }
        self.repeat(group, place, number)
    }

    fn begins_now(&self, number: u32) -> bool {
        self.onsets.get(self.firing.len()).is_some_and(|onset| *onset <= number)
    }

    fn begin(&mut self, group: u32, number: u32) -> Cue {
        let member = Member { id: self.next_member, began: number };
        self.next_member += 1;
        self.firing[group as usize].push(member);
        self.recovering += u32::from(self.recovers[group as usize]);
        self.heartbeat.sound(group, number);
        Cue { group, member: member.id, act: Act::Begin, began: number }
    }

    fn repeat(&mut self, group: u32, place: usize, number: u32) -> Cue {
        let member = self.firing[group as usize][place];
        self.heartbeat.sound(group, number);
        Cue { group, member: member.id, act: Act::Repeat, began: member.began }
    }

    fn resolve(&mut self, group: u32, place: usize) -> Cue {
        let member = self.firing[group as usize].swap_remove(place);
        self.recovering -= u32::from(self.recovers[group as usize]);
        Cue { group, member: member.id, act: Act::Resolve, began: member.began }
    }

    /// The recovery: every firing member of the groups that recover resolves, one per alert.
    fn end(&mut self, rng: &mut Rng) -> Cue {
        if self.finale.is_empty() {
            let recovering = self.firing.iter().enumerate().filter(|(group, _)| self.recovers[*group]);
            self.finale = recovering
                .flat_map(|(group, members)| members.iter().map(move |member| (group as u32, *member)))
                .collect();
            if self.tempo.in_order {
                self.finale.reverse();
            } else {
                rng.shuffle(&mut self.finale);
            }
        }
        let (group, member) = self.finale.pop().expect("the end begins only while a member must resolve");
        Cue { group, member: member.id, act: Act::Resolve, began: member.began }
    }
}
