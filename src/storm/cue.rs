//! What happens next in a flood: one cue per alert, given by the script of its shape.

use std::collections::VecDeque;

/// What a member of a group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It fires for the first time: a new fingerprint.
    Begin,
    /// It fires again.
    Repeat,
    /// It resolves, and never fires again.
    Resolve,
}

/// One alert before it has words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cue {
    pub(crate) group: u32,
    /// Unique within the flood: two members never have the same labels.
    pub(crate) member: u32,
    pub(crate) act: Act,
    /// The number of the alert with which this member began.
    pub(crate) began: u32,
}

/// Sees to it that no group is silent for long: it names the groups whose last sound is `interval`
/// alerts ago.
///
/// A group is looked at again at the latest `interval` after it was last looked at, so its silence is below
/// twice the interval, plus one alert for every other group that is due at the same time.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: u32,
    due: VecDeque<(u32, u32)>,
    last_sound: Vec<u32>,
}

impl Heartbeat {
    pub(crate) fn new(interval: u32, groups: usize) -> Self {
        Self { interval: interval.max(1), due: VecDeque::with_capacity(groups), last_sound: vec![0; groups] }
    }

    /// The group has begun.
    pub(crate) fn begin(&mut self, group: u32, number: u32) {
        self.due.push_back((group, number));
        self.sound(group, number);
    }

    /// One of the group's members fires.
    pub(crate) fn sound(&mut self, group: u32, number: u32) {
        self.last_sound[group as usize] = number;
    }

    /// A group that must be heard now.
    pub(crate) fn overdue(&mut self, number: u32) -> Option<u32> {
        while let Some(&(group, looked_at)) = self.due.front() {
            if number - looked_at < self.interval {
                return None;
            }
            self.due.pop_front();
            self.due.push_back((group, number));
            if number - self.last_sound[group as usize] >= self.interval {
                return Some(group);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silent_groups_are_named_and_none_stays_silent_for_two_intervals() {
        let mut heartbeat = Heartbeat::new(100, 2);
        heartbeat.begin(0, 0);
        heartbeat.begin(1, 1);
        let mut last = 1;
        for number in 2..2_000 {
            match heartbeat.overdue(number) {
                Some(1) => {
                    assert!(number - last < 200, "{number}");
                    heartbeat.sound(1, number);
                    last = number;
                }
                Some(other) => panic!("group {other} is loud"),
                None => heartbeat.sound(0, number),
            }
        }
        assert!(last > 1_800);
    }
}
