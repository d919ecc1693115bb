//! Alerts of as many distinct fingerprints as are asked for, straight into a shard's parts: what floods of millions need, for
//! which text would take longer to make than the shard to take.

use tidegate::model::alert::{Severity, Status};
use tidegate::model::fingerprint::{Fingerprint, GroupHash};
use tidegate::model::labels;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::chunk::{Arrival, Part, Seq};
use tidegate::pipeline::source::SourceIndex;

/// Members of a group.
const GROUP: u64 = 1_000;
/// Bytes of the names and values of a label set.
const LABEL_BYTES: usize = 300;

/// A number from a number, as good as random.
pub(crate) fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

fn wide(number: u64) -> u128 {
    u128::from(mixed(number)) << 64 | u128::from(mixed(!number))
}

/// Twelve labels, encoded.
fn label_set(number: u64) -> Vec<u8> {
    let group = number / GROUP;
    let [.., c, b, a] = number.to_be_bytes();
    let texts = [
        ("alertname", format!("LatencyAboveTarget{:04}", group % 40)),
        ("cluster", "production-eu-west-1".to_owned()),
        ("service", format!("service-{group:08}")),
        ("severity", "warning".to_owned()),
        ("namespace", format!("team-{:04}", group % 97)),
        ("pod", format!("service-{group:08}-{:016x}", mixed(number))),
        ("instance", format!("10.{c:03}.{b:03}.{a:03}:9090")),
        ("container", "application".to_owned()),
        ("job", "kubernetes-pods".to_owned()),
        ("prometheus", "monitoring/k8s-main".to_owned()),
        ("zone", "eu-west-1b".to_owned()),
    ];
    let used: usize = texts.iter().map(|(name, value)| name.len() + value.len()).sum();
    let filler = "x".repeat(LABEL_BYTES - used - "revision".len());
    let mut encoded = Vec::new();
    let pairs = texts.iter().map(|(name, value)| (*name, value.as_str())).chain([("revision", filler.as_str())]);
    labels::encode(pairs, &mut encoded);
    encoded
}

/// An alert of each of these fingerprints, all at one time; the first has the number `from`. A shard needs labels only of
/// what is new to it.
pub(crate) fn part(numbers: impl Iterator<Item = u64>, from: u64, with_labels: bool) -> Part {
    let mut part = Part::default();
    for (at, number) in (from..).zip(numbers) {
        let labels = if with_labels { part.store(&label_set(number)) } else { Default::default() };
        part.arrivals.push(Arrival {
            seq: Seq { record: at, index: 0 },
            time: Timestamp(1_000_000),
            source: SourceIndex(0),
            status: Status::Firing,
            severity: Severity::Warning,
            rule: 0,
            fingerprint: Fingerprint(wide(number)),
            group: GroupHash(wide(!(number / GROUP))),
            starts_at: Timestamp(1_000_000),
            ends_at: Timestamp::MIN,
            count: 1,
            origin: 1,
            position: at,
            labels,
            rest: Default::default(),
            is_raw: false,
        });
    }
    part
}
