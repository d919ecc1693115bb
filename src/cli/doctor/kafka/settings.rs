//! What brokers and topics are set to: the promise rests on it. Topics are judged as `topics check` judges them.

use std::collections::BTreeMap;

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::kafka::acl::grant;
use crate::cli::topics::cluster::Cluster;
use crate::cli::topics::judge::{Finding as TopicFinding, Found, Weight, judge, wanted};
use crate::control::config::duration::show;
use crate::control::config::fault::counted;
use crate::control::config::{Config, Kafka};
use crate::model::time::Millis;
use crate::pipeline::options::{WindowKind, WindowRule};

/// `transaction.timeout.ms` of the daemon (`connection::producer`).
const OUR_TIMEOUT_MS: i64 = 30_000;
/// Input is kept at least this many times the longest window, so that after an outage windows can be built whole.
const WINDOWS_KEPT: i64 = 2;

/// Settings of a broker.
pub(super) fn judge_brokers(settings: &BTreeMap<String, String>, n_brokers: usize) -> Vec<Finding> {
    if settings.is_empty() {
        return vec![Finding::note(
            Check::BrokerSettings,
            "the brokers do not tell us their settings",
            "their log of transactions was not looked at; this needs DescribeConfigs on the cluster, and nothing else does",
            "kafka-configs.sh --describe --all --entity-type brokers --entity-name 1",
        )];
    }
    let number = |name: &str| settings.get(name).and_then(|value| value.parse::<i64>().ok());
    let mut findings = Vec::new();
    if let Some(max) = number("transaction.max.timeout.ms").filter(|max| *max < OUR_TIMEOUT_MS) {
        findings.push(Finding::problem(
            Check::BrokerSettings,
            format!("transaction.max.timeout.ms is {max}, less than {OUR_TIMEOUT_MS}"),
            "the brokers refuse the daemon's transactions: it does not start",
            format!("set transaction.max.timeout.ms={OUR_TIMEOUT_MS} or more on every broker"),
        ));
    }
    let copies = number("transaction.state.log.replication.factor").unwrap_or(3);
    let in_sync = number("transaction.state.log.min.isr").unwrap_or(2);
    if n_brokers > 1 && (copies < 3 || in_sync < 2) {
        findings.push(Finding::problem(
            Check::BrokerSettings,
            format!("the log of transactions has {}, of which {in_sync} must be in sync", copies_of(copies)),
            "with one disk it is lost which transactions were committed, and with it which records count",
            "transaction.state.log.replication.factor=3 and transaction.state.log.min.isr=2, and reassign __transaction_state",
        ));
    }
    if copies > n_brokers as i64 {
        findings.push(Finding::problem(
            Check::BrokerSettings,
            format!(
                "transaction.state.log.replication.factor is {copies}, and the cluster has {}",
                counted(n_brokers, "broker")
            ),
            "the log of transactions cannot be created, so that no transaction can begin",
            format!("start more brokers, or, for a test cluster, set it to {n_brokers}"),
        ));
    }
    if findings.is_empty() {
        let what =
            format!("log of transactions with {}, {in_sync} in sync; time-outs of transactions fit", copies_of(copies));
        findings.push(Finding::ok(Check::BrokerSettings, what));
    }
    findings
}

fn copies_of(number: i64) -> String {
    if number == 1 { "1 copy".to_owned() } else { format!("{number} copies") }
}

/// Every topic of the configuration. Returns which there are as well.
pub(super) fn topics(config: &Config, kafka: &Kafka, replication: u16) -> (Vec<Finding>, Vec<String>) {
    let mut findings = Vec::new();
    let mut there = Vec::new();
    let cluster = match Cluster::connect(&kafka.connection) {
        Ok(cluster) => cluster,
        Err(error) => {
            let what = format!("not looked at: {error:#}");
            return (vec![Finding::note(Check::Topics, what, "see brokers", "")], there);
        }
    };
    for topic in wanted(config, kafka, 1, replication) {
        match cluster.describe(&topic.name) {
            Ok(found) => {
                let said: Vec<TopicFinding> = judge(&topic, found.as_ref());
                findings.extend(said.iter().map(as_ours));
                if let Some(found) = found {
                    if said.is_empty() {
                        findings.push(Finding::ok(Check::Topics, format!("{}: good", topic.name)));
                    }
                    if !topic.is_ours {
                        findings.extend(judge_retention(&topic.name, &found, &config.pipeline.rules));
                    }
                    there.push(topic.name);
                }
            }
            Err(error) => {
                let operations: &[&str] = &["Describe", "DescribeConfigs"];
                findings.push(Finding::problem(
                    Check::Topics,
                    format!("{}: {error:#}", topic.name),
                    "whether it holds what it is given could not be looked at",
                    grant(&kafka.connection, operations, "--topic", &topic.name),
                ));
            }
        }
    }
    (findings, there)
}

fn as_ours(finding: &TopicFinding) -> Finding {
    let what = format!("{}: {}", finding.topic, finding.what);
    match finding.weight {
        Weight::Fault => Finding::problem(Check::Topics, what, finding.why, &finding.remedy),
        Weight::Hint => Finding::note(Check::Topics, what, finding.why, &finding.remedy),
    }
}

/// How long a window may be open at most; `None` if nothing bounds it.
fn longest(rules: &[WindowRule]) -> Option<Millis> {
    let of = |rule: &WindowRule| match rule.kind {
        WindowKind::Session | WindowKind::Fixed | WindowKind::UntilResolved => rule.max_age,
    };
    rules.iter().map(of).try_fold(Millis::ZERO, |longest, span| Some(longest.max(span?)))
}

fn judge_retention(topic: &str, found: &Found, rules: &[WindowRule]) -> Vec<Finding> {
    let kept = found.settings.get("retention.ms").and_then(|value| value.parse::<i64>().ok()).unwrap_or(-1);
    let shown = if kept < 0 { "for ever".to_owned() } else { format!("for {}", show(Millis(kept))) };
    let mut findings = Vec::new();
    match longest(rules) {
        Some(longest) if kept >= 0 && kept < longest.0.saturating_mul(WINDOWS_KEPT) => findings.push(Finding::warning(
            Check::InputRetention,
            format!("{topic} is kept {shown}, less than twice the longest window ({})", show(longest)),
            "after an outage longer than that, input is gone before it was read; on_offset_lost decides then",
            format!(
                "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config retention.ms={}",
                longest.0.saturating_mul(WINDOWS_KEPT)
            ),
        )),
        Some(longest) => findings.push(Finding::ok(
            Check::InputRetention,
            format!("{topic} is kept {shown}, the longest window is {}", show(longest)),
        )),
        None => findings.push(Finding::note(
            Check::InputRetention,
            format!("{topic} is kept {shown}, and windows without max_age have no longest"),
            "a window that spans more than what is kept cannot be built again from the input",
            "",
        )),
    }
    if let Some(bytes) = found.settings.get("retention.bytes").filter(|bytes| *bytes != "-1") {
        findings.push(Finding::note(
            Check::InputRetention,
            format!("{topic} keeps at most {bytes} bytes of a partition"),
            "in a storm that is soon reached, and then retention.ms does not hold",
            "compare with the bytes of your worst day",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(findings: &[Finding]) -> String {
        findings.iter().map(|one| format!("{} {}: {}\n", one.level.name(), one.check.name(), one.what)).collect()
    }

    fn of(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn brokers_are_judged_by_their_log_of_transactions() {
        let good = [("transaction.state.log.replication.factor", "3"), ("transaction.state.log.min.isr", "2")];
        let weak = [("transaction.state.log.replication.factor", "1"), ("transaction.max.timeout.ms", "1000")];
        let found = [
            judge_brokers(&of(&good), 3),
            judge_brokers(&of(&weak), 3),
            judge_brokers(&of(&good), 1),
            judge_brokers(&of(&[]), 3),
        ];
        insta::assert_snapshot!(shown(&found.concat()), @"
        ok broker_settings: log of transactions with 3 copies, 2 in sync; time-outs of transactions fit
        problem broker_settings: transaction.max.timeout.ms is 1000, less than 30000
        problem broker_settings: the log of transactions has 1 copy, of which 2 must be in sync
        problem broker_settings: transaction.state.log.replication.factor is 3, and the cluster has 1 broker
        note broker_settings: the brokers do not tell us their settings
        ");
    }

    #[test]
    fn input_is_kept_twice_as_long_as_the_longest_window() {
        let with = |max_age: Option<Millis>| WindowRule { max_age, ..WindowRule::named("a") };
        let found = |settings: &[(&str, &str)]| Found { settings: of(settings), ..Found::default() };
        let rules = [with(Some(Millis::hours(24))), with(Some(Millis::hours(1)))];
        let week = found(&[("retention.ms", "604800000"), ("retention.bytes", "-1")]);
        let day = found(&[("retention.ms", "86400000"), ("retention.bytes", "1000000")]);
        let said = [
            judge_retention("alerts", &week, &rules),
            judge_retention("alerts", &day, &rules),
            judge_retention("alerts", &found(&[("retention.ms", "-1")]), &rules),
            judge_retention("alerts", &week, &[with(None)]),
        ];
        insta::assert_snapshot!(shown(&said.concat()), @"
        ok input_retention: alerts is kept for 7d, the longest window is 1d
        warning input_retention: alerts is kept for 1d, less than twice the longest window (1d)
        note input_retention: alerts keeps at most 1000000 bytes of a partition
        ok input_retention: alerts is kept for ever, the longest window is 1d
        note input_retention: alerts is kept for 7d, and windows without max_age have no longest
        ");
    }

    #[test]
    fn what_topics_check_says_is_said_here() {
        let said = TopicFinding {
            topic: "t.state".to_owned(),
            weight: Weight::Fault,
            is_missing: true,
            what: "does not exist".to_owned(),
            why: "nothing starts",
            remedy: "tidegate topics create".to_owned(),
        };
        let hint = TopicFinding { weight: Weight::Hint, ..said.clone() };
        insta::assert_snapshot!(shown(&[as_ours(&said), as_ours(&hint)]), @"
        problem topics: t.state: does not exist
        note topics: t.state: does not exist
        ");
    }
}
