//! Dead letters from the topic, read beside a running daemon or without one, and the marks of those put in again.
//!
//! The whole topic is read, as of the moment of the question: only readers know which records of it are committed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::cli::dlq::letter::{Letter, LetterId, Requeued};
use crate::cli::dlq::writer::Writer;
use crate::cli::dlq::{Filter, HEAD_BYTES};
use crate::cli::topics::unanswered;
use crate::control::config::Kafka;
use crate::model::time::{Stopwatch, Timestamp};

/// A person waits: long enough for a slow cluster, short enough to notice a wrong address.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Without a record for this long the cluster is taken for gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// One wait for a record.
const TURN: Duration = Duration::from_millis(100);

/// The header of a mark: the id of the letter that was put in again.
const REQUEUED: &str = "dlq.requeued";
/// Where it was put.
const REQUEUED_TO: &str = "dlq.requeued_to";

/// The topic, open for reading.
pub(super) struct Store {
    consumer: BaseConsumer,
    topic: String,
    partitions: Vec<i32>,
    cluster: Kafka,
}

/// Marks letters with records of their own, for those of a topic cannot be changed.
///
/// A mark lies in the partition of its letter, so that it is read with it and outlives it; it has no value, and the
/// letter's id in the header `dlq.requeued`.
pub(super) struct Marker {
    writer: Writer,
    topic: String,
}

/// The marks that were met while letters were read; the last one of a letter counts.
#[derive(Default)]
struct Marks(BTreeMap<String, Requeued>);

/// What of a partition is to be read.
struct Span {
    partition: i32,
    from: i64,
    /// The first offset that is not read.
    to: i64,
}

impl Store {
    /// `None` when the topic does not exist.
    pub(super) fn open(kafka: &Kafka) -> anyhow::Result<Option<Self>> {
        let mut config = kafka.connection.consumer("dlq", &kafka.namespace);
        config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
        // What retention removes while it is read is gone anyway.
        config.set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().context("set the Kafka client up")?;
        let topic = kafka.topic("dead-letters");
        let brokers = kafka.connection.brokers.join(", ");
        let metadata =
            consumer.fetch_metadata(Some(&topic), REQUEST_TIMEOUT).map_err(|error| unanswered(&brokers, &error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(Code::from) {
            None => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
            Some(error) => bail!("ask {brokers} for topic {topic}: {error}"),
        }
        let partitions = found.partitions().iter().map(|partition| partition.id()).collect();
        Ok(Some(Self { consumer, topic, partitions, cluster: kafka.clone() }))
    }

    /// The newest letters that pass the filter, newest first; of their bytes only the head.
    pub(super) fn list(&self, filter: &Filter) -> anyhow::Result<Vec<Letter>> {
        let spans: Vec<Span> =
            self.partitions.iter().map(|&partition| self.span(partition)).collect::<anyhow::Result<_>>()?;
        let mut newest: BTreeMap<(Timestamp, i32, i64), Letter> = BTreeMap::new();
        let mut marks = Marks::default();
        self.read(spans, |message| {
            let Some(letter) = marks.read(message, HEAD_BYTES as usize) else { return };
            if filter.takes(&letter) {
                newest.insert((letter.stored_at, message.partition(), message.offset()), letter);
            }
            if newest.len() > filter.limit as usize {
                newest.pop_first();
            }
        })?;
        Ok(newest.into_values().rev().map(|letter| marks.put_on(letter)).collect())
    }

    /// The letter at that place, whole. Its mark may be anywhere after it.
    pub(super) fn get(&self, partition: i32, offset: i64) -> anyhow::Result<Option<Letter>> {
        let end = self.span_around(partition, offset)?.map(|span| span.to);
        let Some(to) = end else { return Ok(None) };
        let (mut found, mut marks) = (None, Marks::default());
        self.read(vec![Span { partition, from: offset, to }], |message| {
            let kept = if message.offset() == offset { usize::MAX } else { 0 };
            if let Some(letter) = marks.read(message, kept)
                && message.offset() == offset
            {
                found = Some(letter);
            }
        })?;
        Ok(found.map(|letter| marks.put_on(letter)))
    }

    /// The letter at that place, whole, without its mark: for those whose mark the list told.
    pub(super) fn unmarked(&self, partition: i32, offset: i64) -> anyhow::Result<Option<Letter>> {
        if self.span_around(partition, offset)?.is_none() {
            return Ok(None);
        }
        let mut found = None;
        self.read(vec![Span { partition, from: offset, to: offset + 1 }], |message| {
            if message.offset() == offset {
                found = Marks::default().read(message, usize::MAX);
            }
        })?;
        Ok(found)
    }

    /// Opens the topic for marks too.
    pub(super) fn marker(&self) -> anyhow::Result<Marker> {
        Ok(Marker { writer: Writer::open(&self.cluster)?, topic: self.topic.clone() })
    }

    fn span_around(&self, partition: i32, offset: i64) -> anyhow::Result<Option<Span>> {
        if !self.partitions.contains(&partition) {
            return Ok(None);
        }
        let all = self.span(partition)?;
        Ok((all.from..all.to).contains(&offset).then_some(all))
    }

    /// Everything that is there now.
    fn span(&self, partition: i32) -> anyhow::Result<Span> {
        let ends = self.consumer.fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT);
        let (from, to) = ends.with_context(|| format!("ask for the ends of {}/{partition}", self.topic))?;
        Ok(Span { partition, from, to })
    }

    /// Hands over every committed record of the spans, in no order across partitions.
    fn read(&self, spans: Vec<Span>, mut each: impl FnMut(&BorrowedMessage<'_>)) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        for Span { partition, from, to } in spans.into_iter().filter(|span| span.from < span.to) {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
            ends.insert(partition, to);
        }
        self.consumer.assign(&list)?;
        let (mut watch, mut trouble) = (Stopwatch::start(), None);
        while !ends.is_empty() {
            match self.consumer.poll(TURN) {
                Some(Ok(message)) => {
                    watch = Stopwatch::start();
                    let partition = message.partition();
                    let Some(&end) = ends.get(&partition) else { continue };
                    if message.offset() < end {
                        each(&message);
                    }
                    if message.offset() + 1 >= end {
                        ends.remove(&partition);
                    }
                }
                // The last records may be marks of transactions, which are never handed out, or not committed yet.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ends.remove(&partition);
                }
                Some(Err(error)) => trouble = Some(error),
                None => {}
            }
            if watch.elapsed() > PATIENCE {
                let why = trouble.map_or_else(|| anyhow!("the cluster does not answer"), anyhow::Error::new);
                return Err(why.context(format!("read topic {}", self.topic)));
            }
        }
        Ok(())
    }
}

impl Marker {
    /// Notes that the letter at that place was put in again.
    pub(super) fn mark(&self, partition: i32, offset: i64, requeued: &Requeued) -> anyhow::Result<()> {
        let id = LetterId::Record { partition, offset }.to_string();
        let headers = [("dlq.version", "1"), (REQUEUED, id.as_str()), (REQUEUED_TO, requeued.to.as_str())];
        self.writer.write(&self.topic, partition, b"", &headers).context("mark the dead letter")?;
        Ok(())
    }
}

impl Marks {
    /// A record's letter; `None` if the record is a mark, which is kept.
    fn read(&mut self, message: &BorrowedMessage<'_>, kept: usize) -> Option<Letter> {
        let said = Said::of(message.headers());
        if said.requeued.is_empty() {
            return Some(letter(message, &said, kept));
        }
        let at = Timestamp(message.timestamp().to_millis().unwrap_or(0));
        self.0.insert(said.requeued.to_owned(), Requeued { at, to: said.requeued_to.to_owned() });
        None
    }

    fn put_on(&mut self, letter: Letter) -> Letter {
        let requeued = self.0.get(&letter.id.to_string()).cloned();
        Letter { requeued, ..letter }
    }
}

fn letter(message: &BorrowedMessage<'_>, said: &Said<'_>, kept: usize) -> Letter {
    let payload = message.payload().unwrap_or_default();
    let (partition, position) = place(said.source);
    Letter {
        id: LetterId::Record { partition: message.partition(), offset: message.offset() },
        epoch: None,
        stored_at: Timestamp(message.timestamp().to_millis().unwrap_or(0)),
        source: said.source_name.to_owned(),
        partition: partition.to_owned(),
        position,
        element: said.index.parse().ok(),
        reason: said.reason.to_owned(),
        at: Timestamp::parse(said.at).unwrap_or(Timestamp(0)),
        original_len: said.original_len.parse().unwrap_or(payload.len() as u64),
        format: said.format.parse().ok(),
        requeued: None,
        bytes: payload.get(..kept).unwrap_or(payload).to_vec(),
    }
}

/// What the headers say; empty where one is missing, for whoever may write to the topic may write anything.
#[derive(Default)]
struct Said<'a> {
    reason: &'a str,
    source: &'a str,
    source_name: &'a str,
    index: &'a str,
    at: &'a str,
    original_len: &'a str,
    format: &'a str,
    requeued: &'a str,
    requeued_to: &'a str,
}

impl<'a> Said<'a> {
    fn of(headers: Option<&'a BorrowedHeaders>) -> Self {
        let mut said = Self::default();
        for header in headers.into_iter().flat_map(|headers| headers.iter()) {
            let field = match header.key {
                "dlq.reason" => &mut said.reason,
                "dlq.source" => &mut said.source,
                "dlq.source_name" => &mut said.source_name,
                "dlq.index" => &mut said.index,
                "dlq.at" => &mut said.at,
                "dlq.original_len" => &mut said.original_len,
                "dlq.format" => &mut said.format,
                REQUEUED => &mut said.requeued,
                REQUEUED_TO => &mut said.requeued_to,
                _ => continue,
            };
            *field = header.value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
        }
        said
    }
}

/// Partition and position of `topic/partition/offset`, or of a position alone.
fn place(source: &str) -> (&str, u64) {
    let (partition, position) = source.rsplit_once('/').unwrap_or(("", source));
    (partition, position.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rdkafka::message::{Header, OwnedHeaders};

    use super::*;

    #[test]
    fn headers_are_read_as_the_sink_writes_them() {
        let headers =
            [("dlq.version", "1"), ("dlq.reason", "too_deep"), ("dlq.source", "alerts/3/42"), ("dlq.index", "7")]
                .into_iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let said = Said::of(Some(headers.as_borrowed()));
        assert_eq!((said.reason, said.source, said.index, said.at), ("too_deep", "alerts/3/42", "7", ""));
        let damaged = OwnedHeaders::new().insert(Header { key: "dlq.reason", value: Some(&[0xff_u8]) });
        assert_eq!(Said::of(Some(damaged.as_borrowed())).reason, "");
        assert_eq!(Said::of(None).reason, "");
        assert_eq!(Said::of(None).requeued, "", "a letter without headers is no mark");
    }

    #[test]
    fn a_place_is_a_partition_and_a_position() {
        for (source, expected) in
            [("alerts/3/42", ("alerts/3", 42)), ("42", ("", 42)), ("", ("", 0)), ("a/b", ("a", 0))]
        {
            assert_eq!(place(source), expected);
        }
    }

    proptest::proptest! {
        /// Whoever may write to the topic may write anything.
        #[test]
        fn any_headers_are_read(
            headers in proptest::collection::vec(
                ("(dlq\\.(reason|source|source_name|index|at|original_len|format|requeued|requeued_to|version))|.{0,12}",
                 proptest::option::of(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24))),
                0..14,
            ),
            source in "[a-z/0-9é]{0,30}",
        ) {
            let owned = headers.iter().fold(OwnedHeaders::new(), |owned, (key, value)| {
                owned.insert(Header { key, value: value.as_deref() })
            });
            let said = Said::of(Some(owned.as_borrowed()));
            let last = headers.iter().rev().find(|(key, _)| key == "dlq.reason").and_then(|(_, value)| value.as_deref());
            let expected = last.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
            proptest::prop_assert_eq!(said.reason, expected);
            let (partition, _) = place(said.source);
            proptest::prop_assert!(said.source.starts_with(partition));
            let (partition, position) = place(&source);
            proptest::prop_assert!(source.starts_with(partition) && (position == 0 || source.ends_with(&position.to_string())));
        }
    }
}
