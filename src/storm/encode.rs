//! One alert as a line of JSON in the native format, written straight into the caller's buffer.

use std::io::Write;
use std::ops::Range;

use crate::model::Timestamp;
use crate::storm::cast::Group;
use crate::storm::catalogue::{AlertKind, CLUSTERS};
use crate::storm::member::{Face, write_labels};
use crate::storm::rng::Rng;
use crate::storm::tickets;

/// All that one line needs.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) group: &'a Group,
    /// Stands behind the name of the cluster.
    pub(crate) suffix: &'a str,
    pub(crate) face: Face,
    pub(crate) member: u32,
    pub(crate) resolved: bool,
    pub(crate) starts_at: Timestamp,
    pub(crate) at: Timestamp,
    /// The test id is this prefix and the number.
    pub(crate) test_id_prefix: &'a str,
    pub(crate) number: u32,
    /// Write `receivedAt`.
    pub(crate) received_at: bool,
}

/// Appends the line, without a line feed; answers where the label object stands.
pub(crate) fn write_line(out: &mut Vec<u8>, line: &Line<'_>, rng: &mut Rng, scratch: &mut String) -> Range<usize> {
    out.extend_from_slice(b"{\"labels\":");
    let from = out.len();
    write_labels(out, line.group, line.suffix, line.face, line.member);
    let labels = from..out.len();
    match line.face {
        Face::Service(kind, _) | Face::Node(kind, _) => write_measured(out, kind, rng),
        Face::Ticket(topic, _) => write_ticket(out, topic, rng, scratch),
    }
    out.extend_from_slice(b"\",\"test_id\":\"");
    out.extend_from_slice(line.test_id_prefix.as_bytes());
    push_number(out, u64::from(line.number));
    let status: &[u8] = if line.resolved { b"resolved" } else { b"firing" };
    out.extend_from_slice(b"\"},\"status\":\"");
    out.extend_from_slice(status);
    out.extend_from_slice(b"\",\"startsAt\":\"");
    push_time(out, line.starts_at);
    if line.resolved {
        out.extend_from_slice(b"\",\"endsAt\":\"");
        push_time(out, line.at);
    }
    out.extend_from_slice(b"\",\"generatorURL\":\"");
    write_link(out, line);
    if line.received_at {
        out.extend_from_slice(b"\",\"receivedAt\":\"");
        push_time(out, line.at);
    }
    out.extend_from_slice(b"\"}");
    labels
}

/// Annotations of a measured alert, up to the open quote of the summary. 18 percent quote a log line.
fn write_measured(out: &mut Vec<u8>, kind: &AlertKind, rng: &mut Rng) {
    out.extend_from_slice(b",\"annotations\":{\"description\":\"");
    let (before, after) = kind.description.split_once('#').unwrap_or((kind.description, ""));
    out.extend_from_slice(before.as_bytes());
    let measured = rng.below(900) + 100;
    push_number(out, measured / 10);
    out.push(b'.');
    push_number(out, measured % 10);
    out.extend_from_slice(after.as_bytes());
    if rng.chance(180_000) {
        out.extend_from_slice(b".\\nlast log line: \\\"upstream timed out\\\"");
    }
    out.extend_from_slice(b"\",\"runbook_url\":\"https://runbooks.example.org/");
    out.extend_from_slice(kind.name.as_bytes());
    out.extend_from_slice(b"\",\"summary\":\"");
    out.extend_from_slice(kind.summary.as_bytes());
}

/// Annotations of a ticket, up to the open quote of the summary.
fn write_ticket(out: &mut Vec<u8>, topic: &tickets::Topic, rng: &mut Rng, scratch: &mut String) {
    tickets::write_text(topic, rng, scratch);
    out.extend_from_slice(b",\"annotations\":{\"description\":\"");
    push_escaped(out, scratch);
    out.extend_from_slice(b"\",\"summary\":\"");
    push_escaped(out, tickets::subject(topic, rng));
}

/// Where the alert came from; `&` is escaped as Go's encoder does.
fn write_link(out: &mut Vec<u8>, line: &Line<'_>) {
    match line.face {
        Face::Service(kind, _) | Face::Node(kind, _) => {
            out.extend_from_slice(b"http://prom.");
            out.extend_from_slice(CLUSTERS[line.group.cluster].name.as_bytes());
            out.extend_from_slice(b".example.org/graph?g0.expr=");
            out.extend_from_slice(kind.query.as_bytes());
            out.extend_from_slice(b"\\u0026g0.tab=1");
        }
        Face::Ticket(topic, _) => {
            out.extend_from_slice(b"https://helpdesk.example.org/search?topic=");
            out.extend_from_slice(topic.slug.as_bytes());
            out.extend_from_slice(b"\\u0026account=");
            push_number(out, 100_000 + u64::from(line.member));
        }
    }
}

/// Appends the inside of a JSON string.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
                out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

/// Appends decimal digits.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(b'0' + (number % 10) as u8);
}

fn push_time(out: &mut Vec<u8>, at: Timestamp) {
    write!(out, "{at}").expect("a vector takes every byte");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn escapes_read_back() {
        let text = "a \"quote\", a \\, a\nline, a \u{1} and an ü";
        let mut out = vec![b'"'];
        push_escaped(&mut out, text);
        out.push(b'"');
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
