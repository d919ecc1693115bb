//! Decoding, one thread: alerts per second and bytes per second by format, layout and size of record.
//!
//! The alerts have the usual shape of Kubernetes and service alerts: nine labels, escapes in some descriptions and in
//! every URL, some 677 bytes when compact. They lie in memory one after the other, more than the caches hold.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate::model::alert::Format;
use tidegate::pipeline::decode::{Decoder, Limits};

const N_ALERTS: usize = 20_000;

/// The alert with this number; numbers spread over services, hosts and times without any randomness.
fn alert(number: usize, is_pretty: bool) -> String {
    let mixed = number.wrapping_mul(0x9E37_79B9) % 1_000_003;
    let (service, pod, node) = (mixed % 40, mixed % 997, mixed % 53);
    let hint =
        if number.is_multiple_of(5) { r#" in \"zone-b\",\nsee the runbook"# } else { ", nothing else is known yet" };
    let team = service % 7;
    let labels = format!(
        r#""alertname":"HighRequestLatency","cluster":"prod-eu-1","container":"server","instance":"10.12.{node}.{pod}:9090",
"job":"service-{service:02}","namespace":"team-{team}","pod":"service-{service:02}-7c9f{mixed:06x}-x2k9q",
"service":"service-{service:02}","severity":"warning""#
    );
    let annotations = format!(
        r#""summary":"Latency of service-{service:02} is high",
"description":"The 99th percentile of service-{service:02} on node {node} has been above 1.5 s for 10 minutes{hint}.""#
    );
    let status = if number.is_multiple_of(11) { "resolved" } else { "firing" };
    let times = format!(
        r#""startsAt":"2026-11-22T08:{:02}:{:02}.{mixed:07}Z","endsAt":"0001-01-01T00:00:00Z""#,
        mixed % 60,
        number % 60
    );
    let url = r"http://prometheus.example:9090/graph?g0.expr=latency%3A99%3Arate5m+%3E+1.5\u0026g0.tab=1";
    let compact = format!(
        r#"{{"labels":{{{labels}}},"annotations":{{{annotations}}},"status":"{status}",{times},"generatorURL":"{url}"}}"#
    )
    .replace('\n', ""); // The line ends are those of this file, not of the alert.
    if !is_pretty {
        return compact;
    }
    let value: serde_json::Value = serde_json::from_str(&compact).expect("the alert above is JSON");
    format!("{value:#}")
}

/// Records of `per_record` alerts each.
fn records(format: Format, per_record: usize, is_lines: bool, is_pretty: bool) -> Vec<Vec<u8>> {
    let alerts: Vec<_> = (0..N_ALERTS).map(|number| alert(number, is_pretty)).collect();
    let record = |alerts: &[String]| match format {
        Format::Native if per_record == 1 || is_lines => alerts.join("\n"),
        Format::Native | Format::AlertmanagerV2 => format!("[{}]", alerts.join(",")),
        Format::AlertmanagerWebhook => format!(
            r#"{{"version":"4","groupKey":"{{}}:{{}}","status":"firing","receiver":"tidegate","alerts":[{}]}}"#,
            alerts.join(",")
        ),
    };
    alerts.chunks(per_record).map(|alerts| record(alerts).into_bytes()).collect()
}

fn decode(c: &mut Criterion) {
    let cases = [
        ("native/object", Format::Native, 1, false, false),
        ("native/object_pretty", Format::Native, 1, false, true),
        ("native/array_100", Format::Native, 100, false, false),
        ("native/lines_100", Format::Native, 100, true, false),
        ("alertmanager_v2/array_1", Format::AlertmanagerV2, 1, false, false),
        ("alertmanager_v2/array_64", Format::AlertmanagerV2, 64, false, false),
        ("alertmanager_v2/array_64_pretty", Format::AlertmanagerV2, 64, false, true),
        ("alertmanager_webhook/envelope_20", Format::AlertmanagerWebhook, 20, false, false),
    ];
    for (name, format, per_record, is_lines, is_pretty) in cases {
        let records = records(format, per_record, is_lines, is_pretty);
        let bytes: usize = records.iter().map(Vec::len).sum();
        let mut decoder = Decoder::new(Limits::default());
        let mut run = || {
            let mut n_labels = 0;
            for record in &records {
                let decoded = decoder.decode(format, record, |_, alert| {
                    n_labels += black_box(alert).expect("every alert of the bench is valid").labels.len();
                });
                decoded.expect("every record of the bench is valid");
            }
            n_labels
        };
        assert_eq!(run(), 9 * N_ALERTS);
        let mut group = c.benchmark_group("decode");
        group.throughput(Throughput::ElementsAndBytes { elements: N_ALERTS as u64, bytes: bytes as u64 });
        group.bench_function(BenchmarkId::new(name, bytes / N_ALERTS), |b| b.iter(&mut run));
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
