//! The sending itself, and what the answer means.

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use crate::cli::client::{Client, Reach};
use crate::cli::dlq::letter::Letter;
use crate::cli::dlq::requeue::way::{Way, path};
use crate::cli::dlq::writer::Writer;
use crate::control::config::Kafka;

/// What became of what was sent.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is durable: taken, or rejected again and a new dead letter.
    Durable {
        /// Where it is now.
        to: String,
        rejected_again: bool,
        /// What to say besides.
        detail: String,
    },
    /// The daemon took nothing of it, and says why.
    NotTaken(String),
}

/// Sends letters; connects when the first one needs it.
pub(super) struct Sender<'a> {
    reach: &'a Reach,
    kafka: Option<&'a Kafka>,
    client: Option<Client>,
    writer: Option<Writer>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(reach: &'a Reach, kafka: Option<&'a Kafka>) -> Self {
        Self { reach, kafka, client: None, writer: None }
    }

    /// Where a letter that goes this way goes.
    pub(super) fn place(&mut self, way: &Way) -> anyhow::Result<String> {
        match way {
            Way::Door(format) => Ok(address(self.client()?, path(*format))),
            Way::Partition { topic, partition, .. } => Ok(format!("{topic}/{partition}")),
        }
    }

    /// Sends and waits until it is durable.
    ///
    /// # Errors
    /// When nothing is known: it may have been taken.
    pub(super) fn send(&mut self, letter: &Letter, way: &Way, body: Vec<u8>) -> anyhow::Result<Sent> {
        match way {
            Way::Door(format) => through_door(self.client()?, path(*format), body),
            Way::Partition { topic, partition, .. } => {
                let (id, place) = (letter.id.to_string(), format!("{}/{}", letter.partition, letter.position));
                // So that whoever else reads the topic can tell what this is.
                let headers = [
                    ("tidegate.requeue", id.as_str()),
                    ("tidegate.requeue.from", place.as_str()),
                    ("tidegate.requeue.reason", letter.reason.as_str()),
                ];
                let offset = self.writer()?.write(topic, *partition, &body, &headers)?;
                let to = format!("{topic}/{partition}/{offset}");
                let detail = "without its key, which is not kept".to_owned();
                Ok(Sent::Durable { to, rejected_again: false, detail })
            }
        }
    }

    fn client(&mut self) -> anyhow::Result<&Client> {
        match &mut self.client {
            Some(client) => Ok(client),
            none => Ok(none.insert(self.reach.client()?)),
        }
    }

    fn writer(&mut self) -> anyhow::Result<&Writer> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => {
                let kafka = self.kafka.ok_or_else(|| anyhow!("the configuration has no section kafka"))?;
                Ok(none.insert(Writer::open(kafka)?))
            }
        }
    }
}

fn address(client: &Client, path: &str) -> String {
    format!("{}{path}", client.url().as_str().trim_end_matches('/'))
}

fn through_door(client: &Client, path: &str, body: Vec<u8>) -> anyhow::Result<Sent> {
    let answered = client.hand_over(path, body);
    let (status, answer) =
        answered.context("it may have gone in all the same; sent again, its alerts are counted again")?;
    let to = address(client, path);
    if status.is_success() {
        return Ok(Sent::Durable { to, rejected_again: false, detail: String::new() });
    }
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let detail = answer["detail"].as_str().unwrap_or("no reason is given").to_owned();
    if answer["error"] == "rejected" {
        return Ok(Sent::Durable { to, rejected_again: true, detail });
    }
    Ok(Sent::NotTaken(detail))
}
