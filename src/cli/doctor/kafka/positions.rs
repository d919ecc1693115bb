//! Where the state goes on reading, against what the topics still have.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::kafka::ear::Ear;
use crate::control::config::{Config, SourceKind};
use crate::pipeline::source::kafka::OnOffsetLost;
use crate::pipeline::state::entry::MetaEntry;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition, the next offset to read, and the offsets there are.
#[derive(Clone, Debug)]
struct Place {
    source: String,
    partition: String,
    next: i64,
    first: i64,
    end: i64,
    stops: bool,
}

pub(super) fn look(lookout: &BaseConsumer<Ear>, config: &Config, meta: &MetaEntry) -> Vec<Finding> {
    let mut places = Vec::new();
    for source in &config.sources {
        let SourceKind::Kafka(kafka) = &source.kind else { continue };
        for position in meta.positions.iter().filter(|position| position.source == source.name) {
            let Some((topic, number)) = position.partition.rsplit_once('/') else { continue };
            let is_read = kafka.topics.iter().any(|known| known.name == topic);
            let (true, Ok(number)) = (is_read, number.parse::<i32>()) else { continue };
            // A topic that is not there is told of by another check.
            let Ok((first, end)) = lookout.fetch_watermarks(topic, number, REQUEST_TIMEOUT) else { continue };
            places.push(Place {
                source: source.name.clone(),
                partition: position.partition.clone(),
                next: i64::try_from(position.next).unwrap_or(i64::MAX),
                first,
                end,
                stops: kafka.on_offset_lost == OnOffsetLost::Stop,
            });
        }
    }
    judge(&places)
}

fn judge(places: &[Place]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = places.iter().filter_map(lost).collect();
    if findings.is_empty() && !places.is_empty() {
        let unread: i64 = places.iter().map(|place| place.end - place.next).sum();
        let what = format!("{} partitions go on where they were left, {unread} offsets are unread", places.len());
        findings.push(Finding::ok(Check::InputPositions, what));
    }
    findings
}

fn lost(place: &Place) -> Option<Finding> {
    let Place { source, partition, next, first, end, stops } = place;
    let what = if next < first {
        format!(
            "{partition} of source {source:?} begins at {first}, and was read up to {next}: {} offsets are gone",
            first - next
        )
    } else if next > end {
        format!("{partition} of source {source:?} ends at {end}, and was read up to {next}: the topic was made anew")
    } else {
        return None;
    };
    let why = "alerts that were not read are lost";
    Some(match stops {
        true => Finding::problem(
            Check::InputPositions,
            what,
            "alerts that were not read are lost, and with on_offset_lost: stop the daemon waits for a person",
            format!("after looking what was lost: on_offset_lost: earliest for source {source}, until it runs again"),
        ),
        false => Finding::warning(Check::InputPositions, what, why, "keep input longer: retention.ms of the topic"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_compared_with_what_is_there() {
        let place = |next: i64, stops: bool| Place {
            source: "in".to_owned(),
            partition: "alerts/0".to_owned(),
            next,
            first: 100,
            end: 200,
            stops,
        };
        let found =
            [judge(&[place(150, true), place(200, true)]), judge(&[place(40, true)]), judge(&[place(900, false)])];
        let shown: String = found.concat().iter().map(|one| format!("{} {}\n", one.level.name(), one.what)).collect();
        insta::assert_snapshot!(shown, @r#"
        ok 2 partitions go on where they were left, 50 offsets are unread
        problem alerts/0 of source "in" begins at 100, and was read up to 40: 60 offsets are gone
        warning alerts/0 of source "in" ends at 200, and was read up to 900: the topic was made anew
        "#);
    }
}
