//! The script of the flood without repeats: every alert is a new fingerprint, and groups never cease to come.
//! It is the hardest case for tables and for correlation: nothing can be folded.

use crate::storm::cue::{Act, Cue};
use crate::storm::rng::Rng;

/// How many alerts a group gets.
pub(crate) const MEMBERS: u32 = 20;
/// At most this many groups are heard at the same time.
const WIDTH_MAX: u32 = 64;

/// The state of the script: one block of groups at a time, shuffled.
#[derive(Debug)]
pub(crate) struct Distinct {
    width: u32,
    first_group: u32,
    block: Vec<u32>,
}

impl Distinct {
    /// A block of groups is told within about `interval` alerts, so no group is silent for longer.
    pub(crate) fn new(interval: u32) -> Self {
        let width = (interval / MEMBERS).clamp(1, WIDTH_MAX);
        Self { width, first_group: 0, block: Vec::new() }
    }

    /// The cue of alert `number`, which counts up from 0.
    pub(crate) fn next(&mut self, number: u32, rng: &mut Rng) -> Cue {
        if self.block.is_empty() {
            let groups = self.first_group..self.first_group + self.width;
            self.block.extend(groups.flat_map(|group| std::iter::repeat_n(group, MEMBERS as usize)));
            rng.shuffle(&mut self.block);
            self.first_group += self.width;
        }
        let group = self.block.pop().expect("the block was filled above");
        Cue { group, member: number, act: Act::Begin, began: number }
    }
}
