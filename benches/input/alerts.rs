//! Records in every format, compact and pretty.
//!
//! The alerts have the usual shape of Kubernetes and service alerts: nine labels, escapes in some descriptions and in
//! every URL, some 677 bytes when compact. Pretty ones are written over many lines, with texts beyond ASCII and more
//! escapes, one in a label among them: what is hard on a reader that hopes for plain texts.

use tidegate::model::alert::Format;

/// How an alert is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// On one line without spaces, nearly all of it plain ASCII.
    Compact,
    /// Indented, with escapes and letters beyond ASCII.
    Pretty,
}

/// What lies in a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    pub(crate) name: &'static str,
    pub(crate) format: Format,
    pub(crate) per_record: usize,
    pub(crate) is_lines: bool,
    pub(crate) layout: Layout,
}

impl Packing {
    const fn compact(name: &'static str, format: Format, per_record: usize) -> Self {
        Self { name, format, per_record, is_lines: false, layout: Layout::Compact }
    }

    const fn pretty(name: &'static str, format: Format, per_record: usize) -> Self {
        Self { name, format, per_record, is_lines: false, layout: Layout::Pretty }
    }

    pub(crate) const NATIVE: Self = Self::compact("native", Format::Native, 1);
    pub(crate) const NATIVE_PRETTY: Self = Self::pretty("native-pretty", Format::Native, 1);
    pub(crate) const NATIVE_ARRAY: Self = Self::compact("native-array-100", Format::Native, 100);
    pub(crate) const NATIVE_LINES: Self =
        Self { is_lines: true, ..Self::compact("native-lines-100", Format::Native, 100) };
    pub(crate) const V2_SINGLE: Self = Self::compact("v2-1", Format::AlertmanagerV2, 1);
    pub(crate) const V2: Self = Self::compact("v2-64", Format::AlertmanagerV2, 64);
    pub(crate) const V2_PRETTY: Self = Self::pretty("v2-64-pretty", Format::AlertmanagerV2, 64);
    pub(crate) const WEBHOOK: Self = Self::compact("webhook-20", Format::AlertmanagerWebhook, 20);
    pub(crate) const WEBHOOK_PRETTY: Self = Self::pretty("webhook-20-pretty", Format::AlertmanagerWebhook, 20);

    pub(crate) const ALL: [Self; 9] = [
        Self::NATIVE,
        Self::NATIVE_PRETTY,
        Self::NATIVE_ARRAY,
        Self::NATIVE_LINES,
        Self::V2_SINGLE,
        Self::V2,
        Self::V2_PRETTY,
        Self::WEBHOOK,
        Self::WEBHOOK_PRETTY,
    ];

    /// That many alerts as records; they differ by their numbers.
    pub(crate) fn records(self, n_alerts: usize) -> Vec<Vec<u8>> {
        let alerts: Vec<_> = (0..n_alerts).map(|number| alert(number, self.layout)).collect();
        let record = |alerts: &[String]| match self.format {
            Format::Native if self.per_record == 1 || self.is_lines => alerts.join("\n"),
            Format::Native | Format::AlertmanagerV2 => format!("[{}]", alerts.join(",")),
            Format::AlertmanagerWebhook => format!(
                r#"{{"version":"4","groupKey":"{{}}:{{}}","status":"firing","receiver":"tidegate","alerts":[{}]}}"#,
                alerts.join(",")
            ),
        };
        alerts.chunks(self.per_record).map(|alerts| record(alerts).into_bytes()).collect()
    }
}

/// The labels of every alert.
pub(crate) const LABELS: usize = 9;

/// The alert with this number; numbers spread over services, hosts and times without any randomness.
fn alert(number: usize, layout: Layout) -> String {
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
    if layout == Layout::Compact {
        return compact;
    }
    let far = compact
        .replace("HighRequestLatency", "Anfragen dauern zu lange: \u{fc}ber 1,5 s")
        .replace("team-", "\u{c9}quipe ")
        .replace("\"server\"", r#""c:\\server\\bin""#)
        .replace("nothing else", "\u{65e5}\u{672c}\u{8a9e}, \\\"\u{fc}ber\\\" 90\u{a0}%,\\tnothing else");
    let value: serde_json::Value = serde_json::from_str(&far).expect("the alert above is JSON");
    format!("{value:#}")
}
