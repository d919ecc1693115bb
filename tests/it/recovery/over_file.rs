//! A file that is followed: after any number of kills the incidents are those of a daemon that nobody disturbed.

use tidegate::model::time::Stopwatch;

use crate::daemon::ledger::Ledger;
use crate::daemon::scrape::Scrape;
use crate::daemon::{Daemon, Home, wait_for};
use crate::recovery::flood::{Writer, Written};
use crate::recovery::{kill_again_and_again, kills};

/// Every kind of window, with times so short that many windows end during the flood and all soon after it.
const CONFIG: &str = r#"
sources:
  - {name: flood, type: file, path: "{folder}/flood.jsonl", format: native, follow: true}
engine: {decoders: 2, shards: 2}
windows:
  - name: critical
    match: severity="critical"
    kind: until_resolved
    wait: 0s
    update_every: 1s
    resolve_after: 4s
    reopen: 2s
  - name: threshold
    match: severity=~"info|low"
    open_after: {count: 3, within: 2s}
    wait: 100ms
    update_every: 500ms
    gap: 3s
    resolve_after: 4s
    reopen: 2s
  - name: slices
    match: cluster=~".*-1|.*-eu.*"
    kind: fixed
    max_age: 4s
    wait: 200ms
    update_every: 500ms
    resolve_after: 3s
    reopen: 2s
  - name: sessions
    wait: 300ms
    update_every: 1s
    gap: 3s
    max_age: 15s
    max_alerts: 400
    resolve_after: 4s
    reopen: 2s
"#;

#[test]
fn kills_over_a_file_change_nothing() {
    let watch = Stopwatch::start();
    let home = Home::new(CONFIG);
    home.start().stop(); // The first start draws the key of all hashes and ids, which both runs are to share.
    let undisturbed = home.copy();
    let writer = Writer::start(&home.path("flood.jsonl"));
    let (daemon, slowest, at_places) = kill_again_and_again(&home, kills());
    let written = writer.finish();
    let (killed, totals) = settle(&home, daemon, written);
    std::fs::rename(home.path("flood.jsonl"), undisturbed.path("flood.jsonl")).unwrap();
    undisturbed.configure(CONFIG);
    let daemon = undisturbed.start();
    let (calm, calm_totals) = settle(&undisturbed, daemon, written);
    // Shown with --nocapture.
    println!(
        "{} kills, {at_places} at their place, {} lines in {:.1?} ({} damaged), {} incidents, {} events, slowest start {slowest:.2?}, {:.1?} in all",
        kills(),
        written.lines,
        written.elapsed,
        written.damaged,
        calm.incidents.len(),
        killed.events.len(),
        watch.elapsed()
    );
    killed.assert_equal(&calm);
    assert!(at_places >= kills() / 4, "only {at_places} died at their place");
    assert_eq!(totals.received(), calm_totals.received());
    assert!(killed.incidents.len() > 100, "the flood made only {} incidents", killed.incidents.len());
    for kind in ["opened", "updated", "resolved", "reopened"] {
        assert!(killed.events.iter().any(|event| event.event == kind), "nothing was {kind}");
    }
}

/// Waits until everything that was written is taken and over, then stops the daemon and reads its store.
fn settle(home: &Home, daemon: Daemon, written: Written) -> (Ledger, Scrape) {
    let mut received = 0;
    while received < written.lines {
        let before = received;
        wait_for("more of the file", || {
            let scrape = daemon.scrape();
            scrape.assert_conserved();
            received = scrape.received();
            received > before
        });
    }
    wait_for("the end of all incidents", || {
        let scrape = daemon.scrape();
        let open = ["tidegate_open_incidents", "tidegate_open_windows", "tidegate_alerts_held"];
        scrape.assert_conserved();
        open.iter().all(|gauge| scrape.sum(gauge) == 0)
    });
    let totals = daemon.scrape();
    daemon.stop();
    let ledger = Ledger::read(&home.data());
    assert_eq!(totals.received(), written.lines);
    assert_eq!(totals.outcome("rejected"), written.damaged);
    assert_eq!(ledger.dead_letters.len() as u64, written.damaged);
    assert!(ledger.alerts() <= written.lines - written.damaged);
    (ledger, totals)
}
