//! Over HTTP: what was answered is there after any number of kills, and only repeated requests are counted twice.

use std::time::Duration;

use tidegate::model::time::Stopwatch;

use crate::daemon::ledger::Ledger;
use crate::daemon::sender::{Plan, Senders};
use crate::daemon::{Home, wait_for};
use crate::recovery::{kill_again_and_again, kills};

/// Windows that stay open throughout, so that every fingerprint joins exactly once, however often it is sent.
const CONFIG: &str = "
sources: [{name: http, type: http}]
engine: {decoders: 2, shards: 2}
windows: [{name: default, wait: 0s, update_every: 500ms, gap: 1h}]
";

const PLAN: Plan = Plan { connections: 4, batch: 20, pause: Duration::from_millis(20), repeats: true };

#[test]
fn kills_over_http_lose_no_answered_alert() {
    let watch = Stopwatch::start();
    let home = Home::new(CONFIG);
    let senders = Senders::start(home.address(), "kills", PLAN);
    let (daemon, slowest, _) = kill_again_and_again(&home, kills());
    let so_far = senders.answered();
    wait_for("answers of the last daemon", || senders.answered() > so_far);
    let sent = senders.finish();
    let scrape = daemon.scrape();
    scrape.assert_conserved();
    let received = scrape.received();
    wait_for("the last counts in incidents", || counted(&daemon.scrape()) == received && tell(&home) == received);
    daemon.stop();
    let ledger = Ledger::read(&home.data());
    println!(
        "{} kills, {sent:?}, received {received}, slowest start {slowest:.2?}, {:.1?} in all",
        kills(),
        watch.elapsed()
    );
    assert_eq!(ledger.members(), sent.answered, "each alert is a fingerprint of its own, and every one was answered");
    assert!(received >= sent.answered, "{received} received, {sent:?}");
    assert!(received - sent.answered <= sent.excess_max(), "{received} received, {sent:?}");
    assert_eq!(ledger.alerts(), received);
    assert!(kills() == 0 || sent.broken + sent.refused > 0 || sent.unheard > 0, "no sender noticed a kill: {sent:?}");
}

/// Alerts that went to incidents.
fn counted(scrape: &crate::daemon::scrape::Scrape) -> u64 {
    ["opened", "joined", "folded"].iter().map(|outcome| scrape.outcome(outcome)).sum()
}

/// Alerts that the events in the store tell of.
fn tell(home: &Home) -> u64 {
    Ledger::read(&home.data()).alerts()
}
