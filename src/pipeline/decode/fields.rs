//! The fields of one alert object, which all formats share, and what the formats read differently (`Dialect`).

use simd_json::Node;

use crate::model::alert::{AlertView, Status};
use crate::model::time::Timestamp;
use crate::pipeline::decode::Reject;
use crate::pipeline::decode::limits::Limits;
use crate::pipeline::decode::nodes::{self, Members, Value};
use crate::pipeline::decode::pairs::{self, Rendered, SparePairs};

/// Go's zero time, 0001-01-01T00:00:00Z: how Go programs write "no time".
const GO_ZERO_TIME: Timestamp = Timestamp(-62_135_596_800_000);

/// What a format reads of an alert object beyond labels, annotations, `startsAt` and `generatorURL`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// `status` says whether it fires; otherwise it always does.
    pub(super) has_status: bool,
    /// `endsAt` counts; otherwise it is only checked.
    pub(super) keeps_ends_at: bool,
    /// `receivedAt` is read.
    pub(super) has_received_at: bool,
}

/// Turns alert objects into views, with memory that is used again from alert to alert.
pub(super) struct AlertReader {
    pub(super) limits: Limits,
    labels: SparePairs,
    annotations: SparePairs,
    rendered: Rendered,
}

/// Where the known fields are; `null` counts as absent, of duplicates the last counts, as in most JSON readers.
#[derive(Default)]
struct Fields<'t, 'de> {
    labels: Option<Value<'t, 'de>>,
    annotations: Option<Value<'t, 'de>>,
    status: Option<Value<'t, 'de>>,
    starts_at: Option<Value<'t, 'de>>,
    ends_at: Option<Value<'t, 'de>>,
    received_at: Option<Value<'t, 'de>>,
    generator_url: Option<Value<'t, 'de>>,
}

impl AlertReader {
    pub(super) fn new(limits: Limits) -> Self {
        let (labels, annotations, rendered) = Default::default();
        Self { limits, labels, annotations, rendered }
    }

    /// Reads one element and hands it to `take`. Faults are looked for in the order shape, labels, status.
    pub(super) fn read<R>(
        &mut self,
        element: &[Node<'_>],
        dialect: Dialect,
        take: impl FnOnce(Result<AlertView<'_>, Reject>) -> R,
    ) -> R {
        let Some(fields) = Fields::of(element) else { return take(Err(Reject::WrongShape)) };
        let mut labels = self.labels.take();
        let read = pairs::labels(fields.labels, &self.limits, &mut labels)
            .and_then(|()| if dialect.has_status { status(fields.status) } else { Ok(Status::Firing) });
        let result = match read {
            Ok(status) => self.hand_on(&fields, dialect, &labels, status, take),
            Err(reject) => take(Err(reject)),
        };
        self.labels.put(labels);
        result
    }

    fn hand_on<R>(
        &mut self,
        fields: &Fields<'_, '_>,
        dialect: Dialect,
        labels: &[(&str, &str)],
        status: Status,
        take: impl FnOnce(Result<AlertView<'_>, Reject>) -> R,
    ) -> R {
        let mut unusable_times = 0;
        let mut time = |value| time(value, &mut unusable_times);
        let starts_at = time(fields.starts_at);
        let ends_at = time(fields.ends_at).filter(|_| dialect.keeps_ends_at);
        let received_at = if dialect.has_received_at { time(fields.received_at) } else { None };
        let max_url_bytes = self.limits.max_annotation_value_bytes;
        let generator_url = fields.generator_url.and_then(nodes::text);
        self.rendered.render(fields.annotations, &self.limits);
        let mut annotations = self.annotations.take();
        pairs::annotations(fields.annotations, &self.rendered, &self.limits, &mut annotations);
        let result = take(Ok(AlertView {
            labels,
            annotations: &annotations,
            status,
            starts_at,
            ends_at,
            generator_url: generator_url.filter(|url| !url.is_empty() && url.len() <= max_url_bytes),
            received_at,
            unusable_times,
        }));
        self.annotations.put(annotations);
        result
    }
}

impl<'t, 'de> Fields<'t, 'de> {
    fn of(element: Value<'t, 'de>) -> Option<Self> {
        let mut fields = Self::default();
        for (name, value) in Members::of(element)? {
            let field = match name {
                "labels" => &mut fields.labels,
                "annotations" => &mut fields.annotations,
                "status" => &mut fields.status,
                "startsAt" => &mut fields.starts_at,
                "endsAt" => &mut fields.ends_at,
                "receivedAt" => &mut fields.received_at,
                "generatorURL" => &mut fields.generator_url,
                _ => continue,
            };
            *field = (!nodes::is_null(value)).then_some(value);
        }
        Some(fields)
    }
}

fn status(value: Option<Value<'_, '_>>) -> Result<Status, Reject> {
    let Some(value) = value else { return Ok(Status::Firing) };
    match nodes::text(value) {
        Some("firing") => Ok(Status::Firing),
        Some("resolved") => Ok(Status::Resolved),
        _ => Err(Reject::UnknownStatus),
    }
}

/// A time that cannot be used is ignored and counted: the alert matters more than its dates.
fn time(value: Option<Value<'_, '_>>, unusable: &mut u8) -> Option<Timestamp> {
    usable_time(nodes::text(value?).and_then(Timestamp::parse), unusable)
}

/// What a time that was given is worth.
#[inline]
pub(super) fn usable_time(parsed: Option<Timestamp>, unusable: &mut u8) -> Option<Timestamp> {
    *unusable += u8::from(parsed.is_none());
    parsed.filter(|time| *time != GO_ZERO_TIME)
}
