//! `docs/tap.md` has the fields and reasons that the tap shows, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate::model::alert::Format;
use tidegate::model::{EventKind, EventReason, Fingerprint, IncidentId, Severity, Status, Timestamp};
use tidegate::pipeline::outcome::Outcome;
use tidegate::pipeline::shard::event::Reason;
use tidegate::pipeline::tap::{DecodeSample, IncidentSample, Origin, RecordSample, Sample, ShardSample, Stage};

const PAGE: &str = include_str!("../../../docs/tap.md");
const AT: Timestamp = Timestamp(0);

fn origin() -> Origin {
    Origin { source: "http".to_owned(), partition: String::new(), position: 1 }
}

/// A sample of each stage in which nothing is absent.
fn samples() -> [Sample; 4] {
    let labels = BTreeMap::from([("service".to_owned(), "shop".to_owned())]);
    [
        Sample::Record(RecordSample {
            at: AT,
            origin: origin(),
            format: Format::Native,
            record_time: Some(AT),
            bytes: 2,
            text: "{}".to_owned(),
        }),
        Sample::Decode(DecodeSample {
            at: AT,
            decision: "reject",
            reason: Some("empty"),
            origin: origin(),
            index: Some(0),
            status: Some(Status::Firing),
            severity: Some(Severity::High),
            starts_at: Some(AT),
            labels: Some(labels.clone()),
            text: Some(String::new()),
        }),
        Sample::Shard(ShardSample {
            at: AT,
            decision: "opened",
            reason: Some(Reason::Opening(EventReason::FirstAlert)),
            alerts: 1,
            source: "http".to_owned(),
            position: Some(1),
            index: 0,
            record_time: Some(AT),
            status: Some(Status::Firing),
            severity: Some(Severity::High),
            rule: "default".to_owned(),
            group_labels: labels.clone(),
            incident_id: Some(IncidentId(1)),
            fingerprint: Fingerprint(1),
            labels: Some(labels.clone()),
        }),
        Sample::Incident(IncidentSample {
            at: AT,
            decision: EventKind::Opened,
            reason: EventReason::FirstAlert,
            incident_id: IncidentId(1),
            revision: 1,
            epoch: 1,
            record_time: AT,
            status: Status::Firing,
            severity: Severity::High,
            rule: "default".to_owned(),
            group_labels: labels,
            members: 1,
            firing: 1,
            alerts: 1,
        }),
    ]
}

/// The page from the heading of a stage to the next heading.
fn section(stage: Stage) -> &'static str {
    let from = PAGE.split_once(&format!("### `{}`", stage.name())).unwrap().1;
    from.split("\n### ").next().unwrap()
}

#[test]
fn the_page_has_the_fields_of_every_stage() {
    for (stage, sample) in Stage::ALL.into_iter().zip(samples()) {
        let Value::Object(shown) = serde_json::to_value(sample).unwrap() else { panic!("a sample is an object") };
        assert_eq!(shown["stage"], stage.name());
        let shown: BTreeSet<&str> = shown.keys().map(String::as_str).filter(|name| *name != "stage").collect();
        let rows = section(stage).lines().filter(|line| line.matches('|').count() == 3);
        let named: BTreeSet<&str> = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(named, shown, "{}", stage.name());
    }
}

/// The outcomes that a reason may stand behind.
fn outcomes(reason: Reason) -> &'static [Outcome] {
    match reason {
        Reason::Opening(_) => &[Outcome::Opened],
        Reason::NewMember | Reason::FiresAgain => &[Outcome::Joined],
        Reason::BackFilled => &[Outcome::Joined, Outcome::Folded],
        Reason::Repeat
        | Reason::NewOccurrence
        | Reason::ResolvedByPerson
        | Reason::NothingFires
        | Reason::BelowThreshold
        | Reason::Overflow => &[Outcome::Folded],
        Reason::MemberResolved => &[Outcome::Resolved],
    }
}

#[test]
fn the_page_has_every_reason() {
    let opening = [
        EventReason::FirstAlert,
        EventReason::Threshold,
        EventReason::AfterGap,
        EventReason::AfterCap,
        EventReason::AfterPerson,
        EventReason::FiringAgain,
    ];
    let other = [
        Reason::NewMember,
        Reason::FiresAgain,
        Reason::BackFilled,
        Reason::Repeat,
        Reason::NewOccurrence,
        Reason::ResolvedByPerson,
        Reason::NothingFires,
        Reason::BelowThreshold,
        Reason::Overflow,
        Reason::MemberResolved,
    ];
    let reasons = opening.into_iter().map(Reason::Opening).chain(other);
    let expected: Vec<String> = reasons
        .map(|reason| {
            let outcomes: Vec<String> =
                outcomes(reason).iter().map(|outcome| format!("`{}`", outcome.name())).collect();
            let word = serde_json::to_value(reason).unwrap();
            format!("| {} | `{}` |", outcomes.join(", "), word.as_str().unwrap())
        })
        .collect();
    let rows = section(Stage::Shard).lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 4);
    let shown: Vec<String> = rows.map(|row| row.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|").collect();
    assert_eq!(shown, expected);
}
