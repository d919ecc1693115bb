//! An alert of a scenario, said in one line: `alert("checkout/a").critical().starts(10)`.

use serde_json::{Map, Value, json};
use tidegate::model::alert::Format;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::source::SourceIndex;

/// Second 0 of every scenario, in Unix seconds.
const START: i64 = 1_700_000_000;

/// The moment this many seconds after the start.
pub(super) fn second(seconds: i64) -> Timestamp {
    Timestamp((START + seconds) * 1_000)
}

/// The other way round, as text: whole seconds, or with milliseconds where there are any.
pub(super) fn seconds_of(time: Timestamp) -> String {
    let millis = time.0 - START * 1_000;
    if millis % 1_000 == 0 {
        format!("{}", millis / 1_000)
    } else {
        format!("{}.{:03}", millis / 1_000, millis % 1_000)
    }
}

/// An alert to send.
#[derive(Clone)]
pub(super) struct Alert {
    pub(super) labels: Map<String, Value>,
    pub(super) source: SourceIndex,
    /// Record time, if it is not the time of sending.
    pub(super) time: Option<Timestamp>,
    resolved: bool,
    starts: Option<Timestamp>,
    ends: Option<Timestamp>,
    pub(super) format: Format,
}

/// A firing alert; `checkout/a` is instance `a` of the service `checkout`, which is also its group.
pub(super) fn alert(name: &str) -> Alert {
    let (service, instance) = name.split_once('/').unwrap();
    let labels = json!({"alertname": "Down", "service": service, "instance": instance});
    Alert {
        labels: labels.as_object().unwrap().clone(),
        source: SourceIndex(0),
        time: None,
        resolved: false,
        starts: None,
        ends: None,
        format: Format::Native,
    }
}

impl Alert {
    pub(super) fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn severity(self, word: &str) -> Self {
        self.label("severity", word)
    }

    pub(super) fn critical(self) -> Self {
        self.severity("critical")
    }

    pub(super) fn resolved(mut self) -> Self {
        self.resolved = true;
        self
    }

    /// With a `startsAt` of that second.
    pub(super) fn starts(mut self, seconds: i64) -> Self {
        self.starts = Some(second(seconds));
        self
    }

    /// In the format of Alertmanager's API, without `endsAt`.
    pub(super) fn v2(mut self) -> Self {
        self.format = Format::AlertmanagerV2;
        self
    }

    /// In the format of Alertmanager's API, with an `endsAt` of that second.
    pub(super) fn ends(mut self, seconds: i64) -> Self {
        self.ends = Some(second(seconds));
        self.v2()
    }

    /// With a record time of that second instead of the moment of sending.
    pub(super) fn recorded(mut self, seconds: i64) -> Self {
        self.time = Some(second(seconds));
        self
    }

    pub(super) fn of_source(mut self, source: u8) -> Self {
        self.source = SourceIndex(source);
        self
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut object = Map::new();
        object.insert("labels".to_owned(), Value::Object(self.labels.clone()));
        if self.format == Format::Native {
            object.insert("status".to_owned(), if self.resolved { "resolved" } else { "firing" }.into());
        }
        if let Some(time) = self.starts {
            object.insert("startsAt".to_owned(), time.to_string().into());
        }
        if let Some(time) = self.ends {
            object.insert("endsAt".to_owned(), time.to_string().into());
        }
        let value = Value::Object(object);
        serde_json::to_vec(&if self.format == Format::Native { value } else { Value::Array(vec![value]) }).unwrap()
    }
}
