//! Which clock a group reads: the slowest of the sources that fed it, and for emissions the arrival time once caught up.

use crate::model::time::{Millis, Timestamp};
use crate::pipeline::shard::timers::Timers;
use crate::pipeline::source::SourceIndex;

/// A clock at most this far behind the wall clock is caught up.
pub(crate) const CAUGHT_UP: Millis = Millis::seconds(5);

/// The set of sources that fed a group, as bits. At most 64 sources, which the configuration check guarantees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Feed(pub(crate) u64);

impl Feed {
    pub(crate) fn of(source: SourceIndex) -> Self {
        Self(1 << (source.0 & 63))
    }

    pub(crate) fn with(self, source: SourceIndex) -> Self {
        Self(self.0 | Self::of(source).0)
    }

    pub(crate) fn has(self, source: SourceIndex) -> bool {
        self.0 & Self::of(source).0 != 0
    }
}

/// One set of sources with its clocks and the tickets of the groups it feeds.
#[derive(Debug)]
pub(crate) struct FeedClock {
    pub(crate) feed: Feed,
    /// Slowest source of the set.
    pub(crate) records: Timestamp,
    /// Arrival time once caught up, else as `records`; never goes back.
    pub(crate) emission: Timestamp,
    /// Tickets on the clock of the records.
    pub(crate) deadlines: Timers,
    /// Tickets on the clock of the emissions.
    pub(crate) emissions: Timers,
}

/// All clocks of a shard.
#[derive(Debug)]
pub(crate) struct Clocks {
    sources: Vec<Timestamp>,
    wall: Timestamp,
    feeds: Vec<FeedClock>,
}

impl Clocks {
    pub(crate) fn new(n_sources: usize) -> Self {
        Self { sources: vec![Timestamp::MIN; n_sources], wall: Timestamp::MIN, feeds: Vec::new() }
    }

    /// The record time of what has none: the source's clock, before it has one the wall clock, else the Unix epoch.
    pub(crate) fn now(&self, source: SourceIndex) -> Timestamp {
        let clock = self.sources.get(usize::from(source.0)).copied();
        let known = [clock.unwrap_or(Timestamp::MIN), self.wall].into_iter().find(|time| *time != Timestamp::MIN);
        known.unwrap_or_default()
    }

    /// The set of sources whose clock this is.
    pub(crate) fn feed_at(&self, at: usize) -> Feed {
        self.feeds.get(at).map_or(Feed::default(), |clock| clock.feed)
    }

    /// Moves a source's clock on. True if it moved.
    pub(crate) fn move_source(&mut self, source: SourceIndex, to: Timestamp) -> bool {
        let Some(clock) = self.sources.get_mut(usize::from(source.0)).filter(|clock| **clock < to) else {
            return false;
        };
        *clock = to;
        for at in 0..self.feeds.len() {
            self.refresh(at, Some(source));
        }
        true
    }

    /// Moves the wall clock on. True if it moved.
    pub(crate) fn move_wall(&mut self, to: Timestamp) -> bool {
        if to <= self.wall {
            return false;
        }
        self.wall = to;
        for at in 0..self.feeds.len() {
            self.refresh(at, None);
        }
        true
    }

    /// Lets every clock run to the end of time.
    pub(crate) fn run_out(&mut self) {
        self.sources.fill(Timestamp::MAX);
        for feed in &mut self.feeds {
            feed.records = Timestamp::MAX;
            feed.emission = Timestamp::MAX;
        }
    }

    fn refresh(&mut self, at: usize, only: Option<SourceIndex>) {
        let Some(feed) = self.feeds.get_mut(at) else { return };
        if only.is_some_and(|source| !feed.feed.has(source)) {
            return;
        }
        let bits = (0..self.sources.len().min(64)).filter(|bit| feed.feed.0 & (1 << bit) != 0);
        let slowest = bits.filter_map(|bit| self.sources.get(bit)).min().copied().unwrap_or(Timestamp::MIN);
        feed.records = feed.records.max(slowest);
        let caught_up = self.wall != Timestamp::MIN && feed.records + CAUGHT_UP >= self.wall;
        let emission = if caught_up { feed.records.max(self.wall) } else { feed.records };
        feed.emission = feed.emission.max(emission);
    }

    /// The clocks of a set of sources; made on first use.
    pub(crate) fn feed(&mut self, feed: Feed) -> &mut FeedClock {
        let at = self.feeds.iter().position(|known| known.feed == feed).unwrap_or_else(|| {
            self.feeds.push(FeedClock {
                feed,
                records: Timestamp::MIN,
                emission: Timestamp::MIN,
                deadlines: Timers::default(),
                emissions: Timers::default(),
            });
            self.refresh(self.feeds.len() - 1, None);
            self.feeds.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was found or made in the line above")]
        &mut self.feeds[at]
    }

    /// Whether a set of sources lies behind the wall clock.
    pub(crate) fn is_catching_up(&mut self, feed: Feed) -> bool {
        let wall = self.wall;
        wall != Timestamp::MIN && self.feed(feed).records + CAUGHT_UP < wall
    }

    /// The set of sources that has the earliest due ticket, and its due time.
    pub(crate) fn earliest_due(&mut self) -> Option<(usize, Timestamp)> {
        let due = |feed: &mut FeedClock| {
            let deadline = feed.deadlines.next_due(feed.records);
            let emission = feed.emissions.next_due(feed.emission);
            deadline.into_iter().chain(emission).min()
        };
        let all = self.feeds.iter_mut().enumerate();
        all.filter_map(|(at, feed)| due(feed).map(|due| (at, due))).min_by_key(|(_, due)| *due)
    }

    /// Takes the ticket found by `earliest_due`.
    pub(crate) fn pop(&mut self, at: usize, due: Timestamp) -> Option<crate::pipeline::shard::timers::Ticket> {
        let feed = self.feeds.get_mut(at)?;
        if feed.deadlines.next_due(feed.records) == Some(due) {
            feed.deadlines.pop(feed.records)
        } else {
            feed.emissions.pop(feed.emission)
        }
    }

    /// Bytes held by tickets.
    pub(crate) fn bytes(&self) -> usize {
        self.feeds.iter().map(|feed| feed.deadlines.bytes() + feed.emissions.bytes()).sum()
    }

    /// Whether any ticket is filed.
    pub(crate) fn has_tickets(&self) -> bool {
        self.feeds.iter().any(|feed| !feed.deadlines.is_empty() || !feed.emissions.is_empty())
    }
}
