//! What is on the screen and what keys do to it. Pure: looks and actions go in, `draw` reads the rest.

use std::collections::BTreeMap;

use crate::cli::top::feed::{DaemonStatus, Detail, Look, Wanted};
use crate::cli::top::filter::Filter;
use crate::cli::top::keys::Action;
use crate::control::api::groups::Sort;
use crate::control::busiest::GroupStanding;
use crate::control::pulse::Sample;
use crate::model::time::Millis;
use crate::model::{IncidentId, Timestamp};

/// Samples kept: as many columns as a wide screen has, two seconds each.
const SAMPLES_MAX: usize = 600;
/// A picture older than this is no longer called the present.
const STALE_AFTER: Millis = Millis::seconds(3);
/// Longest text of a filter, characters.
const FILTER_MAX: usize = 200;

/// The daemon as it was last seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) status: DaemonStatus,
    /// Oldest first.
    pub(super) samples: Vec<Sample>,
    pub(super) groups: Vec<GroupStanding>,
    /// Groups that the daemon has, of which `groups` are the first.
    pub(super) n_groups: usize,
    /// By our clock.
    pub(super) taken: Timestamp,
}

/// Which group a row shows, for a selection that stays with it while rows change places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowKey(Option<IncidentId>, String, BTreeMap<String, String>);

impl RowKey {
    pub(super) fn of(group: &GroupStanding) -> Self {
        Self(group.incident_id, group.rule.clone(), group.group_labels.clone())
    }
}

/// A group in full.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) group: GroupStanding,
    pub(super) incident: Option<Detail>,
    /// Lines above the first that is shown.
    pub(super) scroll: usize,
}

/// What only drawing knows, for the keys that move by pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Rows of the table, or lines of the detail.
    pub(super) page: usize,
    /// Lines of the detail that do not fit.
    pub(super) scroll_max: usize,
}

/// The daemon does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// By our clock.
    pub(super) since: Timestamp,
    pub(super) why: String,
}

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) live: Picture,
    /// What is shown while it is paused.
    pub(super) frozen: Option<Box<Picture>>,
    pub(super) lost: Option<Lost>,
    pub(super) sort: Sort,
    pub(super) filter: Filter,
    /// The filter from before, while one is being typed.
    pub(super) typing: Option<Filter>,
    selected: Option<RowKey>,
    /// Where the selected row was when it was last seen.
    selected_at: usize,
    pub(super) opened: Option<Opened>,
    pub(super) help: bool,
    pub(super) quit: bool,
    pub(super) drawn: Drawn,
}

impl State {
    pub(super) fn new(url: &str, sort: Sort, filter: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            live: Picture::default(),
            frozen: None,
            lost: None,
            sort,
            filter: Filter::new(filter),
            typing: None,
            selected: None,
            selected_at: 0,
            opened: None,
            help: false,
            quit: false,
            drawn: Drawn::default(),
        }
    }

    /// The picture that is shown.
    pub(super) fn picture(&self) -> &Picture {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    /// What the next look should bring.
    pub(super) fn wanted(&self) -> Wanted {
        let detail = self.opened.as_ref().and_then(|opened| opened.group.incident_id);
        Wanted { sort: self.sort, all_groups: self.filter.is_on(), detail }
    }

    /// Takes an answer of the daemon.
    pub(super) fn take(&mut self, look: Look) {
        let Look { taken, status, samples, groups, detail } = look;
        let known = self.live.samples.last().map_or(Timestamp::MIN, |sample| sample.at);
        self.live.samples.extend(samples.into_iter().filter(|sample| sample.at > known));
        let n_old = self.live.samples.len().saturating_sub(SAMPLES_MAX);
        self.live.samples.drain(..n_old);
        (self.live.status, self.live.taken, self.lost) = (status, taken, None);
        (self.live.groups, self.live.n_groups) = (groups.groups, groups.matching);
        if self.frozen.is_none() {
            self.refresh_opened(detail);
        }
        self.settle_selection();
    }

    /// The daemon did not answer.
    pub(super) fn lose(&mut self, why: String, now: Timestamp) {
        match &mut self.lost {
            Some(lost) => lost.why = why,
            None => self.lost = Some(Lost { since: now, why }),
        }
    }

    /// Since when the picture is not the present, if it is not.
    pub(super) fn stale_since(&self, now: Timestamp) -> Option<Timestamp> {
        let taken = self.live.taken;
        (self.lost.is_some() || now - taken > STALE_AFTER).then_some(taken)
    }

    /// The groups that pass the filter, in order.
    pub(super) fn rows(&self) -> Vec<&GroupStanding> {
        let mut rows: Vec<_> = self.picture().groups.iter().filter(|group| self.filter.passes(group)).collect();
        rows.sort_by(|one, other| self.sort.compare(one, other));
        rows
    }

    /// The selected row.
    pub(super) fn selected(&self) -> usize {
        self.selected_at
    }

    /// Does what a key stands for.
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Quit => self.quit = true,
            Action::Help => self.help = !self.help,
            Action::Back => self.back(),
            Action::Move(by) => self.step(by),
            Action::Page(by) => self.step(by.saturating_mul(isize::try_from(self.drawn.page.max(2) - 1).unwrap_or(1))),
            Action::First => self.step(isize::MIN / 2),
            Action::Last => self.step(isize::MAX / 2),
            Action::Open => self.open(),
            Action::Pause => self.pause(),
            Action::NextSort => {
                let at = Sort::ALL.iter().position(|sort| *sort == self.sort).unwrap_or(0);
                self.sort_by(Sort::ALL.into_iter().cycle().nth(at + 1).unwrap_or_default());
            }
            Action::SortBy(sort) => self.sort_by(sort),
            Action::Filter => {
                self.opened = None;
                self.typing = Some(self.filter.clone());
            }
            Action::Type(character) => self.edit(|text| {
                if text.chars().count() < FILTER_MAX {
                    text.push(character);
                }
            }),
            Action::Erase => self.edit(|text| {
                text.pop();
            }),
            Action::EraseAll => self.edit(String::clear),
            Action::Accept => self.typing = None,
        }
        self.settle_selection();
    }

    fn edit(&mut self, change: impl FnOnce(&mut String)) {
        let mut text = self.filter.text().to_owned();
        change(&mut text);
        self.filter = Filter::new(&text);
    }

    fn back(&mut self) {
        if self.help {
            self.help = false;
        } else if let Some(before) = self.typing.take() {
            self.filter = before;
        } else if self.opened.is_some() {
            self.opened = None;
        } else {
            self.filter = Filter::default();
        }
    }

    fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
        // Another order shows its own first rows.
        (self.selected, self.selected_at) = (None, 0);
    }

    fn pause(&mut self) {
        self.frozen = if self.frozen.is_some() { None } else { Some(Box::new(self.live.clone())) };
    }

    fn step(&mut self, by: isize) {
        if let Some(opened) = &mut self.opened {
            opened.scroll =
                opened.scroll.min(self.drawn.scroll_max).saturating_add_signed(by).min(self.drawn.scroll_max);
            return;
        }
        let rows = self.rows();
        let at = self.selected_at.saturating_add_signed(by).min(rows.len().saturating_sub(1));
        let key = rows.get(at).map(|group| RowKey::of(group));
        (self.selected, self.selected_at) = (key, at);
    }

    fn open(&mut self) {
        let group = self.rows().get(self.selected_at).map(|group| GroupStanding::clone(group));
        if self.opened.is_none()
            && let Some(group) = group
        {
            self.selected = Some(RowKey::of(&group));
            self.opened = Some(Opened { group, incident: None, scroll: 0 });
        }
    }

    /// The opened group with what the last look said of it.
    fn refresh_opened(&mut self, detail: Option<Detail>) {
        let Some(opened) = &mut self.opened else { return };
        let key = RowKey::of(&opened.group);
        let opens = |group: &&GroupStanding| {
            // A group that was held has an incident now.
            opened.group.incident_id.is_none()
                && group.rule == opened.group.rule
                && group.group_labels == opened.group.group_labels
        };
        let mut groups = self.live.groups.iter();
        let now = groups.clone().find(|group| RowKey::of(group) == key).or_else(|| groups.find(opens));
        if let Some(group) = now {
            opened.group = group.clone();
        }
        if let Some(detail) = detail.filter(|detail| Some(detail.id) == opened.group.incident_id) {
            opened.incident = Some(detail);
        }
    }

    /// Finds the row of the selected group again; if it is gone, the row in its place is selected.
    fn settle_selection(&mut self) {
        let rows = self.rows();
        let found = self.selected.as_ref().and_then(|key| rows.iter().position(|group| RowKey::of(group) == *key));
        let at = found.unwrap_or(self.selected_at).min(rows.len().saturating_sub(1));
        self.selected_at = at;
    }
}
