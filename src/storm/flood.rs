//! The flood itself: asks the script what happens, gives it words, and keeps the truth.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::{Millis, Severity, Timestamp};
use crate::storm::cast::{Group, groups_for, tenant};
use crate::storm::churn::Churn;
use crate::storm::compare::group_name;
use crate::storm::corpus::Corpus;
use crate::storm::cue::{Act, Cue};
use crate::storm::distinct::Distinct;
use crate::storm::encode::{Line, write_line};
use crate::storm::member::Face;
use crate::storm::rng::Rng;
use crate::storm::shape::Shape;
use crate::storm::truth::{Ledger, Truth};

/// A group is heard at least this often while it fires; see [`Flood`].
const HEARTBEAT_S: f64 = 30.0;
/// Slower floods would need hours for a few alerts, and the guarantee on silence would not hold.
const RATE_MIN: f64 = 0.1;

/// What flood to make.
#[derive(Debug, Clone, PartialEq)]
pub struct FloodOptions {
    /// The shape.
    pub shape: Shape,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// How many alerts.
    pub alerts: u32,
    /// The time of the first alert.
    pub start: Timestamp,
    /// Alerts per second of the flood's own time; at least 0.1.
    pub rate: f64,
    /// Write `receivedAt`, the record time that files and `replay` go by.
    pub received_at: bool,
}

impl Default for FloodOptions {
    /// 10,000 alerts of a ticket storm, one each millisecond from 2026-01-01.
    fn default() -> Self {
        Self {
            shape: Shape::TicketStorm,
            seed: 1,
            alerts: 10_000,
            start: Timestamp(1_767_225_600_000),
            rate: 1_000.0,
            received_at: true,
        }
    }
}

/// A seeded flood of alerts in the native format, and the truth about them.
///
/// The truth holds for the defaults of grouping (`identity` all labels, `group_by: [cluster, service|alertname]`,
/// sessions with a gap of 5 minutes, `max_age` above the flood's span), if the flood is sent in its own order
/// and without a pause of more than 3 minutes:
///
/// - Every group is exactly one incident. In the flood's own time a group is never silent for more than 90 s between
///   its first and its last firing alert, at whatever rate (a slow flood has fewer groups); a flood
///   that is sent within 2 minutes keeps this by itself.
/// - Nothing resolves that does not fire, nothing fires again after its resolve, and the first member of a group
///   fires until the end of the group's story: so no incident is ever reopened.
/// - `severity` is a label and so a part of the identity; a resolve carries the same one.
#[derive(Debug)]
pub struct Flood {
    options: FloodOptions,
    number: u32,
    groups: Vec<Group>,
    script: Script,
    /// What happens; apart from the words, so that better texts do not change a story.
    story_rng: Rng,
    words_rng: Rng,
    ledger: Ledger,
    suffix: String,
    test_id_prefix: String,
    scratch: String,
}

/// One alert of the flood as values of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StormAlert {
    /// When it arrives, in the flood's own time.
    pub at: Timestamp,
    /// One native alert, one line, without a line feed.
    pub json: Vec<u8>,
    /// The labels of its true group: `cluster`, and `service` or else `alertname`.
    pub group: BTreeMap<String, String>,
    /// Its identity: the label object, compact and sorted.
    pub fingerprint: String,
    /// The label `severity`.
    pub severity: Severity,
    /// Its status is `resolved`.
    pub resolved: bool,
    /// Its annotation `test_id`, unique in the flood.
    pub test_id: String,
}

/// What is true about the alert that [`Flood::next_into`] has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertTruth {
    /// When it arrives, in the flood's own time.
    pub at: Timestamp,
    /// Its number, from 0.
    pub number: u32,
    /// Its true group: an index for [`Flood::group_labels`].
    pub group: u32,
    /// Where its label object, its identity, stands in the buffer.
    pub labels: Range<usize>,
    /// The label `severity`.
    pub severity: Severity,
    /// Its status is `resolved`.
    pub resolved: bool,
}

#[derive(Debug)]
enum Script {
    Churn(Churn),
    Corpus(Box<Corpus>),
    Distinct(Distinct),
}

impl Flood {
    /// Prepares the flood; nothing is generated yet.
    #[must_use]
    pub fn new(options: FloodOptions) -> Self {
        Self::tagged(options, "")
    }

    /// The same flood in clusters of its own, whose names end with `-` and this tag: so that a receiver which has seen
    /// the flood before, or others, does not take its alerts for theirs. Without a tag the names stay as they are.
    ///
    /// The tag goes into JSON as it is: letters, digits and hyphens.
    #[must_use]
    pub fn tagged(options: FloodOptions, tag: &str) -> Self {
        debug_assert!(tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{tag:?}");
        let options = FloodOptions { rate: options.rate.max(RATE_MIN), ..options };
        let interval = (options.rate * HEARTBEAT_S) as u32;
        let mut story_rng = Rng::new(options.seed, 1);
        let groups = groups_for(options.shape, &mut story_rng, interval.max(1) as usize);
        let script = match options.shape {
            Shape::AllDistinct => Script::Distinct(Distinct::new(interval)),
            Shape::Corpus => Script::Corpus(Box::new(Corpus::new(groups.len(), interval, &mut story_rng))),
            shape => Script::Churn(Churn::new(shape, &groups, options.alerts, interval)),
        };
        Self {
            number: 0,
            groups,
            script,
            story_rng,
            words_rng: Rng::new(options.seed, 2),
            ledger: Ledger::default(),
            suffix: if tag.is_empty() { String::new() } else { format!("-{tag}") },
            test_id_prefix: format!("{}-{:x}-", options.shape, options.seed),
            scratch: String::new(),
            options,
        }
    }

    /// What was asked for.
    #[must_use]
    pub fn options(&self) -> &FloodOptions {
        &self.options
    }

    /// Appends the next alert to `out`, without a line feed; nothing is allocated but `out` itself.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Option<AlertTruth> {
        if self.number >= self.options.alerts {
            return None;
        }
        let number = self.number;
        self.number += 1;
        let Cue { group, member, act, began } = match &mut self.script {
            Script::Churn(script) => script.next(number, &mut self.story_rng),
            Script::Corpus(script) => script.next(number, &mut self.story_rng),
            Script::Distinct(script) => script.next(number, &mut self.story_rng),
        };
        if let Script::Distinct(_) = self.script {
            let known = self.groups.len() as u32;
            self.groups.extend((known..=group).map(tenant));
        }
        let at = self.time_of(number);
        let face = Face::of(&self.groups[group as usize], member);
        self.ledger.record(group, act, face.severity(), at);
        let line = Line {
            group: &self.groups[group as usize],
            suffix: &self.suffix,
            face,
            member,
            resolved: act == Act::Resolve,
            starts_at: self.time_of(began),
            at,
            test_id_prefix: &self.test_id_prefix,
            number,
            received_at: self.options.received_at,
        };
        let labels = write_line(out, &line, &mut self.words_rng, &mut self.scratch);
        Some(AlertTruth { at, number, group, labels, severity: face.severity(), resolved: act == Act::Resolve })
    }

    /// The labels of a true group.
    #[must_use]
    pub fn group_labels(&self, group: u32) -> BTreeMap<String, String> {
        self.groups[group as usize].labels(&self.suffix)
    }

    /// The name of a true group: `cluster/service` or `cluster/alertname`.
    #[must_use]
    pub fn group_name(&self, group: u32) -> String {
        group_name(&self.group_labels(group))
    }

    /// The test id of the alert with this number.
    #[must_use]
    pub fn test_id(&self, number: u32) -> String {
        format!("{}{number}", self.test_id_prefix)
    }

    /// The truth about the alerts generated so far.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let labels = |group: usize| self.groups[group].labels(&self.suffix);
        self.ledger.truth(self.options.shape, self.options.seed, labels)
    }

    fn time_of(&self, number: u32) -> Timestamp {
        self.options.start + Millis((f64::from(number) * 1_000.0 / self.options.rate) as i64)
    }
}

impl Iterator for Flood {
    type Item = StormAlert;

    fn next(&mut self) -> Option<StormAlert> {
        let mut json = Vec::with_capacity(800);
        let truth = self.next_into(&mut json)?;
        Some(StormAlert {
            at: truth.at,
            group: self.group_labels(truth.group),
            fingerprint: String::from_utf8_lossy(&json[truth.labels]).into_owned(),
            severity: truth.severity,
            resolved: truth.resolved,
            test_id: self.test_id(truth.number),
            json,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.options.alerts - self.number) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Flood {}
