//! A stop in order: what was answered is kept, the rest is refused, and the next start goes on with the same totals.

use std::time::Duration;

use crate::daemon::ledger::Ledger;
use crate::daemon::scrape::Scrape;
use crate::daemon::sender::{Plan, Senders};
use crate::daemon::{Home, wait_for};

const CONFIG: &str = "
sources: [{name: http, type: http}]
windows: [{name: default, wait: 0s, update_every: 500ms, gap: 1h}]
";

/// Crowded, so that requests are in every stage of their way when the stop comes.
const PLAN: Plan = Plan { connections: 16, batch: 10, pause: Duration::ZERO, repeats: false };

#[test]
fn a_stop_under_load_loses_nothing_that_was_answered() {
    let home = Home::new(CONFIG);
    let mut before: Option<Scrape> = None;
    for round in 0..3 {
        let daemon = home.start();
        assert_goes_on(before.as_ref(), &daemon.scrape());
        let senders = Senders::start(home.address(), &format!("stop-{round}"), PLAN);
        wait_for("some answers", || senders.answered() >= 500);
        daemon.stop(); // Asserts that it ends with exit code 0.
        let sent = senders.finish();
        let daemon = home.start();
        let scrape = daemon.scrape();
        scrape.assert_conserved();
        let received = scrape.received();
        let taken = received - before.as_ref().map_or(0, Scrape::received);
        println!("{sent:?}, taken {taken}");
        assert!(taken >= sent.answered, "{taken} taken: {sent:?}");
        // What was refused was not taken: only a broken connection leaves a doubt.
        assert!(taken <= sent.answered + sent.broken, "{taken} taken: {sent:?}");
        wait_for("the last counts in incidents", || Ledger::read(&home.data()).alerts() == received);
        before = Some(daemon.scrape());
        daemon.stop();
        assert_eq!(Ledger::read(&home.data()).members(), received, "each alert is a fingerprint of its own");
    }
}

/// Totals go on where they were, before the first alert of the new run.
#[track_caller]
fn assert_goes_on(before: Option<&Scrape>, now: &Scrape) {
    let Some(before) = before else { return };
    assert_eq!(before.received(), now.received());
    for outcome in ["opened", "joined", "folded", "resolved", "suppressed", "rejected"] {
        assert_eq!(before.outcome(outcome), now.outcome(outcome), "{outcome}");
    }
}

#[test]
fn an_idle_daemon_stops_at_once_and_a_second_start_finds_its_state() {
    let home = Home::new(CONFIG);
    home.start().stop();
    let daemon = home.start();
    daemon.scrape().assert_conserved();
    daemon.stop();
    assert_eq!(Ledger::read(&home.data()).alerts(), 0);
}
