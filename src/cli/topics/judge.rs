//! How topics must be, and what is wrong with one that is not. Pure: what the cluster says is an argument.

use std::collections::BTreeMap;

use crate::control::config::{Config, Kafka, Store};

/// How a topic must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Wanted {
    pub(in crate::cli) name: String,
    /// Whether tidegate writes to it; else it only reads, and others own it.
    pub(in crate::cli) is_ours: bool,
    /// Partitions when it is created.
    pub(in crate::cli) partitions: i32,
    /// Whether it must have exactly one, and why.
    pub(in crate::cli) single: Option<&'static str>,
    pub(in crate::cli) replication: i32,
    /// Settings when it is created.
    pub(in crate::cli) settings: Vec<(&'static str, String)>,
    /// Whether what is in it must never expire.
    pub(in crate::cli) keeps_all: bool,
}

/// How a topic is.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Found {
    pub(in crate::cli) partitions: usize,
    /// The fewest copies of any partition.
    pub(in crate::cli) replication: usize,
    pub(in crate::cli) settings: BTreeMap<String, String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Weight {
    /// Good to know.
    Hint,
    /// The delivery promise does not hold.
    Fault,
}

/// Something about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Finding {
    pub(in crate::cli) topic: String,
    pub(in crate::cli) weight: Weight,
    pub(in crate::cli) is_missing: bool,
    pub(in crate::cli) what: String,
    pub(in crate::cli) why: &'static str,
    pub(in crate::cli) remedy: String,
}

/// The largest record we write: an incident with many samples.
const RECORD_MAX: i64 = 8 << 20;
/// The smallest bound on records that lets every state block and dead letter through.
const RECORD_MIN: i64 = 1_000_000;
/// How long commands are of any use.
const COMMANDS_MS: i64 = 7 * 24 * 3_600_000;

/// The topics that a configuration names, ours first.
pub(in crate::cli) fn wanted(config: &Config, kafka: &Kafka, partitions: u16, replication: u16) -> Vec<Wanted> {
    let replication = i32::from(replication);
    let of = |purpose: &str, partitions: i32, single: Option<&'static str>, retention_ms: i64| Wanted {
        name: kafka.topic(purpose),
        is_ours: true,
        partitions,
        single,
        replication,
        settings: vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", retention_ms.to_string()),
            ("min.insync.replicas", (replication - 1).max(1).to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
            ("max.message.bytes", RECORD_MAX.to_string()),
        ],
        keeps_all: retention_ms < 0,
    };
    let mut topics = Vec::new();
    if config.store == Store::Kafka {
        let retention = &config.retention;
        let one_log = Some("state is one log in one order; of several partitions only the first would be read");
        let one_order = Some("commands are taken in the order given; of several partitions only the first is read");
        topics.push(of("incidents", i32::from(partitions), None, retention.incidents.0));
        topics.push(of("state", 1, one_log, -1));
        topics.push(of("dead-letters", 1, None, retention.dead_letters.0));
        topics.push(of("commands", 1, one_order, COMMANDS_MS));
        if kafka.standby {
            let one_leader = Some("whoever has its partition leads, and two of them would lead at once");
            topics.push(of("leader", 1, one_leader, COMMANDS_MS));
        }
    }
    topics.extend(config.input_topics().into_iter().map(|name| Wanted {
        name,
        is_ours: false,
        partitions: i32::from(partitions),
        replication,
        settings: vec![
            ("min.insync.replicas", (replication - 1).max(1).to_string()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
        ],
        ..Wanted::default()
    }));
    topics
}

/// What is wrong with a topic; `None` if it is not there.
pub(in crate::cli) fn judge(wanted: &Wanted, found: Option<&Found>) -> Vec<Finding> {
    let mut findings = Findings { topic: &wanted.name, list: Vec::new() };
    let Some(found) = found else {
        let create = if wanted.is_ours { "tidegate topics create" } else { "tidegate topics create --inputs" };
        let why = if wanted.is_ours { "without it nothing can be started" } else { "nothing can be read from it" };
        findings.fault("does not exist", why, format!("check the name in the configuration, or run: {create}"));
        findings.list.iter_mut().for_each(|finding| finding.is_missing = true);
        return findings.list;
    };
    if let Some(why) = wanted.single.filter(|_| found.partitions != 1) {
        let remedy = "stop tidegate, delete the topic, run: tidegate topics create".to_owned();
        findings.fault(&format!("has {} partitions, must have 1", found.partitions), why, remedy);
    }
    copies(wanted, found, &mut findings);
    cleanup(wanted, found, &mut findings);
    if wanted.is_ours {
        let bound = found.number("max.message.bytes").unwrap_or(i64::MAX);
        if bound < RECORD_MIN {
            findings.fault(
                &format!("max.message.bytes is {bound}, less than {RECORD_MIN}"),
                "a state block or dead letter would be refused, and its epoch with it",
                set(wanted, "max.message.bytes", &RECORD_MAX.to_string()),
            );
        }
    } else if found.text("message.timestamp.type") == Some("CreateTime") {
        findings.hint(
            "message.timestamp.type is CreateTime",
            "record times are the senders' then, and their clocks differ",
            set(wanted, "message.timestamp.type", "LogAppendTime"),
        );
    }
    findings.list
}

/// What a lost disk or a wrong election would cost.
fn copies(wanted: &Wanted, found: &Found, findings: &mut Findings<'_>) {
    if (found.replication as i64) < i64::from(wanted.replication) {
        findings.fault(
            &format!("has {} copies of a partition, fewer than {}", found.replication, wanted.replication),
            "what is confirmed can be lost with one disk",
            format!("reassign its partitions, or say --replication {} if that is meant", found.replication),
        );
    }
    let in_sync = found.number("min.insync.replicas").unwrap_or(i64::MAX);
    let needed = i64::from(wanted.replication - 1).clamp(1, found.replication.max(1) as i64);
    if in_sync < needed {
        findings.fault(
            &format!("min.insync.replicas is {in_sync}, less than {needed}"),
            "a record could be confirmed that is on one disk only",
            set(wanted, "min.insync.replicas", &needed.to_string()),
        );
    }
    if found.text("unclean.leader.election.enable") == Some("true") {
        findings.fault(
            "unclean.leader.election.enable is true",
            "a copy that is behind could become the leader, and confirmed records would be gone",
            set(wanted, "unclean.leader.election.enable", "false"),
        );
    }
}

/// What would remove records before they are read.
fn cleanup(wanted: &Wanted, found: &Found, findings: &mut Findings<'_>) {
    if found.text("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        let why = match (wanted.is_ours, wanted.keeps_all) {
            (_, true) => "state is a log of changes: compaction would tear holes into it",
            (true, _) => "of an incident only its last event would stay, and revisions would have gaps",
            (false, _) => "of alerts with the same key only the last would be read",
        };
        findings.fault("cleanup.policy compacts it", why, set(wanted, "cleanup.policy", "delete"));
    }
    for name in ["retention.ms", "retention.bytes"] {
        let kept = found.number(name).unwrap_or(-1);
        if wanted.keeps_all && kept >= 0 {
            findings.fault(
                &format!("{name} is {kept}: its records expire"),
                "state that is still needed would be deleted; tidegate removes what is not needed itself",
                set(wanted, name, "-1"),
            );
        }
    }
}

fn set(wanted: &Wanted, name: &str, value: &str) -> String {
    format!("kafka-configs --alter --entity-type topics --entity-name {} --add-config {name}={value}", wanted.name)
}

impl Found {
    fn text(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}

struct Findings<'a> {
    topic: &'a str,
    list: Vec<Finding>,
}

impl Findings<'_> {
    fn fault(&mut self, what: &str, why: &'static str, remedy: String) {
        self.add(Weight::Fault, what, why, remedy);
    }

    fn hint(&mut self, what: &str, why: &'static str, remedy: String) {
        self.add(Weight::Hint, what, why, remedy);
    }

    fn add(&mut self, weight: Weight, what: &str, why: &'static str, remedy: String) {
        let (topic, what) = (self.topic.to_owned(), what.to_owned());
        self.list.push(Finding { topic, weight, is_missing: false, what, why, remedy });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(is_ours: bool) -> Wanted {
        Wanted {
            name: "t".to_owned(),
            is_ours,
            partitions: 1,
            single: is_ours.then_some("one order"),
            replication: 3,
            settings: Vec::new(),
            keeps_all: is_ours,
        }
    }

    fn check(is_ours: bool, partitions: usize, replication: usize, settings: &[(&str, &str)], expected: &[&str]) {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = Found { partitions, replication, settings };
        let findings = judge(&topic(is_ours), Some(&found));
        let what: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(what, expected);
    }

    const GOOD: [(&str, &str); 6] = [
        ("min.insync.replicas", "2"),
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.type", "LogAppendTime"),
    ];

    fn but(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        GOOD.into_iter().filter(|(known, _)| *known != name).chain([(name, value)]).collect()
    }

    #[test]
    fn names_what_breaks_the_promise() {
        check(true, 1, 3, &GOOD, &[]);
        check(true, 2, 3, &GOOD, &["has 2 partitions, must have 1"]);
        check(true, 1, 1, &GOOD, &["has 1 copies of a partition, fewer than 3"]);
        check(true, 1, 3, &but("min.insync.replicas", "1"), &["min.insync.replicas is 1, less than 2"]);
        check(true, 1, 3, &but("cleanup.policy", "compact,delete"), &["cleanup.policy compacts it"]);
        check(true, 1, 3, &but("retention.ms", "604800000"), &["retention.ms is 604800000: its records expire"]);
        check(true, 1, 3, &but("max.message.bytes", "500000"), &["max.message.bytes is 500000, less than 1000000"]);
        let unclean = but("unclean.leader.election.enable", "true");
        check(true, 1, 3, &unclean, &["unclean.leader.election.enable is true"]);
    }

    #[test]
    fn inputs_are_judged_as_what_others_own() {
        check(false, 12, 3, &but("retention.ms", "3600000"), &[]);
        check(false, 12, 3, &but("message.timestamp.type", "CreateTime"), &["message.timestamp.type is CreateTime"]);
        let missing = judge(&topic(false), None);
        assert_eq!(missing.len(), 1);
        assert!(missing.iter().all(|finding| finding.is_missing && finding.remedy.ends_with("--inputs")));
    }
}
