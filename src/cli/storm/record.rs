//! The record of a storm, for programs: what was sent, what became of it, what it cost, and how it went over time.
//! `docs/storm-record.schema.json` describes it; `docs/storm.md` explains it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cli::storm::course::Moment;
use crate::cli::storm::latency::Quantiles;
use crate::model::Timestamp;

/// The version of the record: readers refuse what they do not know. Fields may be added without a new one.
pub const RECORD_VERSION: u32 = 1;

/// Everything that is known of a storm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// `RECORD_VERSION`.
    pub version: u32,
    /// The version of the program that sent.
    pub tidegate: String,
    /// When the first alert was due, by the clock of the machine that sent.
    pub started_at: Timestamp,
    /// Where to.
    pub to: String,
    /// The flood's shape.
    pub shape: String,
    /// The flood's seed.
    pub seed: u64,
    /// What the names of its clusters end with; empty if with nothing.
    pub tag: String,
    /// Alerts of the flood.
    pub alerts: u64,
    /// Alerts due per second; 0: as fast as possible.
    pub rate: f64,
    /// Alerts per HTTP request.
    pub batch: Option<u32>,
    /// HTTP connections.
    pub connections: Option<u32>,
    /// How long an alert might wait for others to fill its batch.
    pub linger_ms: u64,
    /// Alerts that the receiver acknowledged.
    pub sent: u64,
    /// Alerts that were refused for good or given up.
    pub failed: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Alerts that were sent again although the first may have been taken.
    pub doubtful: u64,
    /// The first thing that went wrong.
    pub first_error: Option<String>,
    /// Everything arrived; and if a daemon was watched, it has taken all of it.
    pub complete: bool,
    /// From the first alert to the last acknowledgement.
    pub seconds: f64,
    /// Alerts acknowledged per second of that.
    pub sent_per_second: f64,
    /// True incidents of the flood.
    pub incidents: u64,
    /// True fingerprints of the flood.
    pub fingerprints: u64,
    /// The daemon has made exactly the true incidents of the flood; absent if none was watched.
    pub exact: Option<bool>,
    /// Why not complete or exact, for people.
    pub faults: Vec<String>,
    /// Latencies count from when an alert was due, so that coordinated omission is corrected. False without a rate:
    /// nothing is due then, and they count from the first attempt.
    pub corrected: bool,
    /// Until the receiver's acknowledgement: a durable one of the daemon (HTTP), one of the broker (Kafka).
    pub acknowledged: Option<Quantiles>,
    /// What the sender itself did and cost.
    pub generator: Generator,
    /// The daemon, if it was watched.
    pub daemon: Option<Daemon>,
    /// How it went over time.
    pub course: Vec<Moment>,
}

/// The sender.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// From when an alert was due to when it left the generator: large values say that the sender had no processor, or
    /// that more waited than may. Absent without a rate.
    pub late: Option<Quantiles>,
    /// Processor time until everything was acknowledged.
    pub cpu_seconds: Option<f64>,
    /// Processors that this is, on average.
    pub cores: Option<f64>,
}

/// What was seen of the daemon, from just before the first alert until all were taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Daemon {
    /// Where it was asked.
    pub url: String,
    /// Its version.
    pub version: String,
    /// Alerts that it received.
    pub received: u64,
    /// What became of them.
    pub outcomes: BTreeMap<String, u64>,
    /// Alerts held back below a threshold at the end, more than before.
    pub held: i64,
    /// Incidents of this flood.
    pub incidents: u64,
    /// Those that are right in every value.
    pub incidents_exact: u64,
    /// Incident events made durable.
    pub events: u64,
    /// Whether revisions were seen to run from 1 without a gap: the stream of events was read in full.
    pub revisions_seen: bool,
    /// From the first alert of an incident, due, until `opened` was durable and arrived on the daemon's stream.
    pub alert_to_incident: Option<Quantiles>,
    /// Incidents whose opening was not seen on the stream.
    pub openings_unseen: u64,
    /// From the first alert until everything was taken; absent if not all was.
    pub taken_after_s: Option<f64>,
    /// Alerts taken per second of that.
    pub taken_per_second: Option<f64>,
    /// Processor time of its process until then.
    pub cpu_seconds: Option<f64>,
    /// Processors that this is, on average.
    pub cores: Option<f64>,
    /// Processor time per alert, microseconds.
    pub cpu_us_per_alert: Option<f64>,
    /// Memory in RAM when everything was taken.
    pub rss_bytes: Option<u64>,
    /// The most seen: of the looks during the storm, or with `--pid` since its process started, by the kernel's word.
    pub rss_peak_bytes: Option<u64>,
    /// `looks` or `kernel`.
    pub rss_peak_from: String,
    /// Most alerts that were due and not taken.
    pub behind_max: u64,
    /// Most records that were unread in Kafka.
    pub lag_records_max: u64,
    /// The oldest of those, seconds.
    pub lag_seconds_max: f64,
    /// Epochs committed.
    pub epochs: u64,
    /// How long a commit took on average.
    pub commit_mean_ms: Option<f64>,
    /// The bound of the bucket in which 50 percent of the commits end.
    pub commit_p50_at_most_ms: Option<f64>,
    /// The bound of the bucket in which 99 percent of the commits end.
    pub commit_p99_at_most_ms: Option<f64>,
    /// From the last acknowledgement until its incidents told of every alert, or waiting ended.
    pub settled_after_s: f64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::cli::storm::picture::tests::example;

    /// Every object of a record has exactly the fields that the schema names.
    fn check(value: &Value, schema: &Value, root: &Value) {
        let name = schema["$ref"].as_str().or_else(|| schema["anyOf"][0]["$ref"].as_str());
        let schema = name.map_or(schema, |name| root.pointer(name.trim_start_matches('#')).unwrap());
        match value {
            Value::Object(fields) if schema["properties"].is_object() => {
                let described = schema["properties"].as_object().unwrap();
                let (own, known): (BTreeSet<_>, BTreeSet<_>) = (fields.keys().collect(), described.keys().collect());
                assert_eq!(own, known);
                let required: BTreeSet<_> =
                    schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
                assert_eq!(required, known.iter().map(|key| key.as_str()).collect());
                fields.iter().for_each(|(key, value)| check(value, &described[key], root));
                assert!(described.values().all(|field| field["description"].is_string()), "{described:#?}");
            }
            Value::Array(elements) => elements.iter().for_each(|value| check(value, &schema["items"], root)),
            _ => {}
        }
    }

    #[test]
    fn the_schema_has_every_field_and_a_record_reads_back() {
        let record = example();
        let schema: Value = serde_json::from_str(include_str!("../../../docs/storm-record.schema.json")).unwrap();
        let value = serde_json::to_value(&record).unwrap();
        assert_eq!(schema["properties"]["version"]["const"], value["version"]);
        check(&value, &schema, &schema);
        assert_eq!(serde_json::from_value::<Record>(value).unwrap(), record);
    }
}
