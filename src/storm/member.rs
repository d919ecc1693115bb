//! A member's labels, worked out from its number alone: nothing is stored per fingerprint.
//! The label object is compact and its keys are sorted.

use crate::model::Severity;
use crate::storm::cast::{About, Group};
use crate::storm::catalogue::{AlertKind, CLUSTERS, NODE_ALERTS, SERVICE_ALERTS, SERVICES};
use crate::storm::encode::push_number;
use crate::storm::rng::mix;
use crate::storm::tickets::{CHANNELS, Topic, topics_about};

/// The letters of Kubernetes' random name parts: no vowels, nothing that is misread.
const NAME_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// 27^5: how many different endings a pod name can have.
const ENDINGS: u32 = 14_348_907;

/// What kind of alert a member raises.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Face {
    /// An alert of a service's pod.
    Service(&'static AlertKind, Severity),
    /// An alert of a machine.
    Node(&'static AlertKind, Severity),
    /// A customer who writes about one topic.
    Ticket(&'static Topic, Severity),
}

impl Face {
    /// What this member of this group raises; always the same.
    pub(crate) fn of(group: &Group, member: u32) -> Self {
        let bits = mix(u64::from(member) ^ 0xFACE);
        let service = match group.about {
            About::Node(kind) => return Self::Node(&NODE_ALERTS[kind], pick_severity(&NODE_ALERTS[kind], bits)),
            About::Service(service) | About::Tenant { service, .. } => service,
        };
        let topics = if group.tickets { topics_about(SERVICES[service].name) } else { &[] };
        if !topics.is_empty() && bits % 100 < 65 {
            let severity = [Severity::Low, Severity::Info, Severity::Low, Severity::Warning, Severity::High]
                [(bits >> 20) as usize % 5];
            return Self::Ticket(&topics[(bits >> 40) as usize % topics.len()], severity);
        }
        let kind = &SERVICE_ALERTS[(bits >> 32) as usize % SERVICE_ALERTS.len()];
        Self::Service(kind, pick_severity(kind, bits))
    }

    pub(crate) const fn severity(self) -> Severity {
        match self {
            Self::Service(_, severity) | Self::Node(_, severity) | Self::Ticket(_, severity) => severity,
        }
    }
}

/// Writes the label object of a member; `suffix` stands behind the cluster's name.
pub(crate) fn write_labels(out: &mut Vec<u8>, group: &Group, suffix: &str, face: Face, member: u32) {
    match face {
        Face::Service(kind, severity) => write_service_labels(out, group, suffix, kind, severity, member),
        Face::Node(kind, severity) => write_node_labels(out, group, suffix, kind, severity, member),
        Face::Ticket(topic, severity) => write_ticket_labels(out, group, suffix, topic, severity, member),
    }
}

fn write_service_labels(
    out: &mut Vec<u8>,
    group: &Group,
    suffix: &str,
    kind: &AlertKind,
    severity: Severity,
    member: u32,
) {
    let cluster = &CLUSTERS[group.cluster];
    let service = service_of(group);
    push(out, &["{\"alertname\":\"", kind.name, "\",\"cluster\":\"", cluster.name, suffix, "\",\"instance\":\"10."]);
    push_address(out, mix(u64::from(member) ^ 0xADD4));
    push(out, &[":9102\",\"namespace\":\"", SERVICES[service].namespace, "\",\"pod\":\""]);
    push_service_name(out, group);
    out.push(b'-');
    push_pod_ending(out, service, member);
    push(out, &["\",\"region\":\"", cluster.region, "\",\"service\":\""]);
    push_service_name(out, group);
    push(out, &["\",\"severity\":\"", severity.name(), "\",\"team\":\"", SERVICES[service].team, "\"}"]);
}

fn write_node_labels(
    out: &mut Vec<u8>,
    group: &Group,
    suffix: &str,
    kind: &AlertKind,
    severity: Severity,
    member: u32,
) {
    let cluster = &CLUSTERS[group.cluster];
    push(out, &["{\"alertname\":\"", kind.name, "\",\"cluster\":\"", cluster.name, suffix, "\",\"instance\":\"10."]);
    push_address(out, mix(u64::from(member) ^ 0xADD4));
    push(out, &[":9100\",\"job\":\"node\",\"node\":\"worker-"]);
    push_number(out, u64::from(member));
    push(out, &["\",\"region\":\"", cluster.region, "\",\"severity\":\"", severity.name()]);
    push(out, &["\",\"team\":\"platform\"}"]);
}

fn write_ticket_labels(out: &mut Vec<u8>, group: &Group, suffix: &str, topic: &Topic, severity: Severity, member: u32) {
    let cluster = &CLUSTERS[group.cluster];
    let service = service_of(group);
    push(out, &["{\"account\":\"acct-"]);
    push_number(out, 100_000 + u64::from(member));
    let channel = CHANNELS[mix(u64::from(member)) as usize % CHANNELS.len()];
    push(
        out,
        &["\",\"alertname\":\"CustomerTicket\",\"channel\":\"", channel, "\",\"cluster\":\"", cluster.name, suffix],
    );
    push(out, &["\",\"region\":\"", cluster.region, "\",\"service\":\"", SERVICES[service].name]);
    push(
        out,
        &["\",\"severity\":\"", severity.name(), "\",\"source\":\"helpdesk\",\"team\":\"", SERVICES[service].team],
    );
    push(out, &["\",\"topic\":\"", topic.slug, "\"}"]);
}

fn pick_severity(kind: &AlertKind, bits: u64) -> Severity {
    kind.severities[(bits >> 8) as usize % kind.severities.len()]
}

fn service_of(group: &Group) -> usize {
    match group.about {
        About::Service(service) | About::Tenant { service, .. } => service,
        About::Node(_) => unreachable!("a node group has neither service alerts nor tickets"),
    }
}

fn push_service_name(out: &mut Vec<u8>, group: &Group) {
    out.extend_from_slice(SERVICES[service_of(group)].name.as_bytes());
    if let About::Tenant { number, .. } = group.about {
        // The same text as `Group::subject`: at least five digits.
        out.extend_from_slice(b"-t");
        for limit in [10_000, 1_000, 100, 10] {
            if number < limit {
                out.push(b'0');
            }
        }
        push_number(out, u64::from(number));
    }
}

/// The three last parts of an address; not unique, as in life.
fn push_address(out: &mut Vec<u8>, bits: u64) {
    push_number(out, bits & 0x3F);
    out.push(b'.');
    push_number(out, (bits >> 8) & 0xFF);
    out.push(b'.');
    push_number(out, (bits >> 16) & 0xFF);
}

/// A replica set's hash and a pod's ending, such as `5d8f7c9b46-x2k9z`. Unique: a number times an odd constant
/// is a bijection, the ending holds its rest by 27^5 and the hash ends with the quotient.
fn push_pod_ending(out: &mut Vec<u8>, service: usize, member: u32) {
    let scattered = member.wrapping_mul(0x9E37_79B1);
    let mut release = mix(service as u64 ^ 0xD091);
    for _ in 0..8 {
        out.push(NAME_LETTERS[(release % 27) as usize]);
        release /= 27;
    }
    let quotient = scattered / ENDINGS;
    out.push(NAME_LETTERS[(quotient / 27 % 27) as usize]);
    out.push(NAME_LETTERS[(quotient % 27) as usize]);
    out.push(b'-');
    let mut rest = scattered % ENDINGS;
    for _ in 0..5 {
        out.push(NAME_LETTERS[(rest % 27) as usize]);
        rest /= 27;
    }
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::storm::cast::tenant;
    use std::collections::{BTreeMap, BTreeSet};

    fn labels(group: &Group, member: u32) -> String {
        let mut out = Vec::new();
        write_labels(&mut out, group, "", Face::of(group, member), member);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_of_one_group_never_share_their_labels() {
        let shop = Group { tickets: true, ..tenant(0) };
        let tickets = Group { about: About::Service(1), ..shop.clone() };
        let nodes = Group { about: About::Node(2), ..shop.clone() };
        for group in [shop, tickets, nodes] {
            let all: BTreeSet<String> = (0..20_000).map(|member| labels(&group, member)).collect();
            assert_eq!(all.len(), 20_000, "{group:?}");
        }
    }

    #[test]
    fn labels_are_sorted_compact_json_and_name_their_group() {
        let ticket_group = Group { about: About::Service(0), tickets: true, ..tenant(0) };
        for group in [tenant(7), tenant(123_456), ticket_group, Group { about: About::Node(0), ..tenant(3) }] {
            for member in [0, 1, 2, 77, u32::MAX] {
                let text = labels(&group, member);
                let parsed: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
                assert_eq!(serde_json::to_string(&parsed).unwrap(), text);
                for (key, value) in group.labels("") {
                    assert_eq!(parsed[&key], value);
                }
            }
        }
    }
}
