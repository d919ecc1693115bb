//! The groups that take most alerts, for readers: filled by the commit thread while somebody watches, empty otherwise.
//!
//! A watch begins with a question and ends some seconds after the last one. The pipeline learns of it by a flag that each
//! shard reads once an epoch; it is never asked anything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::time::Millis;
use crate::model::{GroupHash, IncidentEvent, IncidentId, Severity, Status, Timestamp};
use crate::pipeline::shard::busiest::BusyGroup;

/// A watch ends this long after the last question: readers ask every second or two.
pub const WATCH: Millis = Millis::seconds(10);
/// Rates are means over this time.
pub const RATE_OVER: Millis = Millis::seconds(10);
/// Groups kept; those heard of least recently go first. More than anybody reads, some hundred kilobytes.
pub const GROUPS_MAX: usize = 1_000;
/// A group that does not fire is kept this long after it was heard of last.
const QUIET_FOR: Millis = Millis::minutes(5);
/// Between two notes of a group's count.
const NOTE_EVERY: Millis = Millis::seconds(1);
/// A shorter time says too little to divide by.
const SPAN_MIN: Millis = Millis::seconds(1);

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupStatus {
    /// Below its `open_after`: no incident yet.
    Held,
    /// Its incident is not announced yet: it waits for companions.
    Waiting,
    /// Members of its incident fire.
    Firing,
    /// Its incident is over.
    Resolved,
}

impl GroupStatus {
    /// The word used in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// A group and how fast it takes alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupStanding {
    /// Name of the window rule.
    pub rule: String,
    /// Labels that define the group.
    pub group_labels: BTreeMap<String, String>,
    /// Its incident; absent while it is held back.
    pub incident_id: Option<IncidentId>,
    /// Where it stands.
    pub status: GroupStatus,
    /// Worst severity so far.
    pub severity_max: Severity,
    /// Alerts counted; those held back while it is held.
    pub alerts: u64,
    /// Alerts per second, a mean of the last ten seconds as far as they were watched.
    pub alerts_per_second: f64,
    /// Distinct fingerprints that joined.
    pub members: u64,
    /// Members that fire.
    pub firing: u64,
    /// Record time of the first alert.
    pub first_seen: Timestamp,
    /// Record time of the last alert counted.
    pub last_seen: Timestamp,
    /// When these numbers became durable.
    pub as_of: Timestamp,
}

impl GroupStanding {
    /// A group of which only the last event of its incident is known.
    #[must_use]
    pub fn of(event: &IncidentEvent) -> Self {
        let mut standing = Self {
            rule: event.rule.clone(),
            group_labels: event.group_labels.clone(),
            incident_id: Some(event.incident_id),
            status: GroupStatus::Firing,
            severity_max: event.severity_max,
            alerts: event.counts.alerts,
            alerts_per_second: 0.0,
            members: event.members,
            firing: event.firing,
            first_seen: event.first_seen,
            last_seen: event.last_seen,
            as_of: Timestamp::MIN,
        };
        standing.learn(event);
        standing
    }

    /// Takes over what the last event of its incident says, if that is newer.
    pub fn learn(&mut self, event: &IncidentEvent) {
        let is_over = event.status == Status::Resolved;
        if event.committed_at <= self.as_of {
            // Of the same epoch the shard speaks last. Announced it is all the same.
            self.status = if self.status == GroupStatus::Waiting { GroupStatus::Firing } else { self.status };
            return;
        }
        self.status = if is_over { GroupStatus::Resolved } else { GroupStatus::Firing };
        self.severity_max = event.severity_max;
        self.alerts = self.alerts.max(event.counts.alerts);
        self.members = event.members;
        self.firing = event.firing;
        self.last_seen = self.last_seen.max(event.last_seen);
        self.as_of = event.committed_at;
    }
}

/// A group key and its incident: the successor of a window has the same key and counts anew.
type Key = (GroupHash, Option<IncidentId>);

/// The busiest groups, while somebody watches.
#[derive(Debug)]
pub struct Busiest {
    watched: Arc<AtomicBool>,
    board: Mutex<Board>,
}

#[derive(Debug)]
struct Board {
    asked: Timestamp,
    began: Timestamp,
    groups: BTreeMap<Key, Kept>,
}

#[derive(Debug)]
struct Kept {
    group: BusyGroup,
    as_of: Timestamp,
    /// Count at some times of the last seconds, oldest first.
    notes: VecDeque<(Timestamp, u64)>,
}

impl Default for Busiest {
    fn default() -> Self {
        let board = Board { asked: Timestamp::MIN, began: Timestamp::MIN, groups: BTreeMap::new() };
        Self { watched: Arc::default(), board: Mutex::new(board) }
    }
}

impl Busiest {
    /// The flag that the pipeline reads.
    #[must_use]
    pub fn watched(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.watched)
    }

    /// Takes what an epoch brought along, and ends a watch that nobody keeps up. For the commit thread.
    pub fn take(&self, now: Timestamp, groups: &[BusyGroup]) {
        if !self.watched.load(Ordering::Relaxed) {
            return;
        }
        let mut board = self.lock();
        if now - board.asked > WATCH {
            self.watched.store(false, Ordering::Relaxed);
            board.groups.clear();
            return;
        }
        for group in groups {
            board.note(now, group);
        }
        board.trim(now);
    }

    /// What is known of the groups that changed since the watch began. Begins one if none runs.
    #[must_use]
    pub fn ask(&self, now: Timestamp) -> Vec<GroupStanding> {
        let mut board = self.lock();
        // No epoch may have come to end the watch before.
        if !self.watched.load(Ordering::Relaxed) || now - board.asked > WATCH {
            board.began = now;
            board.groups.clear();
        }
        board.asked = now;
        self.watched.store(true, Ordering::Relaxed);
        board.groups.values().map(|kept| kept.standing(now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn note(&mut self, now: Timestamp, group: &BusyGroup) {
        if group.incident.is_some() {
            self.groups.remove(&(group.group, None)); // What was held has opened.
        }
        let began = self.began;
        let kept = self.groups.entry((group.group, group.incident)).or_insert_with(|| {
            // What began under our eyes began with nothing; of anything else nobody knows what came before.
            let first = if group.first_seen >= began { (group.first_seen.min(now), 0) } else { (now, group.alerts) };
            Kept { group: group.clone(), as_of: now, notes: VecDeque::from([first]) }
        });
        kept.group.clone_from(group);
        kept.as_of = now;
        if kept.notes.back().is_none_or(|(at, _)| now - *at >= NOTE_EVERY) {
            kept.notes.push_back((now, group.alerts));
        }
        // One note from before the time that counts is where it begins.
        while kept.notes.get(1).is_some_and(|(at, _)| now - *at >= RATE_OVER) {
            kept.notes.pop_front();
        }
    }

    fn trim(&mut self, now: Timestamp) {
        self.groups.retain(|_, kept| kept.fires() || now - kept.as_of <= QUIET_FOR);
        if self.groups.len() <= GROUPS_MAX {
            return;
        }
        let mut by_age: Vec<(Timestamp, Key)> = self.groups.iter().map(|(key, kept)| (kept.as_of, *key)).collect();
        by_age.sort_unstable();
        for (_, key) in by_age.into_iter().take(self.groups.len() - GROUPS_MAX) {
            self.groups.remove(&key);
        }
    }
}

impl Kept {
    /// Whether it is an unresolved incident.
    fn fires(&self) -> bool {
        self.group.incident.is_some() && self.group.status == Status::Firing
    }

    /// Growth since the last note from before the time that counts, over the time since then.
    fn rate(&self, now: Timestamp) -> f64 {
        let start = now - RATE_OVER;
        if self.as_of <= start {
            return 0.0;
        }
        let before = self.notes.iter().rev().find(|(at, _)| *at <= start);
        let Some((at, alerts)) = before.or_else(|| self.notes.front()).copied() else { return 0.0 };
        // A note may be old where nothing came for long: then the growth is younger than it.
        let span = (now - at.max(start - NOTE_EVERY)).max(SPAN_MIN);
        self.group.alerts.saturating_sub(alerts) as f64 * 1_000.0 / span.0 as f64
    }

    fn standing(&self, now: Timestamp) -> GroupStanding {
        let group = &self.group;
        GroupStanding {
            rule: group.rule.clone(),
            group_labels: group.labels.clone(),
            incident_id: group.incident,
            status: match (group.incident, group.status) {
                (None, _) => GroupStatus::Held,
                (Some(_), Status::Firing) => GroupStatus::Waiting,
                (Some(_), Status::Resolved) => GroupStatus::Resolved,
            },
            severity_max: group.severity_max,
            alerts: group.alerts,
            alerts_per_second: self.rate(now),
            members: group.members,
            firing: group.firing,
            first_seen: group.first_seen,
            last_seen: group.last_seen,
            as_of: self.as_of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::example::event;

    fn group(id: u128, alerts: u64, first_seen: i64) -> BusyGroup {
        BusyGroup {
            group: GroupHash(id),
            incident: Some(IncidentId(id)),
            rule: "default".to_owned(),
            labels: BTreeMap::new(),
            status: Status::Firing,
            severity_max: Severity::Warning,
            alerts,
            members: 1,
            firing: 1,
            first_seen: Timestamp(first_seen),
            last_seen: Timestamp(first_seen),
        }
    }

    fn rates(busiest: &Busiest, now: i64) -> Vec<(u64, f64)> {
        busiest.ask(Timestamp(now)).into_iter().map(|group| (group.alerts, group.alerts_per_second)).collect()
    }

    #[test]
    fn nothing_is_kept_while_nobody_watches_and_a_watch_ends_by_itself() {
        let busiest = Busiest::default();
        let watched = busiest.watched();
        let is_watched = || watched.load(Ordering::Relaxed);
        busiest.take(Timestamp(0), &[group(1, 5, 0)]);
        assert!(!is_watched());
        assert_eq!(rates(&busiest, 1_000), []);
        assert!(is_watched());
        busiest.take(Timestamp(11_000), &[group(1, 5, 0)]);
        assert!(is_watched(), "ten seconds are not over");
        busiest.take(Timestamp(11_001), &[group(1, 9, 0)]);
        assert!(!is_watched());
        assert_eq!(rates(&busiest, 11_002), [], "a new watch begins with nothing");
    }

    #[test]
    fn a_question_after_a_long_silence_begins_anew_even_if_no_epoch_came() {
        let busiest = Busiest::default();
        assert_eq!(rates(&busiest, 0), []);
        busiest.take(Timestamp(1_000), &[group(1, 5, 0)]);
        assert_eq!(rates(&busiest, 2_000).len(), 1);
        assert_eq!(rates(&busiest, 60_000), []);
    }

    #[test]
    fn a_rate_is_the_growth_of_the_last_ten_seconds() {
        let busiest = Busiest::default();
        assert_eq!(rates(&busiest, 100_000), []);
        // 100 alerts a second; of the 1,000 before the watch nobody knows when they came.
        for tenth in 0..200_u64 {
            let at = 100_000 + tenth as i64 * 100;
            busiest.take(Timestamp(at), &[group(1, 1_000 + tenth * 10, 0)]);
            let _ = busiest.ask(Timestamp(at));
        }
        assert_eq!(rates(&busiest, 119_900), [(2_990, 100.0)]);
        // Silence: after five seconds half of the ten had alerts, after ten none.
        assert_eq!(rates(&busiest, 125_000), [(2_990, 49.0)]);
        assert_eq!(rates(&busiest, 130_000), [(2_990, 0.0)]);
    }

    #[test]
    fn a_group_that_opens_under_our_eyes_counts_from_nothing() {
        let busiest = Busiest::default();
        assert_eq!(rates(&busiest, 100_000), []);
        busiest.take(Timestamp(100_300), &[group(1, 50, 100_200), group(2, 70, 0)]);
        assert_eq!(rates(&busiest, 100_300), [(50, 50.0), (70, 0.0)], "one second is the least to divide by");
        assert_eq!(rates(&busiest, 105_200), [(50, 10.0), (70, 0.0)]);
    }

    #[test]
    fn a_held_group_gives_way_to_its_incident_and_memory_is_bounded() {
        let busiest = Busiest::default();
        let _ = busiest.ask(Timestamp(0));
        busiest.take(Timestamp(1), &[BusyGroup { incident: None, ..group(1, 2, 0) }]);
        assert_eq!(busiest.ask(Timestamp(1)).first().map(|group| group.status), Some(GroupStatus::Held));
        busiest.take(Timestamp(2), &[group(1, 3, 0)]);
        let statuses: Vec<_> = busiest.ask(Timestamp(2)).into_iter().map(|group| group.status).collect();
        assert_eq!(statuses, [GroupStatus::Waiting]);
        let many: Vec<BusyGroup> = (2..GROUPS_MAX as u128 + 2).map(|id| group(id, 1, 0)).collect();
        busiest.take(Timestamp(3), &many);
        let kept = busiest.ask(Timestamp(3));
        assert_eq!(kept.len(), GROUPS_MAX);
        assert!(kept.iter().all(|group| group.alerts == 1), "the one heard of least recently went");
    }

    #[test]
    fn what_is_over_is_forgotten_after_a_while() {
        let busiest = Busiest::default();
        let _ = busiest.ask(Timestamp(0));
        let over = BusyGroup { status: Status::Resolved, ..group(1, 5, 0) };
        let held = BusyGroup { incident: None, ..group(2, 1, 0) };
        busiest.take(Timestamp(0), &[over, held, group(3, 5, 0)]);
        let kept = |at: Timestamp| {
            let _ = busiest.ask(at);
            busiest.take(at, &[]);
            busiest.ask(at).len()
        };
        let kept: Vec<usize> = (1..=61).map(|step| kept(Timestamp::default() + Millis::seconds(5 * step))).collect();
        assert_eq!((kept.first(), kept.get(59), kept.get(60)), (Some(&3), Some(&3), Some(&1)));
    }

    #[test]
    fn the_newer_of_shard_and_event_is_believed() {
        let standing = |as_of| {
            let mut standing = GroupStanding::of(&event(1, 1, Status::Firing));
            (standing.status, standing.alerts, standing.as_of) = (GroupStatus::Waiting, 9, Timestamp(as_of));
            standing
        };
        let learned = |as_of, event: &IncidentEvent| {
            let mut standing = standing(as_of);
            standing.learn(event);
            (standing.status, standing.alerts, standing.firing)
        };
        let (firing, resolved) = (event(1, 1, Status::Firing), event(1, 2, Status::Resolved));
        assert_eq!(learned(9_000, &firing), (GroupStatus::Firing, 9, 1));
        assert_eq!(learned(0, &resolved), (GroupStatus::Resolved, 9, 0));
        assert_eq!(GroupStanding::of(&resolved).status, GroupStatus::Resolved);
    }
}
