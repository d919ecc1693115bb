//! A model of dedup and windows that can be proofread: vectors, no timers, no shards, no state to save. It decides by
//! the record times and the one clock; what the engine does with tickets it does by looking at everything.

use std::collections::BTreeMap;

use tidegate::pipeline::options::WindowKind;

/// What the model knows of a rule; times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct NaiveRule {
    pub(super) kind: WindowKind,
    pub(super) gap: i64,
    pub(super) reopen: i64,
    pub(super) max_age: Option<i64>,
    pub(super) max_alerts: Option<usize>,
    pub(super) resolve_after: Option<i64>,
}

/// One alert: group key and fingerprint are small numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct NaiveAlert {
    pub(super) key: u8,
    pub(super) fingerprint: u8,
    pub(super) time: i64,
    pub(super) starts: Option<i64>,
    pub(super) resolved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Silence,
    Cap,
    Resolved,
    Person,
}

/// An incident as the model sees it.
#[derive(Clone, Debug)]
pub(super) struct Incident {
    pub(super) key: u8,
    pub(super) first: i64,
    pub(super) last_seen: i64,
    /// Every fingerprint that ever joined, in order.
    pub(super) members: Vec<u8>,
    pub(super) firing_alerts: u64,
    pub(super) resolved_alerts: u64,
    pub(super) is_resolved: bool,
    pub(super) predecessor: Option<usize>,
    last: i64,
    window_from: i64,
    window_members: usize,
    ended: Option<(i64, End)>,
    resolved_at: i64,
    by_person: bool,
    retired: bool,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    incident: usize,
    firing: bool,
    last: i64,
    starts: Option<i64>,
}

/// The model.
pub(super) struct Naive {
    rule: NaiveRule,
    pub(super) incidents: Vec<Incident>,
    current: BTreeMap<u8, usize>,
    members: BTreeMap<u8, Member>,
    clock: i64,
}

impl Naive {
    pub(super) fn new(rule: NaiveRule) -> Self {
        Self { rule, incidents: Vec::new(), current: BTreeMap::new(), members: BTreeMap::new(), clock: 0 }
    }

    /// Takes an alert; its fate in the words of the scenarios.
    pub(super) fn take(&mut self, alert: NaiveAlert) -> String {
        self.run_clock(alert.time);
        let member = self.members.get(&alert.fingerprint).copied();
        if alert.resolved { self.resolve(alert, member) } else { self.fire(alert, member) }
    }

    /// Something fires only when the clock really moves.
    pub(super) fn run_clock(&mut self, to: i64) {
        if to <= self.clock {
            return;
        }
        self.clock = to;
        if let Some(silence) = self.rule.resolve_after {
            let mut due: Vec<(i64, u8)> =
                self.members.iter().map(|(name, member)| (member.last + silence, *name)).collect();
            due.retain(|(at, _)| *at <= self.clock);
            due.sort_unstable();
            for (at, name) in due {
                let member = self.members.get_mut(&name).unwrap();
                if std::mem::replace(&mut member.firing, false) {
                    let incident = member.incident;
                    self.look_whether_over(incident, at);
                }
            }
        }
        for at in 0..self.incidents.len() {
            self.look_whether_gone(at);
        }
    }

    /// A person resolves the newest incident of a group key; its number, if there is one.
    pub(super) fn person(&mut self, key: u8) -> Option<usize> {
        let at = *self.current.get(&key)?;
        let clock = self.clock;
        let incident = &mut self.incidents[at];
        let now = clock.max(incident.last_seen);
        incident.ended = Some((now, End::Person));
        incident.by_person = true;
        if !incident.is_resolved {
            incident.is_resolved = true;
            incident.resolved_at = now;
        }
        Some(at)
    }

    /// Whether any member of the incident fires.
    fn fires(&self, at: usize) -> bool {
        self.members.values().any(|member| member.incident == at && member.firing)
    }

    fn look_whether_over(&mut self, at: usize, now: i64) {
        if self.fires(at) || self.incidents[at].is_resolved {
            return;
        }
        self.incidents[at].is_resolved = true;
        self.incidents[at].resolved_at = now;
        if self.rule.kind == WindowKind::UntilResolved {
            self.close_if_ended(at, now);
            self.incidents[at].ended.get_or_insert((now, End::Resolved));
        }
    }

    fn window_end(&self, incident: &Incident) -> (i64, End) {
        let age = self.rule.max_age.map_or(i64::MAX, |age| incident.window_from + age);
        let silence = if self.rule.kind == WindowKind::Session { incident.last + self.rule.gap } else { i64::MAX };
        if age <= silence { (age, End::Cap) } else { (silence, End::Silence) }
    }

    fn look_whether_gone(&mut self, at: usize) {
        let incident = &self.incidents[at];
        let (end, cause) = incident.ended.unwrap_or_else(|| self.window_end(incident));
        if !incident.is_resolved || end > self.clock {
            return;
        }
        let quiet = end.max(incident.resolved_at);
        let leaves = match cause {
            End::Person => quiet.max(incident.last + self.rule.gap),
            End::Cap => quiet,
            End::Silence | End::Resolved => quiet + self.rule.reopen,
        };
        if leaves <= self.clock && !incident.retired {
            self.incidents[at].retired = true;
            self.members.retain(|_, member| member.incident != at);
            self.current.retain(|_, current| *current != at);
        }
    }

    fn fire(&mut self, alert: NaiveAlert, member: Option<Member>) -> String {
        if let Some(member) = member.filter(|member| member.firing && self.is_repeat(alert, *member)) {
            let at = member.incident;
            let now = alert.time.max(self.incidents[at].last);
            self.close_if_ended(at, now);
            self.count_firing(at, alert, now);
            return format!("folded #{}", at + 1);
        }
        let Some(at) = self.current.get(&alert.key).copied() else {
            return self.open(alert, alert.time, None);
        };
        let now = alert.time.max(self.incidents[at].last);
        self.close_if_ended(at, now);
        let is_member = member.is_some_and(|member| member.incident == at);
        let incident = &self.incidents[at];
        let is_full = self.rule.max_alerts.is_some_and(|cap| incident.window_members >= cap);
        // A late record from before the end belongs to the window, unless the end was a resolve.
        let in_window = match incident.ended {
            None => true,
            Some((end, cause)) => now < end && matches!(cause, End::Silence | End::Cap),
        };
        let continues = matches!(incident.ended, Some((end, End::Silence | End::Resolved))
            if self.rule.reopen > 0
                && now < if incident.is_resolved { end.max(incident.resolved_at) } else { end } + self.rule.reopen);
        let joins = if in_window { is_member || !is_full } else { continues };
        if joins {
            return self.join(at, alert, now, member);
        }
        if in_window {
            self.incidents[at].ended = Some((now, End::Cap));
        }
        self.open(alert, now, Some(at))
    }

    fn is_repeat(&self, alert: NaiveAlert, member: Member) -> bool {
        let incident = &self.incidents[member.incident];
        let now = alert.time.max(incident.last);
        if incident.by_person {
            return now < member.last + self.rule.gap;
        }
        let same_start = alert.starts.is_some() && alert.starts == member.starts;
        same_start || self.rule.kind == WindowKind::UntilResolved || now < incident.last + self.rule.gap
    }

    fn close_if_ended(&mut self, at: usize, now: i64) {
        let (end, cause) = self.window_end(&self.incidents[at]);
        if self.incidents[at].ended.is_none() && now >= end {
            self.incidents[at].ended = Some((end, cause));
        }
    }

    fn join(&mut self, at: usize, alert: NaiveAlert, now: i64, member: Option<Member>) -> String {
        let was_firing = member.is_some_and(|member| member.incident == at && member.firing);
        let incident = &mut self.incidents[at];
        let was_resolved = std::mem::replace(&mut incident.is_resolved, false);
        if let Some((end, End::Silence | End::Resolved)) = incident.ended {
            incident.ended = None;
            if now >= end {
                incident.window_from = now;
                incident.window_members = 0;
            }
        }
        self.enter(at, alert, now, member);
        let outcome = match (was_resolved, was_firing) {
            (true, _) => "opened",
            (false, true) => "folded",
            (false, false) => "joined",
        };
        format!("{outcome} #{}", at + 1)
    }

    fn open(&mut self, alert: NaiveAlert, now: i64, predecessor: Option<usize>) -> String {
        self.incidents.push(Incident {
            key: alert.key,
            first: now,
            last_seen: now,
            members: Vec::new(),
            firing_alerts: 0,
            resolved_alerts: 0,
            is_resolved: false,
            predecessor,
            last: now,
            window_from: now,
            window_members: 0,
            ended: None,
            resolved_at: i64::MIN,
            by_person: false,
            retired: false,
        });
        let at = self.incidents.len() - 1;
        self.current.insert(alert.key, at);
        let member = self.members.get(&alert.fingerprint).copied();
        self.enter(at, NaiveAlert { time: now, ..alert }, now, member);
        format!("opened #{}", at + 1)
    }

    fn enter(&mut self, at: usize, alert: NaiveAlert, now: i64, before: Option<Member>) {
        if before.is_none_or(|member| member.incident != at) {
            self.incidents[at].members.push(alert.fingerprint);
            self.incidents[at].window_members += 1;
        }
        self.count_firing(at, alert, now);
        if let Some(before) = before.filter(|member| member.incident != at) {
            self.look_whether_over(before.incident, now);
        }
    }

    fn count_firing(&mut self, at: usize, alert: NaiveAlert, now: i64) {
        let incident = &mut self.incidents[at];
        incident.firing_alerts += 1;
        incident.last = incident.last.max(now);
        incident.first = incident.first.min(alert.time);
        incident.last_seen = incident.last_seen.max(now);
        let member = Member { incident: at, firing: true, last: now, starts: alert.starts };
        self.members.insert(alert.fingerprint, member);
    }

    fn resolve(&mut self, alert: NaiveAlert, member: Option<Member>) -> String {
        let Some(member) = member else { return "folded -".to_owned() };
        let at = member.incident;
        if !member.firing {
            return format!("folded #{}", at + 1);
        }
        let now = alert.time.max(self.incidents[at].last);
        self.members.insert(alert.fingerprint, Member { firing: false, ..member });
        self.incidents[at].resolved_alerts += 1;
        self.incidents[at].first = self.incidents[at].first.min(alert.time);
        self.incidents[at].last_seen = self.incidents[at].last_seen.max(now);
        self.look_whether_over(at, now);
        format!("resolved #{}", at + 1)
    }
}
