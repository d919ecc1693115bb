//! What follows from what was tried with the cluster.

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, listed};
use crate::cli::doctor::kafka::acl::grant;
use crate::cli::doctor::kafka::rights::{Outcome, Tried};
use crate::control::config::Kafka;

/// `is_local`: a daemon of this configuration works, so its own transactional id is allowed.
pub(super) fn judge(tried: &Tried, kafka: &Kafka, is_local: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(tried.transaction.as_ref().map(|outcome| transaction(tried, outcome, kafka, is_local)));
    findings.extend(of_topics(Check::TopicWrites, &tried.writes, kafka));
    findings.extend(of_topics(Check::TopicReads, &tried.reads, kafka));
    findings.extend(tried.trim.as_ref().map(|(topic, outcome)| trim(topic, outcome, kafka)));
    findings.extend(tried.offsets.as_ref().map(|outcome| offsets(outcome, kafka)));
    findings
}

fn transaction(tried: &Tried, outcome: &Outcome, kafka: &Kafka, is_local: bool) -> Finding {
    let check = Check::TransactionalId;
    let (id, namespace) = (&tried.transactional_id, &kafka.namespace);
    let remedy = format!(
        "{} --resource-pattern-type prefixed",
        grant(&kafka.connection, &["Write", "Describe"], "--transactional-id", namespace)
    );
    match outcome {
        Outcome::Granted => Finding::ok(check, format!("transactions can be begun and aborted (tried as {id:?})")),
        Outcome::Denied(code) if is_local => Finding::warning(
            check,
            format!("transactional id {id:?} is denied: {code}; the daemon's own, {namespace:?}, works"),
            "what else transactions need could not be tried; the daemon's id itself is never tried, for that would end it",
            remedy,
        ),
        Outcome::Denied(code) => Finding::problem(
            check,
            format!("transactional id {id:?} is denied: {code}; the daemon's own is {namespace:?}"),
            "if the daemon's id is denied as well, it does not start; it is never tried here, for that would end a running daemon",
            remedy,
        ),
        Outcome::Failed(fault) if fault.contains("fenced") => Finding::note(
            check,
            format!("another doctor took {id:?} over: {fault}"),
            "two of them cannot try out transactions at once",
            "run it again",
        ),
        Outcome::Failed(fault) => Finding::problem(
            check,
            format!("no transaction can be begun as {id:?}: {fault}"),
            "each epoch is a transaction; without the log of transactions or its coordinator nothing is committed",
            "see broker_settings; kafka-topics.sh --describe --topic __transaction_state",
        ),
    }
}

fn of_topics(check: Check, tried: &[(String, Outcome)], kafka: &Kafka) -> Vec<Finding> {
    let is_write = check == Check::TopicWrites;
    let (word, operation) = if is_write { ("written", "Write") } else { ("read", "Read") };
    let good = tried.iter().filter(|(_, outcome)| *outcome == Outcome::Granted).map(|(topic, _)| topic.clone());
    let good: Vec<String> = good.collect();
    let mut findings = Vec::new();
    if !good.is_empty() {
        let how = if is_write { " (in transactions that were aborted)" } else { "" };
        findings.push(Finding::ok(check, format!("can be {word}: {}{how}", listed(&good))));
    }
    for (topic, outcome) in tried {
        let why = if is_write {
            "every epoch that has something for this topic fails"
        } else {
            "what is in it is never seen, and the daemon does not start"
        };
        match outcome {
            Outcome::Granted => {}
            Outcome::Denied(code) => findings.push(Finding::problem(
                check,
                format!("{topic} may not be {word}: {code}"),
                why,
                grant(&kafka.connection, &[operation, "Describe"], "--topic", topic),
            )),
            Outcome::Failed(fault) => findings.push(Finding::problem(
                check,
                format!("{topic} could not be {word}: {fault}"),
                why,
                format!("kafka-topics.sh --describe --topic {topic} shows leaders and replicas"),
            )),
        }
    }
    findings
}

fn trim(topic: &str, outcome: &Outcome, kafka: &Kafka) -> Finding {
    let check = Check::StateTrim;
    let why = "state that no restart needs stays in the topic: it grows, and every restart takes longer";
    match outcome {
        Outcome::Granted => Finding::ok(check, format!("state that is not needed can be removed from {topic}")),
        Outcome::Denied(code) => Finding::problem(
            check,
            format!("nothing may be removed from {topic}: {code}"),
            why,
            grant(&kafka.connection, &["Delete"], "--topic", topic),
        ),
        Outcome::Failed(fault) => Finding::warning(
            check,
            format!("whether state can be removed from {topic} is not known: {fault}"),
            why,
            format!("kafka-topics.sh --describe --topic {topic}"),
        ),
    }
}

fn offsets(outcome: &Outcome, kafka: &Kafka) -> Finding {
    let check = Check::ConsumerGroup;
    let group = &kafka.namespace;
    let why =
        "the positions of the input are committed to this group with every epoch: without it no epoch is committed";
    match outcome {
        Outcome::Granted => Finding::ok(check, format!("offsets can be committed to group {group:?}")),
        Outcome::Denied(code) => Finding::problem(
            check,
            format!("offsets may not be committed to group {group:?}: {code}"),
            why,
            grant(&kafka.connection, &["Read", "Describe"], "--group", group),
        ),
        Outcome::Failed(fault) => Finding::problem(
            check,
            format!("offsets could not be committed to group {group:?}: {fault}"),
            why,
            format!("kafka-consumer-groups.sh --describe --state --group {group}"),
        ),
    }
}

/// Members of our group, by client id: the daemon itself assigns its partitions and never joins.
pub(super) fn members(group: &str, state: &str, members: &[String]) -> Finding {
    if members.is_empty() {
        return Finding::ok(Check::ConsumerGroup, format!("group {group:?} has no members, as it should ({state})"));
    }
    Finding::warning(
        Check::ConsumerGroup,
        format!("group {group:?} has members: {}", listed(members)),
        "tidegate never joins its group; somebody else uses its name, and both commit offsets to it",
        "give the other one another group.id, or tidegate another kafka.namespace",
    )
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;
    use crate::pipeline::source::kafka::connection::Connection;

    fn kafka() -> Kafka {
        let connection = Connection { brokers: vec!["kafka-1:9092".to_owned()], ..Connection::default() };
        Kafka { connection, namespace: "tidegate".to_owned(), snapshot: true, standby: false }
    }

    fn shown(findings: &[Finding]) -> String {
        let mut text = String::new();
        for one in findings {
            text.push_str(&format!("{} {}\n", one.level.name(), one.what));
            let more = [&one.why, &one.remedy].into_iter().filter(|line| !line.is_empty());
            more.for_each(|line| text.push_str(&format!("  {line}\n")));
        }
        text
    }

    fn tried(all: &Outcome) -> Tried {
        Tried {
            transactional_id: "tidegate-doctor".to_owned(),
            transaction: Some(all.clone()),
            writes: vec![("tidegate.state".to_owned(), all.clone()), ("tidegate.incidents".to_owned(), all.clone())],
            reads: vec![("alerts".to_owned(), all.clone())],
            trim: Some(("tidegate.state".to_owned(), all.clone())),
            offsets: Some(all.clone()),
            mark: None,
        }
    }

    #[test]
    fn what_works_is_said_in_a_line_each() {
        insta::assert_snapshot!(shown(&judge(&tried(&Outcome::Granted), &kafka(), false)), @r#"
        ok transactions can be begun and aborted (tried as "tidegate-doctor")
        ok can be written: tidegate.state, tidegate.incidents (in transactions that were aborted)
        ok can be read: alerts
        ok state that is not needed can be removed from tidegate.state
        ok offsets can be committed to group "tidegate"
        "#);
    }

    #[test]
    fn a_denial_names_the_command_that_grants() {
        let denied = Outcome::Denied(Code::TopicAuthorizationFailed);
        insta::assert_snapshot!(shown(&judge(&tried(&denied), &kafka(), false)), @r#"
        problem transactional id "tidegate-doctor" is denied: TopicAuthorizationFailed (Broker: Topic authorization failed); the daemon's own is "tidegate"
          if the daemon's id is denied as well, it does not start; it is never tried here, for that would end a running daemon
          kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:NAME --operation Write --operation Describe --transactional-id tidegate --resource-pattern-type prefixed
        problem tidegate.state may not be written: TopicAuthorizationFailed (Broker: Topic authorization failed)
          every epoch that has something for this topic fails
          kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:NAME --operation Write --operation Describe --topic tidegate.state
        problem tidegate.incidents may not be written: TopicAuthorizationFailed (Broker: Topic authorization failed)
          every epoch that has something for this topic fails
          kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:NAME --operation Write --operation Describe --topic tidegate.incidents
        problem alerts may not be read: TopicAuthorizationFailed (Broker: Topic authorization failed)
          what is in it is never seen, and the daemon does not start
          kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:NAME --operation Read --operation Describe --topic alerts
        problem nothing may be removed from tidegate.state: TopicAuthorizationFailed (Broker: Topic authorization failed)
          state that no restart needs stays in the topic: it grows, and every restart takes longer
          kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:NAME --operation Delete --topic tidegate.state
        problem offsets may not be committed to group "tidegate": TopicAuthorizationFailed (Broker: Topic authorization failed)
          the positions of the input are committed to this group with every epoch: without it no epoch is committed
          kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:NAME --operation Read --operation Describe --group tidegate
        "#);
        let id = Tried { writes: Vec::new(), reads: Vec::new(), trim: None, offsets: None, ..tried(&denied) };
        insta::assert_snapshot!(shown(&judge(&id, &kafka(), true)), @r#"
        warning transactional id "tidegate-doctor" is denied: TopicAuthorizationFailed (Broker: Topic authorization failed); the daemon's own, "tidegate", works
          what else transactions need could not be tried; the daemon's id itself is never tried, for that would end it
          kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:NAME --operation Write --operation Describe --transactional-id tidegate --resource-pattern-type prefixed
        "#);
    }

    #[test]
    fn a_failure_says_where_to_look() {
        let failed = Outcome::Failed("no answer within 12s".to_owned());
        insta::assert_snapshot!(shown(&judge(&tried(&failed), &kafka(), false)), @r#"
        problem no transaction can be begun as "tidegate-doctor": no answer within 12s
          each epoch is a transaction; without the log of transactions or its coordinator nothing is committed
          see broker_settings; kafka-topics.sh --describe --topic __transaction_state
        problem tidegate.state could not be written: no answer within 12s
          every epoch that has something for this topic fails
          kafka-topics.sh --describe --topic tidegate.state shows leaders and replicas
        problem tidegate.incidents could not be written: no answer within 12s
          every epoch that has something for this topic fails
          kafka-topics.sh --describe --topic tidegate.incidents shows leaders and replicas
        problem alerts could not be read: no answer within 12s
          what is in it is never seen, and the daemon does not start
          kafka-topics.sh --describe --topic alerts shows leaders and replicas
        warning whether state can be removed from tidegate.state is not known: no answer within 12s
          state that no restart needs stays in the topic: it grows, and every restart takes longer
          kafka-topics.sh --describe --topic tidegate.state
        problem offsets could not be committed to group "tidegate": no answer within 12s
          the positions of the input are committed to this group with every epoch: without it no epoch is committed
          kafka-consumer-groups.sh --describe --state --group tidegate
        "#);
    }

    #[test]
    fn members_of_our_group_are_somebody_else() {
        let found = [members("g", "Empty", &[]), members("g", "Stable", &["kcat at /10.0.0.7".to_owned()])];
        insta::assert_snapshot!(shown(&found), @r#"
        ok group "g" has no members, as it should (Empty)
        warning group "g" has members: kcat at /10.0.0.7
          tidegate never joins its group; somebody else uses its name, and both commit offsets to it
          give the other one another group.id, or tidegate another kafka.namespace
        "#);
    }
}
