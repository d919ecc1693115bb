//! A burst that does not fit into the memory budget, short form: memory stays within it, the backlog drains, every alert is
//! accounted for, and critical alerts go on as if nothing was. The long form is in docs/operating.md.

use std::fmt::Write as _;
use std::time::Duration;

use tidegate::metrics::process::usage;
use tidegate::model::Status;
use tidegate::model::time::Stopwatch;

use crate::daemon::ledger::Ledger;
use crate::daemon::{Daemon, Home, http, wait_for};

const MIB: u64 = 1 << 20;
/// Some times what is on its way at once, and little enough that seconds fill it.
const BUDGET: u64 = 192 * MIB;
/// Some 1,300 bytes each in memory: half as much again as the budget.
const ALERTS: u64 = 220_000;
/// Critical alerts that come by another source meanwhile.
const CRITICALS: u64 = 40;

fn configuration(budget: u64) -> String {
    format!(
        "data_dir: {{folder}}/data\n\
         memory: {{budget: {}MiB}}\n\
         limits: {{label_values: 2000}}\n\
         engine: {{decoders: 1, shards: 2}}\n\
         sources:\n\
         \x20 - {{name: http, type: http}}\n\
         \x20 - {{name: backlog, type: file, path: \"{{folder}}/backlog\", format: native, follow: true}}\n\
         windows:\n\
         \x20 - {{name: critical, match: 'severity=\"critical\"', group_by: [service, instance], wait: 0s}}\n\
         \x20 - {{name: everything, group_by: [service]}}\n",
        budget / MIB
    )
}

/// Alerts that differ in one label, as if a careless hand had put the request into the identity.
fn bomb() -> String {
    let mut lines = String::new();
    let note = "n".repeat(900);
    for n in 0..ALERTS {
        let service = n % 5;
        let _ = writeln!(
            lines,
            "{{\"labels\":{{\"alertname\":\"Slow\",\"service\":\"s{service}\",\"severity\":\"warning\",\"note\":\"{note}\",\
             \"request_id\":\"{n:032x}\"}},\"status\":\"firing\"}}"
        );
    }
    lines
}

fn critical(daemon: &Home, n: u64) -> u16 {
    let alert = format!(
        "{{\"labels\":{{\"alertname\":\"Down\",\"service\":\"core\",\"severity\":\"critical\",\"instance\":\"i{n}\"}},\
         \"status\":\"firing\"}}"
    );
    http::post(daemon.address(), "/api/v1/alerts", alert.as_bytes()).map_or(0, |answer| answer.status)
}

fn level_entered(daemon: &Daemon) -> u64 {
    daemon.scrape().sum("tidegate_memory_level_entered_total")
}

#[test]
fn a_burst_stays_within_the_budget_and_nothing_is_lost() {
    let home = Home::new(&configuration(BUDGET));
    std::fs::write(home.path("backlog"), bomb()).unwrap();
    let daemon = home.start();
    let watch = Stopwatch::start();
    let (mut sent, mut peak) = (0, 0);
    // The burst is over when everything is read; meanwhile criticals come, and those that are refused come again.
    while sent < CRITICALS || daemon.scrape().received() < ALERTS + CRITICALS {
        if sent < CRITICALS && watch.elapsed() >= Duration::from_millis(150) * sent as u32 {
            sent += u64::from(critical(&home, sent) == 200);
        }
        let scrape = daemon.scrape();
        scrape.assert_conserved();
        peak = peak.max(usage(Some(daemon.id())).map_or(0, |usage| usage.rss_bytes));
        assert!(watch.elapsed() < Duration::from_secs(120), "{} of {ALERTS} are read", scrape.received());
        std::thread::sleep(Duration::from_millis(20));
    }
    let scrape = daemon.scrape();
    let overflowed = scrape.sum("tidegate_overflowed_alerts_total");
    assert!(level_entered(&daemon) >= 3, "the ladder was climbed");
    assert!(overflowed > ALERTS / 10 && overflowed < ALERTS, "{overflowed} were folded away");
    assert!(peak * 100 <= BUDGET * 105, "{} MiB of {} MiB", peak / MIB, BUDGET / MIB);
    daemon.stop();

    let ledger = Ledger::read(&home.data());
    let of = |rule: &str| ledger.incidents.values().filter(|incident| incident.rule == rule).collect::<Vec<_>>();
    assert_eq!(of("critical").len() as u64, CRITICALS);
    let overflow = of("tidegate").into_iter().find(|incident| incident.group_labels.contains_key("source")).unwrap();
    let label = |name: &str| overflow.group_labels.get(name).map(String::as_str);
    assert_eq!((label("alertname"), label("source")), (Some("TidegateOverflow"), Some("backlog")));
    assert_eq!(label("label"), Some("request_id"), "the culprit is named");
    assert_eq!(overflow.status, Status::Firing);

    // With more memory the next start finds room: the overflow is over, with all that it counted.
    home.configure(&configuration(16 * BUDGET));
    let daemon = home.start();
    let resolved = "tidegate_incident_events_total{event=\"resolved\"}";
    wait_for("the overflow is over", || daemon.scrape().sum(resolved) > 0);
    daemon.scrape().assert_conserved();
    assert_eq!(daemon.scrape().received(), ALERTS + CRITICALS);
    // The gauge is ahead of the sequence, of which the end of the overflow is a part.
    let before = daemon.scrape().sum("tidegate_transactions_total");
    wait_for("an epoch", || daemon.scrape().sum("tidegate_transactions_total") > before + 1);
    daemon.stop();
    let ledger = Ledger::read(&home.data());
    let own = ledger.incidents.values().filter(|incident| incident.group_labels.contains_key("source"));
    let own: Vec<_> = own.filter(|incident| incident.rule == "tidegate").collect();
    assert!(own.iter().all(|incident| incident.status == Status::Resolved));
    let counted: u64 = own.iter().map(|incident| incident.counts.alerts).sum();
    assert_eq!(counted, overflowed, "each alert that was folded away is in an overflow incident");
}
