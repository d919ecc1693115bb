//! The vocabulary of the floods: an invented shop on Kubernetes, in several clusters.
//! Names are our own; they only look like those of a real site. All texts are JSON-safe ASCII.

use crate::model::Severity;

/// A cluster and where it stands.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
}

/// A service, who owns it and what it needs.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) team: &'static str,
    pub(crate) needs: &'static [&'static str],
}

/// One kind of alert: its name, its texts, the query behind it.
#[derive(Debug)]
pub(crate) struct AlertKind {
    pub(crate) name: &'static str,
    pub(crate) severities: &'static [Severity],
    pub(crate) summary: &'static str,
    /// `#` stands for the measured value.
    pub(crate) description: &'static str,
    /// Percent-encoded, as it stands in a link.
    pub(crate) query: &'static str,
}

const fn cluster(name: &'static str, region: &'static str) -> Cluster {
    Cluster { name, region }
}

const fn service(
    name: &'static str,
    namespace: &'static str,
    team: &'static str,
    needs: &'static [&'static str],
) -> Service {
    Service { name, namespace, team, needs }
}

/// Where the shop runs.
pub(crate) const CLUSTERS: [Cluster; 10] = [
    cluster("prod-eu-1", "eu-west-1"),
    cluster("prod-us-1", "us-east-1"),
    cluster("prod-eu-2", "eu-central-1"),
    cluster("prod-ap-1", "ap-south-1"),
    cluster("prod-us-2", "us-west-2"),
    cluster("prod-sa-1", "sa-east-1"),
    cluster("prod-ap-2", "ap-northeast-1"),
    cluster("edge-eu-1", "eu-north-1"),
    cluster("edge-us-1", "us-east-2"),
    cluster("stage-eu-1", "eu-west-3"),
];

/// The shop's services. The first eight are those that customers meet and write about.
pub(crate) const SERVICES: [Service; 40] = [
    service("checkout", "shop", "checkout", &["payments", "cart", "pricing", "session-store"]),
    service("payments", "payments", "payments", &["ledger", "fraud-check", "payments-db"]),
    service("login", "identity", "identity", &["identity-db", "session-store", "mailer"]),
    service("search", "shop", "discovery", &["search-index", "catalogue"]),
    service("orders", "orders", "fulfilment", &["orders-db", "event-bus", "stock"]),
    service("mailer", "messaging", "messaging", &["event-bus", "smtp-relay"]),
    service("mobile-gateway", "edge", "mobile", &["login", "checkout", "search", "rate-limiter"]),
    service("account-center", "identity", "identity", &["login", "orders", "invoices"]),
    service("web-frontend", "edge", "web", &["checkout", "login", "search", "media"]),
    service("cart", "shop", "checkout", &["session-store", "pricing"]),
    service("pricing", "shop", "pricing", &["pricing-db", "currency"]),
    service("catalogue", "shop", "discovery", &["catalogue-db", "media"]),
    service("recommender", "shop", "discovery", &["feature-store", "catalogue"]),
    service("stock", "orders", "fulfilment", &["stock-db", "event-bus"]),
    service("shipping", "orders", "fulfilment", &["orders", "carrier-bridge"]),
    service("returns", "orders", "fulfilment", &["orders", "payments"]),
    service("ledger", "payments", "payments", &["payments-db", "event-bus"]),
    service("fraud-check", "payments", "risk", &["feature-store", "risk-model"]),
    service("invoices", "payments", "payments", &["ledger", "object-store"]),
    service("currency", "shop", "pricing", &[]),
    service("carrier-bridge", "orders", "fulfilment", &[]),
    service("risk-model", "payments", "risk", &["gpu-pool"]),
    service("feature-store", "data", "data-platform", &["event-bus", "object-store"]),
    service("media", "edge", "web", &["object-store"]),
    service("partner-api", "edge", "partners", &["orders", "catalogue", "rate-limiter"]),
    service("reporting", "data", "data-platform", &["warehouse", "event-bus"]),
    service("warehouse", "data", "data-platform", &["object-store"]),
    service("audit-trail", "identity", "security", &["event-bus"]),
    service("rate-limiter", "edge", "platform", &["session-store"]),
    service("smtp-relay", "messaging", "messaging", &["cluster-dns"]),
    service("session-store", "platform", "platform", &["cluster-dns"]),
    service("event-bus", "platform", "streaming", &["cluster-dns"]),
    service("payments-db", "databases", "storage", &["block-store"]),
    service("identity-db", "databases", "storage", &["block-store"]),
    service("orders-db", "databases", "storage", &["block-store"]),
    service("catalogue-db", "databases", "storage", &["block-store"]),
    service("pricing-db", "databases", "storage", &["block-store"]),
    service("stock-db", "databases", "storage", &["block-store"]),
    service("search-index", "databases", "discovery", &["block-store"]),
    service("object-store", "platform", "storage", &["block-store"]),
];

/// How many services at the front of [`SERVICES`] customers write about.
pub(crate) const CUSTOMER_FACING: usize = 8;

const RED: &[Severity] = &[Severity::Critical];
const PAGE: &[Severity] = &[Severity::Critical, Severity::High];
const WARN: &[Severity] = &[Severity::Warning, Severity::High];
const MILD: &[Severity] = &[Severity::Warning, Severity::Low];
const NOTE: &[Severity] = &[Severity::Info, Severity::Low];

/// Alerts that name a service.
pub(crate) const SERVICE_ALERTS: [AlertKind; 14] = [
    AlertKind {
        name: "HttpErrorRatioHigh",
        severities: PAGE,
        summary: "Too many requests end in an error",
        description: "# percent of the requests end in 5xx",
        query: "rate%28http_errors_total%5B5m%5D%29+%3E+5",
    },
    AlertKind {
        name: "LatencyObjectiveMissed",
        severities: WARN,
        summary: "Answers take longer than promised",
        description: "The 99th percentile is # times the objective of 300 ms",
        query: "http_duration_seconds%3Ap99+%3E+0.3",
    },
    AlertKind {
        name: "PodRestartLoop",
        severities: WARN,
        summary: "A container keeps restarting",
        description: "Restarted # times in 15 minutes, last exit code 137",
        query: "increase%28restarts_total%5B15m%5D%29+%3E+3",
    },
    AlertKind {
        name: "PodNotReadyTooLong",
        severities: WARN,
        summary: "A pod does not become ready",
        description: "The readiness probe has been failing for # minutes",
        query: "pod_ready+%3D%3D+0",
    },
    AlertKind {
        name: "ReplicasBelowPlan",
        severities: MILD,
        summary: "Fewer replicas than planned",
        description: "Only # percent of the planned replicas are available",
        query: "replicas_available+%3C+replicas_planned",
    },
    AlertKind {
        name: "MemoryNearLimit",
        severities: MILD,
        summary: "Close to the memory limit",
        description: "The working set is at # percent of the limit and grows",
        query: "working_set_bytes+%2F+limit_bytes+%3E+0.9",
    },
    AlertKind {
        name: "CpuThrottled",
        severities: NOTE,
        summary: "Held back by the CPU quota",
        description: "# percent of the scheduling periods were cut short",
        query: "rate%28throttled_total%5B10m%5D%29+%3E+0.25",
    },
    AlertKind {
        name: "ConnectionPoolExhausted",
        severities: PAGE,
        summary: "No free connection in the pool",
        description: "All connections are taken and # callers wait for one",
        query: "pool_waiting_callers+%3E+10",
    },
    AlertKind {
        name: "DependencyErrorsHigh",
        severities: WARN,
        summary: "Calls to a dependency fail",
        description: "# percent of the outgoing calls fail or time out",
        query: "rate%28outgoing_failures_total%5B5m%5D%29+%3E+1",
    },
    AlertKind {
        name: "ErrorBudgetBurnsFast",
        severities: RED,
        summary: "The month's error budget burns",
        description: "The budget of 30 days burns # times as fast as allowed",
        query: "service%3Aburn_rate%3A1h+%3E+14",
    },
    AlertKind {
        name: "QueueBacklogGrows",
        severities: MILD,
        summary: "Messages pile up",
        description: "The backlog grew by # thousand messages in 10 minutes",
        query: "deriv%28queue_messages_waiting%5B10m%5D%29+%3E+100",
    },
    AlertKind {
        name: "ProbeFailing",
        severities: PAGE,
        summary: "The probe from outside fails",
        description: "Probes from outside take # seconds or fail",
        query: "probe_success+%3D%3D+0",
    },
    AlertKind {
        name: "DeployStuck",
        severities: NOTE,
        summary: "A rollout does not finish",
        description: "The rollout stands still for # minutes",
        query: "generation_observed+%21%3D+generation_wanted",
    },
    AlertKind {
        name: "CacheHitRatioLow",
        severities: NOTE,
        summary: "The cache hardly helps",
        description: "Only # percent of the lookups hit the cache",
        query: "cache_hits_total+%2F+cache_lookups_total+%3C+0.5",
    },
];

/// Alerts about machines: they carry no service, so their group is named by the alert.
pub(crate) const NODE_ALERTS: [AlertKind; 7] = [
    AlertKind {
        name: "NodeUnreachable",
        severities: RED,
        summary: "A node does not answer",
        description: "The node has not reported for # minutes, its pods are being moved",
        query: "node_ready%7Bstatus%3D%22unknown%22%7D+%3D%3D+1",
    },
    AlertKind {
        name: "NodeDiskFillsUp",
        severities: WARN,
        summary: "A disk will be full soon",
        description: "# percent of the file system are used, at this pace it is full within four hours",
        query: "predict_linear%28node_disk_free_bytes%5B6h%5D%2C+14400%29+%3C+0",
    },
    AlertKind {
        name: "NodeClockDrifts",
        severities: MILD,
        summary: "A clock is wrong",
        description: "The clock is off by # ms and the time daemon does not bring it back",
        query: "abs%28node_clock_offset_seconds%29+%3E+0.05",
    },
    AlertKind {
        name: "NodePacketsDropped",
        severities: MILD,
        summary: "A network card drops packets",
        description: "# packets a second are dropped on receipt, the ring buffer overflows",
        query: "rate%28node_network_dropped_total%5B5m%5D%29+%3E+10",
    },
    AlertKind {
        name: "NodeMemoryPressure",
        severities: WARN,
        summary: "A node runs out of memory",
        description: "Only # percent of the memory are free, pods are about to be evicted",
        query: "node_memory_free_bytes+%2F+node_memory_bytes+%3C+0.05",
    },
    AlertKind {
        name: "CertificateEndsSoon",
        severities: NOTE,
        summary: "A certificate is about to end",
        description: "The certificate ends within # days and was not renewed",
        query: "certificate_not_after+-+time%28%29+%3C+604800",
    },
    AlertKind {
        name: "VolumeAlmostFull",
        severities: WARN,
        summary: "A volume is almost full",
        description: "# percent of the volume are in use, writes will fail soon",
        query: "volume_used_bytes+%2F+volume_bytes+%3E+0.9",
    },
];

/// The place of a service in [`SERVICES`].
pub(crate) fn service_named(name: &str) -> Option<usize> {
    SERVICES.iter().position(|service| service.name == name)
}

/// The services that break when those in `down` are down, nearest first: one wave per element.
pub(crate) fn waves_from(root: usize) -> Vec<Vec<usize>> {
    let mut waves = vec![vec![root]];
    let mut reached = vec![root];
    loop {
        let last = &waves[waves.len() - 1];
        let next: Vec<usize> = (0..SERVICES.len())
            .filter(|candidate| !reached.contains(candidate))
            .filter(|candidate| {
                SERVICES[*candidate].needs.iter().any(|needed| last.iter().any(|down| SERVICES[*down].name == *needed))
            })
            .collect();
        if next.is_empty() {
            return waves;
        }
        reached.extend(&next);
        waves.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_no_service_is_called_like_an_alert() {
        let services = SERVICES.iter().map(|service| service.name);
        let alerts = SERVICE_ALERTS.iter().chain(&NODE_ALERTS).map(|kind| kind.name);
        let all: Vec<&str> = services.chain(alerts).chain(CLUSTERS.iter().map(|cluster| cluster.name)).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn texts_need_no_escape() {
        for kind in SERVICE_ALERTS.iter().chain(&NODE_ALERTS) {
            for text in [kind.name, kind.summary, kind.description, kind.query] {
                assert!(
                    text.bytes().all(|byte| (0x20..0x7F).contains(&byte) && byte != b'"' && byte != b'\\'),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_database_drags_the_shop_down_wave_by_wave() {
        let root = service_named("payments-db").unwrap_or(0);
        let waves: Vec<Vec<&str>> =
            waves_from(root).iter().map(|wave| wave.iter().map(|index| SERVICES[*index].name).collect()).collect();
        assert_eq!(waves[0], ["payments-db"]);
        assert_eq!(waves[1], ["payments", "ledger"]);
        assert!(waves[2].contains(&"checkout") && waves[2].contains(&"returns"), "{waves:?}");
        assert!(waves.len() >= 4, "{waves:?}");
    }
}
